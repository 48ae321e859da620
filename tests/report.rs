//! The report in a browser: headless Chromium, asked over a pipe.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::{Path, PathBuf};

use apprentice::report;
use apprentice::run::{Manifest, RunDir};
use browser::{Browser, DRAWN, chromium};
use serde_json::{Value, json};

mod browser;

/// A graded run with a training, its samples and its episodes; words of the agent are `said`.
fn run(dir: &Path, name: &str, said: &str) -> PathBuf {
    let path = dir.join(name);
    RunDir::create(&path, Manifest::new(["apprentice".to_owned(), said.to_owned()], json!({"policy": said})))
        .unwrap();
    let outcomes = [
        "resolved",
        "unresolved",
        "partial",
        "empty_patch",
        "patch_does_not_apply",
        "timed_out",
        "tampered",
        "infrastructure",
    ];
    let mut lines = [String::new(), String::new(), String::new(), String::new()];
    for (number, outcome) in outcomes.into_iter().enumerate() {
        for attempt in 0..3 {
            let outcome = if attempt == number % 3 { outcome } else { "resolved" };
            let task = format!("owner__repository-{number}");
            lines[0] += &format!("{}\n", json!({"id": task, "outcome": outcome, "reason": said}));
            let step = json!({"thought": said, "action": {"kind": "bash", "command": said}, "observation": {"output": said}});
            lines[1] += &format!(
                "{}\n",
                json!({"format": "apprentice.trajectory/1", "id": format!("{task}.{attempt}"), "task": task,
                "steps": [step], "end": "submitted", "patch": ""})
            );
        }
    }
    for step in 0..40 {
        let metrics = json!({"reward": f64::from(step).sin(), "loss": 0.1, "grad_norm": step, "lr": 0.001, "rounds": step % 3});
        lines[2] += &format!(
            "{}\n",
            json!({"format": "apprentice.event/1", "event": "step_trained", "phase": "srl", "step": step, "metrics": metrics})
        );
    }
    let replies = [format!("<think>{said}</think>sed -i s/a/b/ x {said}"), said.to_owned()];
    let attempts: Vec<Value> =
        replies.iter().map(|reply| json!({"reward": 0.5, "replies": [reply]})).collect();
    for step in 0..4 {
        lines[3] += &format!(
            "{}\n",
            json!({"format": "apprentice.groups/1", "phase": "srl", "step": step, "task": said, "kept": step % 2 == 0,
            "expert": {"trajectory": said, "step": 2, "thought": said, "action": format!("sed -n 1p x {said}")}, "attempts": attempts})
        );
    }
    for (file, text) in
        ["grades.jsonl", "trajectories.jsonl", "events.jsonl", "groups.jsonl"].into_iter().zip(lines)
    {
        fs_err::write(path.join(file), text).unwrap();
    }
    path
}

/// Writes the report of two runs.
fn write(dir: &Path, said: &str) -> PathBuf {
    let out = dir.join("out/a report.html");
    report::gather(&[run(dir, "one", said), run(dir, "two", said)]).unwrap().write(&out, 3).unwrap();
    out
}

#[test]
fn what_an_agent_writes_runs_and_loads_nothing() {
    let Some(chromium) = chromium() else { return };
    let hostile = "</script><script>owned=1</script><img src=\"http://127.0.0.1:9/x\" onerror=\"owned=1\"><svg onload=owned=1>'\"\
                   <a href=javascript:owned=1>x</a></pre></details><!--\u{1b}[31mred\u{1b}[0m\0\u{202e}abc\u{2066}&lt;b&gt; ]]>";
    let dir = tempfile::tempdir().unwrap();
    let page = write(dir.path(), hostile);
    let mut browser = Browser::start(&chromium);
    browser.open(&page);
    browser.value(DRAWN);
    let bad = "document.querySelectorAll('img, script, a:not([href^=\"#\"]):not([href^=\"a%20report-parts/\"])').length";
    assert_eq!((browser.value("typeof owned"), browser.value(bad)), (json!("undefined"), json!(0)));
    let shown = browser.value("document.querySelector('.group .pair figure:first-child pre').textContent");
    assert_eq!(shown, format!("sed -n 1p x {}", apprentice::viewer::visible(hostile).trim_end()));
    assert_eq!(browser.complaints(), Vec::<&Value>::new());
    // Were there a hole in the escaping, the page's own policy would still stop the script.
    browser.value("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"owned = 1\">')");
    browser.value(DRAWN);
    assert_eq!(browser.value("typeof owned"), "undefined");
}

