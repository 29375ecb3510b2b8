//! Providers to send to: our own simulator, and a scripted receiver for what no decent provider does.
//!
//! The [`Receiver`] speaks HTTP/1.1 on a bare socket: each request is answered by the next [`Act`] of its script, the
//! last one for ever. It can cut the connection before, in the middle of, and after a request, stay silent, or answer
//! nonsense. Every request whose body arrived whole is kept, in order of arrival. Blocking threads, no timer.

use std::collections::VecDeque;
use std::io::{BufReader, ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use remesa::sandbox::{Sandbox, SandboxHandle, SandboxSettings, Stats};
use tokio::sync::watch;

use super::daemon::Settings;
use super::wait;

/// Our simulator in this process, on a free port. It stops when the handle is dropped.
pub(crate) async fn sandbox() -> SandboxHandle {
    sandbox_with(|_| {}).await
}

/// The same with settings changed: `sandbox_with(|settings| settings.cut_per_mille = 20)`.
pub(crate) async fn sandbox_with(change: impl FnOnce(&mut SandboxSettings)) -> SandboxHandle {
    let mut settings = SandboxSettings { port: 0, ..SandboxSettings::default() };
    change(&mut settings);
    Sandbox::start(settings).await.expect("the simulator starts")
}

/// The statistics, once they are as wanted: `counted(&sandbox, "100 accepted", |s| s.counts.accepted >= 100)`.
pub(crate) async fn counted(sandbox: &SandboxHandle, what: &str, wanted: impl Fn(&Stats) -> bool) -> Stats {
    wait::within(what, sandbox.until(wanted)).await
}

/// What the receiver does with one request.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    /// Answers and keeps the connection.
    Reply {
        /// Status code.
        status: u16,
        /// Further header lines, without line ends: `"Retry-After: 3"`.
        headers: Vec<String>,
        /// Body, sent with its length.
        body: String,
    },
    /// Closes the connection when the head of the request has arrived, before its body is read.
    CutBeforeBody,
    /// Closes the connection when the whole request has arrived.
    CutAfterBody,
    /// Writes these bytes and closes the connection: half a reply, or no HTTP at all.
    Write(Vec<u8>),
    /// Answers nothing until the other side gives up.
    Silence,
    /// Announces a body of so many bytes and writes it, as long as the other side reads.
    Flood(u64),
    /// Writes a reply byte by byte, one every 20 ms, until the other side gives up.
    Drip,
}

impl Act {
    /// A reply with a JSON body.
    pub(crate) fn json(status: u16, body: &str) -> Self {
        Self::Reply { status, headers: vec!["Content-Type: application/json".to_owned()], body: body.to_owned() }
    }
}

/// A whole answer of a server of files, after which it closes the connection.
pub(crate) fn answer(kind: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// Settings of a daemon that may fetch sources from this receiver.
pub(crate) fn files_from(settings: Settings, receiver: &Receiver) -> Settings {
    settings
        .set("sources.url_hosts", receiver.url().trim_start_matches("http://"))
        .set("sources.url_allow_http", "true")
        .set("sources.url_allow_private", "true")
        .set("sources.url_idle", "500ms")
}

/// One request that arrived whole.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// `POST`.
    pub(crate) method: String,
    /// Path with query.
    pub(crate) path: String,
    /// Names in lower case, values trimmed.
    pub(crate) headers: Vec<(String, String)>,
    /// The body.
    pub(crate) body: String,
}

impl Request {
    /// The first header of this name (lower case).
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str())
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).expect("the request has a JSON body")
    }
}

struct Shared {
    script: Mutex<VecDeque<Act>>,
    requests: watch::Sender<Vec<Request>>,
    open: Mutex<Vec<TcpStream>>,
    closed: AtomicBool,
}

