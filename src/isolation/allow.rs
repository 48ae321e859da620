//! The hosts that a sandbox may reach: what `network: {allow: […]}` lists, and what a client asks for.
//!
//! Pure rules on text. Guarantees that names are compared without case and without their last dot, that a
//! wildcard stands for exactly one label, the first, and that an address is allowed only where it is listed
//! itself, in whatever form it is asked for. Resolves nothing: [`is_public`](super::is_public) judges what a
//! name resolves to.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

/// What an entry without a port allows: plain HTTP and TLS.
const USUAL_PORTS: [u16; 2] = [80, 443];
/// The longest name of the domain name system, and the longest label of one.
const NAME_BYTES: usize = 253;
const LABEL_BYTES: usize = 63;

/// Text that names no host and port.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` {reason}")]
pub struct Malformed {
    text: String,
    reason: &'static str,
}

/// A host as one may ask for it: a name in small letters without its last dot, or an address.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Host {
    /// A name, to be resolved.
    Name(String),
    /// An address; one of version 4 that is written as version 6 is that of version 4.
    Address(IpAddr),
}

impl Host {
    fn parse(text: &str) -> Result<Self, &'static str> {
        if let Some(inner) = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')) {
            let address: Ipv6Addr = inner.parse().map_err(|_| "holds no address of version 6")?;
            return Ok(Self::Address(IpAddr::V6(address).to_canonical()));
        }
        match text.parse::<Ipv4Addr>() {
            Ok(address) => Ok(Self::Address(address.into())),
            Err(_) => name(text).map(Self::Name),
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Address(IpAddr::V4(address)) => address.fmt(f),
            Self::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
        }
    }
}

/// A name in the form in which names are compared.
fn name(text: &str) -> Result<String, &'static str> {
    let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    if name.len() > NAME_BYTES {
        return Err("is longer than a name can be");
    }
    for label in name.split('.') {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        let ends = label.starts_with('-') || label.ends_with('-');
        if label.is_empty() || label.len() > LABEL_BYTES || ends || !label.bytes().all(is_plain) {
            return Err("is neither a name nor an address");
        }
    }
    // Resolvers read `2130706433`, `0177.0.0.1`, `0x7f.1` and `127.1` as addresses.
    let last = name.rsplit('.').next().unwrap_or_default();
    let hexadecimal = last.strip_prefix("0x").is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_hexdigit()));
    if hexadecimal || last.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("ends in a number and is no address of the form 192.0.2.1");
    }
    Ok(name)
}

/// A host and a port.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Target {
    /// The host.
    pub host: Host,
    /// The port.
    pub port: u16,
}

impl Target {
    /// Reads `HOST:PORT`, or `HOST` where there is a port to assume.
    ///
    /// # Errors
    /// [`Malformed`] for anything else: a user's name, a path, an address in an unusual form.
    pub fn parse(text: &str, assumed: Option<u16>) -> Result<Self, Malformed> {
        let malformed = |reason| Malformed { text: text.chars().take(NAME_BYTES).collect(), reason };
        let (host, port) = split(text).map_err(malformed)?;
        let host = Host::parse(host).map_err(malformed)?;
        let port = port.or(assumed).ok_or_else(|| malformed("has no port"))?;
        Ok(Self { host, port })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// The host's text, and the port where one is written.
fn split(text: &str) -> Result<(&str, Option<u16>), &'static str> {
    let after_host = if text.starts_with('[') {
        text.find(']').map_or(text.len(), |end| end + 1)
    } else {
        text.find(':').unwrap_or(text.len())
    };
    let (host, rest) = text.split_at(after_host);
    if rest.is_empty() {
        return Ok((host, None));
    }
    let digits = rest.strip_prefix(':').ok_or("has something after its address")?;
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let port = digits.parse().ok().filter(|port: &u16| is_number && *port != 0);
    Ok((host, Some(port.ok_or("has no port from 1 to 65535 after its first `:`")?)))
}

/// One line of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    pattern: Pattern,
    port: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Pattern {
    Host(Host),
    /// `*.` and this name.
    Below(String),
}

impl Entry {
    fn parse(text: &str) -> Result<Self, Malformed> {
        let malformed = |reason| Malformed { text: text.to_owned(), reason };
        if text.contains("://") || text.contains('/') {
            return Err(malformed("is a URL: write a name and a port, such as `pypi.org:443`"));
        }
        let (host, port) = split(text).map_err(malformed)?;
        let pattern = match host.strip_prefix("*.") {
            Some(rest) => Pattern::Below(name(rest).map_err(malformed)?),
            None if host.contains('*') => {
                return Err(malformed("has a `*` that is not its whole first label, as in `*.example.org`"));
            }
            None => Pattern::Host(Host::parse(host).map_err(malformed)?),
        };
        Ok(Self { pattern, port })
    }

