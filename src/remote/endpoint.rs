//! Where a model is: `URL#MODEL`, with the dialect before it, such as `vllm:http://127.0.0.1:8000#qwen`.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use super::dialect::Dialect;

/// A model at an endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// What its server understands.
    pub dialect: Dialect,
    /// Its root, without `/v1` and without a slash at its end.
    pub url: String,
    /// The model's name there.
    pub model: String,
}

impl Endpoint {
    /// Reads `URL#MODEL`; the URL may end in `/v1`, as many clients have it.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn new(dialect: Dialect, text: &str) -> Result<Self, String> {
        let Some((url, model)) = text.split_once('#') else {
            return Err("it lacks the model: URL#MODEL".to_owned());
        };
        let rest = ["http://", "https://"].iter().find_map(|scheme| url.strip_prefix(scheme));
        let Some(rest) = rest else {
            return Err(format!("`{url}` begins with neither http:// nor https://"));
        };
        let authority = rest.split('/').next().unwrap_or("");
        if authority.is_empty() || url.contains(char::is_whitespace) {
            return Err(format!("`{url}` names no host"));
        }
        if authority.contains('@') || url.contains('?') {
            // It would end up in manifests and messages.
            return Err(
                "a URL has no room for a password or a key; set APPRENTICE_API_KEY instead".to_owned()
            );
        }
        if model.is_empty() {
            return Err("the model's name after # is empty".to_owned());
        }
        let url = url.trim_end_matches('/');
        let url = url.strip_suffix("/v1").unwrap_or(url).trim_end_matches('/');
        Ok(Self { dialect, url: url.to_owned(), model: model.to_owned() })
    }

    /// Whether it is on this machine.
    pub fn is_loopback(&self) -> bool {
        let authority = self.url.split('/').nth(2).unwrap_or("");
        let host = match authority.strip_prefix('[') {
            Some(rest) => rest.split(']').next().unwrap_or(""),
            None => authority.split(':').next().unwrap_or(""),
        };
        host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    }

    /// The URL of a path there.
    pub(super) fn at(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }
}

impl FromStr for Endpoint {
    type Err = String;

    /// Reads `DIALECT:URL#MODEL`; what names no dialect is read as vLLM's.
    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':').and_then(|(name, rest)| Some((Dialect::named(name)?, rest))) {
            Some((dialect, rest)) => Self::new(dialect, rest),
            None => Self::new(Dialect::Vllm, text),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}#{}", self.dialect.name(), self.url, self.model)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_read_and_written() {
        for (text, shown) in [
            ("vllm:http://127.0.0.1:8000/v1/#a/b", "vllm:http://127.0.0.1:8000#a/b"),
            ("openai:https://api.example.org/v1#m", "openai:https://api.example.org#m"),
            ("http://localhost:1#m", "vllm:http://localhost:1#m"),
            ("sglang:http://h/prefix#m", "sglang:http://h/prefix#m"),
        ] {
            assert_eq!(text.parse::<Endpoint>().unwrap().to_string(), shown);
        }
    }

    #[test]
    fn what_is_no_endpoint_is_refused_with_the_reason() {
        for (text, reason) in [
            ("http://localhost:1", "lacks the model"),
            ("http://localhost:1#", "name after # is empty"),
            ("ftp://localhost#m", "neither http:// nor https://"),
            ("http://#m", "names no host"),
            ("http://user:secret@host#m", "APPRENTICE_API_KEY"),
            ("http://host?key=secret#m", "APPRENTICE_API_KEY"),
        ] {
            let problem = text.parse::<Endpoint>().unwrap_err();
            assert!(problem.contains(reason), "{text}: {problem}");
            assert!(!problem.contains("secret"), "{problem}");
        }
    }

    #[test]
    fn this_machine_is_known() {
        let is_loopback = |url: &str| format!("{url}#m").parse::<Endpoint>().unwrap().is_loopback();
        assert!(
            is_loopback("http://127.0.0.1:80")
                && is_loopback("http://[::1]:80")
                && is_loopback("https://localhost/x")
        );
        assert!(!is_loopback("http://10.0.0.1") && !is_loopback("http://localhost.example.org"));
    }
}
