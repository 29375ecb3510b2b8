//! What became of a form, told once on the page that it came from: in a cookie that the page takes and forgets.
//!
//! The page says it in its own words by action and outcome; the sentence of a refusal comes with it.

use axum::{
    http::{HeaderMap, HeaderValue, header},
    response::Response,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

use super::super::{answer::Fault, session};

/// The cookie's name.
const COOKIE: &str = "remesa_said";

/// A page that is not loaded within this tells it no more.
const SECONDS: u32 = 60;

/// Longest sentence: a cookie has about 4,000 bytes.
const SENTENCE_CHARS: usize = 600;

/// What became of a form.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    /// The action; empty where it was not even read.
    pub action: String,
    /// `done`, `same`, `waiting`, or the code of the refusal.
    pub outcome: String,
    /// Why not, of a refusal.
    pub sentence: String,
    /// The job, where there is one.
    pub job: String,
}

impl Said {
    pub(super) fn of(action: &str, outcome: &str, job: &str) -> Self {
        let (action, outcome, job) = (action.to_owned(), outcome.to_owned(), job.to_owned());
        Self { action, outcome, job, sentence: String::new() }
    }

    pub(super) fn refused(fault: &Fault) -> Self {
        let sentence = fault.sentence().chars().take(SENTENCE_CHARS).collect();
        Self { outcome: fault.code().to_owned(), sentence, ..Self::default() }
    }

    /// Whether it was refused.
    pub fn is_refusal(&self) -> bool {
        !matches!(self.outcome.as_str(), "done" | "same" | "waiting")
    }

    /// Leads the browser back to its page, which tells it.
    pub(super) fn lead_back(&self, path: &str) -> Response {
        let mut response = session::see_other(path);
        // Plain texts: there is nothing to refuse.
        let text = URL_SAFE_NO_PAD.encode(serde_json::to_string(self).unwrap_or_default());
        set(&mut response, &text, SECONDS);
        response
    }

    /// What the page of this request has to tell.
    pub fn take(headers: &HeaderMap) -> Option<Self> {
        let text = URL_SAFE_NO_PAD.decode(session::cookie_named(headers, COOKIE)?).ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// Forgets it: the page has told it.
    pub fn forget(response: &mut Response) {
        set(response, "", 0);
    }
}

fn set(response: &mut Response, text: &str, seconds: u32) {
    let cookie = format!("{COOKIE}={text}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict");
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_survives_the_way_through_the_browser() {
        let fault = Fault::forbidden("wrong_state", "the campaign \"ñ;<b>\" is delivered".repeat(100));
        let said = Said::refused(&fault);
        assert!(said.is_refusal() && said.sentence.chars().count() == SENTENCE_CHARS);
        let response = said.lead_back("/campaigns/nov");
        assert_eq!(response.headers()[header::LOCATION], "/campaigns/nov");
        let cookie = response.headers()[header::SET_COOKIE].to_str().unwrap().split(';').next().unwrap().to_owned();
        let headers = HeaderMap::from_iter([(header::COOKIE, cookie.parse().unwrap())]);
        assert_eq!(Said::take(&headers), Some(said));
        let nonsense = HeaderMap::from_iter([(header::COOKIE, HeaderValue::from_static("remesa_said=<script>"))]);
        assert_eq!(Said::take(&nonsense), None);
    }
}
