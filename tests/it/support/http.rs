//! Asking a daemon's listener one thing.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::wait;

/// Status and body of `GET path`; none when nobody listens.
pub(crate) async fn try_get(address: SocketAddr, path: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(address).await.ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split_whitespace().nth(1)?.parse().ok()?;
    let body =
        if head.to_lowercase().contains("transfer-encoding: chunked") { unchunked(body) } else { body.to_owned() };
    Some((status, body))
}

/// Status and body of `GET path`.
pub(crate) async fn get(address: SocketAddr, path: &str) -> (u16, String) {
    wait::within(&format!("an answer to GET {path}"), try_get(address, path)).await.expect("somebody listens")
}

/// The metrics, once `matches` says yes to them.
pub(crate) async fn metrics_where(address: SocketAddr, what: &str, matches: impl Fn(&str) -> bool) -> String {
    wait::until(what, async || {
        let (status, body) = get(address, "/metrics").await;
        assert_eq!(status, 200);
        matches(&body).then_some(body)
    })
    .await
}

/// The value of a series, written as the text format writes it.
pub(crate) fn value(metrics: &str, series: &str) -> Option<f64> {
    metrics.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
}

/// The same of a series that counts.
pub(crate) fn count(metrics: &str, series: &str) -> Option<u64> {
    metrics.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
}

fn unchunked(mut body: &str) -> String {
    let mut whole = String::new();
    while let Some((size, rest)) = body.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap();
        whole.push_str(&rest[..size]);
        body = &rest[(size + 2).min(rest.len())..];
    }
    whole
}
