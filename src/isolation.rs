//! What a sandbox may do, and what this host can enforce.
//!
//! Plain data. Guarantees nothing by itself: a backend reports a [`Protection`] and refuses to
//! start when it is less than asked for.

mod address;
mod allow;

use std::fmt;
use std::time::Duration;

use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub use address::is_public;
pub use allow::{AllowList, Host, Malformed, Target};

/// Bounds of one sandbox.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Memory of all its processes, in MiB.
    pub memory_mib: u64,
    /// Processor cores, fractions allowed.
    pub cpus: f64,
    /// Processes and threads.
    pub pids: u64,
    /// Bytes it may write, in MiB.
    pub disk_mib: u64,
    /// Bytes kept of one command's output; the middle is left out.
    pub output_bytes: usize,
    /// MiB of whole outputs that exceed it, kept in files of the sandbox where an agent can look at their middle;
    /// the oldest go first. None when 0.
    pub spill_mib: u64,
    /// Wall seconds of one command.
    pub command_seconds: f64,
    /// Wall seconds without output after which a command is ended; as long as it likes when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quiet_seconds: Option<f64>,
    /// Wall seconds of an episode.
    pub episode_seconds: f64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory_mib: 2048,
            cpus: 2.0,
            pids: 256,
            disk_mib: 4096,
            output_bytes: 64 * 1024,
            spill_mib: 0,
            command_seconds: 60.0,
            quiet_seconds: None,
            episode_seconds: 1800.0,
        }
    }
}

/// The most wall seconds that anything may be given: thirty years, which a clock can still add to now.
const SECONDS: f64 = 1e9;

/// Whether a number of seconds is one that can be waited for.
pub fn is_patience(seconds: f64) -> bool {
    seconds > 0.0 && seconds <= SECONDS
}

impl Limits {
    /// The key and value of a time that cannot be waited for.
    pub fn bad_seconds(&self) -> Option<(&'static str, f64)> {
        let times = [
            ("command_seconds", Some(self.command_seconds)),
            ("quiet_seconds", self.quiet_seconds),
            ("episode_seconds", Some(self.episode_seconds)),
        ];
        times.into_iter().find_map(|(key, seconds)| Some((key, seconds.filter(|time| !is_patience(*time))?)))
    }

    /// The deadline of one command.
    pub fn command_timeout(&self) -> Duration {
        Duration::from_secs_f64(self.command_seconds)
    }

    /// How long a command may print nothing.
    pub fn quiet_timeout(&self) -> Option<Duration> {
        self.quiet_seconds.map(Duration::from_secs_f64)
    }
}

/// What a sandbox may reach: `none`, `host`, or `{allow: [pypi.org, "*.example.org:443"]}`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Network {
    /// Its own loopback only.
    #[default]
    None,
    /// Its own loopback, where a proxy leads to these hosts and nowhere else.
    Allow(AllowList),
    /// What the host reaches; for builds, never for students.
    Host,
}

impl Network {
    /// What is reached through a proxy.
    pub fn allowed(&self) -> Option<&AllowList> {
        match self {
            Self::Allow(list) => Some(list),
            Self::None | Self::Host => None,
        }
    }
}

impl Serialize for Network {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::None => serializer.serialize_str("none"),
            Self::Host => serializer.serialize_str("host"),
            Self::Allow(list) => serializer.collect_map([("allow", list)]),
        }
    }
}

impl<'de> Deserialize<'de> for Network {
    /// Written by hand, because YAML has a form of its own for enums.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Written;
        impl<'de> Visitor<'de> for Written {
            type Value = Network;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`none`, `host` or `{allow: [pypi.org, \"*.example.org:443\"]}`")
            }

            fn visit_str<E: Error>(self, word: &str) -> Result<Network, E> {
                match word {
                    "none" => Ok(Network::None),
                    "host" => Ok(Network::Host),
                    _ => Err(E::custom(format_args!("the network is `{word}`, not {}", Expected(&self)))),
                }
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Network, A::Error> {
                let expected = format!("a network is {}", Expected(&self));
                match map.next_key::<String>()?.as_deref() {
                    Some("allow") => {}
                    _ => return Err(A::Error::custom(expected)),
                }
                let list = map.next_value()?;
                match map.next_key::<String>()? {
                    None => Ok(Network::Allow(list)),
                    Some(_) => Err(A::Error::custom(expected)),
                }
            }
        }
        deserializer.deserialize_any(Written)
    }
}

/// What a visitor expects.
struct Expected<'a, V>(&'a V);

impl<'de, V: Visitor<'de>> fmt::Display for Expected<'_, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.expecting(f)
    }
}

/// What stands between a sandbox and the host, as this host really enforces it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Protection {
    /// The backend that gives it.
    pub backend: String,
    /// What is enforced, one measure a line, such as `no network (network namespace)`.
    pub enforced: Vec<String>,
    /// What is not, one lack a line, each with its remedy.
    pub missing: Vec<Lack>,
}

impl Protection {
    /// The same for sandboxes that may reach `network`: what it says of a network is true of them.
    #[must_use]
    pub fn with(mut self, network: &Network) -> Self {
        let Some(measure) = self.enforced.iter_mut().find(|measure| measure.starts_with("no network")) else {
            return self;
        };
        if let Network::Allow(list) = network {
            *measure = format!("no network but {list} (network namespace, and a proxy on its own loopback)");
        }
        self
    }
}

/// A measure that this host cannot enforce.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Lack {
    /// What is not enforced.
    pub what: String,
    /// What to do about it.
    pub remedy: String,
}

/// Whether a sandbox may start with less protection than the full set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Isolation {
    /// Less is a refusal.
    #[default]
    Full,
    /// The user said `--accept-weaker-isolation`; the manifest records it.
    AcceptWeaker,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(yaml: &str) -> Result<Network, serde_yaml_ng::Error> {
        serde_yaml_ng::from_str(yaml)
    }

    #[test]
    fn a_network_is_written_as_it_is_read() {
        for yaml in ["none", "host", "allow: [pypi.org, '*.example.org:443', '127.0.0.1:8080']"] {
            let read = network(yaml).unwrap();
            let written = serde_yaml_ng::to_string(&read).unwrap();
            assert_eq!(network(&written).unwrap(), read, "{written}");
            let json = serde_json::to_string(&read).unwrap();
            assert_eq!(serde_json::from_str::<Network>(&json).unwrap(), read, "{json}");
        }
    }

    #[test]
    fn a_network_that_is_none_is_refused_with_what_to_write() {
        for (yaml, says) in [
            ("all", "not `none`, `host` or `{allow:"),
            ("true", "`{allow:"),
            ("[pypi.org]", "`{allow:"),
            ("{}", "`{allow:"),
            ("deny: [a]", "`{allow:"),
            ("allow: [a.org]\nproxy: b", "`{allow:"),
            ("allow: a.org", "sequence"),
            ("allow: []", "network: none"),
            ("allow: ['https://a.org']", "such as `pypi.org:443`"),
        ] {
            let error = network(yaml).unwrap_err().to_string();
            assert!(error.contains(says), "{yaml}: {error}");
        }
    }

    #[test]
    fn a_protection_names_what_may_be_reached() {
        let measured = Protection {
            backend: "b".to_owned(),
            enforced: vec!["no network (network namespace)".to_owned(), "memory".to_owned()],
            missing: Vec::new(),
        };
        assert_eq!(measured.clone().with(&Network::None), measured);
        let listed = measured.with(&network("allow: [pypi.org]").unwrap());
        assert!(listed.enforced[0].starts_with("no network but pypi.org ("), "{:?}", listed.enforced);
    }
}
