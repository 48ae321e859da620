//! Who may be connected to, and connecting.
//!
//! Guarantees that nothing is resolved that is not listed, that the address that was judged is the one that
//! is connected to, and that this host, its networks and its cloud's metadata are reached only by an address
//! that is listed itself.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};
use tokio::time::timeout;

use super::head::Refusal;
use super::ledger::{Ledger, Outcome};
use crate::isolation::{AllowList, Host, Target, is_public};

/// How long a name may take to be resolved, and an address to answer.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long a client waits for others of its sandbox, which may keep connections that they do not use for a while.
const OWN_PATIENCE: Duration = Duration::from_secs(60);
/// Names that are resolved at a time: each takes a thread of the manager until it is done.
const LOOKUPS: usize = 8;

/// Connections of all sandboxes together: each takes an open file of the manager, whose number is bounded for
/// the whole process, and which must always be able to start a sandbox.
static PLACES: Semaphore = Semaphore::const_new(512);

/// Those of one sandbox, so that none takes all.
const OWN_PLACES: usize = 16;

/// A connection to a host, and its places.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) stream: TcpStream,
    _places: (OwnedSemaphorePermit, SemaphorePermit<'static>),
}

/// The list of one sandbox.
#[derive(Debug, Clone)]
pub(in crate::sandbox) struct Gate {
    sandbox: String,
    list: AllowList,
    ledger: Ledger,
    lookups: Arc<Semaphore>,
    places: Arc<Semaphore>,
}

impl Gate {
    /// The gate of the kind of sandbox called `sandbox`.
    pub(in crate::sandbox) fn new(sandbox: &str, list: &AllowList) -> Self {
        Self {
            sandbox: sandbox.to_owned(),
            list: list.clone(),
            ledger: Ledger::default(),
            lookups: Arc::new(Semaphore::new(LOOKUPS)),
            places: Arc::new(Semaphore::new(OWN_PLACES)),
        }
    }

    pub(super) fn sandbox(&self) -> &str {
        &self.sandbox
    }

    /// What was asked for.
    pub(in crate::sandbox) fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Connects to `target`, if that is allowed, and notes what came of it.
    pub(super) async fn open(&self, target: &Target) -> Result<Server, Refusal> {
        let opened = self.connect(target).await;
        match &opened {
            Ok((_, address)) => {
                tracing::info!(sandbox = self.sandbox, %target, %address, "a sandbox connected");
                self.ledger.note(Some(target), Outcome::Reached);
            }
            Err(refusal) => self.note(Some(target), refusal),
        }
        opened.map(|(server, _)| server)
    }

    /// Notes that a request is not done.
    pub(super) fn note(&self, target: Option<&Target>, Refusal { status, reason }: &Refusal) {
        tracing::info!(sandbox = self.sandbox, status, reason, "a sandbox's request was refused");
        let outcome = if status.starts_with('5') { Outcome::Failed } else { Outcome::Refused };
        self.ledger.note(target.map(|target| target as &dyn std::fmt::Display), outcome);
    }

    async fn connect(&self, target: &Target) -> Result<(Server, SocketAddr), Refusal> {
        if !self.list.allows(target) {
            let own = match target.host {
                Host::Address(address) if address.is_loopback() => {
                    "; a server in the sandbox itself is asked as `localhost`, without the proxy"
                }
                _ => "",
            };
            return Err(self.forbidden(&format!("`{target}` is not on it{own}")));
        }
        let addresses = self.addresses(target).await?;
        let places = self.places().await?;
        let mut failure = Refusal::new("502 Bad Gateway", format!("`{target}` has no address"));
        for address in addresses {
            let address = SocketAddr::new(address, target.port);
            match timeout(PATIENCE, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    // Small messages of a handshake must not wait for each other.
                    stream.set_nodelay(true).ok();
                    return Ok((Server { stream, _places: places }, address));
                }
                Ok(Err(error)) => {
                    let reason = format!("`{target}` could not be connected to: {error}");
                    failure = Refusal::new("502 Bad Gateway", reason);
                }
                Err(_) => {
                    failure = Refusal::new("504 Gateway Timeout", format!("`{target}` does not answer"));
                }
            }
        }
        Err(failure)
    }

    /// Waits for a place of the sandbox's own, where its clients wait for each other, and then for one of all.
    async fn places(&self) -> Result<(OwnedSemaphorePermit, SemaphorePermit<'static>), Refusal> {
        let full = |whose: &str| {
            Refusal::new("503 Service Unavailable", format!("too many connections of {whose} are open"))
        };
        let own = timeout(OWN_PATIENCE, self.places.clone().acquire_owned()).await;
        let Ok(Ok(own)) = own else { return Err(full("this sandbox")) };
        match timeout(PATIENCE, PLACES.acquire()).await {
            Ok(Ok(place)) => Ok((own, place)),
            Ok(Err(_)) | Err(_) => Err(full("all sandboxes")),
        }
    }

    /// The addresses of a listed target that may be connected to.
    async fn addresses(&self, target: &Target) -> Result<Vec<IpAddr>, Refusal> {
        let name = match &target.host {
            Host::Address(address) => return Ok(vec![*address]),
            Host::Name(name) => name,
        };
        let failed = |reason: &dyn std::fmt::Display| {
            Refusal::new("502 Bad Gateway", format!("`{name}` could not be resolved: {reason}"))
        };
        let resolved = timeout(PATIENCE, self.resolve(name, target.port)).await;
        let all = resolved.map_err(|_| failed(&"no answer came in time"))?.map_err(|error| failed(&error))?;
        let reachable: Vec<IpAddr> =
            all.iter().copied().filter(|address| self.may_lead_to(*address, target.port)).collect();
        match (all.first(), reachable.is_empty()) {
            (Some(address), true) => Err(self.forbidden(&format!(
                "`{name}` is, but resolves to {address}, which is of this host, its networks or its cloud and is \
                 not listed itself"
            ))),
            _ => Ok(reachable),
        }
    }

    /// Resolves a name in a task of its own, which holds its place until it is done: nobody can stop it.
    async fn resolve(&self, name: &str, port: u16) -> io::Result<Vec<IpAddr>> {
        let place = self.lookups.clone().acquire_owned().await.map_err(io::Error::other)?;
        let name = name.to_owned();
        let lookup = tokio::spawn(async move {
            let _place = place;
            let resolved = tokio::net::lookup_host((name, port)).await?;
            Ok(resolved.map(|address| address.ip().to_canonical()).collect())
        });
        lookup.await.map_err(io::Error::other)?
    }

    /// Whether a listed name may lead to this address.
    fn may_lead_to(&self, address: IpAddr, port: u16) -> bool {
        is_public(address) && !is_own(address)
            || self.list.allows(&Target { host: Host::Address(address), port })
    }

    fn forbidden(&self, why: &str) -> Refusal {
        let list = format!("the list `network: {{allow: […]}}` of sandbox `{}`", self.sandbox);
        Refusal::new("403 Forbidden", format!("refused by {list}: {why}"))
    }
}

