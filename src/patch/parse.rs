//! Reading patches, as leniently as git and GNU patch do where that is safe.
//!
//! Accepts CRLF, code fences, words around diffs, wrong hunk counts and missing `diff --git` lines.
//! Refuses paths that leave the tree before anything else looks at them.

use super::{Binary, FilePatch, Hunk, Line, LineKind, Mode, Patch, PatchError};

pub(super) fn parse(text: &str) -> Result<Patch, PatchError> {
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let mut reader = Reader { lines: &lines, at: 0 };
    let mut patch = Patch::default();
    while let Some(line) = reader.peek() {
        if let Some(names) = line.strip_prefix("diff --git ") {
            reader.at += 1;
            patch.files.push(reader.git_file(names)?);
        } else if reader.at_plain_header() {
            let mut file = FilePatch::default();
            reader.body(&mut file)?;
            patch.files.push(file);
        } else {
            reader.at += 1;
        }
    }
    if patch.files.is_empty() && !text.trim().is_empty() {
        return Err(PatchError::NoDiff);
    }
    patch.files.iter().try_for_each(check)?;
    Ok(patch)
}

struct Reader<'a> {
    lines: &'a [&'a str],
    at: usize,
}

impl<'a> Reader<'a> {
    /// The next line without its ending.
    fn peek(&self) -> Option<&'a str> {
        self.lines.get(self.at).map(|line| line.trim_end_matches(['\n', '\r']))
    }

    fn wrong(&self, what: impl Into<String>) -> PatchError {
        PatchError::Line { line: self.at + 1, what: what.into() }
    }

    fn at_plain_header(&self) -> bool {
        let starts =
            |idx: usize, prefix| self.lines.get(idx).is_some_and(|line: &&str| line.starts_with(prefix));
        starts(self.at, "--- ") && starts(self.at + 1, "+++ ")
    }

    /// Reads what follows `diff --git`.
    fn git_file(&mut self, names: &str) -> Result<FilePatch, PatchError> {
        let mut file = FilePatch::default();
        let (mut created, mut deleted) = (false, false);
        let mut ids = (String::new(), String::new());
        while let Some(line) = self.peek() {
            let Some((key, value)) = header(line) else { break };
            match key {
                "old mode" => file.old_mode = Some(self.mode(value)?),
                "new mode" => file.new_mode = Some(self.mode(value)?),
                "new file mode" => (created, file.new_mode) = (true, Some(self.mode(value)?)),
                "deleted file mode" => (deleted, file.old_mode) = (true, Some(self.mode(value)?)),
                "rename from" | "copy from" => file.old = Some(unquoted(value)),
                "rename to" | "copy to" => file.new = Some(unquoted(value)),
                "index" => ids = index_ids(value),
                _ => {}
            }
            file.copied |= key == "copy from";
            self.at += 1;
        }
        let named = (file.old.is_some() && file.new.is_some()).then(|| (file.old.clone(), file.new.clone()));
        if self.at_plain_header() {
            self.body(&mut file)?;
        } else {
            if named.is_none() {
                let (old, new) =
                    git_names(names).ok_or_else(|| self.wrong("two file names cannot be told apart"))?;
                (file.old, file.new) = ((!created).then_some(old), (!deleted).then_some(new));
            }
            self.bytes(&mut file, ids)?;
        }
        if let Some(renamed) = named {
            (file.old, file.new) = renamed;
        }
        // A plain file is what git leaves unsaid; saying it or not is the same change.
        let unsaid = |mode: Option<Mode>, absent: bool| mode.filter(|mode| !absent || *mode != Mode::File);
        (file.new_mode, file.old_mode) = (unsaid(file.new_mode, created), unsaid(file.old_mode, deleted));
        Ok(file)
    }

    fn mode(&self, digits: &str) -> Result<Mode, PatchError> {
        match digits.trim() {
            "120000" => Ok(Mode::Link),
            "160000" => Err(self.wrong("submodules cannot be changed")),
            digits if digits.starts_with("1007") => Ok(Mode::Executable),
            digits if digits.starts_with("100") => Ok(Mode::File),
            digits => Err(self.wrong(format!("unknown file mode `{digits}`"))),
        }
    }

    /// Reads `---`, `+++` and the hunks.
    fn body(&mut self, file: &mut FilePatch) -> Result<(), PatchError> {
        let minus = side(&self.peek().expect("invariant: at a header")[4..]);
        self.at += 1;
        let plus = side(&self.peek().expect("invariant: at a header")[4..]);
        self.at += 1;
        (file.old, file.new) = match (minus, plus) {
            (Some(old), Some(new)) => match (old.strip_prefix("a/"), new.strip_prefix("b/")) {
                (Some(old), Some(new)) => (Some(old.to_owned()), Some(new.to_owned())),
                _ => (Some(old), Some(new)),
            },
            (old, new) => {
                (old.map(|path| without_prefix(path, "a/")), new.map(|path| without_prefix(path, "b/")))
            }
        };
        while let Some(line) = self.peek()
            && let Some(spans) = line.strip_prefix("@@ -")
        {
            let spans = spans_of(spans).ok_or_else(|| self.wrong("the hunk header cannot be read"))?;
            self.at += 1;
            file.hunks.push(self.hunk(spans));
        }
        Ok(())
    }

    fn hunk(&mut self, [old_start, old_count, new_start, new_count]: [usize; 4]) -> Hunk {
        let mut hunk = Hunk { old_start, new_start, lines: Vec::new() };
        let (mut old_left, mut new_left) = (old_count, new_count);
        while let Some(&raw) = self.lines.get(self.at) {
            if raw.starts_with('\\') {
                if let Some(last) = hunk.lines.last_mut() {
                    let end = last.text.strip_suffix('\n').unwrap_or(&last.text);
                    // A carriage return of the patch itself also ends this line; any other belongs to the file.
                    let end = if raw.ends_with("\r\n") { end.strip_suffix('\r').unwrap_or(end) } else { end };
                    last.text.truncate(end.len());
                }
                self.at += 1;
                continue;
            }
            if (old_left, new_left) == (0, 0) || raw.starts_with("diff --git ") || raw.starts_with("@@ -") {
                break;
            }
            let kind = match raw.as_bytes()[0] {
                b' ' | b'\n' | b'\r' => LineKind::Context,
                b'-' => LineKind::Removed,
                b'+' => LineKind::Added,
                _ => break,
            };
            let text = if raw.starts_with([' ', '-', '+']) { &raw[1..] } else { raw };
            let end = if raw.ends_with('\n') { "" } else { "\n" };
            hunk.lines.push(Line { kind, text: format!("{text}{end}") });
            old_left = old_left.saturating_sub(usize::from(kind != LineKind::Added));
            new_left = new_left.saturating_sub(usize::from(kind != LineKind::Removed));
            self.at += 1;
        }
        if (old_left, new_left) != (0, 0) {
            // A wrong count: blank lines at the end belong to whatever the text says next.
            while hunk
                .lines
                .last()
                .is_some_and(|line| line.kind == LineKind::Context && line.text.trim().is_empty())
            {
                hunk.lines.pop();
            }
        }
        hunk
    }

    /// Reads a binary change, if one follows.
    fn bytes(&mut self, file: &mut FilePatch, ids: (String, String)) -> Result<(), PatchError> {
        let Some(line) = self.peek() else { return Ok(()) };
        if line.starts_with("Binary files ") {
            return Err(PatchError::NoBytes { path: file.path().to_owned() });
        }
        if line != "GIT binary patch" {
            return Ok(());
        }
        self.at += 1;
        let new = self.block();
        let old = self.block();
        file.binary = Some(Binary { ids, blocks: (new, old) });
        Ok(())
    }

    /// A `literal` or `delta` block, up to its blank line.
    fn block(&mut self) -> String {
        let mut block = String::new();
        while let Some(line) = self.peek() {
            if line.starts_with("diff --git ") {
                break;
            }
            self.at += 1;
            if line.is_empty() {
                break;
            }
            block.extend([line, "\n"]);
        }
        block
    }
}

