//! The `http` order provider: a payment platform that makes the orders and their links.
//!
//! Speaks the API of the payment platforms this was made for: `POST /payment-orders` with an idempotency
//! key, `GET /payment-orders?q=` to find an order again, `PUT /payment-orders/{id}/cancel`. One call is one
//! request: nothing is retried here, and what a failure means stands in [`crate::wire::failure`].
//!
//! A platform that does not know idempotency keys gets a *marker* at the end of the reference (or of the
//! concept, where the reference has no room): 16 characters that belong to this order alone, by which a
//! look-up finds it after a lost answer.

use std::time::{Instant, SystemTime};

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{ACCEPT, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use hyper::{Method, Request, Uri};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::settings::PlatformSettings;
use crate::domain::{
    failure::Failure,
    money::Currency,
    order::{CONCEPT_MAX_CHARS, Order, OrderState, REFERENCE_MAX_CHARS},
    short_code::ShortCode,
    trace::HEADER,
};
use crate::telemetry::work;
use crate::wire::{Client, ClientError, DeliverError, Patience, Reply, Rules, Trouble, classify};

/// Longest id that is kept; those known have 64 characters.
const ID_MAX: usize = 128;

/// Orders looked at for a marker: one has it, unless the platform finds much more than it was asked for.
const LOOKED_AT: u32 = 20;

/// Why a platform cannot be used. The text holds no credential.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlatformError {
    /// The address.
    #[error("url: {0}")]
    Client(ClientError),
    /// A value that cannot stand in a header.
    #[error("{0} cannot stand in a header")]
    Header(&'static str),
}

/// An order as the platform has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// Its id there (`payment_order_id`).
    pub platform_id: String,
    /// The end of its link.
    pub short_code: ShortCode,
    /// Where it stands there; none for a state that is not ours (pre-authorised).
    pub state: Option<OrderState>,
}

/// What is asked of the platform for one order.
#[derive(Debug, Clone, Copy)]
pub struct Wish<'a> {
    /// The order.
    pub order: &'a Order,
    /// Its currency.
    pub currency: Currency,
    /// Idempotency key and marker.
    pub marker: &'a str,
}

/// A payment platform. Cheap to share by reference; holds the connections.
pub struct Platform {
    /// What it was built from.
    pub settings: PlatformSettings,
    client: Client,
    headers: HeaderMap,
    path: String,
    rules: Rules,
}

#[derive(Serialize)]
struct CreateBody<'a> {
    amount: u64,
    currency: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    concept: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    reference: &'a str,
    expiration_date: String,
}

/// An order in an answer; what it says beside is none of our business.
#[derive(Deserialize)]
struct Shown {
    payment_order_id: String,
    short_code: String,
    #[serde(default)]
    status: String,
    #[serde(default)]
    reference: Option<String>,
    #[serde(default)]
    concept: Option<String>,
}

#[derive(Deserialize)]
struct Page {
    content: Vec<Shown>,
}

impl Platform {
    /// Checks the settings; opens no connection.
    ///
    /// # Errors
    /// An address or a header value that cannot work.
    pub fn build(settings: &PlatformSettings) -> Result<Self, PlatformError> {
        let base: Uri = settings.url.parse().map_err(|_| PlatformError::Client(ClientError::Address))?;
        let rules = Rules { idempotent: settings.idempotent, ..Rules::default() };
        let patience = Patience {
            most_idle: usize::try_from(settings.in_flight).unwrap_or(usize::MAX),
            pool_idle: settings.pool_idle,
            connect_timeout: settings.connect_timeout,
            timeout: settings.timeout,
        };
        Ok(Self {
            client: Client::build(&base, patience, rules.clone()).map_err(PlatformError::Client)?,
            headers: headers(settings, &base)?,
            path: base.path().trim_end_matches('/').to_owned(),
            rules,
            settings: settings.clone(),
        })
    }

