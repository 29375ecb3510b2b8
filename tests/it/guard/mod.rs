//! Who may come in, what they may do, and what becomes of those who may not.

mod acl;
mod actions;
mod audit;
mod bad_input;
mod outbound;
mod rights;
mod slow;
mod templates;

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::wait;

/// What a connection is answered on which these bytes are written, until it is closed.
async fn raw(address: SocketAddr, request: &[u8]) -> String {
    let shown = String::from_utf8_lossy(request.get(..60.min(request.len())).unwrap_or_default()).into_owned();
    wait::within(&format!("the end of {shown:?}"), async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        // Whoever is refused early may not read all of it.
        let _ = stream.write_all(request).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8_lossy(&answer).into_owned()
    })
    .await
}

/// The status of an answer, 0 where there is none.
fn status(answer: &str) -> u16 {
    answer.split_whitespace().nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
}
