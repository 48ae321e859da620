//! Files: numbered lines in, whole files and JSON lines out, digests.
//!
//! Guarantees that a file written by [`write_atomic`] is either the old one or the new one, and that
//! every error names its path, and its line where there is one. Does not lock: one writer a file.

pub mod whole;

use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

/// This program's directory in the user's cache directory; `None` where neither `XDG_CACHE_HOME` nor `HOME` says
/// where that lies. Names that are not absolute are passed over, as the XDG base directory specification asks.
pub fn cache_of_user() -> Option<PathBuf> {
    let named = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let cache = named("XDG_CACHE_HOME").or_else(|| named("HOME").map(|home| home.join(".cache")))?;
    Some(cache.join("apprentice"))
}

/// One line of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Its number, from 1.
    pub number: u64,
    /// Where it starts in the file, in bytes.
    pub byte: u64,
    /// Its text without the line end.
    pub text: String,
}

/// Reads the lines of `path` one by one, blank ones included.
///
/// # Errors
/// When the file cannot be opened; each item when it cannot be read or is not UTF-8.
pub fn lines(path: &Path) -> anyhow::Result<impl Iterator<Item = anyhow::Result<Line>> + use<>> {
    let mut reader = BufReader::new(fs_err::File::open(path)?);
    let path = path.to_owned();
    let (mut number, mut byte) = (0, 0);
    Ok(std::iter::from_fn(move || {
        let mut bytes = Vec::new();
        number += 1;
        let start = byte;
        match reader.read_until(b'\n', &mut bytes) {
            Ok(0) => return None,
            Ok(n) => byte += n as u64,
            Err(error) => return Some(Err(error.into())),
        }
        if bytes.last() == Some(&b'\n') {
            bytes.pop();
            if bytes.last() == Some(&b'\r') {
                bytes.pop();
            }
        }
        let text = String::from_utf8(bytes)
            .with_context(|| format!("{}: line {number}: the text is not UTF-8", path.display()));
        Some(text.map(|text| Line { number, byte: start, text }))
    }))
}

/// Reads a JSONL file: one value a line, blank lines left out.
///
/// # Errors
/// When the file cannot be read or a line is not a `T`; the error names the path and the line.
pub fn read_json_lines<T: DeserializeOwned>(path: &Path) -> anyhow::Result<Vec<T>> {
    let mut values = Vec::new();
    for line in lines(path)? {
        let line = line?;
        if line.text.trim().is_empty() {
            continue;
        }
        let value = serde_json::from_str(&line.text)
            .with_context(|| format!("{}: line {}", path.display(), line.number))?;
        values.push(value);
    }
    Ok(values)
}

/// Reads a file that holds one JSON value.
///
/// # Errors
/// When the file cannot be read or does not hold a `T`; the error names the path.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> anyhow::Result<T> {
    let text = fs_err::read_to_string(path)?;
    serde_json::from_str(&text).with_context(|| path.display().to_string())
}

/// Reads a file that holds one YAML value.
///
/// # Errors
/// When the file cannot be read or does not hold a `T`; the error names the path, and the line where
/// the parser knows it.
pub fn read_yaml<T: DeserializeOwned>(path: &Path) -> anyhow::Result<T> {
    let text = fs_err::read_to_string(path)?;
    serde_yaml_ng::from_str(&text).with_context(|| path.display().to_string())
}

/// Replaces `path` by `bytes` in one step, making its parent directories.
///
/// # Errors
/// When the file cannot be written; what was there before is then still there.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let failed = || format!("could not write `{}`", path.display());
    let mut file = temporary_beside(path)?;
    file.write_all(bytes).with_context(failed)?;
    file.as_file().sync_data().with_context(failed)?;
    file.persist(path).with_context(failed)?;
    Ok(())
}

/// What the names of our temporary files begin with.
const TEMPORARY: &str = ".apprentice-";

/// Whether a file of this name is one that a process of ours was writing, and was killed before it had its own name.
pub fn is_temporary(name: &std::ffi::OsStr) -> bool {
    name.as_encoded_bytes().starts_with(TEMPORARY.as_bytes())
}

/// A temporary file in the directory of `path`, which is made.
fn temporary_beside(path: &Path) -> anyhow::Result<tempfile::NamedTempFile> {
    let parent = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    fs_err::create_dir_all(parent)?;
    let made = tempfile::Builder::new().prefix(TEMPORARY).permissions(plain_file_mode()).tempfile_in(parent);
    made.with_context(|| format!("could not write `{}`", path.display()))
}

/// A temporary file is private unless told otherwise; the umask still applies.
fn plain_file_mode() -> std::fs::Permissions {
    std::os::unix::fs::PermissionsExt::from_mode(0o666)
}

