//! The provider simulator: an SMS provider on 127.0.0.1 that does what its settings say.
//!
//! `remesa sandbox` runs it as a program, tests start it inside their process ([`Sandbox::start`]), and anybody can
//! point their own integration at it. It accepts messages in JSON, misbehaves on demand (refusals, 429 with
//! `Retry-After`, 5xx, silence, answers that are cut off after the message was accepted, resets), counts what it
//! accepted and what it accepted twice, keeps the last messages in an inbox, and posts delivery reports.
//! It keeps no data on disk, and its memory does not grow with time.
//!
//! # The API
//!
//! | Request | Answer |
//! |---|---|
//! | `POST /messages` `{"to":"+34600123456","text":"Hi","from":"ME","reference":"A-1","validity_seconds":3600}`, header `Idempotency-Key` | 202 `{"id":"sb-19a0-1"}`, or `{"error":{"code":"invalid_recipient","message":"..."}}`; only `to` and `text` are required |
//! | `GET /inbox?to=%2B34600123456&after=0&limit=100` | `{"messages":[{"number":1,"id":..,"at_ms":..,"to":..,"text":..,"link":..,"order":{..},"report":{..}}],"next":1}`, oldest first; go on with `after=<next>`, or look at the newest with `last=100` |
//! | `GET /inbox.html` | the same for people, in a browser; also `GET /` there |
//! | `DELETE /inbox` | 204 |
//! | `GET /stats` | [`Stats`]: accepted, distinct, duplicates, most in flight, answers by kind, arrivals per second |
//! | `DELETE /stats` | 204; counts from nothing, inbox and idempotency keys included |
//! | `GET /settings` | [`SandboxSettings`] |
//! | `PUT /settings` `{"cut_per_mille":10}` | the settings after the change; 422 says which rule is broken |
//!
//! Delivery reports go to `settings.reports.url` in the shape of [`Report`].
//!
//! # Testing an integration with it
//!
//! Send a campaign with `{"cut_per_mille":20,"hang_per_mille":20,"fail_per_mille":50}`, kill your sender at will, and
//! read `GET /stats`: `counts.duplicates` is what people received twice, your own total less `counts.distinct` what
//! they never received. `{"hold":true}` stops all answers while messages are accepted: the moment to pull the plug.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

mod fate;
mod inbox;
mod payments;
mod record;
mod reports;
mod service;
mod settings;
mod socket;
mod state;
mod stats;
#[cfg(test)]
mod tests;

pub use inbox::{OrderRef, Received, ReportTrace};
pub use payments::{PaymentCounts, PaymentFate, PaymentSettings};
pub use record::{Counts, Second};
pub use reports::{Report, ReportState};
pub use settings::{Fate, ReportSettings, RetryAfterForm, SandboxSettings, SettingsError};
pub use stats::{Answers, ReportCounts, Stats};

use reports::Reporter;
use service::Service;
use socket::Socket;
use state::State;

/// Wait after a connection could not be accepted, so that a lasting reason does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Why the simulator did not start.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The port is taken, or may not be used.
    #[error("cannot listen on 127.0.0.1:{port}")]
    Listen {
        /// The port asked for.
        port: u16,
        /// What the system says.
        source: std::io::Error,
    },
    /// A setting that cannot work.
    #[error("the settings of the sandbox cannot work")]
    Settings(#[from] SettingsError),
    /// The client of the delivery reports could not be built.
    #[error("cannot prepare the delivery reports")]
    Reports(#[source] reqwest::Error),
}

/// The simulator; see [`Sandbox::start`].
#[derive(Debug)]
pub struct Sandbox;

impl Sandbox {
    /// Starts it on the present runtime and returns when it listens.
    ///
    /// # Errors
    /// A taken port, or settings that cannot work.
    pub async fn start(settings: SandboxSettings) -> Result<SandboxHandle, SandboxError> {
        settings.check()?;
        let listen = |source| SandboxError::Listen { port: settings.port, source };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, settings.port)).await.map_err(listen)?;
        let addr = listener.local_addr().map_err(listen)?;
        let changed = Arc::new(Notify::new());
        let record = Arc::new(Mutex::default());
        let client = client().map_err(SandboxError::Reports)?;
        let (reporter, postman) = Reporter::new(client, Arc::clone(&record), Arc::clone(&changed));
        let state = Arc::new(State::new(settings, reporter, record, changed));
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let serving = Arc::clone(&state);
        tasks.spawn(stop.clone().run_until_cancelled_owned(postman));
        tasks.spawn(stop.clone().run_until_cancelled_owned(accept(listener, serving)));
        tasks.close();
        Ok(SandboxHandle { addr, state, tasks, stop: stop.drop_guard() })
    }
}

/// A running simulator. It stops when this is dropped; [`SandboxHandle::shutdown`] also waits for it.
pub struct SandboxHandle {
    /// Where it listens.
    pub addr: SocketAddr,
    state: Arc<State>,
    tasks: TaskTracker,
    stop: DropGuard,
}

impl SandboxHandle {
    /// The base address, `http://127.0.0.1:<port>`.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// What `GET /stats` shows.
    pub fn stats(&self) -> Stats {
        self.state.stats()
    }

    /// Waits until the statistics are as wanted, and returns them. Looks again after every message, so it should not
    /// be left waiting while throughput is measured.
    pub async fn until(&self, wanted: impl Fn(&Stats) -> bool) -> Stats {
        self.state.until(wanted).await
    }

    /// The settings in force.
    pub fn settings(&self) -> SandboxSettings {
        (*self.state.settings()).clone()
    }

    /// Changes settings, as `PUT /settings` does.
    ///
    /// # Errors
    /// The broken rule; nothing has changed then.
    pub fn change(&self, change: impl FnOnce(&mut SandboxSettings)) -> Result<(), SettingsError> {
        let mut settings = self.settings();
        change(&mut settings);
        settings.check()?;
        self.state.change(settings);
        Ok(())
    }

    /// At most `limit` messages numbered above `after`, oldest first, for `to` alone if it is given.
    pub fn inbox(&self, to: Option<&str>, after: u64, limit: usize) -> Vec<Received> {
        self.state.record().inbox.page(to, after, limit, |number| self.state.id(number))
    }

    /// Closes every connection at once and waits until all tasks have ended.
    pub async fn shutdown(self) {
        drop(self.stop);
        self.tasks.wait().await;
    }
}

impl std::fmt::Debug for SandboxHandle {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("SandboxHandle").field("addr", &self.addr).finish_non_exhaustive()
    }
}

/// Accepts connections for ever; when this future is dropped, so are they.
async fn accept(listener: TcpListener, state: Arc<State>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(serve(stream, Arc::clone(&state)));
                }
                // Out of file descriptors, as a rule; some connection must end first.
                Err(_) => sleep(ACCEPT_PAUSE).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve(stream: TcpStream, state: Arc<State>) {
    // Without it answers to a pipelining client wait for its acknowledgements; it cannot fail on an open socket.
    let _ = stream.set_nodelay(true);
    let service = Service { state, reset: Arc::new(AtomicBool::new(false)) };
    let socket = Socket::new(stream, Arc::clone(&service.reset));
    let service = service_fn(move |request| service.clone().answer(request));
    // How a connection ends is the client's affair.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(socket), service).await;
}

/// The client of the delivery reports: no redirects, no proxies, whatever the environment says.
fn client() -> Result<reqwest::Client, reqwest::Error> {
    // Someone else may have installed it already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build()
}