    fn allows(&self, target: &Target) -> bool {
        let allows_port = match self.port {
            Some(port) => port == target.port,
            None => USUAL_PORTS.contains(&target.port),
        };
        let allows_host = match (&self.pattern, &target.host) {
            (Pattern::Host(listed), asked) => listed == asked,
            (Pattern::Below(listed), Host::Name(asked)) => {
                asked.split_once('.').is_some_and(|(_, rest)| rest == listed)
            }
            (Pattern::Below(_), Host::Address(_)) => false,
        };
        allows_port && allows_host
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.pattern {
            Pattern::Host(host) => host.fmt(f)?,
            Pattern::Below(name) => write!(f, "*.{name}")?,
        }
        match self.port {
            Some(port) => write!(f, ":{port}"),
            None => Ok(()),
        }
    }
}

/// What a sandbox may reach through its proxy; never empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct AllowList(Vec<Entry>);

impl AllowList {
    /// Whether this host and port are on the list. An address is not what a name resolves to.
    pub fn allows(&self, target: &Target) -> bool {
        self.0.iter().any(|entry| entry.allows(target))
    }

    /// Whether an address is listed, with whatever port.
    pub fn names_address(&self, address: IpAddr) -> bool {
        self.0.iter().any(|entry| entry.pattern == Pattern::Host(Host::Address(address)))
    }
}

impl TryFrom<Vec<String>> for AllowList {
    type Error = String;

