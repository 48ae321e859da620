//! What a client asks of the proxy: the head of its request, read strictly.
//!
//! Pure. Guarantees that what is forwarded was written here from parts that were understood: one line ending,
//! one host, one length. Whatever two servers could read in two ways is refused. Speaks HTTP/1 only.

use std::fmt::Write;

use crate::isolation::Target;

/// A head is no longer than this.
pub(super) const HEAD_BYTES: usize = 16 * 1024;
/// The port of `http:`.
const HTTP_PORT: u16 = 80;
/// Headers that are about the connection to the proxy, and those that are written here.
const NOT_FORWARDED: [&str; 12] = [
    "connection",
    "content-length",
    "host",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "http2-settings",
];

/// Why a request is not done, as the client is told it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    /// The status line's code and words.
    pub(super) status: &'static str,
    /// One sentence.
    pub(super) reason: String,
}

impl Refusal {
    pub(super) fn new(status: &'static str, reason: impl Into<String>) -> Self {
        Self { status, reason: reason.into() }
    }

    fn bad(reason: impl Into<String>) -> Self {
        Self::new("400 Bad Request", reason)
    }

    /// The whole answer.
    pub(super) fn answer(&self) -> String {
        let text = format!("apprentice: {}\n", self.reason);
        format!(
            "HTTP/1.1 {}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\n\
             Connection: close\r\n\r\n{text}",
            self.status,
            text.len()
        )
    }
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Asked {
    /// A connection whose bytes are not looked at, for TLS.
    Tunnel(Target),
    /// One request of plain HTTP.
    Plain(Target, Forward),
}

/// A request as it is forwarded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Forward {
    pub(super) head: Vec<u8>,
    pub(super) body: Body,
}

/// How much follows the head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Body {
    /// So many bytes, most often none.
    Sized(u64),
    /// Chunks up to an empty one.
    Chunked,
}

/// Reads a head, which ends with an empty line.
pub(super) fn parse(head: &[u8]) -> Result<Asked, Refusal> {
    let head =
        head.strip_suffix(b"\r\n\r\n").ok_or_else(|| Refusal::bad("a head ends with an empty line"))?;
    let lines =
        lines(head).ok_or_else(|| Refusal::bad("a head is lines of text, each ended by CR and LF"))?;
    let (request, headers) = lines.split_first().expect("invariant: splitting gives at least one");
    let (method, target, version) = request_line(request)?;
    let headers = headers.iter().map(|line| header(line)).collect::<Result<Vec<_>, _>>()?;
    if method == "CONNECT" {
        let target =
            Target::parse(target, None).map_err(|error| Refusal::bad(format!("the target {error}")))?;
        return Ok(Asked::Tunnel(target));
    }
    let (target, path) = absolute(target)?;
    let body = body(&headers, version)?;
    let head = forwarded(&format!("{method} {path} {version}"), &target, &headers, body);
    Ok(Asked::Plain(target, Forward { head, body }))
}

/// The lines of a head without their endings.
fn lines(head: &[u8]) -> Option<Vec<&[u8]>> {
    let is_text = |byte: &u8| *byte == b'\t' || (*byte >= b' ' && *byte != 0x7f);
    let mut pieces: Vec<&[u8]> = head.split(|byte| *byte == b'\n').collect();
    let last = pieces.pop()?;
    let ended = pieces.into_iter().map(|piece| piece.strip_suffix(b"\r"));
    let lines: Vec<&[u8]> = ended.chain([Some(last)]).collect::<Option<_>>()?;
    lines.iter().all(|line| line.iter().all(is_text)).then_some(lines)
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn request_line(line: &[u8]) -> Result<(&str, &str, &str), Refusal> {
    let text = std::str::from_utf8(line)
        .ok()
        .filter(|text| text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' '));
    let parts: Vec<&str> = text.unwrap_or_default().split(' ').collect();
    match parts[..] {
        [method, target, version @ ("HTTP/1.0" | "HTTP/1.1")]
            if !method.is_empty() && method.bytes().all(is_token) && !target.is_empty() =>
        {
            Ok((method, target, version))
        }
        _ => Err(Refusal::bad("the first line is not `METHOD TARGET HTTP/1.1`")),
    }
}

