//! What a sandbox is made of: `sandboxes/<name>/sandbox.yaml` (`apprentice.sandbox/1`).
//!
//! Plain data, its shipped kinds and its validation. A directory `sandboxes` beside the user's work
//! overrides what is shipped; errors name the file, the key and the nearest known key.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::isolation::{Limits, Network};

/// Name and version in the first field of every sandbox file.
pub const FORMAT: &str = "apprentice.sandbox/1";

/// The kinds that come with the binary.
const SHIPPED: [(&str, &str); 6] = [
    ("c", include_str!("../../sandboxes/c/sandbox.yaml")),
    ("go", include_str!("../../sandboxes/go/sandbox.yaml")),
    ("node", include_str!("../../sandboxes/node/sandbox.yaml")),
    ("python", include_str!("../../sandboxes/python/sandbox.yaml")),
    ("rust", include_str!("../../sandboxes/rust/sandbox.yaml")),
    ("shell", include_str!("../../sandboxes/shell/sandbox.yaml")),
];

/// One kind of sandbox.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SandboxSpec {
    /// Always [`FORMAT`].
    pub format: String,
    /// Its name, also its directory's.
    pub name: String,
    /// A Docker image to use, pulled when it is not local.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// A Dockerfile beside this file, built when the image cannot be pulled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dockerfile: Option<String>,
    /// A distribution's packages, used where no image registry answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bootstrap: Option<Bootstrap>,
    /// Whether the namespaces backend may use the host's own programs read-only.
    #[serde(default)]
    pub host: bool,
    /// Where the repository lies.
    #[serde(default = "default_workdir")]
    pub workdir: String,
    /// Who runs the commands.
    #[serde(default = "default_user")]
    pub user: String,
    /// What it may reach: `none`, or `{allow: [pypi.org, "*.example.org:443"]}`; `host` for builds only.
    #[serde(default)]
    pub network: Network,
    /// Variables of every command.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Its bounds.
    #[serde(default)]
    pub limits: Limits,
    /// The file it was read from; absent for one that is shipped.
    #[serde(skip)]
    pub file: Option<PathBuf>,
}

/// A root file system from a distribution's packages.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bootstrap {
    /// The release, such as `bookworm`.
    pub suite: String,
    /// Packages beyond the minimum.
    #[serde(default)]
    pub packages: Vec<String>,
    /// Shell commands run in the finished root, such as a `pip install`.
    #[serde(default)]
    pub run: Vec<String>,
}

/// A sandbox file that cannot be used: the user's to mend.
#[derive(Debug, thiserror::Error)]
pub enum SpecError {
    /// No sandbox has that name.
    #[error("there is no sandbox `{name}`")]
    Unknown {
        /// The name that was asked for.
        name: String,
        /// What to do about it.
        hint: String,
    },
    /// The file cannot be read.
    #[error("could not read `{file}`")]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file does not say what a sandbox is.
    #[error("could not use `{file}`: {reason}")]
    Invalid {
        /// The file, or a name for one that is shipped.
        file: String,
        /// What is wrong, with its key and line.
        reason: String,
        /// What to do about it.
        hint: String,
    },
}

impl SpecError {
    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::Unknown { hint, .. } | Self::Invalid { hint, .. } => hint.clone(),
            Self::Unreadable { .. } => "check that the file is there and may be read".to_owned(),
        }
    }
}

impl SandboxSpec {
    /// Loads the sandbox `name`: from `directory` (`<name>/sandbox.yaml` in it) if it is there, else the
    /// one that is shipped.
    ///
    /// # Errors
    /// [`SpecError`] when there is none or it is invalid.
    pub fn load(name: &str, directory: &Path) -> Result<Self, SpecError> {
        let file = directory.join(name).join("sandbox.yaml");
        if file.is_file() {
            let text = fs_err::read_to_string(&file)
                .map_err(|source| SpecError::Unreadable { file: file.clone(), source })?;
            return Ok(Self { file: Some(file.clone()), ..parse(&text, name, &file.display().to_string())? });
        }
        if let Some((_, text)) = SHIPPED.iter().find(|(shipped, _)| *shipped == name) {
            return parse(text, name, &format!("sandboxes/{name}/sandbox.yaml (shipped)"));
        }
        let names = names(directory);
        let hint = match nearest(name, names.iter().map(String::as_str)) {
            Some(nearest) => format!("use `{nearest}`, or write `{}`", file.display()),
            None => format!("use one of {}, or write `{}`", names.join(", "), file.display()),
        };
        Err(SpecError::Unknown { name: name.to_owned(), hint })
    }

