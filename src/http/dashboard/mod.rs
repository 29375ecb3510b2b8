//! The dashboard: what operators see in a browser, at `/dashboard`.
//!
//! Drawn by the server from templates in files (`pages/`), with one style and one script from their own addresses: without
//! JavaScript it works and is loaded again now and then, with it the same page is asked for every two seconds and what
//! changed is swapped in place. The content policy lets nothing inline run. English or Spanish as the browser asks, light
//! or dark as the system is. It only reads; whatever it can do goes through the same jobs as everybody's.
//!
//! What a page costs Redis is bounded whatever the size of the installation: depth and rates are read where the tellers
//! wrote them, lists come in pages, ledgers are counted a stretch at a time ([`reasons`]).

mod assets;
mod audit;
mod campaigns;
mod cases;
mod channels;
mod chart;
mod depth;
mod engine;
mod find;
mod jobs;
mod letters;
mod login;
mod orders;
mod overview;
mod page;
mod reasons;
mod recurring;
mod runs;
mod show;
mod why;
mod words;
mod workers;

use std::sync::Arc;

use axum::{
    Router,
    extract::{Path, State},
    response::{IntoResponse as _, Redirect, Response},
    routing::get,
};

use super::{HttpState, answer::Fault, rights::Access};
use page::{Ask, Shown, respond};

/// Where the dashboard lies.
pub(super) const HOME: &str = "/dashboard";

/// What its pages are drawn from.
#[derive(Debug)]
struct Desk {
    state: HttpState,
    tallies: reasons::Tallies,
}

type Here = State<Arc<Desk>>;

/// The paths of the dashboard.
pub(super) fn routes(state: HttpState) -> Router {
    let desk = Arc::new(Desk { state, tallies: reasons::Tallies::default() });
    Router::new()
        .route("/", get(async || Redirect::to(HOME)))
        .route(
            HOME,
            get(async |State(desk): Here, ask: Ask| reply(ask, async |ask| overview::page(&desk, ask).await).await),
        )
        .route(
            "/dashboard/campaigns",
            get(async |State(desk): Here, ask: Ask| reply(ask, async |ask| campaigns::list(&desk, ask).await).await),
        )
        .route(
            "/dashboard/campaigns/{campaign}",
            get(async |State(desk): Here, Path(name): Path<String>, ask: Ask| {
                reply(ask, async |_| campaigns::one(&desk, &name).await).await
            }),
        )
        .route(
            "/dashboard/campaigns/{campaign}/runs/{run}",
            get(async |State(desk): Here, Path((name, run)): Path<(String, String)>, ask: Ask| {
                reply(ask, async |_| runs::one(&desk, &name, &run).await).await
            }),
        )
        .route(
            "/dashboard/campaigns/{campaign}/orders",
            get(async |State(desk): Here, Path(name): Path<String>, ask: Ask| {
                reply(ask, async |ask| orders::list(&desk, &name, ask).await).await
            }),
        )
        .route(
            "/dashboard/campaigns/{campaign}/orders/{number}",
            get(async |State(desk): Here, Path((name, number)): Path<(String, String)>, ask: Ask| {
                reply(ask, async |ask| orders::one(&desk, &name, &number, ask).await).await
            }),
        )
        .route(
            "/dashboard/campaigns/{campaign}/cases",
            get(async |State(desk): Here, Path(name): Path<String>, ask: Ask| {
                reply(ask, async |ask| cases::list(&desk, &name, ask).await).await
            }),
        )
        .route(
            "/dashboard/campaigns/{campaign}/cases/{number}",
            get(async |State(desk): Here, Path((name, number)): Path<(String, String)>, ask: Ask| {
                reply(ask, async |ask| cases::one(&desk, &name, &number, ask).await).await
            }),
        )
        .route(
            "/dashboard/campaigns/{campaign}/recurring/{name}",
            get(async |State(desk): Here, Path((campaign, name)): Path<(String, String)>, ask: Ask| {
                reply(ask, async |_| recurring::one(&desk, &campaign, &name).await).await
            }),
        )
        .route(
            "/dashboard/recurring",
            get(async |State(desk): Here, ask: Ask| reply(ask, async |_| recurring::list(&desk).await).await),
        )
        .route(
            "/dashboard/channels",
            get(async |State(desk): Here, ask: Ask| reply(ask, async |_| channels::page(&desk).await).await),
        )
        .route(
            "/dashboard/letters/{which}",
            get(async |State(desk): Here, Path(which): Path<String>, ask: Ask| {
                reply(ask, async |ask| letters::list(&desk, &which, ask).await).await
            }),
        )
        .route(
            "/dashboard/letters/{which}/{entry}",
            get(async |State(desk): Here, Path((which, entry)): Path<(String, String)>, ask: Ask| {
                reply(ask, async |ask| letters::one(&desk, &which, &entry, ask).await).await
            }),
        )
        .route(
            "/dashboard/workers",
            get(async |State(desk): Here, ask: Ask| reply(ask, async |_| workers::page(&desk).await).await),
        )
        .route(
            "/dashboard/audit",
            get(async |State(desk): Here, ask: Ask| reply(ask, async |ask| audit::page(&desk, ask).await).await),
        )
        .route(
            "/dashboard/jobs/{id}",
            get(async |State(desk): Here, Path(id): Path<String>, ask: Ask| {
                reply(ask, async |_| jobs::one(&desk, &id).await).await
            }),
        )
        .route("/dashboard/find", get(async |State(desk): Here, ask: Ask| find::go(&desk, ask).await))
        .route("/dashboard/{*else}", get(async |ask: Ask| reply(ask, async |_| Err(Fault::no_page())).await))
        .with_state(desk)
}

/// What is there for everybody: where one logs in, the style, the script, the icon.
pub(super) fn open_routes(access: Arc<Access>) -> Router {
    let log_in = async move |ask: Ask| reply(ask, async |ask| login::page(&access, ask)).await;
    Router::new().route("/login", get(log_in)).merge(assets::routes())
}

/// A page, or why there is none.
async fn reply(mut ask: Ask, draw: impl AsyncFnOnce(&mut Ask) -> Shown) -> Response {
    let shown = draw(&mut ask).await;
    respond(&ask, shown)
}

/// On to another page.
fn on_to(path: &str) -> Response {
    Redirect::to(path).into_response()
}