/// A header's name in small letters, its name as written, and its value.
struct Header<'a> {
    key: String,
    name: &'a str,
    value: &'a [u8],
}

fn header(line: &[u8]) -> Result<Header<'_>, Refusal> {
    let bad = || Refusal::bad("a header is not `NAME: VALUE`");
    let colon = line.iter().position(|byte| *byte == b':').ok_or_else(bad)?;
    let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
    // A space before the colon or at the line's beginning has been read in more than one way.
    if name.is_empty() || !name.iter().all(|byte| is_token(*byte)) {
        return Err(bad());
    }
    let name = std::str::from_utf8(name).map_err(|_| bad())?;
    Ok(Header { key: name.to_ascii_lowercase(), name, value })
}

/// The host and the path of `http://host/path`.
fn absolute(target: &str) -> Result<(Target, String), Refusal> {
    let scheme = target.get(..7).unwrap_or_default();
    if !scheme.eq_ignore_ascii_case("http://") {
        return Err(Refusal::bad("this is a proxy for `http://HOST/PATH` and `CONNECT HOST:PORT`"));
    }
    let rest = &target[7..];
    if rest.contains(['#', '\\']) {
        return Err(Refusal::bad("the target holds `#` or `\\`"));
    }
    let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let host = Target::parse(authority, Some(HTTP_PORT));
    let host = host.map_err(|error| Refusal::bad(format!("the target's host {error}")))?;
    let slash = if path.starts_with('/') { "" } else { "/" };
    Ok((host, format!("{slash}{path}")))
}

