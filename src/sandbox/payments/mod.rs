//! The simulated payment platform: `/payments/v1`, with orders that are made, found, cancelled, paid, refunded.
//!
//! Speaks the API that the `http` order provider uses, and fails as its settings say: before an order is made
//! (refused, throttled, 5xx, silence, reset) and after (cut off, silence, nonsense, megabytes). It counts what was
//! made and what was made twice for one idempotency key.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use axum::extract::Query;
use hyper::body::Incoming;
use hyper::{Method, Request};

mod answer;
mod book;
mod settings;

pub use book::PaymentCounts;
pub use settings::{PaymentFate, PaymentSettings};

use super::fate::Dice;
use super::service::{Answer, HangUp, Service};
use answer::Done;
use book::{Book, Filter, Wanted, Wish};

/// Where the platform is.
pub(super) const BASE: &str = "/payments/v1";

/// What the platform remembers.
#[derive(Debug, Default)]
pub(super) struct Payments {
    book: Mutex<Book>,
    drawn: AtomicU64,
    script: Mutex<VecDeque<PaymentFate>>,
    other_script: Mutex<VecDeque<PaymentFate>>,
}

impl Payments {
    /// With the scripts of its settings.
    pub(super) fn new(settings: &PaymentSettings) -> Self {
        let payments = Self::default();
        payments.begin_scripts(&PaymentSettings::default(), settings);
        payments
    }

    /// A script begins anew only if it is another one.
    pub(super) fn begin_scripts(&self, before: &PaymentSettings, after: &PaymentSettings) {
        if before.script != after.script {
            *lock(&self.script) = after.script.iter().copied().collect();
        }
        if before.other_script != after.other_script {
            *lock(&self.other_script) = after.other_script.iter().copied().collect();
        }
    }

    pub(super) fn counts(&self) -> PaymentCounts {
        lock(&self.book).counts
    }

    pub(super) fn clear(&self) {
        lock(&self.book).clear();
    }

    /// The fate of a request that has just arrived, and the dice for its latency.
    fn draw(&self, settings: &PaymentSettings, seed: u64, creates: bool) -> (PaymentFate, Dice) {
        let mut dice = Dice::of(seed, self.drawn.fetch_add(1, Ordering::Relaxed));
        let by_shares = if creates { settings.by_shares(&mut dice) } else { PaymentFate::Accept };
        let script = if creates { &self.script } else { &self.other_script };
        (lock(script).pop_front().unwrap_or(by_shares), dice)
    }
}

/// What a request wants.
enum Call {
    Create,
    List,
    One(String, &'static str),
    Unknown,
}

impl Call {
    fn of(method: &Method, path: &str) -> Self {
        let Some(rest) = path.strip_prefix(BASE).and_then(|rest| rest.strip_prefix("/payment-orders")) else {
            return Self::Unknown;
        };
        let mut parts = rest.split('/').skip(1);
        match (method.as_str(), rest, parts.next(), parts.next()) {
            ("POST", "", ..) => Self::Create,
            ("GET", "", ..) => Self::List,
            ("GET", _, Some(id), None) => Self::One(id.to_owned(), "show"),
            ("PUT", _, Some(id), Some("cancel")) => Self::One(id.to_owned(), "cancel"),
            ("POST", _, Some(id), Some("pay")) => Self::One(id.to_owned(), "pay"),
            ("POST", _, Some(id), Some("refund")) => Self::One(id.to_owned(), "refund"),
            _ => Self::Unknown,
        }
    }
}

impl Service {
    /// One request to the platform.
    pub(super) async fn payment(&self, request: Request<Incoming>) -> Result<Answer, HangUp> {
        let state = &self.state;
        let whole = state.settings();
        let settings = &whole.payments;
        let call = Call::of(request.method(), request.uri().path());
        let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if header("x-api-key") != settings.api_key {
            lock(&state.payments.book).counts.unauthorised += 1;
            state.tell();
            return Ok(answer::error(401, "UNAUTHORIZED", "unknown x-api-key", "API_GATEWAY"));
        }
        let creates = matches!(call, Call::Create);
        if creates {
            lock(&state.payments.book).counts.asked += 1;
            state.tell();
        }
        let (fate, mut dice) = state.payments.draw(settings, whole.seed, creates);
        if fate == PaymentFate::Reset {
            self.reset.store(true, Ordering::Relaxed);
            return Err(HangUp);
        }
        let (key, point) = (header("idempotency-key").to_owned(), header("x-payment-point-id").to_owned());
        let filter = Query::<Filter>::try_from_uri(request.uri()).map(|query| query.0).unwrap_or_default();
        let Ok(body) = answer::body(request).await else { return Err(HangUp) };
        if let Some(turned_away) = self.turn_payment_away(fate, settings, &mut dice).await {
            return Ok(turned_away);
        }
        let now = crate::domain::clock::EpochMs(super::state::now_ms());
        let done: Done = match call {
            Call::Create => match serde_json::from_slice::<Wanted>(&body) {
                Ok(wanted) => match answer::judge(&wanted) {
                    None => {
                        let mut book = lock(&state.payments.book);
                        Ok(book.create(wanted, &key, &point, settings.idempotency, settings.kept, now))
                    }
                    Some(why) => Err((400, "INVALID_ORDER", why.to_owned())),
                },
                Err(error) => Err((400, "INVALID_JSON", error.to_string())),
            },
            Call::List => Ok(lock(&state.payments.book).list(&filter, now)),
            Call::One(id, verb) => {
                let wish = match verb {
                    "cancel" => Wish::Cancel,
                    "pay" => Wish::Pay,
                    "refund" => Wish::Refund(answer::amount(&body)),
                    _ => Wish::Show,
                };
                match lock(&state.payments.book).change(&id, wish, now) {
                    None => Err((404, "NOT_FOUND", "no such payment order".to_owned())),
                    Some(Err(why)) => Err((400, "INVALID_STATUS", why)),
                    Some(Ok(shown)) => Ok(shown),
                }
            }
            Call::Unknown => Err((404, "NOT_FOUND", "GET / lists what there is".to_owned())),
        };
        state.tell();
        if settings.hold && creates {
            state.payments_released().await;
        }
        self.payment_latency(settings, &mut dice).await;
        answer::after(fate, done, creates).await
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
