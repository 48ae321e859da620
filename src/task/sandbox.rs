//! The sandbox of a task: the name of a kind, or that and what differs for this task.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{MapAccess, Visitor, value::MapAccessDeserializer};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A kind of sandbox and what a task wants otherwise. In YAML a name alone, `sandbox: python`, or a mapping,
/// `sandbox: {like: python, workdir: /app, user: root}`.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct SandboxChoice {
    /// The kind's name under `sandboxes/`.
    pub like: String,
    /// The image to use instead of the kind's.
    pub image: Option<String>,
    /// Where the repository lies, instead of the kind's place.
    pub workdir: Option<String>,
    /// Who runs the commands, instead of the kind's user.
    pub user: Option<String>,
    /// Memory in MiB, instead of the kind's.
    pub memory_mib: Option<u64>,
    /// Variables beside the kind's, and instead of those of the same name.
    pub env: BTreeMap<String, String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Mapping {
    like: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    image: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    workdir: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    memory_mib: Option<u64>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    env: BTreeMap<String, String>,
}

impl From<Mapping> for SandboxChoice {
    fn from(of: Mapping) -> Self {
        let Mapping { like, image, workdir, user, memory_mib, env } = of;
        Self { like, image, workdir, user, memory_mib, env }
    }
}

impl From<&str> for SandboxChoice {
    fn from(like: &str) -> Self {
        Self { like: like.to_owned(), ..Self::default() }
    }
}

impl From<String> for SandboxChoice {
    fn from(like: String) -> Self {
        Self { like, ..Self::default() }
    }
}

impl SandboxChoice {
    /// Whether nothing differs from the kind.
    pub fn is_plain(&self) -> bool {
        *self == Self::from(self.like.as_str())
    }

    /// Why no sandbox can be made of it.
    pub(super) fn fault(&self) -> Option<String> {
        let is_blank = |text: &Option<String>| text.as_ref().is_some_and(|text| text.trim().is_empty());
        if self.like.trim().is_empty() {
            return Some("sandbox: its name is empty; name a directory of `sandboxes/`".to_owned());
        }
        if is_blank(&self.image) {
            return Some("sandbox.image: it is empty; remove it or name an image".to_owned());
        }
        if is_blank(&self.user) {
            return Some("sandbox.user: it is empty; remove it or name a user".to_owned());
        }
        if let Some(workdir) = self.workdir.as_ref().filter(|workdir| !is_below_root(workdir)) {
            return Some(format!(
                "sandbox.workdir: `{workdir}` is no absolute path below `/`; write one such as `/testbed`"
            ));
        }
        (self.memory_mib == Some(0)).then(|| "sandbox.memory_mib: it is 0; write MiB".to_owned())
    }
}

fn is_below_root(path: &str) -> bool {
    let is_name = |part: &str| !matches!(part, "" | "." | "..") && !part.contains(char::is_control);
    path.strip_prefix('/').is_some_and(|below| below.split('/').all(is_name))
}

/// The name, and in brackets that something differs.
impl fmt::Display for SandboxChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let differing = [&self.image, &self.workdir, &self.user];
        let words: Vec<&str> = differing.into_iter().flatten().map(String::as_str).collect();
        if words.is_empty() {
            f.write_str(&self.like)
        } else {
            write!(f, "{} ({})", self.like, words.join(", "))
        }
    }
}

impl Serialize for SandboxChoice {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.is_plain() {
            return serializer.serialize_str(&self.like);
        }
        let Self { like, image, workdir, user, memory_mib, env } = self.clone();
        Mapping { like, image, workdir, user, memory_mib, env }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for SandboxChoice {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NameOrMapping)
    }
}

/// Not an untagged enum, whose errors would name no key.
struct NameOrMapping;

impl<'de> Visitor<'de> for NameOrMapping {
    type Value = SandboxChoice;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a sandbox's name, or a mapping with `like`")
    }

    fn visit_str<E>(self, name: &str) -> Result<SandboxChoice, E> {
        Ok(name.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<SandboxChoice, A::Error> {
        Mapping::deserialize(MapAccessDeserializer::new(map)).map(SandboxChoice::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(yaml: &str) -> Result<SandboxChoice, String> {
        serde_yaml_ng::from_str(yaml).map_err(|error| error.to_string())
    }

    #[test]
    fn a_name_alone_stays_a_name_and_a_mapping_keeps_what_differs() {
        let name = read("python").unwrap();
        assert_eq!(serde_yaml_ng::to_string(&name).unwrap(), "python\n");
        let text = "like: go\nworkdir: /app\nuser: root\nmemory_mib: 4096\nenv:\n  A: b\n";
        let choice = read(text).unwrap();
        assert_eq!((choice.workdir.as_deref(), choice.env["A"].as_str()), (Some("/app"), "b"));
        assert_eq!(serde_yaml_ng::to_string(&choice).unwrap(), text);
    }

    #[test]
    fn what_is_no_sandbox_names_its_key() {
        assert!(read("{like: go, workdri: /app}").unwrap_err().contains("unknown field `workdri`"));
        assert!(read("{workdir: /app}").unwrap_err().contains("missing field `like`"));
        assert!(read("7").unwrap_err().contains("a sandbox's name, or a mapping with `like`"));
        let fault = |yaml: &str| read(yaml).unwrap().fault().unwrap_or_default();
        assert!(fault("{like: go, workdir: app}").starts_with("sandbox.workdir: `app` is no absolute path"));
        assert_eq!(fault("{like: go, memory_mib: 0}"), "sandbox.memory_mib: it is 0; write MiB");
        assert_eq!(fault("{like: go, image: ' '}"), "sandbox.image: it is empty; remove it or name an image");
        assert_eq!(fault("{like: go, user: root}"), "");
    }
}