/// Whether this host has that address. Asks the kernel for a route and sends nothing.
fn is_own(address: IpAddr) -> bool {
    let unspecified = match address {
        IpAddr::V4(_) => IpAddr::from(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => IpAddr::from(Ipv6Addr::UNSPECIFIED),
    };
    let routed = || -> io::Result<IpAddr> {
        let socket = UdpSocket::bind((unspecified, 0))?;
        socket.connect((address, 9))?;
        Ok(socket.local_addr()?.ip())
    };
    // What has no route is not reached either.
    routed().is_ok_and(|from| from == address)
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    fn gate(entries: &[String]) -> Gate {
        Gate::new("python", &entries.to_vec().try_into().unwrap())
    }

    async fn refusal(gate: &Gate, target: &str) -> Refusal {
        gate.open(&Target::parse(target, None).unwrap()).await.unwrap_err()
    }

    #[tokio::test]
    async fn what_is_not_listed_is_refused_by_name_of_the_list() {
        let refused = refusal(&gate(&["a.org".to_owned()]), "evil.org:443").await;
        assert_eq!(refused.status, "403 Forbidden");
        assert!(refused.reason.contains("sandbox `python`") && refused.reason.contains("`evil.org:443`"));
    }

    #[tokio::test]
    async fn a_listed_name_does_not_lead_to_this_host_unless_its_address_is_listed() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let by_name = gate(&[format!("localhost:{port}")]);
        let refused = refusal(&by_name, &format!("localhost:{port}")).await;
        assert!(refused.status.starts_with("403") && refused.reason.contains("resolves to"), "{refused:?}");
        let other_port = gate(&[format!("localhost:{port}"), "127.0.0.1:1".to_owned()]);
        assert!(refusal(&other_port, &format!("localhost:{port}")).await.status.starts_with("403"));
        let both = gate(&[format!("localhost:{port}"), format!("127.0.0.1:{port}")]);
        let target = Target::parse(&format!("LOCALHOST.:{port}"), None).unwrap();
        assert_eq!(
            both.open(&target).await.unwrap().stream.peer_addr().unwrap(),
            listener.local_addr().unwrap()
        );
    }

    #[tokio::test]
    async fn a_port_that_nobody_listens_on_is_no_refusal_of_the_list() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        drop(listener);
        assert_eq!(refusal(&gate(std::slice::from_ref(&address)), &address).await.status, "502 Bad Gateway");
    }

    #[tokio::test]
    async fn one_sandbox_does_not_take_the_places_of_another() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let target = Target::parse(&address, None).unwrap();
        let (greedy, other) = (gate(std::slice::from_ref(&address)), gate(std::slice::from_ref(&address)));
        let mut held = Vec::new();
        for _ in 0..OWN_PLACES {
            held.push(greedy.open(&target).await.unwrap());
        }
        assert_eq!(greedy.places.available_permits(), 0);
        other.open(&target).await.unwrap();
        held.pop();
        greedy.open(&target).await.unwrap();
    }

    #[test]
    fn this_host_knows_its_own_addresses() {
        assert!(is_own(IpAddr::from([127, 0, 0, 1])));
        assert!(!is_own(IpAddr::from([192, 0, 2, 1])));
    }
}
