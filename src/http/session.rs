//! `POST /login` and `POST /logout`: a browser's session.
//!
//! Logging in posts a token, as a form or as JSON, and gets a cookie which no script reads and no other site sends. It is
//! signed and not stored: logging out takes it from the browser; to end it everywhere, change the token.
//!
//! | Answer | Meaning |
//! |---|---|
//! | 303 | of a form: logged in, on to `return` (a path on this host, `/` unless told); or back to `/login?refused=<code>` |
//! | 200 `{"name":...,"role":...,"until":...}` | of JSON: logged in |
//! | 400, 413, 415 | the body is not understood, too big, neither a form nor JSON |
//! | 401 `{"error":"unknown_token","sentence":...}` | of JSON: nobody has this token |
//! | 403, 421 | from a page of another site; by a name that is not ours |

use std::sync::Arc;

use axum::{
    Json, Router,
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, Uri, header},
    response::{IntoResponse as _, Response},
    routing::post,
};
use serde_json::json;

use super::{
    answer::{Fault, refused},
    gate::Gate,
    incoming::{self, Fields, local_path},
    now,
    rights::Access,
};

/// The cookie's name.
const COOKIE: &str = "remesa_session";

/// Longest body: a token and a path.
const BODY_BYTES: usize = 8 * 1024;

/// What logging in needs to know.
#[derive(Debug, Clone)]
pub(super) struct Reception {
    pub(super) access: Arc<Access>,
    pub(super) gate: Arc<Gate>,
}

/// The routes.
pub(super) fn router(reception: Reception) -> Router {
    Router::new().route("/login", post(login)).route("/logout", post(logout)).with_state(reception)
}

async fn login(State(reception): State<Reception>, request: Request) -> Response {
    let (head, incoming) = request.into_parts();
    match reception.log_in(&head.uri, &head.headers, incoming).await {
        Ok(response) => response,
        Err(fault) => refused(&fault),
    }
}

async fn logout(State(reception): State<Reception>, uri: Uri, headers: HeaderMap) -> Response {
    if let Err(fault) = reception.gate.judge_post(&uri, &headers) {
        return refused(&fault);
    }
    with_cookie(see_other("/login"), &cookie_text("", 0, reception.gate.is_encrypted(&headers)))
}

impl Reception {
    async fn log_in(&self, uri: &Uri, headers: &HeaderMap, incoming: Body) -> Result<Response, Fault> {
        self.gate.judge_post(uri, headers)?;
        let body = incoming::read(incoming, BODY_BYTES).await?;
        let mut fields = Fields::parse(headers, &body)?;
        let (token, wanted) = (fields.take("token").unwrap_or_default(), fields.take("return").unwrap_or_default());
        let wanted = local_path(&wanted).unwrap_or("/");
        let Some(holder) = self.access.holders.by_token(token.trim()) else {
            tracing::info!("somebody tried to log in with a token that nobody has");
            let fault = Fault::unknown_token();
            return if fields.is_form() { Ok(fault.note(to_login(wanted, fault.code()))) } else { Err(fault) };
        };
        let until = now().plus(self.access.session);
        let session = holder.session(until, rand::random());
        let response = if fields.is_form() {
            see_other(wanted)
        } else {
            let no_store = [(header::CACHE_CONTROL, "no-store")];
            (no_store, Json(json!({ "name": holder.name, "role": holder.role, "until": until }))).into_response()
        };
        tracing::info!(actor = %holder.name, role = %holder.role, "logged in");
        let encrypted = self.gate.is_encrypted(headers);
        Ok(with_cookie(response, &cookie_text(&session, self.access.session.as_secs(), encrypted)))
    }
}

/// The session that a browser sends.
pub(super) fn cookie(headers: &HeaderMap) -> Option<&str> {
    cookie_named(headers, COOKIE)
}

/// A cookie that a browser sends.
pub(super) fn cookie_named<'a>(headers: &'a HeaderMap, cookie: &str) -> Option<&'a str> {
    let all = headers.get_all(header::COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    let mut pairs = all.flat_map(|cookies| cookies.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == cookie).map(|(_, value)| value)
}

/// Leads a browser to the page where it logs in, and says why and where it was going.
pub(super) fn to_login(wanted: &str, why: &str) -> Response {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("refused", why);
    if let Some(wanted) = local_path(wanted).filter(|wanted| *wanted != "/") {
        query.append_pair("return", wanted);
    }
    see_other(&format!("/login?{}", query.finish()))
}

/// Leads a browser on with a GET.
pub(super) fn see_other(path: &str) -> Response {
    let place = HeaderValue::from_str(path).unwrap_or(HeaderValue::from_static("/"));
    let headers = [(header::LOCATION, place), (header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    (StatusCode::SEE_OTHER, headers).into_response()
}

fn with_cookie(mut response: Response, cookie: &str) -> Response {
    if let Ok(cookie) = HeaderValue::from_str(cookie) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}

fn cookie_text(session: &str, seconds: u64, encrypted: bool) -> String {
    let secure = if encrypted { "; Secure" } else { "" };
    format!("{COOKIE}={session}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_read_by_no_script_and_sent_by_no_other_site() {
        let text = cookie_text("ana~1~2~x", 60, false);
        assert_eq!(text, "remesa_session=ana~1~2~x; Path=/; Max-Age=60; HttpOnly; SameSite=Strict");
        assert!(cookie_text("x", 60, true).ends_with("; Secure"));
    }

    #[test]
    fn who_has_to_log_in_comes_back_to_where_they_were_going() {
        let place = |wanted| to_login(wanted, "token_needed").headers()[header::LOCATION].to_str().unwrap().to_owned();
        assert_eq!(place("/runs?a=1&b=2"), "/login?refused=token_needed&return=%2Fruns%3Fa%3D1%26b%3D2");
        for nowhere in ["/", "//evil.example", "x"] {
            assert_eq!(place(nowhere), "/login?refused=token_needed");
        }
    }
}