/// An HTTP server that follows a script.
pub(crate) struct Receiver {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

impl Receiver {
    /// Begins to listen on a free loopback port. The script has at least one act.
    pub(crate) fn start(script: impl IntoIterator<Item = Act>) -> Self {
        let script: VecDeque<Act> = script.into_iter().collect();
        assert!(!script.is_empty(), "a script has at least one act");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            script: Mutex::new(script),
            requests: watch::Sender::new(Vec::new()),
            open: Mutex::default(),
            closed: AtomicBool::new(false),
        });
        let accepting = Arc::clone(&shared);
        let accepting = std::thread::spawn(move || {
            let mut serving = Vec::new();
            for stream in listener.incoming().map_while(Result::ok) {
                accepting.open.lock().unwrap().push(stream.try_clone().unwrap());
                if accepting.closed.load(Ordering::SeqCst) {
                    break;
                }
                let shared = Arc::clone(&accepting);
                // A connection that breaks is what this server is for.
                serving.push(std::thread::spawn(move || drop(serve(&shared, &stream))));
            }
            for stream in accepting.open.lock().unwrap().drain(..) {
                let _ = stream.shutdown(Shutdown::Both);
            }
            for thread in serving {
                let _ = thread.join();
            }
        });
        Self { address, shared, accepting: Some(accepting) }
    }

    /// `http://127.0.0.1:<port>`.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What has arrived.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.shared.requests.borrow().clone()
    }

    /// What has arrived, once it is at least `count` requests.
    pub(crate) async fn received(&self, count: usize) -> Vec<Request> {
        let mut arrived = self.shared.requests.subscribe();
        let all = wait::within(&format!("{count} requests"), arrived.wait_for(|all| all.len() >= count)).await;
        all.unwrap().clone()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.shared.closed.store(true, Ordering::SeqCst);
        // Wakes the accepting thread.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.accepting.take() {
            let _ = thread.join();
        }
    }
}

/// One connection, request after request, until one of the sides has enough.
fn serve(shared: &Shared, stream: &TcpStream) -> std::io::Result<()> {
    let mut input = BufReader::new(stream);
    while let Some((mut request, length)) = head(&mut input)? {
        let act = {
            let mut script = shared.script.lock().unwrap();
            if script.len() > 1 { script.pop_front() } else { script.front().cloned() }.unwrap()
        };
        if matches!(act, Act::CutBeforeBody) {
            return stream.shutdown(Shutdown::Both);
        }
        let mut body = vec![0; length];
        input.read_exact(&mut body)?;
        request.body = String::from_utf8_lossy(&body).into_owned();
        shared.requests.send_modify(|requests| requests.push(request));
        let mut out = stream;
        match act {
            Act::Reply { status, headers, body } => {
                let mut text = format!("HTTP/1.1 {status} Scripted\r\nContent-Length: {}\r\n", body.len());
                for header in headers {
                    text.push_str(&header);
                    text.push_str("\r\n");
                }
                out.write_all((text + "\r\n" + &body).as_bytes())?;
            }
            Act::CutBeforeBody | Act::CutAfterBody => return stream.shutdown(Shutdown::Both),
            Act::Write(bytes) => {
                out.write_all(&bytes)?;
                return stream.shutdown(Shutdown::Both);
            }
            Act::Silence => {
                std::io::copy(&mut input, &mut std::io::sink())?;
            }
            Act::Flood(bytes) => {
                out.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {bytes}\r\n\r\n").as_bytes())?;
                std::io::copy(&mut std::io::repeat(b' ').take(bytes), &mut out)?;
            }
            Act::Drip => drip(stream, &mut input)?,
        }
    }
    Ok(())
}

/// A reply that never ends, a byte whenever the other side has been silent for a while.
fn drip(stream: &TcpStream, input: &mut impl std::io::Read) -> std::io::Result<()> {
    const PAUSE: std::time::Duration = std::time::Duration::from_millis(20);
    stream.set_read_timeout(Some(PAUSE))?;
    let mut out = stream;
    let mut bytes =
        b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n{".iter().copied().chain(std::iter::repeat(b' '));
    loop {
        match input.read(&mut [0]) {
            Ok(0) => return Ok(()),
            Err(error) if !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return Err(error),
            Ok(_) | Err(_) => out.write_all(&[bytes.next().unwrap_or(b' ')])?,
        }
    }
}

/// The head of the next request and the length of its body; none when the other side is done.
fn head(input: &mut impl std::io::BufRead) -> std::io::Result<Option<(Request, usize)>> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if input.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        match line.trim_end() {
            "" => break,
            text => lines.push(text.to_owned()),
        }
    }
    let mut lines = lines.into_iter();
    let first = lines.next().unwrap_or_default();
    let mut words = first.split(' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':').map(|(name, value)| (name.to_lowercase(), value.trim().to_owned())))
        .collect();
    let request = Request { method: method.to_owned(), path: path.to_owned(), headers, body: String::new() };
    let length = request.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    Ok(Some((request, length)))
}