    /// Asks for one order. The same marker is the same order, where the platform is idempotent.
    ///
    /// # Errors
    /// [`DeliverError::NotSent`]: the deadline passed first. Otherwise how it failed.
    pub async fn create(&self, wish: &Wish<'_>, deadline: Instant) -> Result<Made, DeliverError> {
        let order = wish.order;
        let (reference, concept) =
            self.marked(order, wish.marker).ok_or_else(|| Failure::permanent("no_room_for_the_marker"))?;
        let body = CreateBody {
            amount: order.amount.minor(),
            currency: wish.currency.code(),
            concept: &concept,
            reference: &reference,
            expiration_date: order.expires_at.to_rfc3339(),
        };
        // Plain values: there is nothing to refuse.
        let body = serde_json::to_vec(&body).unwrap_or_default();
        let mut request = self.request(Method::POST, "", body)?;
        let key = HeaderValue::from_str(wish.marker).map_err(|_| Failure::permanent("unrenderable_request"))?;
        request.headers_mut().insert(HeaderName::from_static("idempotency-key"), key);
        let reply = self.client.ask(request, deadline).await?;
        Ok(self.made(&self.of_collection(&reply)?)?)
    }

    /// Finds the order that carries this marker.
    ///
    /// # Errors
    /// As [`Platform::create`]; nobody knows then whether it exists.
    pub async fn look_up(&self, marker: &str, deadline: Instant) -> Result<Option<Made>, DeliverError> {
        let request = self.request(Method::GET, &format!("?q={marker}&limit={LOOKED_AT}"), Vec::new())?;
        let reply = self.client.ask(request, deadline).await?;
        let page: Page = serde_json::from_value(self.of_collection(&reply)?).map_err(|_| self.unreadable())?;
        let carries = |text: &Option<String>| text.as_ref().is_some_and(|text| text.ends_with(marker));
        let found = page.content.into_iter().find(|shown| carries(&shown.reference) || carries(&shown.concept));
        found.map(|shown| self.read(shown)).transpose().map_err(DeliverError::Failure)
    }

    /// One order by its id.
    ///
    /// # Errors
    /// As [`Platform::create`].
    pub async fn detail(&self, platform_id: &str, deadline: Instant) -> Result<Made, DeliverError> {
        let request = self.request(Method::GET, &format!("/{platform_id}"), Vec::new())?;
        let reply = self.client.ask(request, deadline).await?;
        Ok(self.made(&self.json(&reply)?)?)
    }

    /// Withdraws one order. Returns the state it has then: `cancelled`, or what kept it from being cancelled.
    /// Withdrawing twice is as good as once.
    ///
    /// # Errors
    /// As [`Platform::create`].
    pub async fn cancel(&self, platform_id: &str, deadline: Instant) -> Result<Option<OrderState>, DeliverError> {
        let request = self.request(Method::PUT, &format!("/{platform_id}/cancel"), Vec::new())?;
        let reply = self.client.ask(request, deadline).await?;
        match self.json(&reply) {
            Ok(_) => Ok(Some(OrderState::Cancelled)),
            // It is not available any more: what is it?
            Err(Failure::Permanent { .. }) => Ok(self.detail(platform_id, deadline).await?.state),
            // A body that does not read came with a good status.
            Err(Failure::Ambiguous { .. }) if reply.status.is_success() => Ok(Some(OrderState::Cancelled)),
            Err(failure) => Err(failure.into()),
        }
    }

    /// Asks for one page of one order: does the platform know us?
    ///
    /// # Errors
    /// As [`Platform::create`].
    pub async fn probe(&self, deadline: Instant) -> Result<(), DeliverError> {
        let request = self.request(Method::GET, "?limit=1", Vec::new())?;
        let reply = self.client.ask(request, deadline).await?;
        self.of_collection(&reply).map(|_| ()).map_err(DeliverError::Failure)
    }

    /// Closes connections that were idle for too long.
    pub fn drop_idle(&self) {
        self.client.drop_idle();
    }

    /// Reference and concept with the marker, where the platform needs one. `None`: neither has room for it.
    fn marked(&self, order: &Order, marker: &str) -> Option<(String, String)> {
        let (reference, concept) = (order.reference.clone(), order.concept.clone());
        if self.settings.idempotent {
            return Some((reference, concept));
        }
        let with = |text: &str| if text.is_empty() { marker.to_owned() } else { format!("{text} {marker}") };
        let fits = |text: &str, max: usize| text.chars().count() <= max;
        let (longer_reference, longer_concept) = (with(&reference), with(&concept));
        if fits(&longer_reference, REFERENCE_MAX_CHARS) {
            return Some((longer_reference, concept));
        }
        fits(&longer_concept, CONCEPT_MAX_CHARS).then_some((reference, longer_concept))
    }

