//! Who asks, and what that allows: a token in `Authorization: Bearer`, or a browser's session.
//!
//! As long as nobody has a token, whoever reaches a listener on loopback may look things up, and nobody may act. As soon
//! as somebody has one, nothing is shown without. `may_read` stands before everything that shows something and hands
//! its handlers their [`Rights`].

use std::{sync::Arc, time::Duration};

use axum::{
    extract::{FromRequestParts, Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header, request::Parts},
    middleware::Next,
    response::{IntoResponse as _, Response},
};

use super::{
    answer::{Fault, respond},
    now, session,
};
use crate::{
    config::Config,
    domain::{
        clock::EpochMs,
        lookup::PersonalData,
        name::Name,
        pass::{Holders, Role},
    },
};

/// Who has tokens, and what holds for those who have none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    pub(super) holders: Holders,
    pub(super) session: Duration,
    pub(super) personal_data: PersonalData,
    on_loopback: bool,
}

impl Access {
    /// As the configuration says.
    pub fn new(config: &Config) -> Arc<Self> {
        Arc::new(Self {
            holders: config.access.holders.clone(),
            session: config.access.session,
            personal_data: config.http_personal_data,
            on_loopback: config.http_listen.is_some_and(|address| address.ip().is_loopback()),
        })
    }

    /// Whether anybody has a token: without, nobody can log in and nobody can act.
    pub fn has_tokens(&self) -> bool {
        !self.holders.is_empty()
    }

    /// What who sends these headers may do.
    pub(super) fn rights(&self, headers: &HeaderMap, now: EpochMs) -> Result<Rights, Fault> {
        if let Some(value) = headers.get(header::AUTHORIZATION) {
            let token = value.to_str().ok().and_then(bearer).ok_or_else(Fault::unknown_token)?;
            let holder = self.holders.by_token(token).ok_or_else(Fault::unknown_token)?;
            return Ok(self.of(Some(&holder.name), holder.role, None));
        }
        if self.holders.is_empty() {
            return if self.on_loopback { Ok(self.of(None, Role::Read, None)) } else { Err(Fault::nobody_may()) };
        }
        let cookie = session::cookie(headers).ok_or_else(Fault::token_needed)?;
        let holder = self.holders.by_session(cookie, now).ok_or_else(Fault::session_over)?;
        Ok(self.of(Some(&holder.name), holder.role, Some(holder.csrf(cookie))))
    }

    fn of(&self, actor: Option<&Name>, role: Role, csrf: Option<String>) -> Rights {
        let personal_data = match role {
            Role::Read if self.has_tokens() => PersonalData::Masked,
            Role::Read | Role::Operator => self.personal_data,
        };
        Rights { actor: actor.cloned(), role, personal_data, csrf }
    }
}

/// What somebody may do. A handler behind `may_read` takes it as an argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rights {
    /// The name of the token; none where nobody was asked for one.
    pub actor: Option<Name>,
    /// What the token is good for.
    pub role: Role,
    /// How contacts and variables are shown to them.
    pub personal_data: PersonalData,
    /// Only of a browser's session: what its forms must name in the field `csrf`, and its scripts in `X-CSRF-Token`.
    pub csrf: Option<String>,
}

impl Rights {
    /// Whether actions are for them.
    pub fn may_act(&self) -> bool {
        self.actor.is_some() && self.role >= Role::Operator
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Rights {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Response> {
        // A page that is not behind the guard shows nothing.
        parts.extensions.get::<Self>().cloned().ok_or_else(|| refuse(Fault::token_needed()))
    }
}

/// Lets through who may read.
pub(super) async fn may_read(State(access): State<Arc<Access>>, mut request: Request, next: Next) -> Response {
    match access.rights(request.headers(), now()) {
        Ok(rights) => {
            request.extensions_mut().insert(rights);
            next.run(request).await
        }
        Err(fault) if access.has_tokens() && wants_page(&request) => {
            let asked = request.uri().path_and_query().map_or("/", |path| path.as_str());
            session::to_login(asked, fault.code())
        }
        Err(fault) => refuse(fault),
    }
}

/// A refusal that says by what header one may come again.
pub(super) fn refuse(fault: Fault) -> Response {
    let mut response = respond(Err(fault)).into_response();
    if response.status() == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"remesa\""));
    }
    response
}

