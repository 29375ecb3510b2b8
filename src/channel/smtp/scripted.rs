//! A mail server that does what a test wants at one of its steps, and otherwise takes everything.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};

use rcgen::CertifiedKey;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

/// What happens at one step.
#[derive(Debug, Clone, Copy)]
pub(super) enum Act {
    /// This is answered.
    Say(&'static str),
    /// This is answered, and the connection is closed.
    SayAndClose(&'static str),
    /// The connection is closed without a word.
    Close,
    /// Nothing ever comes.
    Silence,
}

/// When TLS begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tls {
    Never,
    Asked,
    First,
}

/// What the server has seen.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) connections: usize,
    pub(super) commands: Vec<String>,
    /// Whole e-mails, as they came.
    pub(super) mails: Vec<String>,
    script: HashMap<&'static str, VecDeque<Act>>,
}

impl Seen {
    /// What happens next at a step.
    pub(super) fn next(&mut self, step: &'static str, act: Act) {
        self.script.entry(step).or_default().push_back(act);
    }
}

/// The running server; it ends when this is dropped.
pub(super) struct Server {
    pub(super) port: u16,
    pub(super) certificate: CertificateDer<'static>,
    pub(super) seen: Arc<Mutex<Seen>>,
    _tasks: JoinSet<()>,
}

impl Server {
    /// A server in the clear. A step is a command, `HELLO` for the greeting, or `.` for the end of the text.
    pub(super) async fn start(script: &[(&'static str, Act)]) -> Self {
        Self::start_with(Tls::Never, script).await
    }

    pub(super) async fn start_with(tls: Tls, script: &[(&'static str, Act)]) -> Self {
        let CertifiedKey { cert, signing_key } = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = PrivatePkcs8KeyDer::from(signing_key.serialize_der()).into();
        let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::new(Mutex::new(Seen::default()));
        for (step, act) in script {
            seen.lock().unwrap().next(step, *act);
        }
        let shared = Arc::clone(&seen);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                shared.lock().unwrap().connections += 1;
                let (seen, acceptor) = (Arc::clone(&shared), acceptor.clone());
                connections.spawn(async move {
                    if tls == Tls::First {
                        let Ok(stream) = acceptor.accept(stream).await else { return };
                        talk(stream, &seen, false, true).await;
                    } else if let Some(stream) = talk(stream, &seen, tls == Tls::Asked, true).await
                        && let Ok(stream) = acceptor.accept(stream).await
                    {
                        talk(stream, &seen, false, false).await;
                    }
                });
            }
        });
        Self { port, certificate: cert.der().clone(), seen, _tasks: tasks }
    }

    pub(super) fn commands(&self) -> Vec<String> {
        self.seen.lock().unwrap().commands.clone()
    }

    pub(super) fn mails(&self) -> Vec<String> {
        self.seen.lock().unwrap().mails.clone()
    }

    pub(super) fn connections(&self) -> usize {
        self.seen.lock().unwrap().connections
    }
}

/// One conversation; gives the stream back where TLS is to begin.
async fn talk<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    seen: &Mutex<Seen>,
    offers: bool,
    greets: bool,
) -> Option<S> {
    let mut stream = BufReader::new(stream);
    if greets {
        act(&mut stream, seen, "HELLO", "220 mail.example ESMTP").await?;
    }
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        let line = line.trim_end().to_owned();
        let verb = line.split([' ', ':']).next().unwrap().to_ascii_uppercase();
        seen.lock().unwrap().commands.push(line);
        match verb.as_str() {
            "EHLO" if offers => {
                act(&mut stream, seen, "EHLO", "250-mail.example\r\n250-STARTTLS\r\n250 8BITMIME").await?
            }
            "EHLO" => {
                act(&mut stream, seen, "EHLO", "250-mail.example\r\n250-AUTH PLAIN LOGIN\r\n250 8BITMIME").await?
            }
            "STARTTLS" => {
                act(&mut stream, seen, "STARTTLS", "220 go ahead").await?;
                return Some(stream.into_inner());
            }
            "AUTH" => act(&mut stream, seen, "AUTH", "235 2.7.0 Accepted").await?,
            "MAIL" => act(&mut stream, seen, "MAIL", "250 2.1.0 Ok").await?,
            "RCPT" => act(&mut stream, seen, "RCPT", "250 2.1.5 Ok").await?,
            "RSET" => act(&mut stream, seen, "RSET", "250 2.0.0 Ok").await?,
            "DATA" => {
                if act(&mut stream, seen, "DATA", "354 go ahead").await? {
                    let mail = read_mail(&mut stream).await?;
                    seen.lock().unwrap().mails.push(mail);
                    act(&mut stream, seen, ".", "250 2.0.0 Ok: queued as 4F2A91").await?;
                }
                continue;
            }
            other => panic!("the server was told {other}"),
        };
    }
}

/// Does what the script says; whether it answered as a healthy server does.
async fn act<S: AsyncWrite + Unpin>(stream: &mut S, seen: &Mutex<Seen>, step: &str, healthy: &str) -> Option<bool> {
    let act = seen.lock().unwrap().script.get_mut(step).and_then(VecDeque::pop_front);
    let (text, closes) = match act {
        None => (healthy, false),
        Some(Act::Say(text)) => (text, false),
        Some(Act::SayAndClose(text)) => (text, true),
        Some(Act::Close) => return None,
        Some(Act::Silence) => std::future::pending().await,
    };
    stream.write_all(format!("{text}\r\n").as_bytes()).await.ok()?;
    stream.flush().await.ok()?;
    (!closes).then_some(text.starts_with(&healthy[..3]))
}

async fn read_mail<S: AsyncRead + Unpin>(stream: &mut BufReader<S>) -> Option<String> {
    let mut mail = String::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        if line == ".\r\n" {
            return Some(mail);
        }
        mail.push_str(line.strip_prefix('.').unwrap_or(&line));
    }
}
