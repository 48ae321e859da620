//! One client of the proxy: one request or one tunnel, and its end.
//!
//! Guarantees that a head comes whole and soon, that nothing follows a request on its connection, and that a
//! refusal is told to the client. Ends with an error where the client must see that the connection broke.

use std::io::{self, ErrorKind};
use std::time::Duration;

use tokio::io::{
    AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader,
};
use tokio::sync::Notify;
use tokio::time::timeout;

use super::body;
use super::gate::{Gate, Server};
use super::head::{Asked, Forward, HEAD_BYTES, Refusal, parse};

/// How long a client may take to say what it wants: it is in the same sandbox as the proxy.
const HEAD: Duration = Duration::from_secs(10);
/// How long and how much of a refused client's body is taken, so that it can read why.
const FAREWELL: Duration = Duration::from_secs(2);
const FAREWELL_BYTES: u64 = 1 << 20;
const BUFFER: usize = 16 * 1024;
/// How long a tunnel may carry nothing: it holds a place that others wait for.
const IDLE: Duration = Duration::from_secs(300);

/// Serves a client to its end.
pub(super) async fn serve<S>(stream: S, gate: &Gate) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let (reader, mut writer) = tokio::io::split(stream);
    let mut reader = BufReader::with_capacity(BUFFER, reader);
    let asked = match timeout(HEAD, read_head(&mut reader)).await {
        Ok(Ok(None)) => return Ok(()),
        Ok(Ok(Some(head))) => head.and_then(|head| parse(&head)),
        Ok(Err(error)) => return Err(error),
        Err(_) => Err(Refusal::new("408 Request Timeout", "no whole request came within 10 s")),
    };
    if let Err(refusal) = &asked {
        gate.note(None, refusal);
    }
    let opened = match asked {
        Ok(Asked::Tunnel(target)) => gate.open(&target).await.map(|server| (server, None)),
        Ok(Asked::Plain(target, request)) => gate.open(&target).await.map(|server| (server, Some(request))),
        Err(refusal) => Err(refusal),
    };
    match opened {
        Ok((server, None)) => tunnel(server, &mut reader, &mut writer).await,
        Ok((server, Some(request))) => exchange(server, &request, &mut reader, &mut writer).await,
        Err(refusal) => {
            writer.write_all(refusal.answer().as_bytes()).await?;
            writer.shutdown().await?;
            let rest = &mut reader.take(FAREWELL_BYTES);
            // However that ends, the client has been told.
            drop(timeout(FAREWELL, tokio::io::copy(rest, &mut tokio::io::sink())).await);
            Ok(())
        }
    }
}

/// Reads up to the first empty line; nothing when the client says nothing.
async fn read_head(reader: &mut (impl AsyncBufRead + Unpin)) -> io::Result<Option<Result<Vec<u8>, Refusal>>> {
    const END: &[u8] = b"\r\n\r\n";
    let mut head = Vec::new();
    loop {
        let piece = reader.fill_buf().await?;
        if piece.is_empty() {
            let is_silent = head.is_empty();
            return if is_silent { Ok(None) } else { Err(ErrorKind::UnexpectedEof.into()) };
        }
        let known = head.len();
        head.extend_from_slice(piece);
        let from = known.saturating_sub(END.len() - 1);
        let end =
            head[from..].windows(END.len()).position(|window| window == END).map(|at| from + at + END.len());
        let taken = end.unwrap_or(head.len()) - known;
        reader.consume(taken);
        head.truncate(known + taken);
        if head.len() > HEAD_BYTES {
            let reason = format!("a head has at most {HEAD_BYTES} bytes");
            return Ok(Some(Err(Refusal::new("431 Request Header Fields Too Large", reason))));
        }
        // Other line endings would be waited for in vain.
        let is_odd =
            head.iter().enumerate().any(|(at, byte)| *byte == b'\n' && (at == 0 || head[at - 1] != b'\r'));
        if end.is_some() || is_odd {
            return Ok(Some(Ok(head)));
        }
    }
}