    /// Twelve hexadecimal digits of what its own image or root file system is made of: they name both, so
    /// that an edited specification means new ones.
    pub fn digest(&self) -> String {
        let made_of = serde_json::json!([self.dockerfile_text(), self.bootstrap]);
        let digest = Sha256::digest(made_of.to_string());
        let [a, b, c, d, e, f] = *digest.first_chunk().expect("invariant: SHA-256 has 32 bytes");
        format!("{:012x}", u64::from_be_bytes([0, 0, a, b, c, d, e, f]))
    }

    /// The Dockerfile's text, where the specification names one that can be read.
    pub fn dockerfile_text(&self) -> Option<String> {
        let directory = self.file.as_ref()?.parent()?;
        fs_err::read_to_string(directory.join(self.dockerfile.as_ref()?)).ok()
    }
}

/// Lists the names of all sandboxes: shipped, and in `directory`.
pub fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = SHIPPED.iter().map(|(name, _)| (*name).to_owned()).collect();
    for item in fs_err::read_dir(directory).into_iter().flatten().flatten() {
        if item.path().join("sandbox.yaml").is_file() {
            names.push(item.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    names.dedup();
    names
}

fn parse(text: &str, name: &str, file: &str) -> Result<SandboxSpec, SpecError> {
    let invalid = |reason: String, hint: String| SpecError::Invalid { file: file.to_owned(), reason, hint };
    let spec: SandboxSpec = serde_yaml_ng::from_str(text).map_err(|error| {
        let reason = error.to_string();
        let hint = hint_of(&reason);
        invalid(reason, hint)
    })?;
    if spec.format != FORMAT {
        return Err(invalid(format!("its format is `{}`", spec.format), format!("write `format: {FORMAT}`")));
    }
    if spec.name != name {
        let reason = format!("its name is `{}`, its directory's `{name}`", spec.name);
        return Err(invalid(reason, format!("write `name: {name}`")));
    }
    if !is_workdir(&spec.workdir) {
        let reason = format!("its workdir is `{}`", spec.workdir);
        return Err(invalid(
            reason,
            "write an absolute path below `/`, such as `workdir: /testbed`".to_owned(),
        ));
    }
    let Limits { spill_mib, disk_mib, .. } = spec.limits;
    if spill_mib > disk_mib / 2 {
        let reason = format!("its limits.spill_mib is {spill_mib}, more than half of its disk_mib");
        return Err(invalid(reason, format!("write `spill_mib: {}` or less", disk_mib / 2)));
    }
    if let Some((key, seconds)) = spec.limits.bad_seconds() {
        let reason = format!("its limits.{key} is {seconds}");
        return Err(invalid(reason, format!("write seconds above 0 and up to 1e9, such as `{key}: 60`")));
    }
    Ok(spec)
}

/// Names the known key nearest to the one that serde did not know.
fn hint_of(reason: &str) -> String {
    let mut quoted = reason.split('`').skip(1).step_by(2);
    let nearest = reason.contains("unknown field").then(|| nearest(quoted.next()?, quoted)).flatten();
    match nearest {
        Some(key) => format!("write `{key}` instead"),
        None => "see sandboxes/shell/sandbox.yaml for every key".to_owned(),
    }
}

/// The word of `known` that takes the fewest edits from `word`, if it is near at all.
fn nearest<'known>(word: &str, known: impl Iterator<Item = &'known str>) -> Option<&'known str> {
    let (distance, nearest) = known.map(|candidate| (edits(word, candidate), candidate)).min()?;
    (distance <= word.chars().count() / 2).then_some(nearest)
}

/// Levenshtein's distance.
fn edits(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, left) in left.chars().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, right) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(left != *right);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
}

/// Whether a directory can be a sandbox's work directory: an absolute path below `/` without steps back.
pub fn is_workdir(path: &str) -> bool {
    let is_name = |part: &str| !matches!(part, "" | "." | "..") && !part.contains(char::is_control);
    path.strip_prefix('/').is_some_and(|below| below.split('/').all(is_name))
}

fn default_workdir() -> String {
    "/testbed".to_owned()
}

