//! From a [`Submission`] to the HTTP request of a provider.
//!
//! Everything that does not depend on the message is computed when the channel is built: the address, the headers,
//! the pieces of the body. Building is also where a template is tried out with hostile values, so that a body that
//! would not be JSON, or an address whose host could be chosen by a recipient's data, never reaches a live campaign.

use std::time::Instant;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{ACCEPT, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use hyper::{Method, Request, Uri};

use super::settings::{BodyFormat, ChannelSettings};
use super::template::{Place, Template, TemplateError, Values, push_json};
use super::{ChannelError, Submission};
use crate::domain::trace::HEADER;

/// Written by the channel itself; a template of one of these would break the connection or the message's framing.
const RESERVED_HEADERS: [&str; 7] =
    ["host", "content-length", "transfer-encoding", "connection", "te", "upgrade", "expect"];

/// Whose work a request belongs to (W3C Trace Context).
const TRACEPARENT: HeaderName = HeaderName::from_static(HEADER);

/// Values that break every quoting mistake there is.
const HOSTILE: &str = "a\"b\\c{}[]:,/?#@é\n";

/// Builds the requests of one channel.
pub(super) struct RequestPlan {
    method: Method,
    target: Target,
    headers: HeaderMap,
    templated_headers: Vec<(HeaderName, Template)>,
    body: BodyPlan,
    sender: String,
    /// Where the connections go: scheme and authority are the same for every message.
    pub(super) base: Uri,
}

enum Target {
    Fixed(Uri),
    Templated(Template),
}

enum BodyPlan {
    /// By the code of a known provider.
    Written(Write),
    Templated(Template),
}

/// Writes the body of one message.
pub(super) type Write = fn(&Values<'_>, &mut String);

/// A value of this message cannot stand where its template wants it (a line break in a header, a failing filter).
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unrenderable;

impl RequestPlan {
    /// Compiles and tries out all templates of a channel; `write` makes the body in place of a template.
    pub(super) fn build(settings: &ChannelSettings, write: Option<Write>) -> Result<Self, ChannelError> {
        let channel = || settings.name.clone();
        let method = Method::from_bytes(settings.method.as_bytes())
            .map_err(|_| ChannelError::Method { channel: channel(), method: settings.method.clone() })?;
        let (target, base) = target(settings)?;
        let mut plan = Self {
            method,
            target,
            headers: HeaderMap::new(),
            templated_headers: Vec::new(),
            body: body(settings, write)?,
            sender: settings.sender.clone(),
            base,
        };
        plan.headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        plan.headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static(match settings.body_format {
                BodyFormat::Json => "application/json",
                BodyFormat::Form => "application/x-www-form-urlencoded",
            }),
        );
        plan.headers.insert(USER_AGENT, HeaderValue::from_static(concat!("remesa/", env!("CARGO_PKG_VERSION"))));
        let host = plan.base.authority().and_then(|authority| HeaderValue::from_str(authority.as_str()).ok());
        plan.headers.insert(HOST, host.ok_or_else(|| ChannelError::Url { channel: channel() })?);
        for (name, text) in &settings.headers {
            plan.add_header(settings, name, text)?;
        }
        Ok(plan)
    }

    fn add_header(&mut self, settings: &ChannelSettings, name: &str, text: &str) -> Result<(), ChannelError> {
        let refused = || ChannelError::Header { channel: settings.name.clone(), header: name.to_owned() };
        let header = HeaderName::from_bytes(name.as_bytes()).map_err(|_| refused())?;
        if RESERVED_HEADERS.contains(&header.as_str()) {
            return Err(refused());
        }
        let template = compile(settings, text, Place::Header, || format!("header {name}"))?;
        if let Some(constant) = template.constant() {
            let mut value = HeaderValue::from_str(constant).map_err(|_| refused())?;
            value.set_sensitive(true);
            self.headers.insert(header, value);
        } else {
            self.headers.remove(&header);
            self.templated_headers.push((header, template));
        }
        Ok(())
    }

    /// The request that asks who we are, at the address of messages with another end; none where it has not that end.
    pub(super) fn account(&self, (end, account): (&str, &str), deadline: Instant) -> Option<Request<Full<Bytes>>> {
        let nobody = Submission {
            to: "",
            text: "",
            subject: "",
            html: "",
            template: None,
            unsubscribe_url: "",
            reference: "",
            idempotency_key: "",
            validity_seconds: None,
            parts: 0,
            receipt_url: "",
            trace: None,
            deadline,
        };
        let mut request = self.request(&nobody).ok()?;
        let path = request.uri().path().strip_suffix(end)?.to_owned() + account;
        *request.uri_mut() = path.parse().ok()?;
        *request.method_mut() = Method::GET;
        *request.body_mut() = Full::default();
        request.headers_mut().remove(CONTENT_TYPE);
        Some(request)
    }

    /// The request of one message.
    pub(super) fn request(&self, submission: &Submission<'_>) -> Result<Request<Full<Bytes>>, Unrenderable> {
        let values = Values { submission, sender: &self.sender };
        let mut request = Request::new(Full::new(self.body.render(&values)?));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = match &self.target {
            Target::Fixed(uri) => uri.clone(),
            Target::Templated(template) => origin_form(&address(template, &values).ok_or(Unrenderable)?),
        };
        let mut headers = self.headers.clone();
        for (name, template) in &self.templated_headers {
            let mut text = String::new();
            let rendered = template.render(&values, &mut text);
            let value = HeaderValue::from_maybe_shared(Bytes::from(text)).ok().filter(|_| rendered);
            headers.insert(name.clone(), value.ok_or(Unrenderable)?);
        }
        if let Some(value) =
            submission.trace.and_then(|trace| HeaderValue::from_maybe_shared(Bytes::from(trace.to_string())).ok())
        {
            headers.insert(TRACEPARENT, value);
        }
        *request.headers_mut() = headers;
        Ok(request)
    }
}

impl BodyPlan {
    fn render(&self, values: &Values<'_>) -> Result<Bytes, Unrenderable> {
        let mut out = String::with_capacity(512);
        match self {
            Self::Written(write) => {
                write(values, &mut out);
                Ok(Bytes::from(out))
            }
            Self::Templated(template) if template.render(values, &mut out) => Ok(Bytes::from(out)),
            Self::Templated(_) => Err(Unrenderable),
        }
    }
}

/// The body of a channel that names none: the simulator's API,
/// `{"to":..,"text":..,"from":..,"reference":..,"validity_seconds":..}`.
fn standard(values: &Values<'_>, out: &mut String) {
    let submission = values.submission;
    let fields = [
        ("{\"to\":\"", submission.to),
        ("\",\"text\":\"", submission.text),
        ("\",\"from\":\"", values.sender),
        ("\",\"reference\":\"", submission.reference),
    ];
    for (before, value) in fields {
        out.push_str(before);
        push_json(value, out);
    }
    out.push('"');
    if let Some(seconds) = submission.validity_seconds {
        out.push_str(",\"validity_seconds\":");
        out.push_str(&seconds.to_string());
    }
    out.push('}');
}

fn body(settings: &ChannelSettings, write: Option<Write>) -> Result<BodyPlan, ChannelError> {
    if let Some(write) = write.or_else(|| settings.body.is_empty().then_some(standard as Write)) {
        return Ok(BodyPlan::Written(write));
    }
    let place = match settings.body_format {
        BodyFormat::Json => Place::Body,
        BodyFormat::Form => Place::Address,
    };
    let plan = BodyPlan::Templated(compile(settings, &settings.body, place, || "body".to_owned())?);
    if settings.body_format == BodyFormat::Form {
        return Ok(plan);
    }
    let json = samples().iter().all(|sample| {
        let values = Values { submission: sample, sender: HOSTILE };
        plan.render(&values).is_ok_and(|text| serde_json::from_slice::<serde::de::IgnoredAny>(&text).is_ok())
    });
    if json { Ok(plan) } else { Err(ChannelError::BodyNotJson { channel: settings.name.clone() }) }
}

/// The target of every request, and the scheme and authority that all of them share.
fn target(settings: &ChannelSettings) -> Result<(Target, Uri), ChannelError> {
    let refused = || ChannelError::Url { channel: settings.name.clone() };
    let template = compile(settings, &settings.url, Place::Address, || "url".to_owned())?;
    let mut bases = Vec::new();
    for sample in &samples() {
        let uri = address(&template, &Values { submission: sample, sender: HOSTILE }).ok_or_else(refused)?;
        let usable = matches!(uri.scheme_str(), Some("http" | "https"))
            && uri.authority().is_some_and(|authority| !authority.as_str().contains('@'));
        if !usable {
            return Err(refused());
        }
        bases.push(uri);
    }
    let same = |a: &Uri, b: &Uri| a.scheme() == b.scheme() && a.authority() == b.authority();
    match bases.as_slice() {
        [first, second] if same(first, second) => {
            let target = if template.constant().is_some() {
                Target::Fixed(origin_form(first))
            } else {
                Target::Templated(template)
            };
            Ok((target, first.clone()))
        }
        _ => Err(refused()),
    }
}

fn address(template: &Template, values: &Values<'_>) -> Option<Uri> {
    let mut text = String::new();
    if !template.render(values, &mut text) {
        return None;
    }
    Uri::from_maybe_shared(Bytes::from(text)).ok()
}

/// Path and query alone, as a request line to the server itself has them (RFC 9112, section 3.2.1).
fn origin_form(uri: &Uri) -> Uri {
    uri.path_and_query().map_or_else(|| Uri::from_static("/"), |target| Uri::from(target.clone()))
}

fn compile(
    settings: &ChannelSettings,
    text: &str,
    place: Place,
    named: impl Fn() -> String,
) -> Result<Template, ChannelError> {
    Template::compile(text, place, &settings.credentials).map_err(|error| match error {
        TemplateError::Syntax { line } => ChannelError::Syntax { channel: settings.name.clone(), place: named(), line },
        TemplateError::UnknownVariable { name } => {
            ChannelError::UnknownVariable { channel: settings.name.clone(), place: named(), name }
        }
    })
}

/// Two messages without a value in common, one with a validity and one without.
fn samples() -> [Submission<'static>; 2] {
    let deadline = Instant::now();
    [
        Submission {
            to: HOSTILE,
            text: HOSTILE,
            subject: HOSTILE,
            html: HOSTILE,
            template: None,
            unsubscribe_url: HOSTILE,
            reference: HOSTILE,
            idempotency_key: HOSTILE,
            validity_seconds: None,
            parts: 1,
            receipt_url: HOSTILE,
            trace: None,
            deadline,
        },
        Submission {
            to: "+1",
            text: "t",
            subject: "",
            html: "",
            template: None,
            unsubscribe_url: "",
            reference: "r",
            idempotency_key: "i",
            validity_seconds: Some(600),
            parts: 2,
            receipt_url: "https://x.example/",
            trace: None,
            deadline,
        },
    ]
}