/// Whether a person looks at this with a browser.
pub(super) fn wants_page(request: &Request) -> bool {
    let accepts = request.headers().get(header::ACCEPT).and_then(|kinds| kinds.to_str().ok());
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    reads && accepts.is_some_and(|kinds| kinds.contains("text/html"))
}

fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim_start_matches(' '))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::pass::Holder;

    const ANA: &str = "ana-has-a-token-of-32-characters";
    const EVA: &str = "eva-has-a-token-of-32-characters";

    fn access(holders: &[(&str, Role, &str)]) -> Access {
        let holder = |(name, role, token): &(&str, Role, &str)| Holder::new(Name::parse(name).unwrap(), *role, token);
        Access {
            holders: Holders::new(holders.iter().map(holder)),
            session: Duration::from_mins(5),
            personal_data: PersonalData::Whole,
            on_loopback: true,
        }
    }

    fn both() -> Access {
        access(&[("ana", Role::Operator, ANA), ("eva", Role::Read, EVA)])
    }

    fn ask(access: &Access, name: &'static str, value: &str) -> Result<Rights, String> {
        let headers = HeaderMap::from_iter([(header::HeaderName::from_static(name), value.parse().unwrap())]);
        access.rights(&headers, EpochMs(1_000)).map_err(|fault| fault.code().to_owned())
    }

    #[test]
    fn a_token_brings_its_name_and_its_role() {
        let ana = ask(&both(), "authorization", &format!("bearer {ANA}")).unwrap();
        assert_eq!((ana.may_act(), ana.personal_data, ana.csrf), (true, PersonalData::Whole, None));
        assert_eq!(ana.actor.unwrap().as_str(), "ana");
        let eva = ask(&both(), "authorization", &format!("Bearer {EVA}")).unwrap();
        assert_eq!((eva.may_act(), eva.personal_data), (false, PersonalData::Masked));
        for wrong in ["Bearer", "Bearer x", "Basic YW5hOmFuYQ==", ANA, "Bearer \u{e9}"] {
            assert_eq!(ask(&both(), "authorization", wrong), Err("unknown_token".to_owned()), "{wrong}");
        }
    }

    #[test]
    fn a_session_brings_the_word_of_its_forms() {
        let both = both();
        let session = both.holders.by_token(ANA).unwrap().session(EpochMs(2_000), 1);
        let rights = ask(&both, "cookie", &format!("a=b; remesa_session={session}; c=d")).unwrap();
        assert!(rights.may_act() && rights.csrf.is_some_and(|word| word.len() == 16));
        let over = both.holders.by_token(ANA).unwrap().session(EpochMs(1_000), 1);
        assert_eq!(ask(&both, "cookie", &format!("remesa_session={over}")), Err("session_over".to_owned()));
        assert_eq!(ask(&both, "cookie", "other=1"), Err("token_needed".to_owned()));
    }

    #[test]
    fn without_tokens_loopback_may_read_and_nobody_may_act() {
        let open = access(&[]);
        let anybody = ask(&open, "accept", "*/*").unwrap();
        assert_eq!((anybody.may_act(), anybody.personal_data), (false, PersonalData::Whole));
        assert_eq!(ask(&open, "authorization", &format!("Bearer {ANA}")), Err("unknown_token".to_owned()));
        let wide = Access { on_loopback: false, ..open };
        assert_eq!(ask(&wide, "accept", "*/*"), Err("nobody_may".to_owned()));
    }
}
