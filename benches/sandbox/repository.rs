//! The repository that forks are measured in: 5,000 files, of which 27 are changed.

use anyhow::Result;

/// Where the repository lies in every sandbox.
pub(crate) const WORKDIR: &str = "/testbed";
const DIRECTORIES: usize = 50;
const FILES_PER_DIRECTORY: usize = 100;
/// About four KiB a file, as in a mid-sized Python project.
const LINES: usize = 80;

/// Touches 20 files, adds 5 and removes 2.
pub(crate) const CHANGES: &str = "set -e; for i in {10..29}; do echo changed >> package_$i/module_7.py; done; \
    for i in 1 2 3 4 5; do echo added > package_3/added_$i.py; done; rm package_4/module_1.py package_4/module_2.py";
/// Succeeds only in a copy that has the changes and the rest.
pub(crate) const CHECK: &str = "grep -q changed package_29/module_7.py && test -e package_3/added_5.py \
    && test ! -e package_4/module_2.py && test -e package_49/module_99.py";

/// Writes the repository to a new directory.
pub(crate) fn write() -> Result<tempfile::TempDir> {
    let directory = tempfile::tempdir()?;
    for package in 0..DIRECTORIES {
        let inside = directory.path().join(format!("package_{package}"));
        fs_err::create_dir(&inside)?;
        for module in 0..FILES_PER_DIRECTORY {
            let text = format!("value_{package}_{module} = compute({module}, of={package})  # as before\n");
            fs_err::write(inside.join(format!("module_{module}.py")), text.repeat(LINES))?;
        }
    }
    Ok(directory)
}