/// Texts whose contrast with what is behind them is below 4.5 (WCAG 2.2, 1.4.3). What is behind a text is the nearest
/// colour that is no gradient.
const FAINT: &str = r"(() => {
  const parse = (text) => (text.match(/[\d.]+/g) || []).map(Number);
  const light = ([r, g, b]) => { const [x, y, z] = [r, g, b].map((c) => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4); return 0.2126 * x + 0.7152 * y + 0.0722 * z; };
  const behind = (element) => { for (let at = element; at; at = at.parentElement) { const c = parse(getComputedStyle(at).backgroundColor); if (c.length === 3 || c[3] > 0) return c; } return [255, 255, 255]; };
  for (const closed of document.querySelectorAll('details')) closed.open = true;
  const faint = new Set();
  for (const element of document.querySelectorAll('body *')) {
    if (![...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim())) continue;
    const style = getComputedStyle(element), svg = element.namespaceURI.includes('svg');
    const [one, two] = [light(parse(svg ? style.fill : style.color)), light(behind(element))];
    const contrast = (Math.max(one, two) + 0.05) / (Math.min(one, two) + 0.05);
    if (contrast < 4.5) faint.add(`${element.tagName}.${element.className.baseVal ?? element.className} ${contrast.toFixed(2)}`);
  }
  return [...faint];
})()";

#[test]
fn texts_are_legible_in_light_and_dark() {
    let Some(chromium) = chromium() else { return };
    let dir = tempfile::tempdir().unwrap();
    let page = write(dir.path(), "a few words");
    let mut browser = Browser::start(&chromium);
    for scheme in ["light", "dark"] {
        browser.ask(
            "Emulation.setEmulatedMedia",
            &json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]}),
        );
        browser.open(&page);
        assert_eq!(browser.value(FAINT), json!([]), "{scheme}");
    }
}

#[test]
fn nothing_is_cut_or_overlaps_in_a_narrow_and_in_a_wide_window() {
    let Some(chromium) = chromium() else { return };
    let dir = tempfile::tempdir().unwrap();
    let page = write(dir.path(), "a_long_word_without_spaces/".repeat(8).as_str());
    let mut browser = Browser::start(&chromium);
    for width in [400, 800, 1600] {
        browser.ask(
            "Emulation.setDeviceMetricsOverride",
            &json!({"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false}),
        );
        browser.open(&page);
        browser.value("document.querySelectorAll('details').forEach((closed) => closed.open = true)");
        browser.value(DRAWN);
        let is_within = "document.documentElement.scrollWidth <= document.documentElement.clientWidth";
        assert_eq!(browser.value(is_within), true, "{width}");
        // Texts of a picture lie inside of it, and no two of them on one another.
        let bad = "[...document.querySelectorAll('svg.chart')].filter((svg) => { const frame = svg.getBoundingClientRect(); const boxes = [...svg.querySelectorAll('text')].map((text) => text.getBoundingClientRect());\
                   return boxes.some((box) => box.left < frame.left - 1 || box.right > frame.right + 1 || box.bottom > frame.bottom + 1) || boxes.some((one, at) => boxes.slice(at + 1).some((two) =>\
                   one.left < two.right - 1 && two.left < one.right - 1 && one.top < two.bottom - 1 && two.top < one.bottom - 1)); }).map((svg) => svg.getAttribute('aria-label'))";
        assert_eq!(browser.value(bad), json!([]), "{width}");
    }
}

#[test]
fn the_keyboard_reaches_what_opens() {
    let Some(chromium) = chromium() else { return };
    let dir = tempfile::tempdir().unwrap();
    let page = write(dir.path(), "a few words");
    let mut browser = Browser::start(&chromium);
    browser.open(&page);
    let mut seen = Vec::new();
    for _ in 0..200 {
        for kind in ["rawKeyDown", "keyUp"] {
            browser.ask(
                "Input.dispatchKeyEvent",
                &json!({"type": kind, "key": "Tab", "code": "Tab", "windowsVirtualKeyCode": 9}),
            );
        }
        let at = browser.value("document.activeElement.tagName + ' ' + document.activeElement.className + ' ' + (document.activeElement.textContent || '').slice(0, 30)");
        let outline = browser.value("getComputedStyle(document.activeElement).outlineStyle");
        assert!(
            at == "BODY  " || at.as_str().unwrap().starts_with("BODY") || outline == "solid",
            "{at} has the focus and does not show it"
        );
        seen.push(at.as_str().unwrap().to_owned());
        if at.as_str().unwrap().contains("owner__repository-0") {
            break;
        }
    }
    assert!(seen[0].starts_with("A skip"), "{seen:?}");
    assert!(seen.last().unwrap().starts_with("SUMMARY"), "{seen:?}");
    browser.press("\r");
    assert_eq!(browser.value("document.activeElement.parentElement.open"), true);
    let link = "document.activeElement.parentElement.querySelector('a').href";
    let link = browser.value(link).as_str().unwrap().to_owned();
    assert!(link.ends_with("/a%20report-parts/trajectory-1.html"), "{link}");
    browser.open(&page.with_file_name("a report-parts/trajectory-1.html"));
    assert_eq!(browser.value("document.querySelectorAll('article.step').length"), 1);
}