/// Carries bytes both ways until both sides have ended, or neither has said anything for long.
async fn tunnel(
    mut server: Server,
    reader: &mut (impl AsyncBufRead + Unpin),
    writer: &mut (impl AsyncWrite + Unpin),
) -> io::Result<()> {
    writer.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
    writer.flush().await?;
    let (mut from_server, mut to_server) = server.stream.split();
    let moved = Notify::new();
    let both = async {
        tokio::try_join!(carry(reader, &mut to_server, &moved), carry(&mut from_server, writer, &moved))
    };
    let idle = async { while timeout(IDLE, moved.notified()).await.is_ok() {} };
    tokio::select! {
        ended = both => {
            let (there, back) = ended?;
            tracing::debug!(there, back, "a sandbox's tunnel ended");
            Ok(())
        }
        () = idle => Err(io::Error::new(ErrorKind::TimedOut, "nothing was carried for 300 s")),
    }
}

/// Carries bytes one way to their end, and tells of each piece.
async fn carry(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    moved: &Notify,
) -> io::Result<u64> {
    let (mut buffer, mut bytes) = (vec![0; BUFFER], 0);
    loop {
        let n_read = from.read(&mut buffer).await?;
        if n_read == 0 {
            to.shutdown().await?;
            return Ok(bytes);
        }
        to.write_all(&buffer[..n_read]).await?;
        moved.notify_one();
        bytes += n_read as u64;
    }
}