fn default_user() -> String {
    "agent".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(name: &str, text: &str) -> SpecError {
        let directory = tempfile::tempdir().unwrap();
        fs_err::create_dir_all(directory.path().join(name)).unwrap();
        fs_err::write(directory.path().join(name).join("sandbox.yaml"), text).unwrap();
        SandboxSpec::load(name, directory.path()).unwrap_err()
    }

    #[test]
    fn every_shipped_sandbox_loads() {
        for (name, _) in SHIPPED {
            let spec = SandboxSpec::load(name, Path::new("does not exist")).unwrap();
            assert!(spec.bootstrap.is_some() && spec.network == Network::None);
        }
    }

    #[test]
    fn a_directory_overrides_what_is_shipped() {
        let directory = tempfile::tempdir().unwrap();
        fs_err::create_dir_all(directory.path().join("shell")).unwrap();
        let text = "format: apprentice.sandbox/1\nname: shell\nworkdir: /elsewhere\nlimits: {pids: 7}\n";
        fs_err::write(directory.path().join("shell/sandbox.yaml"), text).unwrap();
        let spec = SandboxSpec::load("shell", directory.path()).unwrap();
        assert_eq!((spec.workdir.as_str(), spec.limits.pids), ("/elsewhere", 7));
        assert_eq!(names(directory.path()), ["c", "go", "node", "python", "rust", "shell"]);
    }

    #[test]
    fn a_misspelt_key_names_file_line_and_nearest_key() {
        let error = failure("x", "format: apprentice.sandbox/1\nname: x\nworkdri: /w\n");
        let text = error.to_string();
        assert!(
            text.contains("x/sandbox.yaml") && text.contains("`workdri`") && text.contains("line 3"),
            "{text}"
        );
        assert_eq!(error.hint(), "write `workdir` instead");
        let error = failure("x", "format: apprentice.sandbox/1\nname: x\nlimits:\n  memory_mb: 5\n");
        assert_eq!(error.hint(), "write `memory_mib` instead");
    }

    #[test]
    fn whole_outputs_leave_room_on_the_disk() {
        let limits = "limits: {disk_mib: 100, spill_mib: 51}";
        let error = failure("x", &format!("format: apprentice.sandbox/1\nname: x\n{limits}\n"));
        assert!(error.to_string().contains("spill_mib is 51"), "{error}");
        assert_eq!(error.hint(), "write `spill_mib: 50` or less");
    }

    #[test]
    fn seconds_that_cannot_be_waited_for_are_a_mistake_of_their_key() {
        for key in ["command_seconds", "quiet_seconds", "episode_seconds"] {
            for seconds in ["-1", "0", ".inf", ".nan", "1e300"] {
                let text = format!(
                    "format: apprentice.sandbox/1\nname: a\nimage: debian\nlimits: {{{key}: {seconds}}}\n"
                );
                let error = failure("a", &text);
                assert!(error.to_string().contains(&format!("limits.{key} is ")), "{error}");
            }
        }
    }

    #[test]
    fn an_unknown_name_suggests_the_nearest() {
        let error = SandboxSpec::load("pyhton", Path::new("sandboxes")).unwrap_err();
        assert_eq!(error.hint(), "use `python`, or write `sandboxes/pyhton/sandbox.yaml`");
    }

    #[test]
    fn an_allow_list_is_read_and_a_malformed_entry_names_file_and_line() {
        let with = |network: &str| format!("format: apprentice.sandbox/1\nname: x\nnetwork: {network}\n");
        let spec = parse(&with("{allow: [PyPI.org, '*.example.org:443']}"), "x", "x/sandbox.yaml").unwrap();
        assert_eq!(spec.network.allowed().unwrap().to_string(), "pypi.org, *.example.org:443");
        let again = serde_yaml_ng::to_string(&spec).unwrap();
        assert_eq!(parse(&again, "x", "x/sandbox.yaml").unwrap(), spec, "{again}");
        for (network, says) in [("{allow: ['https://a.org']}", "`https://a.org` is a URL"), ("all", "`all`")]
        {
            let text = failure("x", &with(network)).to_string();
            assert!(
                text.contains("x/sandbox.yaml") && text.contains(says) && text.contains("line 3"),
                "{text}"
            );
        }
    }

    #[test]
    fn a_work_directory_must_lie_below_the_root() {
        for workdir in ["/", "work", "/a/../b", "//a", "/..", "/a/"] {
            let error = failure("x", &format!("format: apprentice.sandbox/1\nname: x\nworkdir: {workdir}\n"));
            assert!(error.to_string().contains(workdir), "{error}");
        }
    }
}
