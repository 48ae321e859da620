//! Patches in git's format, made from whole files.

/// Makes a file.
pub(crate) fn add(path: &str, text: &str) -> String {
    let head = format!("diff --git a/{path} b/{path}\nnew file mode 100644\n--- /dev/null\n+++ b/{path}\n");
    head + &hunk("", text)
}

/// Makes a program.
pub(crate) fn add_program(path: &str, text: &str) -> String {
    add(path, text).replacen("mode 100644", "mode 100755", 1)
}

/// Makes a link.
pub(crate) fn add_link(path: &str, target: &str) -> String {
    let made = add(path, &format!("{target}\n")).replacen("mode 100644", "mode 120000", 1);
    made + "\\ No newline at end of file\n"
}

/// Replaces a file's text.
pub(crate) fn change(path: &str, before: &str, after: &str) -> String {
    format!("diff --git a/{path} b/{path}\n--- a/{path}\n+++ b/{path}\n{}", hunk(before, after))
}

/// Deletes a file.
pub(crate) fn delete(path: &str, before: &str) -> String {
    let head =
        format!("diff --git a/{path} b/{path}\ndeleted file mode 100644\n--- a/{path}\n+++ /dev/null\n");
    head + &hunk(before, "")
}

fn hunk(before: &str, after: &str) -> String {
    let span = |text: &str| format!("{},{}", usize::from(!text.is_empty()), text.lines().count());
    let signed =
        |sign: &str, text: &str| text.lines().map(|line| format!("{sign}{line}\n")).collect::<String>();
    format!("@@ -{} +{} @@\n{}{}", span(before), span(after), signed("-", before), signed("+", after))
}