    fn try_from(texts: Vec<String>) -> Result<Self, String> {
        if texts.is_empty() {
            return Err("`allow` lists nothing: write `network: none`".to_owned());
        }
        let entries = texts.iter().map(|text| Entry::parse(text));
        entries.collect::<Result<_, _>>().map(Self).map_err(|error| format!("in `allow`, {error}"))
    }
}

impl From<AllowList> for Vec<String> {
    fn from(list: AllowList) -> Self {
        list.0.iter().map(Entry::to_string).collect()
    }
}

impl fmt::Display for AllowList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entries: Vec<String> = self.0.iter().map(Entry::to_string).collect();
        f.write_str(&entries.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(entries: &[&str]) -> AllowList {
        entries.iter().map(|entry| (*entry).to_owned()).collect::<Vec<_>>().try_into().unwrap()
    }

    fn allows(entries: &[&str], asked: &str) -> bool {
        Target::parse(asked, None).is_ok_and(|target| list(entries).allows(&target))
    }

    #[test]
    fn an_entry_without_a_port_means_the_ports_of_http_and_tls() {
        assert!(allows(&["pypi.org"], "pypi.org:443") && allows(&["pypi.org"], "pypi.org:80"));
        assert!(!allows(&["pypi.org"], "pypi.org:22") && !allows(&["pypi.org"], "pypi.org:8443"));
        assert!(allows(&["pypi.org:22"], "pypi.org:22") && !allows(&["pypi.org:22"], "pypi.org:443"));
    }

    #[test]
    fn case_and_the_last_dot_do_not_matter() {
        for asked in ["pypi.org:443", "PyPI.org:443", "pypi.org.:443", "PYPI.ORG.:443"] {
            assert!(allows(&["pypi.org"], asked) && allows(&["PyPi.Org."], asked), "{asked}");
        }
    }

    #[test]
    fn names_that_only_look_alike_are_not_allowed() {
        for asked in ["pypi.org.evil.net", "evil-pypi.org", "a.pypi.org", "org", "ypi.org", "pypi.orgs"] {
            assert!(!allows(&["pypi.org"], &format!("{asked}:443")), "{asked}");
        }
    }

    #[test]
    fn a_wildcard_is_exactly_one_label() {
        let entries = &["*.example.org:443"];
        assert!(allows(entries, "a.example.org:443") && allows(entries, "A.Example.ORG.:443"));
        for asked in ["example.org:443", "a.b.example.org:443", "aexample.org:443", "a.example.org:80"] {
            assert!(!allows(entries, asked), "{asked}");
        }
    }

    #[test]
    fn an_address_is_allowed_where_it_is_listed_itself() {
        assert!(allows(&["127.0.0.1:8080"], "127.0.0.1:8080"));
        assert!(allows(&["127.0.0.1:8080"], "[::ffff:127.0.0.1]:8080"), "it is the same address");
        assert!(allows(&["[::1]:8080"], "[0:0:0:0:0:0:0:1]:8080"));
        for asked in ["127.0.0.2:8080", "127.0.0.1:80", "[::1]:8080", "localhost:8080"] {
            assert!(!allows(&["127.0.0.1:8080"], asked), "{asked}");
        }
        assert!(!allows(&["*.0.0.org"], "127.0.0.1:80"));
    }

    #[test]
    fn addresses_in_unusual_forms_are_no_hosts() {
        for asked in [
            "2130706433:80",
            "0177.0.0.1:80",
            "0x7f000001:80",
            "0x7f.1:80",
            "127.1:80",
            "127.0.0.1.:80",
            "127.0.0.01:80",
            "1.2.3.4.5:80",
            "[::1%lo]:80",
            "[127.0.0.1]:80",
            "::1:80",
            "1:80",
            "0x:80",
        ] {
            assert!(Target::parse(asked, None).is_err(), "{asked}");
        }
    }

    #[test]
    fn what_names_no_host_and_port_is_malformed() {
        for asked in [
            "",
            ":",
            ":80",
            "a",
            "a:",
            "a:0",
            "a:65536",
            "a:+80",
            "a: 80",
            "a:80:80",
            "a..b:80",
            ".a:80",
            "a..:80",
            "user@a:80",
            "a/b:80",
            "a b:80",
            "a\tb:80",
            "a\r\nb:80",
            "a\0:80",
            "é.org:80",
            "-a.org:80",
            "a-.org:80",
            "[::1]80",
            "[::1",
            "a%2eorg:80",
            "*.a.org:80",
        ] {
            assert!(Target::parse(asked, None).is_err(), "{asked:?}");
        }
        assert!(Target::parse(&format!("{}.org:80", "a".repeat(64)), None).is_err());
        assert!(Target::parse(&format!("{}:80", vec!["a"; 128].join(".")), None).is_err());
        assert_eq!(Target::parse("a.org", Some(80)).unwrap().to_string(), "a.org:80");
    }

    #[test]
    fn a_malformed_entry_is_named_with_what_to_write() {
        let refusal = |entry: &str| AllowList::try_from(vec![entry.to_owned()]).unwrap_err();
        assert!(refusal("https://pypi.org").contains("`https://pypi.org` is a URL"));
        for entry in ["*", "*:443", "a.*.org", "*a.org", "*.", "*.*.org", "a*", "10.0.0.*"] {
            assert!(refusal(entry).contains(&format!("`{entry}`")), "{entry}");
        }
        for entry in ["", "a:http", "u@a.org", "0177.0.0.1", "*.0.0.1", "127.1", "::1", "10.0.0.0/8", "a b"] {
            refusal(entry);
        }
        assert!(AllowList::try_from(Vec::new()).unwrap_err().contains("network: none"));
    }

    #[test]
    fn a_list_is_written_as_it_is_read() {
        let entries = ["pypi.org", "*.example.org:443", "127.0.0.1:8080", "[2001:db8::1]:22"];
        assert_eq!(Vec::from(list(&entries)), entries);
    }
}
