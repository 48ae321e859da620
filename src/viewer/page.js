"use strict";
// The page is whole without this: it adds moving, searching and opening long texts.
(() => {
  const $ = (id) => document.getElementById(id);
  const steps = [...document.querySelectorAll("article.step")];
  const links = [...document.querySelectorAll("nav a")];
  const divergences = steps.filter((step) => step.classList.contains("diverged"));
  let here = -1;
  $("tools").hidden = false;

  function select(index) {
    if (index === here || index < 0 || index >= steps.length) return;
    for (const list of [steps, links]) {
      if (list[here]) list[here].classList.remove("here");
      list[index].classList.add("here");
    }
    here = index;
    const nav = links[index].closest("nav");
    const top = links[index].offsetTop;
    if (top < nav.scrollTop || top + 24 > nav.scrollTop + nav.clientHeight) nav.scrollTop = top - nav.clientHeight / 2;
  }

  function go(index) {
    const to = Math.max(0, Math.min(steps.length - 1, index));
    if (!steps.length) return;
    select(to);
    steps[to].scrollIntoView({ block: "start" });
    // Steps above were guessed in height until now; once they are known, the place is corrected.
    requestAnimationFrame(() => steps[to].scrollIntoView({ block: "start" }));
    quiet = performance.now() + 300;
  }

  // The step at the top of the window is the one at hand, unless a key chose another just now.
  let quiet = 0, waiting = false;
  addEventListener("scroll", () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      if (performance.now() < quiet) return;
      let [low, high] = [0, steps.length - 1];
      while (low < high) {
        const middle = (low + high + 1) >> 1;
        if (steps[middle].getBoundingClientRect().top <= 120) low = middle; else high = middle - 1;
      }
      select(low);
    });
  }, { passive: true });

  // Long texts.
  for (const text of document.querySelectorAll("pre.long")) {
    const button = document.createElement("button");
    button.className = "more";
    const label = () => { button.textContent = text.classList.contains("open") ? "show less" : `show all ${Number(text.dataset.lines).toLocaleString("en")} lines`; };
    button.onclick = () => { text.classList.toggle("open"); label(); };
    label();
    text.after(button);
  }

  // Search: the text of each article is gathered once, at the first search.
  const LIMIT = 20000;
  let articles = null, matches = [], current = -1, sought = "";

  function gather() {
    articles = [...document.querySelectorAll("article")].map((article) => {
      const nodes = [], starts = [];
      let text = "";
      const walker = document.createTreeWalker(article, NodeFilter.SHOW_TEXT);
      while (walker.nextNode()) {
        if (walker.currentNode.parentElement.closest("button")) continue;
        nodes.push(walker.currentNode);
        starts.push(text.length);
        text += walker.currentNode.data;
      }
      const lower = text.toLowerCase();
      // A letter that grows when it is made small would shift all places behind it.
      return { nodes, starts, text: lower.length === text.length ? lower : text };
    });
  }

  function place(article, offset) {
    let [low, high] = [0, article.starts.length - 1];
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (article.starts[middle] <= offset) low = middle; else high = middle - 1;
    }
    return [article.nodes[low], offset - article.starts[low]];
  }

  function range([index, offset]) {
    const article = articles[index], made = document.createRange();
    made.setStart(...place(article, offset));
    const [node, end] = place(article, offset + sought.length - 1);
    made.setEnd(node, Math.min(end + 1, node.data.length));
    return made;
  }

  function search(text) {
    sought = text.toLowerCase();
    matches = [];
    current = -1;
    if (sought) {
      if (!articles) gather();
      for (let index = 0; index < articles.length && matches.length < LIMIT; index++) {
        const hay = articles[index].text;
        for (let at = hay.indexOf(sought); at >= 0 && matches.length < LIMIT; at = hay.indexOf(sought, at + sought.length))
          matches.push([index, at]);
      }
    }
    if (matches.length) move(1); else paint();
  }

  function move(by) {
    if (!matches.length) return;
    current = (current + by + matches.length) % matches.length;
    const found = range(matches[current]), element = found.startContainer.parentElement;
    for (let inside = element; inside; inside = inside.parentElement) if (inside.tagName === "DETAILS") inside.open = true;
    element.scrollIntoView({ block: "center" });
    requestAnimationFrame(() => {
      // Within a long text the piece is in sight now, and the match itself perhaps not.
      const box = element.closest("pre.long");
      let at = found.getBoundingClientRect();
      if (box) {
        const frame = box.getBoundingClientRect();
        if (at.top < frame.top || at.bottom > frame.bottom) box.scrollTop += at.top - frame.top - frame.height / 2;
        at = found.getBoundingClientRect();
      }
      if (at.top < 80 || at.bottom > innerHeight - 20) scrollBy(0, at.top - innerHeight / 2);
    });
    const step = element.closest("article.step");
    if (step) select(steps.indexOf(step));
    quiet = performance.now() + 300;
    paint();
  }

  function paint() {
    const more = matches.length >= LIMIT ? "+" : "";
    $("found").textContent = sought ? (matches.length ? `${current + 1}/${matches.length}${more}` : "none") : "";
    if (!window.Highlight || !CSS.highlights) return;
    CSS.highlights.clear();
    if (!matches.length) return;
    // Only matches around the current one are painted: nobody sees the others.
    const near = matches.slice(Math.max(0, current - 300), current + 300);
    CSS.highlights.set("found", new Highlight(...near.map(range)));
    const hot = new Highlight(range(matches[current]));
    hot.priority = 1;
    CSS.highlights.set("current", hot);
  }

  let typing = 0;
  $("search").oninput = (event) => {
    clearTimeout(typing);
    typing = setTimeout(() => search(event.target.value), 120);
  };
  $("search").onkeydown = (event) => {
    if (event.key === "Enter") {
      event.preventDefault();
      clearTimeout(typing);
      if (event.target.value.toLowerCase() !== sought) search(event.target.value); else move(event.shiftKey ? -1 : 1);
    } else if (event.key === "Escape") event.target.blur();
    event.stopPropagation();
  };
  $("before").onclick = () => move(-1);
  $("after").onclick = () => move(1);
  $("keys").onclick = () => $("help").showModal();
  $("help").onclick = () => $("help").close();
  if ($("divergence")) $("divergence").onclick = () => go(Number($("divergence").dataset.step) - 1);
  document.querySelector("nav").onclick = (event) => {
    const link = event.target.closest("a");
    if (link) { event.preventDefault(); go(links.indexOf(link)); }
  };

  function openLong() {
    const long = steps[here] ? [...steps[here].querySelectorAll("pre.long")] : [];
    const all = long.every((text) => text.classList.contains("open"));
    for (const text of long) if (text.classList.contains("open") === all) text.nextElementSibling.click();
  }

  const keys = {
    j: () => go(here + 1), k: () => go(here - 1), g: () => go(0), G: () => go(steps.length - 1),
    d: () => divergences.length && go(steps.indexOf(divergences[0])),
    D: () => { const next = divergences.find((step) => steps.indexOf(step) > here); if (next) go(steps.indexOf(next)); },
    "/": () => { $("search").focus(); $("search").select(); },
    n: () => move(1), N: () => move(-1), e: openLong, "?": () => $("help").showModal(),
  };
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || $("help").open || !keys[event.key]) return;
    event.preventDefault();
    keys[event.key]();
  });

  const named = /^#s(\d+)$/.exec(location.hash);
  if (named) go(Number(named[1]) - 1);
  document.documentElement.dataset.ready = "yes";
})();
