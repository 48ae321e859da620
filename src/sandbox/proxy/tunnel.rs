//! The manager's end of the line to a sandbox's relay: many connections over one stream of messages.
//!
//! Guarantees that the line is always read, whatever any connection waits for; that no more is held of a
//! connection than its window, whoever speaks in the relay's place (the tunnel ends then); and that dropping
//! the tunnel ends every connection.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, ReadHalf, WriteHalf};
use tokio::sync::Semaphore;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::{AbortHandle, JoinSet};

use super::client;
use super::gate::Gate;
use super::ledger::Ledger;
use crate::sandbox::inside::protocol::{PREFIX_BYTES, envelope, lengths};
use crate::sandbox::inside::relay::{CHUNK, CONNECTIONS, Head, WINDOW, Word};

/// Bytes of the head of a relay's message at most.
const HEAD_BYTES: usize = 256;
/// Connections that a relay may have, with those that it knows to be over before this side does.
const OPEN_CONNECTIONS: usize = 4 * CONNECTIONS;

/// A running tunnel; it ends when it is dropped.
#[derive(Debug)]
pub(in crate::sandbox) struct Tunnel {
    task: AbortHandle,
    ledger: Ledger,
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Tunnel {
    /// Serves the relay at the other end of a socket. Needs the runtime of the sandbox.
    pub(in crate::sandbox) fn over(socket: UnixStream, gate: Gate) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        let (reader, writer) = tokio::net::UnixStream::from_std(socket)?.into_split();
        Ok(Self::start(reader, writer, gate))
    }

    /// Serves the relay that is heard on `reader` and told on `writer`.
    pub(in crate::sandbox) fn start(
        reader: impl AsyncRead + Send + Unpin + 'static,
        writer: impl AsyncWrite + Send + Unpin + 'static,
        gate: Gate,
    ) -> Self {
        let ledger = gate.ledger().clone();
        let task = tokio::spawn(async move {
            let sandbox = gate.sandbox().to_owned();
            match carry(reader, writer, gate).await {
                Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => {
                    tracing::warn!(sandbox, %error, "the proxy of a sandbox ended");
                }
                _ => tracing::debug!(sandbox, "the proxy of a sandbox ended with it"),
            }
        });
        Self { task: task.abort_handle(), ledger }
    }

    /// Whether nothing is carried any more, because the relay or the line to it is gone.
    pub(in crate::sandbox) fn is_over(&self) -> bool {
        self.task.is_finished()
    }

    /// What was asked for through it.
    pub(in crate::sandbox) fn ledger(&self) -> &Ledger {
        &self.ledger
    }
}

/// Receives one message; an error when the other side says more than a relay does.
pub(in crate::sandbox) async fn hear(reader: &mut (impl AsyncRead + Unpin)) -> io::Result<(Head, Vec<u8>)> {
    let mut prefix = [0; PREFIX_BYTES];
    reader.read_exact(&mut prefix).await?;
    let (head, payload) = lengths(prefix)?;
    if head > HEAD_BYTES || payload > CHUNK {
        return Err(io::Error::other("a relay announced more than it may say at once"));
    }
    let mut bytes = vec![0; head + payload];
    reader.read_exact(&mut bytes).await?;
    let payload = bytes.split_off(head);
    Ok((serde_json::from_slice(&bytes)?, payload))
}

/// Says messages to the relay, from any task. What waits to be said is bounded by the windows.
#[derive(Debug, Clone)]
struct Voice(UnboundedSender<Vec<u8>>);

impl Voice {
    fn say(&self, id: u32, word: Word, bytes: &[u8]) {
        let message = envelope(&(id, word), bytes.len()).expect("invariant: a head is plain data");
        // When nobody listens the tunnel ends, and this with it.
        drop(self.0.send([&message, bytes].concat()));
    }
}

/// Nothing ends this but the line's end, or an error on it.
async fn carry(
    reader: impl AsyncRead + Send + Unpin + 'static,
    writer: impl AsyncWrite + Send + Unpin + 'static,
    gate: Gate,
) -> io::Result<()> {
    let gate = Arc::new(gate);
    let mut reader = BufReader::with_capacity(2 * CHUNK, reader);
    let (voice, said) = unbounded_channel();
    let voice = Voice(voice);
    let mut tasks = JoinSet::new();
    tasks.spawn(speak(writer, said));
    let mut connections: BTreeMap<u32, Connection> = BTreeMap::new();
    loop {
        let ((id, word), bytes) = hear(&mut reader).await?;
        match (word, connections.get_mut(&id)) {
            (Word::Open, None) => {
                connections.retain(|_, connection| !connection.task.is_finished());
                while tasks.try_join_next().is_some() {}
                if connections.len() == OPEN_CONNECTIONS {
                    return Err(io::Error::other("a relay opened more connections than it may"));
                }
                connections.insert(id, Connection::open(id, &voice, &gate, &mut tasks));
            }
            (Word::Data, Some(connection)) => connection.hear(bytes)?,
            (Word::Taken(bytes), Some(connection)) => connection.take(bytes)?,
            (Word::End, Some(connection)) => connection.heard = None,
            (Word::Broken, Some(connection)) => {
                connection.task.abort();
                connections.remove(&id);
            }
            // Of a connection that has ended on this side.
            _ => {}
        }
    }
}

