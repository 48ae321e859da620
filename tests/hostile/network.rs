//! Rows that look for a way out through sockets.

use crate::row::Must::{Fail, NeverSay, Print};
use crate::row::Row;

pub(crate) const ROWS: &[Row] = &[
    Row::new(
        "the host's loopback",
        "network namespace",
        "for p in @port@ 22 80 2375 5432; do { echo hello > /dev/tcp/127.0.0.1/$p; } 2>/dev/null && echo reached $p; { echo hello > /dev/tcp/::1/$p; } 2>/dev/null && echo reached $p; done; exit 0",
        &[Print("")],
    ),
    Row::new("the host's own address", "network namespace", "echo hello > /dev/tcp/@address@/@port@", &[Fail]),
    Row::new(
        "the metadata service of clouds",
        "network namespace",
        "echo hello > /dev/tcp/169.254.169.254/80",
        &[Fail],
    )
    .within(5.0),
    Row::new(
        "the gateway of the container engine",
        "network namespace",
        "for a in 172.17.0.1 10.0.0.1 192.168.0.1; do { echo hello > /dev/tcp/$a/@port@; } 2>/dev/null && echo $a; done; exit 0",
        &[Print("")],
    )
    .within(5.0),
    Row::new(
        "a datagram to anywhere",
        "network namespace: no route",
        "echo hello > /dev/udp/192.0.2.1/53",
        &[Fail],
    ),
    Row::new(
        "names of other hosts",
        "network namespace: no resolver is reached",
        "perl -e 'print \"resolved\" if gethostbyname \"example.com\"'; exit 0",
        &[Print("")],
    ),
    Row::new(
        "an abstract socket of the host",
        "network namespace",
        "perl -e 'socket S, 1, 1, 0; connect(S, pack \"Sa*\", 1, \"\\0@unix@\") and print \"reached\"; exit 0'",
        &[Print("")],
    ),
    Row::new(
        "interfaces of the host",
        "network namespace",
        "cat /proc/net/dev /proc/net/route /proc/net/arp",
        &[NeverSay("eth0"), NeverSay("docker0"), NeverSay("ens")],
    ),
    Row::new(
        "configuration by netlink",
        "seccomp",
        // Takes the loopback down, and prints the error.
        r#"perl -e 'unless (socket S, 16, 3, 0) { print $! + 0; exit }
        send S, pack("LSSLL CCSlLL", 32, 16, 5, 1, 0, 0, 0, 0, 1, 0, 1), 0; recv S, $b, 4096, 0; print -unpack "x16 l", $b'"#,
        &[Print("1")],
    ),
    Row::new(
        "raw and packet sockets",
        "no CAP_NET_RAW; seccomp",
        "perl -e 'print \"packet\" if socket A, 17, 3, 0x300; print \"raw\" if socket B, 2, 3, 1; print \"raw6\" if socket C, 10, 3, 58'",
        &[Print("")],
    ),
    Row::new(
        "sockets to the hypervisor",
        "seccomp",
        "perl -e 'print socket(S, 40, 1, 0) ? \"vsock\" : \"refused\"'",
        &[Print("refused")],
    ),
    Row::new(
        "sockets to the kernel's ciphers",
        "seccomp",
        "perl -e 'print socket(S, 38, 5, 0) ? \"alg\" : \"refused\"'",
        &[Print("refused")],
    )
    .only("namespaces"),
];
