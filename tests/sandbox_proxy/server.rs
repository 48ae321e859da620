//! A host that a sandbox may reach: plain HTTP and an echo, on one port of this machine's loopback.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// A server, for as long as the test's runtime.
pub(crate) struct Server {
    /// `127.0.0.1:PORT`.
    pub(crate) address: String,
    n_accepted: Arc<AtomicUsize>,
    n_ended: Arc<AtomicUsize>,
}

impl Server {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (n_accepted, n_ended) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let (accepted, ended) = (n_accepted.clone(), n_ended.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                accepted.fetch_add(1, Ordering::SeqCst);
                let ended = ended.clone();
                tokio::spawn(async move {
                    // A client may break off whenever it likes.
                    serve(stream).await.ok();
                    ended.fetch_add(1, Ordering::SeqCst);
                });
            }
        });
        Self { address, n_accepted, n_ended }
    }

    pub(crate) fn n_accepted(&self) -> usize {
        self.n_accepted.load(Ordering::SeqCst)
    }

    /// Waits until as many connections have been made as `accepted`, and all of them have ended.
    pub(crate) async fn see_ended(&self, accepted: usize) {
        let begin = Instant::now();
        while self.n_accepted() != accepted || self.n_ended.load(Ordering::SeqCst) != accepted {
            assert!(
                begin.elapsed() < Duration::from_secs(20),
                "{} have ended",
                self.n_ended.load(Ordering::SeqCst)
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// `echo` as its first line makes an echo of a connection, `pour` an endless source; all else is a request.
async fn serve(stream: TcpStream) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut first = String::new();
    stream.read_line(&mut first).await?;
    match first.as_str() {
        "echo\n" => {
            let (reader, mut writer) = tokio::io::split(stream);
            tokio::io::copy_buf(&mut BufReader::with_capacity(1 << 16, reader), &mut writer).await?;
            writer.shutdown().await
        }
        "pour\n" => loop {
            stream.write_all(&[0; 1 << 14]).await?;
        },
        _ => answer(&first, stream).await,
    }
}

async fn answer(request: &str, mut stream: BufReader<TcpStream>) -> std::io::Result<()> {
    let (mut length, mut host) = (0, String::new());
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await?;
        match line.trim_end().split_once(": ") {
            Some(("Content-Length", value)) => length = value.parse().unwrap(),
            Some(("Host", value)) => value.clone_into(&mut host),
            Some(_) => {}
            None => break,
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    let line = request.trim_end();
    let answer = format!("{line} of {host} with {length}\n");
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", answer.len());
    stream.write_all(format!("{head}{answer}").as_bytes()).await?;
    stream.shutdown().await
}