/// Replaces `path` by the pretty JSON of `value` in one step.
///
/// # Errors
/// When the value has no JSON form or the file cannot be written.
pub fn write_json(path: &Path, value: &impl Serialize) -> anyhow::Result<()> {
    let mut bytes = serde_json::to_vec_pretty(value).with_context(|| path.display().to_string())?;
    bytes.push(b'\n');
    write_atomic(path, &bytes)
}

/// Replaces `path` by the YAML of `value` in one step.
///
/// # Errors
/// When the value has no YAML form or the file cannot be written.
pub fn write_yaml(path: &Path, value: &impl Serialize) -> anyhow::Result<()> {
    let text = serde_yaml_ng::to_string(value).with_context(|| path.display().to_string())?;
    write_atomic(path, text.as_bytes())
}

/// Replaces `path` by one line of JSON for each value, in one step.
///
/// # Errors
/// When a value has no JSON form or the file cannot be written.
pub fn write_json_lines<T: Serialize>(
    path: &Path,
    values: impl IntoIterator<Item = T>,
) -> anyhow::Result<()> {
    let mut bytes = Vec::new();
    for value in values {
        serde_json::to_writer(&mut bytes, &value).with_context(|| path.display().to_string())?;
        bytes.push(b'\n');
    }
    write_atomic(path, &bytes)
}

/// Appends to a JSONL file, whole lines only.
#[derive(Debug)]
pub struct JsonLines {
    path: PathBuf,
    file: fs_err::File,
}

impl JsonLines {
    /// Opens `path` to append to, making it and its parent directories. A last line that a crash cut
    /// short is removed.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn append_to(path: &Path) -> anyhow::Result<Self> {
        if let Some(parent) = path.parent() {
            fs_err::create_dir_all(parent)?;
        }
        let mut file = fs_err::OpenOptions::new().create(true).read(true).append(true).open(path)?;
        let written = file.metadata()?.len();
        let whole = whole_lines(&mut file, written)?;
        if whole < written {
            file.set_len(whole)?;
        }
        Ok(Self { path: path.to_owned(), file })
    }

    /// Appends one value as one line, in one write.
    ///
    /// # Errors
    /// When the value has no JSON form or the file cannot be written (a full disk); earlier lines stay whole.
    pub fn push(&mut self, value: &impl Serialize) -> anyhow::Result<()> {
        let mut bytes = serde_json::to_vec(value).with_context(|| self.path.display().to_string())?;
        bytes.push(b'\n');
        let whole = self.file.metadata()?.len();
        if let Err(failed) = self.file.write_all(&bytes) {
            // Best effort: opening the file again also removes half a line.
            self.file.set_len(whole).ok();
            return Err(failed.into());
        }
        Ok(())
    }

    /// The file's path.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// How many of the first `written` bytes are whole lines, read from the end.
