//! The body of one request, forwarded to its end and not beyond.
//!
//! Guarantees that exactly what the head announced is forwarded: chunks are read and written anew, and what
//! may follow them, but their end, is dropped.

use std::io::{self, ErrorKind};

use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::head::{Body, HEAD_BYTES};

/// A chunk's first line is no longer than this.
const LINE_BYTES: u64 = 1024;

/// Forwards one body.
pub(super) async fn forward(
    body: Body,
    from: &mut (impl AsyncBufRead + Unpin + Send),
    to: &mut (impl AsyncWrite + Unpin + Send),
) -> io::Result<()> {
    match body {
        Body::Sized(bytes) => exactly(bytes, from, to).await?,
        Body::Chunked => chunks(from, to).await?,
    }
    to.flush().await
}

async fn exactly(
    bytes: u64,
    from: &mut (impl AsyncBufRead + Unpin + Send),
    to: &mut (impl AsyncWrite + Unpin + Send),
) -> io::Result<()> {
    match tokio::io::copy_buf(&mut from.take(bytes), to).await? {
        copied if copied == bytes => Ok(()),
        _ => Err(ErrorKind::UnexpectedEof.into()),
    }
}

async fn chunks(
    from: &mut (impl AsyncBufRead + Unpin + Send),
    to: &mut (impl AsyncWrite + Unpin + Send),
) -> io::Result<()> {
    loop {
        let line = line(from).await?;
        let digits = line.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii_end();
        let is_number = !digits.is_empty() && digits.len() <= 15 && digits.iter().all(u8::is_ascii_hexdigit);
        let text = std::str::from_utf8(digits).unwrap_or_default();
        let bytes = u64::from_str_radix(text, 16).ok().filter(|_| is_number);
        let bytes =
            bytes.ok_or_else(|| io::Error::new(ErrorKind::InvalidData, "a chunk without a length"))?;
        if bytes == 0 {
            trailer(from).await?;
            return to.write_all(b"0\r\n\r\n").await;
        }
        to.write_all(format!("{bytes:x}\r\n").as_bytes()).await?;
        exactly(bytes, from, to).await?;
        if !self::line(from).await?.is_empty() {
            return Err(io::Error::new(ErrorKind::InvalidData, "a chunk is longer than its length"));
        }
        to.write_all(b"\r\n").await?;
    }
}

/// Skips what follows the last chunk.
async fn trailer(from: &mut (impl AsyncBufRead + Unpin + Send)) -> io::Result<()> {
    let mut bytes = 0;
    loop {
        match line(from).await?.len() {
            0 => return Ok(()),
            more => bytes += more,
        }
        if bytes > HEAD_BYTES {
            return Err(io::Error::new(ErrorKind::InvalidData, "a trailer that is too long"));
        }
    }
}

/// One line without its ending.
async fn line(from: &mut (impl AsyncBufRead + Unpin + Send)) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    from.take(LINE_BYTES).read_until(b'\n', &mut line).await?;
    match line.strip_suffix(b"\r\n") {
        Some(line) if !line.contains(&b'\r') => Ok(line.to_vec()),
        _ => Err(io::Error::new(ErrorKind::InvalidData, "a line of a body that is not ended by CR and LF")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn forwarded(body: Body, sent: &[u8]) -> io::Result<(Vec<u8>, Vec<u8>)> {
        let (mut from, mut to) = (sent, Vec::new());
        forward(body, &mut from, &mut to).await?;
        Ok((to, from.to_vec()))
    }

    #[tokio::test]
    async fn a_sized_body_ends_at_its_length() {
        let (to, left) = forwarded(Body::Sized(5), b"helloGET /").await.unwrap();
        assert_eq!((to.as_slice(), left.as_slice()), (&b"hello"[..], &b"GET /"[..]));
        assert!(forwarded(Body::Sized(6), b"hello").await.is_err());
    }

    #[tokio::test]
    async fn chunks_are_written_anew_and_what_follows_them_is_not() {
        let sent = b"3;x=y\r\nabc\r\n00A\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\nGET /";
        let (to, left) = forwarded(Body::Chunked, sent).await.unwrap();
        assert_eq!(to, b"3\r\nabc\r\na\r\n0123456789\r\n0\r\n\r\n");
        assert_eq!(left, b"GET /");
    }

    #[tokio::test]
    async fn chunks_that_could_be_read_in_two_ways_are_refused() {
        for sent in [
            "3\nabc\r\n0\r\n\r\n",
            "-3\r\nabc\r\n",
            "+3\r\nabc\r\n0\r\n\r\n",
            "0x3\r\nabc\r\n0\r\n\r\n",
            "3 3\r\nabc\r\n",
            " 3\r\nabc\r\n0\r\n\r\n",
            "\r\nabc\r\n",
            "3\r\nabcd\r\n0\r\n\r\n",
            "3\r\nab",
            "ffffffffffffffff\r\nab",
            "3\r\nabc\r\n0\r\n",
            "3\rx\r\nabc\r\n0\r\n\r\n",
        ] {
            assert!(forwarded(Body::Chunked, sent.as_bytes()).await.is_err(), "{sent:?}");
        }
    }
}