/// Splits an extended header line into its key and value.
fn header(line: &str) -> Option<(&str, &str)> {
    const KEYS: [&str; 11] = [
        "old mode",
        "new mode",
        "new file mode",
        "deleted file mode",
        "rename from",
        "rename to",
        "copy from",
        "copy to",
        "index",
        "similarity index",
        "dissimilarity index",
    ];
    KEYS.into_iter().find_map(|key| Some((key, line.strip_prefix(key)?.strip_prefix(' ')?)))
}

fn index_ids(value: &str) -> (String, String) {
    let ids = value.split(' ').next().unwrap_or_default();
    let (old, new) = ids.split_once("..").unwrap_or_default();
    (old.to_owned(), new.to_owned())
}

/// The two paths of a `diff --git` line, which git does not separate when they hold spaces.
fn git_names(names: &str) -> Option<(String, String)> {
    let halves = |names: &str| {
        let half = names.len() / 2;
        let is_cut = names.as_bytes().get(half) == Some(&b' ');
        (is_cut && names[..half].get(2..) == names[half + 1..].get(2..)).then_some(half)
    };
    // A name may end with a space; a header that somebody else wrote may do so too.
    let names = if halves(names).is_some() { names } else { names.trim_end() };
    let cut = if let Some(half) = halves(names) {
        half
    } else if let Some(rest) = names.strip_prefix('"') {
        rest.find("\" ")? + 2
    } else if names.ends_with('"') {
        names.find(" \"")?
    } else {
        names.find(" b/").or_else(|| names.find(' '))?
    };
    let (old, new) = (unquoted(&names[..cut]), unquoted(&names[cut + 1..]));
    Some((without_prefix(old, "a/"), without_prefix(new, "b/")))
}

