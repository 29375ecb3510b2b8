//! HTTP on loopback: `/livez`, `/readyz`, `/startupz`, `/metrics`, the receipts of providers ([`receipts`]), what people answer
//! ([`replies`]), the page where they
//! unsubscribe ([`mod@unsubscribe`]), the look-up of campaigns and orders (`lookup`), the dashboard (`dashboard`), sessions
//! (`session`) and what operators may do (`actions`).
//!
//! `/livez` fails only when a restart would help (see [`liveness`]); `/readyz` fails also while Redis
//! does not answer within a second, and during the drain; `/startupz` until the start is over. The address is the
//! configured `http.listen`. What shows campaigns or acts on them asks for a token, as soon as there is one ([`rights`]);
//! health, metrics and what providers and recipients call does not. A proxy before it lets nothing but `/receipts/`,
//! `/replies/` and `/u/` through, unless there are tokens.

mod actions;
mod answer;
mod dashboard;
mod gate;
mod headers;
mod incoming;
mod language;
pub mod liveness;
mod lookup;
mod patience;
pub mod receipts;
pub mod replies;
pub mod rights;
mod server;
mod session;
mod turned_away;
pub mod unsubscribe;
mod webhook;

use std::{
    io,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use axum::{
    Router,
    extract::State,
    http::{
        StatusCode,
        header::{CONTENT_TYPE, RETRY_AFTER},
    },
    middleware,
    response::{IntoResponse, Response},
    routing::get,
};
use redis::cmd;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use actions::Counter;
use answer::{Fault, respond};
use session::Reception;

use crate::{config::Config, domain::clock::EpochMs, metrics::Metrics, store::Store};

pub use actions::said::Said;
pub use gate::Gate;
pub use liveness::{Liveness, QueueLook, Standstill};
pub use rights::Access;

/// Redis must answer a PING within this to be ready.
const REDIS_LIMIT: Duration = Duration::from_secs(1);

/// The media type of the OpenMetrics text format.
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

const PLAIN: &str = "text/plain; charset=utf-8";

/// What the listener shows.
#[derive(Debug, Clone)]
pub struct HttpState {
    /// What the daemon is told to be.
    pub config: Arc<Config>,
    /// Pinged for `/readyz`, read for the look-up.
    pub store: Store,
    /// By which names one may ask, and how many at once.
    pub gate: Arc<Gate>,
    /// Who may see and act.
    pub access: Arc<Access>,
    /// Shown at `/metrics`.
    pub metrics: Arc<Metrics>,
    /// Asked for `/livez`.
    pub liveness: Arc<Liveness>,
    /// From its cancellation on the daemon is alive and not ready.
    pub drain: CancellationToken,
    /// Takes receipts.
    pub receipts: Arc<receipts::Desk>,
    /// Takes replies.
    pub mailbox: Arc<replies::Mailbox>,
    /// Unsubscribes people.
    pub doorkeeper: Arc<unsubscribe::Doorkeeper>,
}

/// Serves until `stop`, then lets open requests end.
pub async fn serve(listener: TcpListener, state: HttpState, stop: CancellationToken) -> io::Result<()> {
    server::run(listener, router(state), stop).await
}

/// Serves while the daemon starts, until `started`: it is alive, and everything else has to wait.
pub async fn serve_start(listener: TcpListener, started: CancellationToken) -> io::Result<()> {
    let starting = || async {
        let soon = [(CONTENT_TYPE, PLAIN), (RETRY_AFTER, "1")];
        (StatusCode::SERVICE_UNAVAILABLE, soon, "starting\n").into_response()
    };
    let alive = || async { text(StatusCode::OK, "alive\n".to_owned()) };
    let router = Router::new().route("/livez", get(alive)).fallback(starting);
    server::run(listener, finished(router), started).await
}

fn router(state: HttpState) -> Router {
    let receipts = receipts::router(Arc::clone(&state.receipts));
    let replies = replies::router(Arc::clone(&state.mailbox));
    let unsubscribe = unsubscribe::router(Arc::clone(&state.doorkeeper));
    let counts = Arc::clone(&state.metrics);
    let (gate, access) = (Arc::clone(&state.gate), Arc::clone(&state.access));
    let session = session::router(Reception { access: Arc::clone(&access), gate: Arc::clone(&gate) });
    let actions = actions::router(Counter::new(&state.store, Arc::clone(&access), Arc::clone(&gate)));
    let open = Arc::clone(&access);
    // The last layer is the first that a request passes.
    let guarded = lookup::routes()
        .with_state(state.clone())
        .merge(dashboard::routes(state.clone()))
        .route_layer(middleware::from_fn_with_state(Arc::clone(&gate), gate::room))
        .route_layer(middleware::from_fn_with_state(access, rights::may_read))
        .route_layer(middleware::from_fn_with_state(gate, gate::by_our_name));
    let router = Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/startupz", get(|| async { text(StatusCode::OK, "started\n".to_owned()) }))
        .route("/metrics", get(metrics))
        .with_state(state)
        .merge(guarded)
        .merge(dashboard::open_routes(open))
        .merge(session)
        .merge(actions)
        .merge(receipts)
        .merge(replies)
        .merge(unsubscribe)
        .fallback(|| async { respond(Err(Fault::not_found("not_found", "there is nothing here: see /"))) })
        .method_not_allowed_fallback(|| async { respond(Err(Fault::wrong_method())) });
    finished(router.layer(middleware::map_response_with_state(counts, turned_away::count)))
}

/// What holds for every answer.
fn finished(router: Router) -> Router {
    router.layer(middleware::map_response(headers::guarded))
}

async fn livez(State(state): State<HttpState>) -> Response {
    match state.liveness.check(Instant::now()) {
        Ok(()) => text(StatusCode::OK, "alive\n".to_owned()),
        Err(standstill) => text(StatusCode::SERVICE_UNAVAILABLE, format!("{standstill}\n")),
    }
}

async fn readyz(State(state): State<HttpState>) -> Response {
    if state.drain.is_cancelled() {
        return text(StatusCode::SERVICE_UNAVAILABLE, "draining\n".to_owned());
    }
    let ping = cmd("PING");
    match tokio::time::timeout(REDIS_LIMIT, state.store.connection.query::<String>(&ping)).await {
        Ok(Ok(_)) => text(StatusCode::OK, "ready\n".to_owned()),
        // The sentence of the error may name the address; who asks on loopback need not know it.
        Ok(Err(_)) => text(StatusCode::SERVICE_UNAVAILABLE, "redis is unavailable\n".to_owned()),
        Err(_) => text(StatusCode::SERVICE_UNAVAILABLE, "redis does not answer within 1 s\n".to_owned()),
    }
}

async fn metrics(State(state): State<HttpState>) -> Response {
    (StatusCode::OK, [(CONTENT_TYPE, OPENMETRICS)], state.metrics.encode()).into_response()
}

/// The clock of this machine: sessions and the tolerance of signatures need no better one.
fn now() -> EpochMs {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    EpochMs(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

fn text(status: StatusCode, body: String) -> Response {
    (status, [(CONTENT_TYPE, PLAIN)], body).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Journal;
    use crate::store::{Connection, Timeouts, lasting::Lasting, publisher::Publisher};
    use std::collections::BTreeMap;
    use std::path::Path;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio_util::task::TaskTracker;

    /// A state whose Redis is a closed port.
    fn state() -> HttpState {
        let timeouts = Timeouts { connect: Duration::from_millis(200), response: Duration::from_millis(200) };
        let connection = Connection::new("redis://127.0.0.1:1/", timeouts).unwrap();
        let (store, metrics) = (Store::new(connection, "test"), Arc::new(Metrics::default()));
        let (publisher, _) = Publisher::new(&store);
        let journal = Arc::new(Journal::new(Path::new("/nowhere"), "test", &[], Arc::clone(&metrics)));
        let written = (&store, &publisher, &journal);
        let (receipts, _) = receipts::Desk::new(BTreeMap::new(), Arc::from([]), written, Arc::clone(&metrics));
        let doorkeeper = unsubscribe::Doorkeeper::new(Lasting::new(&store, None), Arc::from([]), "");
        let config = Arc::new(Config::parse("", "test", std::iter::empty()).unwrap());
        let mailbox = replies::Mailbox::new(&config, Arc::from([]), Lasting::new(&store, None), Arc::clone(&metrics));
        HttpState {
            config: Arc::clone(&config),
            mailbox,
            doorkeeper,
            store,
            gate: Gate::new(&config),
            access: Access::new(&config),
            metrics,
            receipts,
            liveness: Arc::new(Liveness::new(Instant::now())),
            drain: CancellationToken::new(),
        }
    }

    /// Asks for each path over one listener, and drains it.
    async fn ask(state: HttpState, paths: &[&str]) -> Vec<String> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let server = tasks.spawn(serve(listener, state, stop.clone()));
        let mut answers = Vec::new();
        for path in paths {
            let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
            let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            answers.push(answer);
        }
        stop.cancel();
        server.await.unwrap().unwrap();
        answers
    }

    #[tokio::test]
    async fn a_daemon_without_redis_is_alive_and_not_ready() {
        let answers = ask(state(), &["/livez", "/readyz", "/metrics", "/other"]).await;
        let status = |n: usize| answers[n].split_whitespace().nth(1).unwrap();
        assert_eq!([status(0), status(1), status(2), status(3)], ["200", "503", "200", "404"]);
        assert!(answers[1].contains("redis is unavailable"), "{}", answers[1]);
        assert!(answers[2].contains("content-type: application/openmetrics-text"), "{}", answers[2]);
        assert!(answers[2].trim_end().ends_with("# EOF"), "{}", answers[2]);
    }

    #[tokio::test]
    async fn a_web_page_does_not_reach_the_look_up_by_a_name_of_its_own() {
        let answers = ask(state(), &["/campaigns", "/campaigns/a", "/orders/aB3dE6gH9k", "/livez"]).await;
        let status = |n: usize| answers[n].split_whitespace().nth(1).unwrap();
        assert_eq!([status(0), status(1), status(2), status(3)], ["421", "421", "421", "200"]);
        assert!(answers[0].contains("not_this_host"), "{}", answers[0]);
    }

    #[tokio::test]
    async fn a_draining_daemon_says_so() {
        let draining = state();
        draining.drain.cancel();
        let answers = ask(draining, &["/readyz"]).await;
        assert!(answers[0].starts_with("HTTP/1.1 503") && answers[0].ends_with("draining\n"), "{}", answers[0]);
    }
}
