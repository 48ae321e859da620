//! Rows that look for a way out through the proxy of a sandbox that may reach listed hosts.

use apprentice::isolation::{AllowList, Network};

use crate::row::Must::{End, Print};
use crate::row::Row;

/// The hosts that the sandboxes of this chapter may reach: none of them answers.
pub(crate) fn network() -> Network {
    let entries = ["listed.example", "*.wild.example:443", "localhost"].map(str::to_owned).to_vec();
    Network::Allow(AllowList::try_from(entries).unwrap())
}

/// Defines `ask`, which says `$1` to the proxy and prints the first line that comes back, and runs a script.
macro_rules! asking {
    ($script:literal) => {
        concat!(
            "ask() { exec 3<>/dev/tcp/127.0.0.1/61080 && printf '%b' \"$1\" >&3 && IFS= read -r line <&3; \
             exec 3>&- 3<&-; echo \"${line%$'\\r'}\"; }; ",
            $script
        )
    };
}

const FORBIDDEN: &str = "HTTP/1.1 403 Forbidden\n";
const BAD: &str = "HTTP/1.1 400 Bad Request\n";

pub(crate) const ROWS: &[Row] = &[
    Row::new(
        "a tunnel to the metadata service",
        "allow-list",
        asking!(r"ask 'CONNECT 169.254.169.254:80 HTTP/1.1\r\n\r\n'"),
        &[Print(FORBIDDEN)],
    ),
    Row::new(
        "a request to the metadata service",
        "allow-list: the target counts, not the header",
        asking!(r"ask 'GET http://169.254.169.254/latest/ HTTP/1.1\r\nHost: listed.example\r\n\r\n'"),
        &[Print(FORBIDDEN)],
    ),
    Row::new(
        "a tunnel to the host's own address",
        "allow-list",
        asking!(r"ask 'CONNECT @address@:@port@ HTTP/1.1\r\nHost: listed.example:443\r\n\r\n'"),
        &[Print(FORBIDDEN)],
    ),
    Row::new(
        "a tunnel to the host's loopback",
        "allow-list: addresses must be listed themselves",
        asking!(r"ask 'CONNECT 127.0.0.1:80 HTTP/1.1\r\n\r\n'"),
        &[Print(FORBIDDEN)],
    ),
    Row::new(
        "a listed name that leads to this host",
        "resolved addresses are judged before connecting",
        asking!(r"for n in localhost LOCALHOST localhost. LocalHost.; do ask 'CONNECT '$n':80 HTTP/1.1\r\n\r\n'; done | uniq"),
        &[Print(FORBIDDEN)],
    ),
    Row::new(
        "addresses in the forms of version 6",
        "allow-list, on one form of each address",
        asking!(
            r"for a in ::1 :: ::ffff:127.0.0.1 ::ffff:7f00:1 0:0:0:0:0:ffff:a9fe:a9fe fe80::1 64:ff9b::7f00:1; do ask 'CONNECT ['$a']:80 HTTP/1.1\r\n\r\n'; done | uniq"
        ),
        &[Print(FORBIDDEN)],
    ),
    Row::new(
        "addresses in decimal, octal, hexadecimal and short",
        "only 192.0.2.1 is a form of an address",
        asking!(
            r"for a in 2130706433 0177.0.0.1 0x7f000001 0x7f.1 127.1 0 127.0.0.01 127.0.0.1. '[127.0.0.1]' '[::1%lo]' ::1; do ask 'CONNECT '$a':80 HTTP/1.1\r\n\r\n'; ask 'GET http://'$a'/ HTTP/1.1\r\n\r\n'; done | uniq"
        ),
        &[Print(BAD)],
    ),
    Row::new(
        "names that only look listed",
        "whole names are compared, wildcards are one label",
        asking!(
            r"for n in listed.example.evil.example evil-listed.example sub.listed.example wild.example a.b.wild.example; do ask 'CONNECT '$n':443 HTTP/1.1\r\n\r\n'; done | uniq"
        ),
        &[Print(FORBIDDEN)],
    ),
    Row::new(
        "another port of a listed name",
        "allow-list: ports 80 and 443 unless one is written",
        asking!(
            r"for n in listed.example:22 listed.example:8080 a.wild.example:80; do ask 'CONNECT '$n' HTTP/1.1\r\n\r\n'; done | uniq"
        ),
        &[Print(FORBIDDEN)],
    ),
    Row::new(
        "a user's name before the host",
        "targets with one are refused",
        asking!(
            r"ask 'GET http://listed.example@169.254.169.254/ HTTP/1.1\r\n\r\n'; ask 'GET http://listed.example:80@127.0.0.1/ HTTP/1.1\r\n\r\n'; ask 'CONNECT listed.example@127.0.0.1:80 HTTP/1.1\r\n\r\n'"
        ),
        &[Print("HTTP/1.1 400 Bad Request\nHTTP/1.1 400 Bad Request\nHTTP/1.1 400 Bad Request\n")],
    ),
    Row::new(
        "letters that parsers disagree on in a target",
        "only visible ASCII, no `\\` and no `#`",
        asking!(
            r#"for t in 'http://127.0.0.1\\\\@listed.example/' 'http://127.0.0.1#@listed.example/' 'http://listed.example%00.evil.example/' 'http://127.0.0.1 listed.example/' 'http://127.0.0.1\t/' 'http:/listed.example/' 'http://listed.example\0/'; do ask 'GET '"$t"' HTTP/1.1\r\n\r\n'; done | uniq"#
        ),
        &[Print(BAD)],
    ),
    Row::new(
        "lines put into the first line",
        "a line is three words of visible letters",
        asking!(
            r"ask 'CONNECT 127.0.0.1:80\r\nHost: listed.example:443 HTTP/1.1\r\n\r\n'; ask 'GET http://listed.example/ HTTP/1.1\nX: y\r\n\r\n'; ask 'GET http://listed.example/\rX: HTTP/1.1\r\n\r\n'"
        ),
        &[Print("HTTP/1.1 400 Bad Request\nHTTP/1.1 400 Bad Request\nHTTP/1.1 400 Bad Request\n")],
    ),
    Row::new(
        "bodies of two lengths",
        "refused: what could be read in two ways is not forwarded",
        asking!(
            r#"for h in 'Content-Length: 4\r\nTransfer-Encoding: chunked' 'Content-Length: 4\r\nContent-Length: 5' 'Transfer-Encoding: chunked\r\nTransfer-Encoding: identity' 'Content-Length : 4' 'X: y\r\n Content-Length: 4' 'Content-Length: 4\nTransfer-Encoding: chunked'; do ask 'POST http://listed.example/ HTTP/1.1\r\n'"$h"'\r\n\r\nabcd'; done | uniq"#
        ),
        &[Print(BAD)],
    ),
    Row::new(
        "other protocols through the proxy",
        "only CONNECT and `http:` are spoken",
        asking!(
            r"for t in ftp://listed.example/ file:///etc/passwd https://listed.example/ gopher://listed.example/ /etc/passwd '*'; do ask 'GET '$t' HTTP/1.1\r\n\r\n'; done | uniq; ask '\x05\x01\x00\r\n\r\n'; ask 'PRI * HTTP/2.0\r\n\r\n'"
        ),
        &[Print("HTTP/1.1 400 Bad Request\nHTTP/1.1 400 Bad Request\nHTTP/1.1 400 Bad Request\n")],
    ),
    Row::new(
        "a head without end",
        "16 KiB are enough for a head",
        asking!(
            r#"exec 3<>/dev/tcp/127.0.0.1/61080; (printf 'GET http://listed.example/ HTTP/1.1\r\nA: '; yes | tr -d '\n' | head -c 3000000) >&3 2>/dev/null & IFS= read -r line <&3; echo "${line%$'\r'}""#
        ),
        &[Print("HTTP/1.1 431 Request Header Fields Too Large\n")],
    ),
    Row::new(
        "clients that dribble and hold every connection",
        "a head must come within 10 s",
        asking!(
            r#"perl -e 'for (1 .. 70) { my $s; socket($s, 2, 1, 0); connect $s, pack("SnC4x8", 2, 61080, 127, 0, 0, 1) and syswrite $s, "GET"; push @s, $s } sleep 60' 2>/dev/null & sleep 1; ask 'CONNECT 127.0.0.1:80 HTTP/1.1\r\n\r\n'; kill %1"#
        ),
        &[Print(FORBIDDEN)],
    )
    .within(50.0),
    Row::new(
        "connections that come and go",
        "no more of them at a time than there is room for",
        asking!(
            r#"perl -e 'for (1 .. 1000) { socket($s, 2, 1, 0); connect $s, pack("SnC4x8", 2, 61080, 127, 0, 0, 1); syswrite $s, "CONN" if $_ % 2; close $s }'; ask 'CONNECT 127.0.0.1:80 HTTP/1.1\r\n\r\n'"#
        ),
        &[Print(FORBIDDEN)],
    )
    .within(40.0),
    Row::new(
        "noise instead of a request",
        "strict reading",
        asking!(
            r#"for i in 1 2 3 4 5 6 7 8; do exec 4<>/dev/tcp/127.0.0.1/61080; head -c 50000 /dev/urandom >&4 2>/dev/null; exec 4>&- 4<&-; done; ask 'CONNECT 127.0.0.1:80 HTTP/1.1\r\n\r\n'"#
        ),
        &[Print(FORBIDDEN)],
    ),
    Row::new(
        "signals to the relay",
        "another user, or another pid namespace",
        asking!(r"kill -9 -1 2>/dev/null; ask 'CONNECT 127.0.0.1:80 HTTP/1.1\r\n\r\n'"),
        &[Print(FORBIDDEN)],
    ),
    Row::new(
        "the relay's files and memory",
        "another user, or another pid namespace; not dumpable",
        "for p in /proc/[0-9]*; do if grep -q sandbox-relay $p/cmdline 2>/dev/null && [ $p != /proc/$$ ]; then cat $p/environ $p/maps $p/fd/0 2>/dev/null | head -c 100; ls $p/fd 2>/dev/null; fi; done; exit 0",
        &[Print("")],
    ),
    Row::new(
        "a proxy of its own in the relay's place",
        "the relay listens before the first command",
        r#"perl -e 'socket S, 2, 1, 0; setsockopt S, 1, 2, 1; setsockopt S, 1, 15, 1; print bind(S, pack("SnC4x8", 2, 61080, 127, 0, 0, 1)) ? "bound" : "refused"'"#,
        &[Print("refused")],
    ),
    Row::new(
        "a relay of its own",
        "the manager listens to the one that it started",
        r"for f in /usr/lib/apprentice/inside; do [ -x $f ] && echo CONNECT | timeout 2 $f @sandbox-relay >/dev/null 2>&1; done; exit 0",
        &[End],
    ),
];