/// A path of a `---` or `+++` line; nothing for `/dev/null`.
fn side(text: &str) -> Option<String> {
    // A tab starts a time stamp, or ends a path with spaces.
    let path =
        if text.starts_with('"') { unquoted(text.trim_end()) } else { text.split('\t').next()?.to_owned() };
    (path != "/dev/null").then_some(path)
}

fn without_prefix(path: String, prefix: &str) -> String {
    path.strip_prefix(prefix).map(str::to_owned).unwrap_or(path)
}

/// The four numbers of `@@ -1,2 +3,4 @@`.
fn spans_of(text: &str) -> Option<[usize; 4]> {
    let (old, rest) = text.split_once(" +")?;
    let (new, _) = rest.split_once(" @@")?;
    let span = |text: &str| match text.split_once(',') {
        Some((start, count)) => Some((start.parse().ok()?, count.parse().ok()?)),
        None => Some((text.parse().ok()?, 1)),
    };
    let ((old_start, old_count), (new_start, new_count)) = (span(old)?, span(new)?);
    Some([old_start, old_count, new_start, new_count])
}

/// A path with git's quotes and escapes taken off, where it has them.
fn unquoted(text: &str) -> String {
    let Some(inner) = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')) else {
        return text.to_owned();
    };
    let mut bytes = Vec::with_capacity(inner.len());
    let mut rest = inner.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        let octal = rest.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
        if let Some(value) = octal.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            bytes.push(value);
            rest = &rest[3..];
        } else if let Some((&escape, after)) = rest.split_first() {
            bytes.push(match escape {
                b'a' => 7,
                b'b' => 8,
                b't' => b'\t',
                b'n' => b'\n',
                b'v' => 11,
                b'f' => 12,
                b'r' => b'\r',
                other => other,
            });
            rest = after;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Whether a path stays in the tree and out of `.git`, so that a patch may name it.
pub fn is_sayable(path: &str) -> bool {
    let inside = |part: &str| !matches!(part, "" | "." | "..") && !part.split('\\').any(is_dot_git);
    !path.contains('\0') && path.split('/').all(inside)
}

/// Whether some file system takes a name for `.git`; git refuses these names everywhere.
fn is_dot_git(name: &str) -> bool {
    let name = name.split(':').next().unwrap_or_default().trim_end_matches([' ', '.']);
    name.eq_ignore_ascii_case(".git") || name.eq_ignore_ascii_case("git~1")
}

/// Refuses a file whose path leaves the tree.
fn check(file: &FilePatch) -> Result<(), PatchError> {
    for path in [&file.old, &file.new].into_iter().flatten() {
        if !is_sayable(path) {
            return Err(PatchError::Escapes { path: path.clone() });
        }
    }
    if file.old.is_none() && file.new.is_none() {
        return Err(PatchError::Escapes { path: "/dev/null".to_owned() });
    }
    Ok(())
}