fn whole_lines(file: &mut fs_err::File, written: u64) -> std::io::Result<u64> {
    const BLOCK: u64 = 64 * 1024;
    let mut end = written;
    while 0 < end {
        let start = end.saturating_sub(BLOCK);
        let mut block = Vec::new();
        file.seek(SeekFrom::Start(start))?;
        file.take(end - start).read_to_end(&mut block)?;
        if let Some(newline) = block.iter().rposition(|&byte| byte == b'\n') {
            return Ok(start + newline as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

/// A name for the file that belongs to `id`, which may hold anything: always the same, and another one for every id.
///
/// An id of letters, digits, `.`, `-` and `_` stays as it is; one that has other letters, or is too long for a file
/// system, keeps what can be kept and gets a digest.
pub fn plain_name(id: &str) -> String {
    /// Bytes of an id that are kept; a file system takes 255, an ending included.
    const LONGEST: usize = 150;
    const DIGEST: usize = 12;
    let is_plain = |letter: char| letter.is_alphanumeric() || matches!(letter, '.' | '-' | '_');
    // An id that ends as one with a digest does could be the name of another id.
    let looks_digested = id
        .rsplit_once('-')
        .is_some_and(|(_, end)| end.len() == DIGEST && end.bytes().all(|byte| byte.is_ascii_hexdigit()));
    if !id.is_empty() && id.len() <= LONGEST && id.chars().all(is_plain) && !looks_digested {
        return id.to_owned();
    }
    let mut name: String = id.chars().map(|letter| if is_plain(letter) { letter } else { '_' }).collect();
    while LONGEST < name.len() {
        name.pop();
    }
    format!("{name}-{}", &sha256_hex(id.as_bytes())[..DIGEST])
}

/// The SHA-256 of `bytes` in lower-case hex.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// The SHA-256 of a file's bytes in lower-case hex.
///
/// # Errors
/// When the file cannot be read.
pub fn sha256_file(path: &Path) -> anyhow::Result<String> {
    Ok(hex(&file_digest(path)?))
}

/// The SHA-256 of everything below a directory: the sorted relative paths, their kinds and contents.
/// Links are not followed; modes and times do not count.
///
/// # Errors
/// When something below cannot be read, or is neither file, directory nor link.
pub fn sha256_dir(root: &Path) -> anyhow::Result<String> {
    let mut hash = Sha256::new();
    for path in files_below(root)? {
        let relative = path.strip_prefix(root).expect("invariant: the path was found below the root");
        let metadata = fs_err::symlink_metadata(&path)?;
        let (kind, digest) = if metadata.is_symlink() {
            (b'l', Sha256::digest(fs_err::read_link(&path)?.as_os_str().as_encoded_bytes()).into())
        } else if metadata.is_file() {
            (b'f', file_digest(&path)?)
        } else {
            bail!("`{}` is neither a file, a directory nor a link", path.display());
        };
        let name = relative.as_os_str().as_encoded_bytes();
        hash.update([kind]);
        hash.update((name.len() as u64).to_le_bytes());
        hash.update(name);
        hash.update(digest);
    }
    Ok(hex(&hash.finalize()))
}

/// Every path below `root` that is not a directory, sorted by path. Links are not followed.
///
/// # Errors
/// When a directory cannot be read.
pub fn files_below(root: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut directories = vec![root.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in fs_err::read_dir(&directory)? {
            let entry = entry?;
            let target = if entry.file_type()?.is_dir() { &mut directories } else { &mut files };
            target.push(entry.path());
        }
    }
    files.sort();
    Ok(files)
}

fn file_digest(path: &Path) -> anyhow::Result<[u8; 32]> {
    let mut file = fs_err::File::open(path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hash.finalize().into()),
            n => hash.update(&buffer[..n]),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_id_has_a_plain_name_of_its_own() {
        for id in ["psf__requests-1.2", "ümlaut", "..", "a#2x"] {
            let is_kept = id != "a#2x";
            assert_eq!(plain_name(id) == id, is_kept, "{id}");
        }
        let long = "é".repeat(400);
        let digested = plain_name("a/b");
        let ids =
            ["../../../x", "a/b", "a_b", "a\\b", "a\0b", "", "/", &long, &format!("{long}x"), &digested];
        let names: std::collections::BTreeSet<String> = ids.iter().map(|id| plain_name(id)).collect();
        assert_eq!(names.len(), ids.len(), "{names:?}");
        assert!(names.iter().all(|name| name.len() < 200 && !name.contains(['/', '\\', '\0'])), "{names:?}");
    }

    #[test]
    fn lines_know_their_number_and_offset() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.txt");
        fs_err::write(&path, "a\r\n\nü\nlast").unwrap();
        let found: Vec<Line> = lines(&path).unwrap().map(Result::unwrap).collect();
        let line = |number, byte, text: &str| Line { number, byte, text: text.into() };
        assert_eq!(found, [line(1, 0, "a"), line(2, 3, ""), line(3, 4, "ü"), line(4, 7, "last")]);
    }

    #[test]
    fn a_bad_json_line_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.jsonl");
        fs_err::write(&path, "1\n\n{\n").unwrap();
        let error = format!("{:#}", read_json_lines::<u32>(&path).unwrap_err());
        assert!(error.contains("a.jsonl: line 3: "), "{error}");
    }

    #[test]
    fn appending_removes_a_line_that_a_crash_cut_short() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new/a.jsonl");
        JsonLines::append_to(&path).unwrap().push(&1).unwrap();
        fs_err::write(&path, "1\n{\"cut").unwrap();
        JsonLines::append_to(&path).unwrap().push(&2).unwrap();
        assert_eq!(fs_err::read_to_string(&path).unwrap(), "1\n2\n");
    }

    #[test]
    fn writing_replaces_the_whole_file_and_leaves_nothing_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b.json");
        write_json(&path, &[1, 2]).unwrap();
        write_json(&path, &[3]).unwrap();
        assert_eq!(read_json::<Vec<u32>>(&path).unwrap(), [3]);
        assert_eq!(files_below(dir.path()).unwrap(), [path]);
    }

    #[test]
    fn a_directory_digest_sees_names_contents_and_links() {
        let digest = |files: &[(&str, &str)], link: &str| {
            let dir = tempfile::tempdir().unwrap();
            for (name, text) in files {
                write_atomic(&dir.path().join(name), text.as_bytes()).unwrap();
            }
            std::os::unix::fs::symlink(link, dir.path().join("link")).unwrap();
            sha256_dir(dir.path()).unwrap()
        };
        let digests = [
            digest(&[("a", "1"), ("b/c", "2")], "a"),
            digest(&[("a", "1"), ("b/c", "3")], "a"),
            digest(&[("a", "1"), ("b/d", "2")], "a"),
            digest(&[("a", "1"), ("b/c", "2")], "b"),
        ];
        assert_eq!(digests[0], digest(&[("b/c", "2"), ("a", "1")], "a"));
        for (i, digest) in digests.iter().enumerate() {
            assert!(!digests[i + 1..].contains(digest));
        }
    }
}
