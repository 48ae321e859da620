//! Installs the peers into a Python environment of their own, once.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// What is installed: released versions, so that two runs compare the same.
const PACKAGES: [&str; 3] = ["mini-swe-agent==2.4.6", "swe-rex==1.4.0", "docker==7.2.0"];
/// What SWE-ReX needs inside the image, and the Python that is there.
const SERVER: [&str; 4] = ["swe-rex==1.4.0", "--only-binary=:all:", "--python-version", "3.11"];

/// Where the peers are.
pub(crate) struct Installed {
    pub(crate) python: PathBuf,
    /// A directory of packages for the inside of a sandbox.
    pub(crate) server: PathBuf,
}

/// Installs what is not there yet.
pub(crate) fn install(directory: &Path) -> Result<Installed> {
    let installed =
        Installed { python: directory.join("bin/python"), server: directory.join("swerex-1.4.0") };
    let stamp = directory.join("installed");
    let wanted = [PACKAGES.join("\n"), SERVER.join("\n")].join("\n\n");
    if fs_err::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(installed);
    }
    println!("installing {} into {} (about a minute)", PACKAGES.join(", "), directory.display());
    succeed(Command::new("python3").args(["-m", "venv"]).arg(directory))?;
    let pip = || {
        let mut command = Command::new(&installed.python);
        command.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
        command
    };
    succeed(pip().args(PACKAGES))?;
    succeed(pip().args(SERVER).arg("--target").arg(&installed.server))?;
    fs_err::write(stamp, wanted)?;
    Ok(installed)
}

fn succeed(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("starting {command:?}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?} failed: {}", said.lines().last().unwrap_or_default());
    Ok(())
}
