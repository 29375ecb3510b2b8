//! A provider for tests that does exactly what it is told, byte by byte, on a real socket.
//!
//! Each request takes the next [`Act`] of the script, whatever its connection; when the script is over the server
//! answers as a healthy provider. It keeps what it received and counts connections, and tells when it closed one.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// What happens to one request.
#[derive(Clone)]
pub(super) enum Act {
    /// These bytes are the answer; the connection stays.
    Answer(String),
    /// These bytes are written, and the connection is closed.
    AnswerAndClose(String),
    /// The request has arrived, is not read, and the connection is reset.
    ResetUnread,
    /// The request is read whole, then the connection is reset.
    ResetAfterReading,
    /// The request is read whole, and nothing ever comes.
    Silence,
}

/// A whole answer with a length.
pub(super) fn answer(status: &str, headers: &str, body: &str) -> Act {
    Act::Answer(format!("HTTP/1.1 {status}\r\n{headers}content-length: {}\r\n\r\n{body}", body.len()))
}

/// What the server has seen.
#[derive(Default)]
struct Seen {
    script: VecDeque<Act>,
    requests: Vec<String>,
    connections: usize,
}

/// The running server; it ends when this is dropped.
pub(super) struct Scripted {
    pub(super) url: String,
    seen: Arc<Mutex<Seen>>,
    closed: mpsc::UnboundedReceiver<()>,
    _tasks: JoinSet<()>,
}

impl Scripted {
    pub(super) async fn start(script: Vec<Act>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/send", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Seen { script: script.into(), ..Seen::default() }));
        let (tell, closed) = mpsc::unbounded_channel();
        let mut tasks = JoinSet::new();
        let shared = Arc::clone(&seen);
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                shared.lock().unwrap().connections += 1;
                let (shared, tell) = (Arc::clone(&shared), tell.clone());
                connections.spawn(async move {
                    serve(stream, &shared).await;
                    let _ = tell.send(());
                });
            }
        });
        Self { url, seen, closed, _tasks: tasks }
    }

    /// Every request received so far, as text.
    pub(super) fn requests(&self) -> Vec<String> {
        self.seen.lock().unwrap().requests.clone()
    }

    pub(super) fn connections(&self) -> usize {
        self.seen.lock().unwrap().connections
    }

    /// Waits until the server has closed a connection.
    pub(super) async fn closed(&mut self) {
        self.closed.recv().await.unwrap();
    }
}

async fn serve(mut stream: TcpStream, seen: &Mutex<Seen>) {
    let mut buffer = Vec::new();
    loop {
        stream.readable().await.unwrap();
        if matches!(seen.lock().unwrap().script.front(), Some(Act::ResetUnread)) {
            seen.lock().unwrap().script.pop_front();
            stream.set_zero_linger().unwrap();
            return;
        }
        let Some(request) = read_request(&mut stream, &mut buffer).await else { return };
        let act = {
            let mut seen = seen.lock().unwrap();
            seen.requests.push(request);
            seen.script.pop_front().unwrap_or_else(|| answer("202 Accepted", "", r#"{"id":"p-1"}"#))
        };
        match act {
            Act::Answer(bytes) => stream.write_all(bytes.as_bytes()).await.unwrap(),
            Act::AnswerAndClose(bytes) => return stream.write_all(bytes.as_bytes()).await.unwrap(),
            Act::ResetUnread | Act::ResetAfterReading => return stream.set_zero_linger().unwrap(),
            Act::Silence => std::future::pending().await,
        }
    }
}

/// One request with its body; `None` when the client has gone.
async fn read_request(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<String> {
    loop {
        let text = String::from_utf8_lossy(buffer).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "))
                .map_or(0, |value| value.parse().unwrap());
            if body.len() >= length {
                buffer.clear();
                return Some(text);
            }
        }
        let mut chunk = [0; 4096];
        match stream.read(&mut chunk).await {
            Ok(read @ 1..) => buffer.extend_from_slice(&chunk[..read]),
            Ok(0) | Err(_) => return None,
        }
    }
}