fn body(headers: &[Header<'_>], version: &str) -> Result<Body, Refusal> {
    let values = |key: &str| {
        headers.iter().filter(|header| header.key == key).map(|header| header.value).collect::<Vec<_>>()
    };
    match (&values("content-length")[..], &values("transfer-encoding")[..]) {
        ([], []) => Ok(Body::Sized(0)),
        ([length], []) => {
            let is_number = !length.is_empty() && length.len() <= 18 && length.iter().all(u8::is_ascii_digit);
            let number =
                std::str::from_utf8(length).ok().filter(|_| is_number).and_then(|text| text.parse().ok());
            number.map(Body::Sized).ok_or_else(|| Refusal::bad("the length of the body is not a number"))
        }
        ([], [coding]) if coding.eq_ignore_ascii_case(b"chunked") && version == "HTTP/1.1" => {
            Ok(Body::Chunked)
        }
        ([], [_]) => Err(Refusal::new("501 Not Implemented", "a body comes with a length or in chunks")),
        _ => Err(Refusal::bad("the body has more than one length")),
    }
}

fn forwarded(request: &str, target: &Target, headers: &[Header<'_>], body: Body) -> Vec<u8> {
    let options: Vec<String> = headers
        .iter()
        .filter(|header| header.key == "connection")
        .flat_map(|header| header.value.split(|byte| *byte == b','))
        .map(|option| String::from_utf8_lossy(option.trim_ascii()).to_ascii_lowercase())
        .collect();
    let mut head = format!("{request}\r\nHost: {}", target.host);
    let port = if target.port == HTTP_PORT { String::new() } else { format!(":{}", target.port) };
    write!(head, "{port}\r\n").expect("invariant: a String takes text");
    let mut head = head.into_bytes();
    for header in headers {
        if !NOT_FORWARDED.contains(&&*header.key) && !options.contains(&header.key) {
            head.extend([header.name.as_bytes(), b": ", header.value, b"\r\n"].concat());
        }
    }
    // The lengths are written here, whatever the client's `Connection` says of them.
    let has_length = headers.iter().any(|header| header.key == "content-length");
    match body {
        Body::Sized(length) if has_length => head.extend(format!("Content-Length: {length}\r\n").bytes()),
        Body::Sized(_) => {}
        Body::Chunked => head.extend(b"Transfer-Encoding: chunked\r\n"),
    }
    head.extend(b"Connection: close\r\n\r\n");
    head
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Parts of heads, and what could make two readers of them disagree.
    fn part() -> impl Strategy<Value = &'static str> {
        prop::sample::select(vec![
            "GET ",
            "POST ",
            "CONNECT ",
            "http://",
            "https://",
            "a.org",
            "a.org:443",
            "127.0.0.1",
            "[::1]",
            ":80",
            "@",
            "/",
            "/p",
            "?",
            "#",
            "\\",
            " HTTP/1.1",
            " HTTP/1.0",
            "\r\n",
            "\r\n\r\n",
            "\r",
            "\n",
            "\0",
            " ",
            "\t",
            "Host: ",
            "b.org",
            "Content-Length: ",
            "5",
            "Transfer-Encoding: ",
            "chunked",
            ": ",
            "Connection: ",
            "host",
            ",",
            "content-length",
            "X",
            "é",
            "%0d%0a",
        ])
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn whatever_is_forwarded_has_one_host_one_length_and_one_reading(
            start in prop::bool::ANY,
            parts in prop::collection::vec(part(), 0..16),
        ) {
            let start = if start { "POST http://a.org/ HTTP/1.1\r\n" } else { "" };
            let head = format!("{start}{}\r\n\r\n", parts.concat());
            if let Ok(Asked::Plain(target, Forward { head, .. })) = parse(head.as_bytes()) {
                let text = String::from_utf8(head).unwrap().to_ascii_lowercase();
                let lines: Vec<&str> = text.strip_suffix("\r\n\r\n").unwrap().split("\r\n").collect();
                prop_assert!(lines.iter().all(|line| !line.is_empty() && !line.contains(['\r', '\n', '\0'])), "{text:?}");
                let count = |name: &str| lines.iter().filter(|line| line.starts_with(name)).count();
                prop_assert_eq!((count("host:"), count("connection:")), (1, 1), "{}", &text);
                prop_assert!(count("content-length:") + count("transfer-encoding:") <= 1, "{text:?}");
                let named = format!("host: {target}");
                prop_assert!(named.starts_with(lines[1]), "{text:?}");
                prop_assert!(lines[0].split(' ').count() == 3 && lines[0].contains(" /"), "{text:?}");
            }
        }

        #[test]
        fn no_head_is_beyond_reading(bytes in prop::collection::vec(prop::num::u8::ANY, 0..200)) {
            // It gives a value, whatever it is.
            drop(parse(&bytes));
            drop(parse(&[&bytes[..], b"\r\n\r\n"].concat()));
        }
    }

    fn plain(head: &str) -> (String, String, Body) {
        match parse(head.as_bytes()) {
            Ok(Asked::Plain(target, Forward { head, body })) => {
                (target.to_string(), String::from_utf8(head).unwrap(), body)
            }
            other => panic!("{head:?} gave {other:?}"),
        }
    }

    fn status(head: &[u8]) -> &'static str {
        match parse(head) {
            Err(refusal) => &refusal.status[..3],
            Ok(asked) => panic!("{:?} gave {asked:?}", String::from_utf8_lossy(head)),
        }
    }

    #[test]
    fn a_request_is_forwarded_in_the_form_of_a_server() {
        let (target, head, body) = plain(
            "GET http://A.org/p?q=1 HTTP/1.1\r\nHost: a.org\r\nAccept: */*\r\nProxy-Connection: keep-alive\r\n\
             Proxy-Authorization: Basic x\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\n\r\n",
        );
        assert_eq!((target.as_str(), body), ("a.org:80", Body::Sized(0)));
        assert_eq!(head, "GET /p?q=1 HTTP/1.1\r\nHost: a.org\r\nAccept: */*\r\nConnection: close\r\n\r\n");
        assert!(
            plain("GET http://a.org:8080 HTTP/1.0\r\n\r\n")
                .1
                .starts_with("GET / HTTP/1.0\r\nHost: a.org:8080\r\n")
        );
        assert!(
            plain("GET HTTP://[::1]?x HTTP/1.1\r\n\r\n").1.starts_with("GET /?x HTTP/1.1\r\nHost: [::1]\r\n")
        );
    }

    #[test]
    fn the_host_that_was_judged_is_the_host_that_is_named() {
        let (_, head, _) = plain("GET http://a.org/ HTTP/1.1\r\nHost: evil.org\r\nhost: evil.net\r\n\r\n");
        assert!(head.contains("Host: a.org\r\n") && !head.contains("evil"), "{head}");
    }

    #[test]
    fn a_body_has_one_length_that_the_client_cannot_take_away() {
        let (_, head, body) =
            plain("POST http://a.org/ HTTP/1.1\r\nContent-Length: 5\r\nConnection: content-length\r\n\r\n");
        assert!(head.contains("Content-Length: 5\r\n") && body == Body::Sized(5), "{head}");
        let (_, head, body) = plain("POST http://a.org/ HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n\r\n");
        assert!(head.contains("Transfer-Encoding: chunked\r\n") && body == Body::Chunked, "{head}");
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        for headers in [
            "Content-Length: 5\r\nContent-Length: 6",
            "Content-Length: 5\r\nContent-Length: 5",
            "Content-Length: 5, 5",
            "Content-Length: +5",
            "Content-Length: -1",
            "Content-Length: 0x5",
            "Content-Length:",
            "Content-Length: 99999999999999999999",
            "Content-Length: 5\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
            "Host : a.org",
            " Host: a.org",
            "A: b\r\n folded: c",
            "A",
            ": b",
            "A\u{b}: b",
            "A: b\rC: d",
            "A: b\nC: d",
            "A: b\0",
            "é: b",
        ] {
            assert_eq!(
                status(format!("POST http://a.org/ HTTP/1.1\r\n{headers}\r\n\r\n").as_bytes()),
                "400",
                "{headers:?}"
            );
        }
        for coding in ["gzip, chunked", "identity", "xchunked", "chunked, identity"] {
            let head = format!("POST http://a.org/ HTTP/1.1\r\nTransfer-Encoding: {coding}\r\n\r\n");
            assert_eq!(status(head.as_bytes()), "501", "{coding}");
        }
        assert_eq!(status(b"POST http://a.org/ HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), "501");
    }

    #[test]
    fn targets_that_name_no_one_host_are_refused() {
        for line in [
            "GET / HTTP/1.1",
            "GET https://a.org/ HTTP/1.1",
            "GET ftp://a.org/ HTTP/1.1",
            "GET http:///a.org HTTP/1.1",
            "GET http://user@a.org/ HTTP/1.1",
            "GET http://a.org:80@evil.org/ HTTP/1.1",
            "GET http://evil.org\\@a.org/ HTTP/1.1",
            "GET http://evil.org#@a.org/ HTTP/1.1",
            "GET http://2130706433/ HTTP/1.1",
            "GET http://0177.0.0.1/ HTTP/1.1",
            "GET http://a.org%2f@b/ HTTP/1.1",
            "GET  http://a.org/ HTTP/1.1",
            "GET http://a.org/ HTTP/1.1 ",
            "GET http://a.org/ b HTTP/1.1",
            "GET http://a.org/\tHTTP/1.1",
            "GET http://a.org/ HTTP/2",
            "GET http://a.org/",
            "G ET http://a.org/ HTTP/1.1",
            "CONNECT a.org HTTP/1.1",
            "CONNECT user@a.org:443 HTTP/1.1",
            "CONNECT http://a.org:443 HTTP/1.1",
            "CONNECT a.org:443/ HTTP/1.1",
            "CONNECT 2130706433:80 HTTP/1.1",
            "connect a.org:443 HTTP/1.1",
            "",
        ] {
            assert_eq!(status(format!("{line}\r\n\r\n").as_bytes()), "400", "{line:?}");
        }
        assert_eq!(status(b"GET http://a.org/\xe9 HTTP/1.1\r\n\r\n"), "400");
    }

    #[test]
    fn a_tunnel_is_asked_for_by_host_and_port() {
        let asked =
            parse(b"CONNECT PyPI.org.:443 HTTP/1.1\r\nHost: evil.org:443\r\nX: \xe9\r\n\r\n").unwrap();
        assert_eq!(asked, Asked::Tunnel(Target::parse("pypi.org:443", None).unwrap()));
    }
}