async fn speak(mut writer: impl AsyncWrite + Unpin, mut said: UnboundedReceiver<Vec<u8>>) {
    while let Some(message) = said.recv().await {
        // The reader of the same line is told of its end, too.
        if writer.write_all(&message).await.is_err() || writer.flush().await.is_err() {
            return;
        }
    }
}

/// A client's connection, as the line's reader knows it.
struct Connection {
    /// Where its bytes go; absent once it has said all.
    heard: Option<UnboundedSender<Vec<u8>>>,
    /// Bytes that are held of what it said.
    held: Arc<AtomicUsize>,
    /// Bytes that the relay can still hold.
    credit: Arc<Semaphore>,
    task: AbortHandle,
}

impl Connection {
    fn open(id: u32, voice: &Voice, gate: &Arc<Gate>, tasks: &mut JoinSet<()>) -> Self {
        let (heard, hears) = unbounded_channel();
        let credit = Arc::new(Semaphore::new(WINDOW));
        let (voice, gate, left) = (voice.clone(), gate.clone(), credit.clone());
        let held = Arc::new(AtomicUsize::new(0));
        let hears = Hears { hears, held: held.clone() };
        let task = tasks.spawn(async move {
            let (proxy, line) = tokio::io::duplex(CHUNK);
            let (from_proxy, to_proxy) = tokio::io::split(line);
            let talk = async {
                let (served, ()) =
                    tokio::join!(client::serve(proxy, &gate), outward(id, &voice, from_proxy, &left));
                served
            };
            let served = tokio::select! {
                served = talk => served,
                () = inward(id, &voice, to_proxy, hears) => Ok(()),
            };
            if let Err(error) = &served {
                tracing::debug!(%error, "a sandbox's connection broke");
            }
            voice.say(id, if served.is_ok() { Word::Close } else { Word::Broken }, &[]);
        });
        Self { heard: Some(heard), held, credit, task }
    }

    fn hear(&self, bytes: Vec<u8>) -> io::Result<()> {
        let held = self.held.fetch_add(bytes.len(), Ordering::Relaxed);
        if held + bytes.len() > WINDOW {
            return Err(io::Error::other("a relay said more than can be held"));
        }
        if let Some(heard) = &self.heard {
            // Nobody reads any more what a served client says.
            drop(heard.send(bytes));
        }
        Ok(())
    }

    /// The relay took so many bytes.
    fn take(&self, bytes: usize) -> io::Result<()> {
        if bytes > WINDOW || self.credit.available_permits() + bytes > WINDOW {
            return Err(io::Error::other("a relay took more than it was sent"));
        }
        self.credit.add_permits(bytes);
        Ok(())
    }
}

/// What a client said and is not taken yet.
struct Hears {
    hears: UnboundedReceiver<Vec<u8>>,
    held: Arc<AtomicUsize>,
}

/// Hands what the client says to the proxy, and tells the relay what was taken. Never ends by itself.
async fn inward(
    id: u32,
    voice: &Voice,
    mut to_proxy: WriteHalf<tokio::io::DuplexStream>,
    Hears { mut hears, held }: Hears,
) {
    while let Some(bytes) = hears.recv().await {
        if to_proxy.write_all(&bytes).await.is_err() {
            break;
        }
        held.fetch_sub(bytes.len(), Ordering::Relaxed);
        voice.say(id, Word::Taken(bytes.len()), &[]);
    }
    to_proxy.shutdown().await.ok();
    std::future::pending::<()>().await;
}