    fn request(&self, method: Method, rest: &str, body: Vec<u8>) -> Result<Request<Full<Bytes>>, Failure> {
        let target = format!("{}/payment-orders{rest}", self.path);
        let mut request = Request::new(Full::new(Bytes::from(body)));
        *request.method_mut() = method;
        *request.uri_mut() = target.parse().map_err(|_| Failure::permanent("unrenderable_request"))?;
        *request.headers_mut() = self.headers.clone();
        let trace = work::trace().map(|trace| trace.step(rand::random()));
        if let Some(value) = trace.and_then(|step| HeaderValue::from_maybe_shared(Bytes::from(step.to_string())).ok()) {
            request.headers_mut().insert(HeaderName::from_static(HEADER), value);
        }
        Ok(request)
    }

    /// The body of a good answer, or what the answer means.
    fn json(&self, reply: &Reply) -> Result<Value, Failure> {
        let json: Option<Value> = reply.body.as_ref().and_then(|body| serde_json::from_slice(body).ok());
        if reply.status.is_success() {
            return json.ok_or_else(|| self.unreadable());
        }
        let code = json
            .as_ref()
            .and_then(|json| json.get("code"))
            .map(|code| code.as_str().map_or_else(|| code.to_string(), str::to_owned));
        let trouble = Trouble::Status {
            status: reply.status.as_u16(),
            code: code.as_deref(),
            retry_after: reply.retry_after(SystemTime::now()),
        };
        Err(classify(&trouble, &self.rules))
    }

    /// As [`Self::json`], where all orders of the platform are: that nothing is there is no affair of one order.
    fn of_collection(&self, reply: &Reply) -> Result<Value, Failure> {
        self.json(reply).map_err(|failure| about_collection(reply.status.as_u16(), failure))
    }

    fn unreadable(&self) -> Failure {
        classify(&Trouble::AnswerUnreadable, &self.rules)
    }

    fn made(&self, json: &Value) -> Result<Made, Failure> {
        let shown = Shown::deserialize(json).map_err(|_| classify(&Trouble::AnswerWithoutId, &self.rules))?;
        self.read(shown)
    }

    fn read(&self, shown: Shown) -> Result<Made, Failure> {
        let is_plain = |id: &str| {
            (1..=ID_MAX).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
        };
        let short_code = ShortCode::parse(&shown.short_code).ok();
        match short_code.filter(|_| is_plain(&shown.payment_order_id)) {
            Some(short_code) => {
                let state = state(&shown.status);
                Ok(Made { platform_id: shown.payment_order_id, short_code, state })
            }
            None => Err(classify(&Trouble::AnswerWithoutId, &self.rules)),
        }
    }
}

