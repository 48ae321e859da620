//! Digests of what a run reads, for its manifest.
//!
//! Guarantees that equal files in equally named places give equal digests, whatever the order in
//! which the file system lists them. Follows no symbolic link inside a directory.

use std::io;
use std::path::Path;

use sha2::{Digest, Sha256};

/// The SHA-256 of `bytes`, in hexadecimal.
pub fn of_bytes(bytes: &[u8]) -> String {
    hexadecimal(&Sha256::digest(bytes))
}

/// The SHA-256 of the file at `path`, or of the names and contents of the directory there.
///
/// # Errors
/// When something there cannot be read; the message names it.
pub fn of_path(path: &Path) -> io::Result<String> {
    if !path.is_dir() {
        return Ok(hexadecimal(&of_file(path)?));
    }
    let mut hash = Sha256::new();
    add_directory(&mut hash, path, "")?;
    Ok(hexadecimal(&hash.finalize()))
}

fn add_directory(hash: &mut Sha256, path: &Path, name: &str) -> io::Result<()> {
    let mut entries = fs_err::read_dir(path)?.collect::<Result<Vec<_>, _>>()?;
    entries.sort_by_key(fs_err::DirEntry::file_name);
    for entry in entries {
        let name = format!("{name}/{}", entry.file_name().to_string_lossy());
        let kind = entry.file_type()?;
        if kind.is_dir() {
            add_directory(hash, &entry.path(), &name)?;
            continue;
        }
        let content = if kind.is_symlink() {
            Sha256::digest(fs_err::read_link(entry.path())?.as_os_str().as_encoded_bytes()).to_vec()
        } else {
            of_file(&entry.path())?
        };
        hash.update((name.len() as u64).to_le_bytes());
        hash.update(name.as_bytes());
        hash.update(content);
    }
    Ok(())
}

fn of_file(path: &Path) -> io::Result<Vec<u8>> {
    let mut hash = Sha256::new();
    io::copy(&mut fs_err::File::open(path)?, &mut hash)?;
    Ok(hash.finalize().to_vec())
}

fn hexadecimal(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        write!(text, "{byte:02x}").expect("invariant: a string takes any text");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_the_digest_of_sha256sum() {
        // `printf abc | sha256sum`
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(of_bytes(b"abc"), expected);
    }

    #[test]
    fn a_directory_changes_with_a_name_or_a_content() {
        let directory = tempfile::tempdir().unwrap();
        fs_err::write(directory.path().join("a"), "1").unwrap();
        let first = of_path(directory.path()).unwrap();
        fs_err::rename(directory.path().join("a"), directory.path().join("b")).unwrap();
        let renamed = of_path(directory.path()).unwrap();
        fs_err::write(directory.path().join("b"), "2").unwrap();
        let changed = of_path(directory.path()).unwrap();
        assert!(first != renamed && renamed != changed && first != changed);
    }
}