/// Tells the client what the proxy says, as fast as it is taken.
async fn outward(
    id: u32,
    voice: &Voice,
    mut from_proxy: ReadHalf<tokio::io::DuplexStream>,
    credit: &Semaphore,
) {
    let mut buffer = vec![0; CHUNK];
    loop {
        let Ok(first) = credit.acquire().await else { return };
        let room = CHUNK.min(1 + credit.available_permits());
        let read = from_proxy.read(&mut buffer[..room]).await.unwrap_or_default();
        if read == 0 {
            voice.say(id, Word::End, &[]);
            return;
        }
        first.forget();
        // Only this task takes permits, so they are still there.
        credit.forget_permits(read - 1);
        voice.say(id, Word::Data, &buffer[..read]);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::net::TcpListener;

    use super::*;

    /// The other end of a tunnel, as a relay would have it.
    struct Far {
        line: tokio::io::DuplexStream,
        tunnel: Tunnel,
    }

    impl Far {
        fn new(listed: &str) -> Self {
            let gate = Gate::new("kind", &vec![listed.to_owned()].try_into().unwrap());
            let (line, near) = tokio::io::duplex(1 << 16);
            let (reader, writer) = tokio::io::split(near);
            Self { line, tunnel: Tunnel::start(reader, writer, gate) }
        }

        async fn say(&mut self, id: u32, word: Word, bytes: &[u8]) {
            let message = envelope(&(id, word), bytes.len()).unwrap();
            self.line.write_all(&[&message, bytes].concat()).await.unwrap();
        }

        async fn hear(&mut self) -> (u32, Word, Vec<u8>) {
            let ((id, word), bytes) = hear(&mut self.line).await.unwrap();
            (id, word, bytes)
        }

        /// Waits for the end of the tunnel.
        async fn ends(mut self) {
            let ended = async {
                while !self.tunnel.is_over() {
                    drop(hear(&mut self.line).await);
                    tokio::task::yield_now().await;
                }
            };
            tokio::time::timeout(Duration::from_secs(10), ended).await.expect("the tunnel ends");
        }

        /// Opens a tunnel to `address`, which is answered.
        async fn connect(&mut self, id: u32, address: &str) {
            self.say(id, Word::Open, &[]).await;
            self.say(id, Word::Data, format!("CONNECT {address} HTTP/1.1\r\n\r\n").as_bytes()).await;
            loop {
                match self.hear().await {
                    (of, Word::Data, bytes) if of == id => {
                        assert!(bytes.starts_with(b"HTTP/1.1 200"));
                        return self.say(id, Word::Taken(bytes.len()), &[]).await;
                    }
                    (_, Word::Taken(_), _) => {}
                    other => panic!("{other:?}"),
                }
            }
        }
    }

    async fn listener() -> (TcpListener, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        (listener, address)
    }

    #[tokio::test]
    async fn a_client_that_does_not_read_is_sent_one_window_and_stops_nobody() {
        let (listener, address) = listener().await;
        let mut far = Far::new(&address);
        far.connect(1, &address).await;
        let (mut endless, _) = listener.accept().await.unwrap();
        let pouring = tokio::spawn(async move {
            let zeros = vec![0; 1 << 16];
            while endless.write_all(&zeros).await.is_ok() {}
        });
        let mut heard = 0;
        while heard < WINDOW {
            let (id, word, bytes) = far.hear().await;
            assert_eq!((id, word), (1, Word::Data));
            heard += bytes.len();
        }
        assert_eq!(heard, WINDOW);
        // Another one is answered; the first is told nothing more.
        far.connect(2, &address).await;
        far.say(1, Word::Broken, &[]).await;
        tokio::time::timeout(Duration::from_secs(10), pouring)
            .await
            .expect("the server sees the end")
            .unwrap();
    }

    #[tokio::test]
    async fn a_server_that_does_not_read_lets_its_client_send_little_and_stops_nobody() {
        let (listener, address) = listener().await;
        let mut far = Far::new(&address);
        far.connect(1, &address).await;
        let (_deaf, _) = listener.accept().await.unwrap();
        for _ in 0..WINDOW / CHUNK {
            far.say(1, Word::Data, &vec![0; CHUNK]).await;
        }
        far.connect(2, &address).await;
    }

    #[tokio::test]
    async fn what_is_no_relay_ends_the_tunnel_and_nothing_else() {
        let (listener, address) = listener().await;
        // One byte may be on its way already. The last one floods a server that takes what its socket holds.
        let impostors = [
            (Word::Data, CHUNK + 1, 1),
            (Word::Taken(usize::MAX), 0, 1),
            (Word::Taken(2), 0, 1),
            (Word::Data, CHUNK, 10_000),
        ];
        for (word, bytes, times) in impostors {
            let mut far = Far::new(&address);
            far.connect(1, &address).await;
            let (_deaf, _) = listener.accept().await.unwrap();
            let message = [envelope(&(1, word), bytes).unwrap(), vec![0; bytes]].concat();
            for _ in 0..times {
                if far.line.write_all(&message).await.is_err() {
                    break;
                }
            }
            far.ends().await;
        }
        let mut far = Far::new(&address);
        for id in 0..=OPEN_CONNECTIONS as u32 {
            far.say(id, Word::Open, &[]).await;
        }
        far.ends().await;
    }

    #[tokio::test]
    async fn the_end_of_the_line_is_the_end_of_the_tunnel() {
        let Far { line, tunnel } = Far::new("a.org");
        assert!(!tunnel.is_over());
        drop(line);
        let ended = async {
            while !tunnel.is_over() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), ended).await.expect("the tunnel ends");
    }

    #[tokio::test]
    async fn the_end_of_the_tunnel_is_the_end_of_its_connections() {
        let (listener, address) = listener().await;
        let mut far = Far::new(&address);
        far.connect(1, &address).await;
        let (mut server, _) = listener.accept().await.unwrap();
        drop(far);
        // An orderly end or a break: it is over.
        let ended = tokio::time::timeout(Duration::from_secs(10), server.read(&mut [0; 1])).await;
        assert!(matches!(ended, Ok(Ok(0) | Err(_))), "{ended:?}");
    }

    #[tokio::test]
    async fn a_server_that_breaks_off_is_told_as_a_break() {
        let (listener, address) = listener().await;
        let mut far = Far::new(&address);
        far.connect(1, &address).await;
        let (server, _) = listener.accept().await.unwrap();
        server.set_zero_linger().unwrap();
        drop(server);
        loop {
            match far.hear().await.1 {
                Word::Broken => return,
                Word::End | Word::Taken(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }
}