impl std::fmt::Debug for Platform {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Platform").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// What a status of the collection says beyond the table of [`crate::wire::failure`]: an address that leads nowhere
/// is our configuration (PO-6), and whoever answers that a request was too slow, too early or in the way of another
/// one may have made the order.
fn about_collection(status: u16, failure: Failure) -> Failure {
    match (status, failure) {
        (300..=399 | 404 | 405, Failure::Permanent { code }) => Failure::Denied { code },
        (408 | 409 | 425, Failure::Permanent { code }) => Failure::Ambiguous { code },
        (_, failure) => failure,
    }
}

/// Our word for the platform's. A created order whose answer says nothing is available; pre-authorised states are
/// none of ours, and not available.
fn state(status: &str) -> Option<OrderState> {
    if status.is_empty() {
        return Some(OrderState::Available);
    }
    let known = OrderState::parse(&status.to_ascii_lowercase());
    known.filter(|state| !matches!(state, OrderState::Creating | OrderState::InDoubt))
}

fn headers(settings: &PlatformSettings, base: &Uri) -> Result<HeaderMap, PlatformError> {
    let mut headers = HeaderMap::new();
    let authority = base.authority().map(hyper::http::uri::Authority::as_str).unwrap_or_default();
    let text = |name, value: &str| HeaderValue::from_str(value).map_err(|_| PlatformError::Header(name));
    headers.insert(HOST, text("the host", authority)?);
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(USER_AGENT, HeaderValue::from_static(concat!("remesa/", env!("CARGO_PKG_VERSION"))));
    let mut key = text("the api key", settings.api_key.expose())?;
    key.set_sensitive(true);
    headers.insert(HeaderName::from_static("x-api-key"), key);
    if !settings.organization_id.is_empty() {
        let value = text("organization_id", &settings.organization_id)?;
        headers.insert(HeaderName::from_static("x-organization-id"), value);
    }
    let value = text("payment_point_id", &settings.payment_point_id)?;
    headers.insert(HeaderName::from_static("x-payment-point-id"), value);
    Ok(headers)
}

/// The marker of an order: idempotency key, and what a look-up finds it by. `nth` counts its payment points.
pub fn marker(secret: &[u8], campaign: &str, key: &str, nth: usize) -> String {
    // No row key has a control character, so this is no link's code.
    let key = format!("{key}\nmarker\n{nth}");
    ShortCode::derive(secret, campaign, &key, 0, crate::domain::short_code::MAX_LENGTH).to_string()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::{order::tests::order, retry::RetryPolicy};
    use crate::wire::Secret;

    fn platform(idempotent: bool) -> Platform {
        let second = Duration::from_secs(1);
        Platform::build(&PlatformSettings {
            name: "pp".to_owned(),
            url: "http://127.0.0.1:1/payments/v1/".to_owned(),
            api_key: Secret::new("s3cr3t"),
            organization_id: String::new(),
            payment_point_id: "pp".to_owned(),
            rate_per_second: 0,
            in_flight: 1,
            timeout: second,
            connect_timeout: second,
            pool_idle: second,
            idempotent,
            lookup_after: second,
            retry: RetryPolicy { max_attempts: 1, base: second, cap: second },
            breaker_failures: 1,
            breaker_cooldown: second,
        })
        .unwrap()
    }

    #[test]
    fn po_6_an_address_that_leads_nowhere_is_about_us_and_a_conflict_leaves_a_doubt() {
        let classes =
            [(301, "denied"), (404, "denied"), (405, "denied"), (408, "doubt"), (409, "doubt"), (425, "doubt")];
        for (status, expected) in classes.into_iter().chain([(400, "refused"), (422, "refused")]) {
            let shown = match about_collection(status, Failure::permanent("x")) {
                Failure::Denied { .. } => "denied",
                Failure::Ambiguous { .. } => "doubt",
                Failure::Permanent { .. } => "refused",
                Failure::Transient { .. } | Failure::Throttled { .. } => "later",
            };
            assert_eq!(shown, expected, "{status}");
        }
        assert!(matches!(about_collection(404, Failure::denied("q")), Failure::Denied { .. }));
    }

    #[test]
    fn the_marker_goes_where_there_is_room_and_only_where_it_is_needed() {
        let marked = |platform: &Platform, reference: &str, concept: &str| {
            let order = Order { reference: reference.to_owned(), concept: concept.to_owned(), ..order() };
            platform.marked(&order, "m0123456789abcde")
        };
        let plain = platform(false);
        assert_eq!(marked(&plain, "A-1", "Cuota").unwrap(), ("A-1 m0123456789abcde".to_owned(), "Cuota".to_owned()));
        assert_eq!(marked(&plain, "", "").unwrap().0, "m0123456789abcde");
        let long = "ñ".repeat(140);
        assert_eq!(marked(&plain, &long, "Cuota").unwrap(), (long.clone(), "Cuota m0123456789abcde".to_owned()));
        assert_eq!(marked(&plain, &long, &"c".repeat(90)), None);
        assert_eq!(marked(&platform(true), "A-1", "Cuota").unwrap(), ("A-1".to_owned(), "Cuota".to_owned()));
    }

    #[test]
    fn states_of_the_platform_are_ours_in_lower_case_and_pre_authorised_ones_are_none() {
        for (theirs, ours) in [
            ("AVAILABLE", Some(OrderState::Available)),
            ("", Some(OrderState::Available)),
            ("PARTIALLY_REFUNDED", Some(OrderState::PartiallyRefunded)),
            ("CANCELLED", Some(OrderState::Cancelled)),
            ("PREAUTH", None),
            ("PARTIALLY_PREAUTH", None),
            ("PREAUTH_EXPIRED", None),
            ("IN_DOUBT", None),
            ("whatever", None),
        ] {
            assert_eq!(state(theirs), ours, "{theirs}");
        }
    }

    #[test]
    fn markers_belong_to_one_order_and_one_payment_point_and_no_secret_is_printed() {
        let marks = [
            marker(b"s", "c", "k", 0),
            marker(b"s", "c", "k", 1),
            marker(b"s", "c", "l", 0),
            marker(b"s", "d", "k", 0),
        ];
        assert_eq!(marks.iter().collect::<std::collections::BTreeSet<_>>().len(), 4);
        assert!(marks.iter().all(|mark| mark.len() == 16));
        assert!(!format!("{:?}", platform(true)).contains("s3cr3t"));
    }
}