/// Forwards one request and its answer.
async fn exchange(
    mut server: Server,
    request: &Forward,
    reader: &mut (impl AsyncBufRead + Unpin + Send),
    writer: &mut (impl AsyncWrite + Unpin),
) -> io::Result<()> {
    let (mut from_server, mut to_server) = server.stream.split();
    let ask = async {
        to_server.write_all(&request.head).await?;
        body::forward(request.body, reader, &mut to_server).await?;
        match reader.fill_buf().await?.is_empty() {
            // It waits for its answer.
            true => std::future::pending::<io::Result<()>>().await,
            // Another request might be for another of the server's hosts. Who has its whole answer, and was
            // told that the connection ends, begins a new one.
            false => Err(io::Error::new(ErrorKind::InvalidData, "something follows the request")),
        }
    };
    let answer = async {
        let bytes = tokio::io::copy(&mut from_server, writer).await?;
        writer.shutdown().await?;
        Ok::<_, io::Error>(bytes)
    };
    tokio::select! {
        ended = ask => ended,
        answered = answer => {
            tracing::debug!(back = answered?, "a sandbox's request was answered");
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use tokio::net::TcpListener;
    use tokio::task::JoinHandle;

    use super::*;

    /// A server that takes one connection, answers with `answer` once it has heard `ends_with`, and says what it heard.
    async fn server(ends_with: &'static str, answer: &'static str) -> (SocketAddr, JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let heard = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut heard = Vec::new();
            while !heard.ends_with(ends_with.as_bytes()) && stream.read_buf(&mut heard).await.unwrap() > 0 {}
            stream.write_all(answer.as_bytes()).await.unwrap();
            stream.shutdown().await.unwrap();
            stream.read_to_end(&mut heard).await.unwrap();
            String::from_utf8(heard).unwrap()
        });
        (address, heard)
    }

    /// What a client of a sandbox that may reach `listed` is answered when it says `said` and no more.
    async fn answer(listed: &str, said: &[u8]) -> (String, io::Result<()>) {
        let gate = Gate::new("kind", &vec![listed.to_owned()].try_into().unwrap());
        let (mut client, proxy) = tokio::io::duplex(1 << 16);
        let served = tokio::spawn(async move { serve(proxy, &gate).await });
        client.write_all(said).await.unwrap();
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).await.unwrap();
        drop(client);
        (String::from_utf8(answer).unwrap(), served.await.unwrap())
    }

    #[tokio::test]
    async fn a_request_reaches_its_server_in_a_servers_form() {
        let (address, heard) = server("\r\n\r\nhello", "HTTP/1.1 200 OK\r\n\r\nanswer").await;
        let said = format!("POST http://{address}/p HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello");
        let (answer, served) = answer(&address.to_string(), said.as_bytes()).await;
        assert_eq!(answer, "HTTP/1.1 200 OK\r\n\r\nanswer");
        served.unwrap();
        let heard = heard.await.unwrap();
        assert_eq!(
            heard,
            format!(
                "POST /p HTTP/1.1\r\nHost: {address}\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello"
            )
        );
    }

    #[tokio::test]
    async fn what_follows_a_request_reaches_nobody() {
        let (address, heard) = server("never", "").await;
        let said =
            format!("GET http://{address}/ HTTP/1.1\r\n\r\nGET /secret HTTP/1.1\r\nHost: other.org\r\n\r\n");
        let (answer, served) = answer(&address.to_string(), said.as_bytes()).await;
        assert!(served.is_err() && answer.is_empty(), "{answer}");
        let heard = heard.await.unwrap();
        assert!(heard.starts_with("GET / ") && !heard.contains("secret"), "{heard}");
    }

    #[tokio::test]
    async fn a_tunnel_carries_what_the_client_sent_with_its_head() {
        let (address, heard) = server("hello", "answer").await;
        let said = format!("CONNECT {address} HTTP/1.1\r\nHost: evil.org\r\n\r\nhello");
        let gate = Gate::new("kind", &vec![address.to_string()].try_into().unwrap());
        let (mut client, proxy) = tokio::io::duplex(1 << 16);
        let served = tokio::spawn(async move { serve(proxy, &gate).await });
        client.write_all(said.as_bytes()).await.unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        client.shutdown().await.unwrap();
        assert_eq!(answer, "HTTP/1.1 200 Connection established\r\n\r\nanswer");
        assert_eq!(heard.await.unwrap(), "hello");
        served.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_tunnel_that_carries_nothing_ends() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let gate = Gate::new("kind", &vec![address.clone()].try_into().unwrap());
        let target = crate::isolation::Target::parse(&address, None).unwrap();
        let server = gate.open(&target).await.unwrap();
        let (_silent, proxy) = tokio::io::duplex(1 << 16);
        let (reader, mut writer) = tokio::io::split(proxy);
        // From here on only waiting makes time pass.
        tokio::time::pause();
        let begin = tokio::time::Instant::now();
        let ended = tunnel(server, &mut BufReader::new(reader), &mut writer).await;
        assert_eq!(ended.unwrap_err().kind(), ErrorKind::TimedOut);
        assert!(begin.elapsed() >= IDLE, "{:?}", begin.elapsed());
    }

    #[tokio::test]
    async fn a_refusal_says_which_list_refused() {
        for said in
            ["CONNECT 169.254.169.254:80 HTTP/1.1\r\n\r\n", "GET http://169.254.169.254/ HTTP/1.1\r\n\r\n"]
        {
            let (answer, served) = answer("a.org", said.as_bytes()).await;
            assert!(answer.starts_with("HTTP/1.1 403 ") && answer.contains("of sandbox `kind`"), "{answer}");
            served.unwrap();
        }
    }

    #[tokio::test]
    async fn a_head_that_is_too_long_or_has_odd_lines_is_refused_at_once() {
        let long = format!("GET http://a.org/ HTTP/1.1\r\nA: {}\r\n", "a".repeat(HEAD_BYTES));
        assert!(answer("a.org", long.as_bytes()).await.0.starts_with("HTTP/1.1 431 "));
        assert!(
            answer("a.org", b"GET http://a.org/ HTTP/1.1\nHost: a.org\n\n")
                .await
                .0
                .starts_with("HTTP/1.1 400 ")
        );
        assert!(answer("a.org", b"\nGET").await.0.starts_with("HTTP/1.1 400 "));
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_dribbles_is_not_waited_for() {
        let begin = tokio::time::Instant::now();
        let (answer, _) = answer("a.org", b"GET http://a.org/ HTTP/1.1\r\nA: ").await;
        assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
        assert!(begin.elapsed() < HEAD + FAREWELL + Duration::from_secs(1), "{:?}", begin.elapsed());
    }
}
