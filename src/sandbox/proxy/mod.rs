//! The manager's side of the proxy through which a sandbox reaches listed hosts, and nothing else.
//!
//! The sandbox has no network but its own loopback. There a relay of ours accepts connections and carries
//! their bytes to here ([`tunnel`]); this side reads the request ([`head`]), looks at the list, resolves the
//! name and connects ([`gate`]), and lets one request or one tunnel pass ([`client`], [`body`]). Guarantees
//! that only what the list names is connected to; that a listed name which resolves to this host or its
//! networks leads nowhere, unless that address is listed itself; that the address that was judged is the one
//! connected to; that nothing follows a request on its connection; and that every connection, allowed
//! or refused, is told to the log and counted for the user ([`ledger`]). Knows no secrets, adds no headers but `Host` and `Connection`, and does not
//! look into TLS: a listed host that forwards for others forwards for the sandbox too.

mod body;
mod client;
mod gate;
mod head;
mod ledger;
mod tunnel;

pub(in crate::sandbox) use gate::Gate;
pub(in crate::sandbox) use ledger::Ledger;
pub use ledger::{Contact, Outcome};
pub(in crate::sandbox) use tunnel::Tunnel;
#[cfg(feature = "docker")]
pub(in crate::sandbox) use tunnel::hear;

use crate::isolation::Network;
use crate::sandbox::inside::relay::PORT;

/// The hosts that clients ask without the proxy: the sandbox's own loopback.
const DIRECT: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// Variables that tell programs of the proxy, where there is one.
pub(in crate::sandbox) fn variables(network: &Network) -> Vec<(String, String)> {
    let Some(list) = network.allowed() else { return Vec::new() };
    // An address of the host's loopback that is listed is asked for through the proxy, or it could not be.
    let is_listed = |host: &&str| host.parse().is_ok_and(|address| list.names_address(address));
    let direct: Vec<&str> = DIRECT.into_iter().filter(|host| !is_listed(host)).collect();
    let proxy = format!("http://127.0.0.1:{PORT}");
    let named = ["http_proxy", "https_proxy", "all_proxy"].map(|name| (name.to_owned(), proxy.clone()));
    let all = named.into_iter().chain([("no_proxy".to_owned(), direct.join(","))]);
    all.flat_map(|(name, value)| [(name.to_uppercase(), value.clone()), (name, value)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variable(yaml: &str, name: &str) -> Option<String> {
        let network: Network = serde_yaml_ng::from_str(yaml).unwrap();
        variables(&network).into_iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    #[test]
    fn programs_are_told_of_the_proxy_in_both_spellings_where_there_is_one() {
        for name in ["http_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"] {
            assert_eq!(variable("allow: [a.org]", name).unwrap(), format!("http://127.0.0.1:{PORT}"));
        }
        assert_eq!(variable("allow: [a.org]", "NO_PROXY").unwrap(), "localhost,127.0.0.1,::1");
        assert_eq!((variable("none", "http_proxy"), variable("host", "http_proxy")), (None, None));
    }

    #[test]
    fn a_listed_loopback_address_is_asked_for_through_the_proxy() {
        assert_eq!(variable("allow: ['127.0.0.1:8080']", "no_proxy").unwrap(), "localhost,::1");
        assert_eq!(variable("allow: ['[::1]:8080']", "no_proxy").unwrap(), "localhost,127.0.0.1");
    }
}
