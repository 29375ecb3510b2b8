//! A connection to a mail server: TCP, TLS as the settings want it, greeting, credentials.
//!
//! With `starttls` nothing but a greeting is said before TLS stands (RFC 3207). That little is spoken here, because the
//! connection is then secured as every other one of this process is; what the server had already said in the clear
//! beyond its answer ends it, since somebody in the middle may have put it there. lettre begins with the server's
//! greeting, which does not come a second time, so it is given one.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, AsyncTokioStream};
use lettre::transport::smtp::extension::ClientId;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, ReadBuf};
use tokio::net::TcpStream;

use super::super::ChannelError;
use super::super::settings::{ChannelSettings, Security, SmtpSettings};
use super::trouble::{Stage, Trouble};
use crate::wire::{ClientError, Endpoint, Wire, socket};

/// Longest answer in the clear: RFC 5321 has lines of 512 bytes, and a server has some twenty things to offer.
const CLEAR_BYTES: u64 = 16 * 1024;

/// What a server says that waits for a greeting (RFC 5321, section 4.2).
const GREETED: &[u8] = b"220 ready\r\n";

/// Ways to present credentials, the first that the server offers.
const MECHANISMS: [Mechanism; 2] = [Mechanism::Plain, Mechanism::Login];

/// Makes the connections of one channel.
pub(super) struct Dialer {
    endpoint: Endpoint,
    security: Security,
    hello: ClientId,
    credentials: Option<Credentials>,
}

impl Dialer {
    /// Prepares TLS; opens nothing.
    pub(super) fn new(settings: &ChannelSettings, smtp: &SmtpSettings) -> Result<Self, ChannelError> {
        let endpoint = match smtp.security {
            Security::None => Ok(Endpoint::plain(smtp.host.clone(), smtp.port)),
            Security::StartTls | Security::Tls => Endpoint::secure(smtp.host.clone(), smtp.port, None),
        };
        let endpoint = endpoint.map_err(|error| match error {
            ClientError::Address => ChannelError::Host { channel: settings.name.clone() },
            ClientError::Tls => ChannelError::Tls { channel: settings.name.clone() },
        })?;
        let secret = |name: &str| settings.credentials.get(name).map(|secret| secret.expose().to_owned());
        let credentials = secret("username").zip(secret("password"));
        Ok(Self::over(endpoint, smtp.security, credentials))
    }

    /// A dialer of that endpoint.
    pub(super) fn over(endpoint: Endpoint, security: Security, credentials: Option<(String, String)>) -> Self {
        let credentials = credentials.map(|(username, password)| Credentials::new(username, password));
        Self { endpoint, security, hello: hello(), credentials }
    }

    /// Whether it presents any.
    pub(super) const fn has_credentials(&self) -> bool {
        self.credentials.is_some()
    }

    /// A connection that is ready for a message. The caller bounds the time.
    pub(super) async fn dial(&self) -> Result<AsyncSmtpConnection, Trouble> {
        let stream = socket::connect(&self.endpoint).await.map_err(Trouble::Wire)?;
        let (stream, greeting) = match self.security {
            Security::StartTls => (self.start_tls(stream).await?, GREETED),
            Security::Tls | Security::None => (stream, &b""[..]),
        };
        let wire = socket::secure(&self.endpoint, stream).await.map_err(Trouble::Wire)?;
        let stream = Box::new(Greeted { greeting, wire });
        let mut line = AsyncSmtpConnection::connect_with_transport(stream, &self.hello)
            .await
            .map_err(|error| Trouble::of(&error, Stage::Hello))?;
        if let Some(credentials) = &self.credentials {
            if line.server_info().get_auth_mechanism(&MECHANISMS).is_none() {
                return Err(Trouble::NoMechanism);
            }
            line.auth(&MECHANISMS, credentials).await.map_err(|error| Trouble::of(&error, Stage::Hello))?;
        }
        Ok(line)
    }

    /// Asks for TLS, and gives the socket back where TLS begins.
    async fn start_tls(&self, stream: TcpStream) -> Result<TcpStream, Trouble> {
        let mut clear = Clear { stream: BufReader::new(stream) };
        clear.answer(220).await?;
        clear.say(&format!("EHLO {}\r\n", self.hello)).await?;
        if !clear.answer(250).await?.iter().any(|line| line.trim_end().eq_ignore_ascii_case("STARTTLS")) {
            return Err(Trouble::NoStartTls);
        }
        clear.say("STARTTLS\r\n").await?;
        clear.answer(220).await?;
        if clear.stream.buffer().is_empty() {
            Ok(clear.stream.into_inner())
        } else {
            Err(Trouble::Unreadable(Stage::Hello))
        }
    }
}

/// The few words that are said before TLS.
struct Clear {
    stream: BufReader<TcpStream>,
}

impl Clear {
    async fn say(&mut self, line: &str) -> Result<(), Trouble> {
        self.stream.get_mut().write_all(line.as_bytes()).await.map_err(|_| Trouble::Broken(Stage::Hello))
    }

    /// The lines of an answer, without code, if it has that one.
    async fn answer(&mut self, code: u16) -> Result<Vec<String>, Trouble> {
        let mut lines = Vec::new();
        let mut bounded = (&mut self.stream).take(CLEAR_BYTES);
        loop {
            let mut line = String::new();
            match bounded.read_line(&mut line).await {
                Ok(0) | Err(_) => return Err(Trouble::Broken(Stage::Hello)),
                Ok(_) => {}
            }
            let unreadable = || Trouble::Unreadable(Stage::Hello);
            let (status, rest) = line.split_at_checked(3).ok_or_else(unreadable)?;
            let status: u16 = status.parse().map_err(|_| unreadable())?;
            if status != code {
                return Err(Trouble::Refused { stage: Stage::Hello, status, enhanced: None });
            }
            let last = !rest.starts_with('-');
            lines.push(rest.get(1..).unwrap_or_default().to_owned());
            if last {
                return Ok(lines);
            }
        }
    }
}

/// How this machine introduces itself: by its name, or by an address that says nothing.
fn hello() -> ClientId {
    let named = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
    let plain =
        |name: &String| !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.".contains(&b));
    named.filter(plain).map_or(ClientId::Ipv4(std::net::Ipv4Addr::LOCALHOST), ClientId::Domain)
}

/// A socket at which something was said already.
#[derive(Debug)]
struct Greeted {
    greeting: &'static [u8],
    wire: Wire,
}

impl AsyncTokioStream for Greeted {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.wire.peer_addr()
    }
}

impl AsyncRead for Greeted {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.greeting.is_empty() {
            return Pin::new(&mut this.wire).poll_read(cx, buf);
        }
        let (said, rest) = this.greeting.split_at(this.greeting.len().min(buf.remaining()));
        buf.put_slice(said);
        this.greeting = rest;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Greeted {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().wire).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().wire).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().wire).poll_shutdown(cx)
    }
}
