//! What a page is asked with, and how it is answered: language, frame, headers, faults.

use axum::{
    extract::FromRequestParts,
    http::{HeaderName, HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse as _, Response},
};
use serde_json::{Value, json};

use crate::domain::{lookup::PersonalData, pass::Role};

use super::{
    super::{Said, answer::Fault, language::Language, lookup::Question, rights::Rights},
    assets, engine,
};

/// What a browser may do with our pages: nothing inline, nothing from elsewhere, no frame round them.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; \
                      form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// Headers of every page.
const HEADERS: [(&str, &str); 9] = [
    ("content-type", "text/html; charset=utf-8"),
    ("content-security-policy", POLICY),
    ("cache-control", "no-store"),
    ("referrer-policy", "same-origin"),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("x-robots-tag", "noindex, nofollow"),
    ("cross-origin-resource-policy", "same-origin"),
    ("cross-origin-opener-policy", "same-origin"),
];

/// Who asks, and for what.
#[derive(Debug)]
pub(super) struct Ask {
    /// The language of the answer.
    pub(super) language: Language,
    /// The address of the page, with its question.
    pub(super) here: String,
    /// What was asked; empty fields of a form are left out.
    pub(super) question: Result<Question, Fault>,
    /// What they may do; of pages for everybody, nothing.
    pub(super) rights: Rights,
    /// What became of the form that led here.
    pub(super) said: Option<Said>,
}

impl<S: Send + Sync> FromRequestParts<S> for Ask {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Response> {
        let uri = &parts.uri;
        let here = uri.path_and_query().map_or_else(|| uri.path().to_owned(), ToString::to_string);
        let pairs = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
        let filled = pairs.into_owned().filter(|(_, value)| !value.trim().is_empty());
        let nobody = || Rights { actor: None, role: Role::Read, personal_data: PersonalData::Masked, csrf: None };
        let rights = parts.extensions.get::<Rights>().cloned().unwrap_or_else(nobody);
        let (language, question) = (Language::asked_by(&parts.headers), Question::of(filled));
        Ok(Self { language, here, question, rights, said: Said::take(&parts.headers) })
    }
}

impl Ask {
    /// What was asked, once.
    pub(super) fn question(&mut self) -> Result<Question, Fault> {
        std::mem::replace(&mut self.question, Question::of(std::iter::empty()))
    }

    /// The same page with another value of one parameter.
    pub(super) fn here_with(&self, name: &str, value: &str) -> String {
        let (path, query) = self.here.split_once('?').unwrap_or((&self.here, ""));
        let mut pairs = form_urlencoded::Serializer::new(String::new());
        for (known, old) in form_urlencoded::parse(query.as_bytes()) {
            if known != name && !old.is_empty() {
                pairs.append_pair(&known, &old);
            }
        }
        pairs.append_pair(name, value);
        format!("{path}?{}", pairs.finish())
    }
}

/// A page to be drawn.
#[derive(Debug)]
pub(super) struct Page {
    template: &'static str,
    section: &'static str,
    title: Title,
    is_live: bool,
    context: Value,
}

/// What stands in the bar of the browser.
#[derive(Debug)]
pub(super) enum Title {
    /// A word of ours.
    Word(&'static str),
    /// What somebody named.
    Name(String),
}

impl Page {
    /// A page of a section, which changes by itself.
    pub(super) fn live(template: &'static str, section: &'static str, title: Title, context: Value) -> Self {
        Self { template, section, title, is_live: true, context }
    }

    /// A page that stays as it is.
    pub(super) fn still(template: &'static str, section: &'static str, title: Title, context: Value) -> Self {
        Self { is_live: false, ..Self::live(template, section, title, context) }
    }
}

/// A page, or why there is none.
pub(super) type Shown = Result<Page, Fault>;

/// The response.
pub(super) fn respond(ask: &Ask, shown: Shown) -> Response {
    let (status, page) = match shown {
        Ok(page) => (StatusCode::OK, page),
        Err(fault) => (fault.status(), of_fault(&fault, ask.language)),
    };
    match draw(ask, page) {
        Ok(html) => {
            let mut response = answer(status, ask.language, html);
            if ask.said.is_some() {
                Said::forget(&mut response);
            }
            response
        }
        Err(error) => {
            tracing::error!(error = %format!("{error:#}"), "a page could not be drawn");
            let text = "This page could not be drawn: see the log of the daemon.\n".to_owned();
            (StatusCode::INTERNAL_SERVER_ERROR, [(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text)
                .into_response()
        }
    }
}

fn of_fault(fault: &Fault, language: Language) -> Page {
    let known = super::words::plain(language, &format!("fault.{}", fault.code()));
    let message = known.unwrap_or_else(|| fault.sentence());
    let context = json!({ "status": fault.status().as_u16(), "code": fault.code(), "message": message });
    let page = Page::still("fault.html", "", Title::Word("fault"), context);
    // What passes by itself is asked for again.
    Page { is_live: fault.status() == StatusCode::SERVICE_UNAVAILABLE, ..page }
}

fn draw(ask: &Ask, mut page: Page) -> Result<String, minijinja::Error> {
    let title = match page.title {
        Title::Name(name) => name,
        Title::Word(key) => super::words::plain(ask.language, key).unwrap_or(key).to_owned(),
    };
    if let Some(fields) = page.context.as_object_mut() {
        fields.insert("lang".to_owned(), ask.language.code().into());
        fields.insert("here".to_owned(), ask.here.clone().into());
        fields.insert("rights".to_owned(), rights(ask));
        fields.entry("now").or_insert(0.into());
    }
    let body = engine::draw(ask.language, page.template, &page.context)?;
    let frame = json!({
        "lang": ask.language.code(),
        "here": ask.here,
        "now": page.context.get("now"),
        "rights": rights(ask),
        "said": ask.said.as_ref().map(|said| json!({
            "action": said.action, "outcome": said.outcome, "sentence": said.sentence, "job": said.job,
            "is_refusal": said.is_refusal(),
        })),
        "title": title,
        "section": page.section,
        "live": page.is_live,
        "body": body,
        "assets": assets::addresses(),
        "version": env!("CARGO_PKG_VERSION"),
    });
    engine::draw(ask.language, "frame.html", &frame)
}

/// What a page needs to know of who looks at it.
fn rights(ask: &Ask) -> Value {
    let Rights { actor, role, csrf, .. } = &ask.rights;
    json!({ "actor": actor, "role": role, "csrf": csrf, "may_act": ask.rights.may_act() })
}

fn answer(status: StatusCode, language: Language, html: String) -> Response {
    let mut response = (status, html).into_response();
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    headers.insert(header::CONTENT_LANGUAGE, HeaderValue::from_static(language.code()));
    headers.insert(header::VARY, HeaderValue::from_static("accept-language"));
    if status == StatusCode::SERVICE_UNAVAILABLE {
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static("2"));
    }
    response
}
