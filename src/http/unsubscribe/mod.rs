//! `/u/<token>`: the page where a recipient unsubscribes (BM-18).
//!
//! | Request | What happens |
//! |---|---|
//! | `GET`, `HEAD` | a page with one button; nothing changes, so that whoever follows links to look at them (mail scanners, previews of a messenger) unsubscribes nobody |
//! | `POST` | unsubscribed at once: by that button, and by the mail programs of RFC 8058 (`List-Unsubscribe=One-Click`); as often as one likes |
//!
//! All addresses of the recipient's order or case are put on the list of the whole company, whatever the channel. No
//! login: the token is unguessable, and says whose it is. Works without scripts and cookies, in English or Spanish as
//! the browser asks. Logs nothing that is personal.
//!
//! | Answer | Meaning |
//! |---|---|
//! | 200 | the page, or: you are unsubscribed |
//! | 404 | no link of ours, or what it is of is gone |
//! | 503 with `Retry-After` | not written for sure: too many at once, Redis is away, or too few replicas have it (`redis.wait_replicas`) |

mod page;

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{Path, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use tokio::sync::Semaphore;

use crate::{
    domain::{
        contact::Address,
        optout::{By, Change},
        unsubscribe::{Circle, Token},
    },
    store::{StoreError, lasting::Lasting},
};

use super::language::Language;
use page::Page;

/// Requests worked on at once.
const ROOM: usize = 16;

/// So long a request waits for room.
const WAIT: Duration = Duration::from_secs(2);

/// When who was turned away may come again.
const COME_AGAIN_SECONDS: u64 = 5;

/// Serves the page.
#[derive(Debug)]
pub struct Doorkeeper {
    lasting: Lasting,
    secret: Arc<[u8]>,
    company: String,
    room: Semaphore,
}

impl Doorkeeper {
    /// Serves the links signed with `secret`, in the name of `company`.
    pub fn new(lasting: Lasting, secret: Arc<[u8]>, company: &str) -> Arc<Self> {
        let room = Semaphore::new(ROOM);
        Arc::new(Self { lasting, secret, company: company.to_owned(), room })
    }

    /// Whose link it is, and the addresses; nothing where it is nobody's.
    async fn known(&self, token: &str) -> Result<Option<(Circle, u64, Vec<Address>)>, StoreError> {
        let Some(token) = Token::parse(token) else { return Ok(None) };
        let Some(circle) = self.lasting.store().circle(token.circle).await? else { return Ok(None) };
        if !token.is_of(&self.secret, &circle) {
            return Ok(None);
        }
        let addresses = self.lasting.store().addresses_of(&circle, token.number).await?;
        Ok(addresses.map(|addresses| (circle, token.number, addresses)))
    }

    async fn ask(&self, token: &str) -> Result<Page, StoreError> {
        Ok(match self.known(token).await? {
            Some((.., addresses)) => Page::Question(masked(&addresses)),
            None => Page::Unknown,
        })
    }

    async fn unsubscribe(&self, token: &str) -> Result<Page, StoreError> {
        let Some((circle, number, addresses)) = self.known(token).await? else { return Ok(Page::Unknown) };
        let of = Some((&circle, number));
        let writing = self.lasting.begin().await?;
        writing.store.change_optouts(Change::opt_out(By::Link), &addresses, of).await?;
        writing.lasts().await?;
        Ok(Page::Done(masked(&addresses)))
    }

    async fn answer(&self, headers: &HeaderMap, work: impl Future<Output = Result<Page, StoreError>>) -> Response {
        let page = match tokio::time::timeout(WAIT, self.room.acquire()).await {
            Ok(Ok(_room)) => work.await.unwrap_or_else(|error| {
                tracing::warn!(%error, "nobody could be unsubscribed");
                Page::Busy
            }),
            Ok(Err(_)) | Err(_) => Page::Busy,
        };
        respond(&page, Language::asked_by(headers), &self.company)
    }
}

fn masked(addresses: &[Address]) -> Vec<String> {
    addresses.iter().map(Address::masked).collect()
}

/// The routes.
pub(super) fn router(doorkeeper: Arc<Doorkeeper>) -> Router {
    Router::new().route("/u/{token}", get(show).post(take)).with_state(doorkeeper)
}

async fn show(State(door): State<Arc<Doorkeeper>>, Path(token): Path<String>, headers: HeaderMap) -> Response {
    door.answer(&headers, door.ask(&token)).await
}

async fn take(State(door): State<Arc<Doorkeeper>>, Path(token): Path<String>, headers: HeaderMap) -> Response {
    door.answer(&headers, door.unsubscribe(&token)).await
}

fn respond(page: &Page, language: Language, company: &str) -> Response {
    let status = match page {
        Page::Question(_) | Page::Done(_) => StatusCode::OK,
        Page::Unknown => StatusCode::NOT_FOUND,
        Page::Busy => StatusCode::SERVICE_UNAVAILABLE,
    };
    let mut response = (status, page.html(language, company)).into_response();
    let headers = response.headers_mut();
    for (name, value) in [
        ("content-type", "text/html; charset=utf-8"),
        ("content-language", language.code()),
        ("vary", "accept-language"),
        // The address of the page is a secret of its reader, and what it shows is personal.
        ("cache-control", "no-store"),
        ("referrer-policy", "no-referrer"),
        ("x-robots-tag", "noindex, nofollow"),
        ("x-content-type-options", "nosniff"),
        // Nobody shows our button under another page's.
        ("x-frame-options", "DENY"),
        ("cross-origin-resource-policy", "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if let Ok(policy) = HeaderValue::from_str(page::content_policy()) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    if matches!(page, Page::Busy) {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(COME_AGAIN_SECONDS));
    }
    response
}
