//! `POST /actions`: what an operator may do over HTTP. `docs/access.md` is its page.
//!
//! An action is a job of the queue `control` whose id says who asked, or a replay; who may ask has a token of the role
//! `operator`. A browser's session must name the word of its forms besides ([`Rights::csrf`]), and its page must be ours.
//! The answer is the job's: awaited for 10 s, afterwards it is the job's id by which to ask on. A form of a page is led
//! back to it, and told there once ([`said`]).
//!
//! | Answer | Meaning |
//! |---|---|
//! | 200 `{"job":...,"action":...,"outcome":"done","result":{...}}` | done; `same`: it was so already |
//! | 202 `{"job":...,"action":...,"outcome":"waiting"}` | in its queue; no answer yet |
//! | 303 | of a form with `return`: back to it, whatever became of it |
//! | 400, 413, 415 | not understood, too big, neither a form nor JSON |
//! | 401, 403, 421 | who are you; not you, or not from there; not by this name |
//! | 404, 409 | there is no such thing; its state does not allow it (the state and what it allows are named) |
//! | 500 | the job ended dead |
//! | 503 with `Retry-After` | too many at once, or Redis is away |

pub(super) mod said;
mod wish;

use std::{sync::Arc, time::Duration};

use axum::{
    Json, Router,
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, StatusCode, Uri, header, request::Parts},
    response::{IntoResponse as _, Response},
    routing::post,
};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::{
    answer::{Fault, refused},
    gate::Gate,
    incoming::{self, Fields, local_path},
    now,
    rights::{Access, Rights},
    session,
};
use crate::{
    domain::{
        actor::{Way, job_id},
        pass::is_csrf,
    },
    job::QueueName,
    operate::{
        jobs::{self, Enqueued, JobEnd, Look},
        replay,
    },
    store::{Store, StoreError},
};

use said::Said;
use wish::Wish;

/// Longest body.
const BODY_BYTES: usize = 64 * 1024;

/// Actions that wait for their answer at the same time.
const ROOM: usize = 16;

/// So long the answer of a job is awaited.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// Between two looks at the job.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Where actions are asked for.
#[derive(Debug)]
pub(super) struct Counter {
    store: Store,
    access: Arc<Access>,
    gate: Arc<Gate>,
    room: Semaphore,
}

/// What became of an action.
#[derive(Debug)]
struct Did {
    job: String,
    action: String,
    outcome: &'static str,
    result: Value,
}

impl Counter {
    pub(super) fn new(store: &Store, access: Arc<Access>, gate: Arc<Gate>) -> Arc<Self> {
        Arc::new(Self { store: store.separate(), access, gate, room: Semaphore::new(ROOM) })
    }

    async fn serve(&self, head: &Parts, incoming: Body) -> Result<Response, Fault> {
        self.gate.judge_post(&head.uri, &head.headers)?;
        let rights = match self.access.rights(&head.headers, now()) {
            Err(fault) if fault.is_about_who() && session::cookie(&head.headers).is_some() => {
                return Ok(session::to_login(&came_from(&head.headers), fault.code()));
            }
            rights => rights?,
        };
        let who = may_act(&rights)?;
        let _room = self.room.try_acquire().map_err(|_| Fault::busy())?;
        let body = incoming::read(incoming, BODY_BYTES).await?;
        let mut fields = Fields::parse(&head.headers, &body)?;
        let back = fields.take("return").filter(|_| fields.is_form());
        let back = back.map(|path| local_path(&path).unwrap_or("/").to_owned());
        let did = match is_meant(&rights, &head.headers, &mut fields) {
            Ok(()) => self.act(who, fields).await,
            Err(fault) => Err(fault),
        };
        match (back, did) {
            (Some(path), did) => {
                let said =
                    did.map_or_else(|fault| Said::refused(&fault), |did| Said::of(&did.action, did.outcome, &did.job));
                Ok(said.lead_back(&path))
            }
            (None, did) => did.map(Did::into_response),
        }
    }

    async fn act(&self, who: &str, fields: Fields) -> Result<Did, Fault> {
        let id = job_id(Way::Http, who, rand::random());
        match Wish::parse(fields)? {
            Wish::Control { action, mut job } => {
                job.insert("id".to_owned(), id.into());
                let bytes = Value::Object(job).to_string();
                let checked = jobs::check(QueueName::Control, bytes.as_bytes())?;
                let job = jobs::put(&self.store, QueueName::Control, bytes.as_bytes(), checked.id).await?;
                self.answer(action, job).await
            }
            Wish::Replay { letters, entry } => {
                let unknown =
                    || Fault::not_found("unknown_letter", format!("no {} job \"{entry}\"", replay::word(letters)));
                let letter = replay::find(&self.store, letters, &entry).await?.ok_or_else(unknown)?;
                let replayed = replay::replay_for(&self.store, letters, &letter, &id).await?;
                let result =
                    json!({ "letter": letter.entry, "queue": replayed.queue.as_str(), "entry": replayed.entry });
                Ok(Did { job: replayed.id.to_string(), action: "replay".to_owned(), outcome: "done", result })
            }
        }
    }

    /// Waits for the end of a job, as long as somebody is likely to.
    async fn answer(&self, action: String, job: Enqueued) -> Result<Did, Fault> {
        let looks = async {
            loop {
                if let Look::Ended(end) = jobs::look(&self.store, &job).await? {
                    return Ok::<JobEnd, StoreError>(end);
                }
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        let name = job.id.to_string();
        let Ok(end) = tokio::time::timeout(ANSWER_WITHIN, looks).await else {
            return Ok(Did { job: name, action, outcome: "waiting", result: Value::Null });
        };
        let end = end?;
        if !end.is_done() {
            return Err(Fault::of_end(&end));
        }
        let result = end.result.unwrap_or_default();
        let outcome = if result.get("changed") == Some(&Value::Bool(false)) { "same" } else { "done" };
        Ok(Did { job: name, action, outcome, result })
    }
}

impl Did {
    fn into_response(self) -> Response {
        let Self { job, action, outcome, result } = self;
        let mut body = json!({ "job": job, "action": action, "outcome": outcome });
        let status = if outcome == "waiting" { StatusCode::ACCEPTED } else { StatusCode::OK };
        if let (Some(fields), false) = (body.as_object_mut(), result.is_null()) {
            fields.insert("result".to_owned(), result);
        }
        (status, [(header::CACHE_CONTROL, "no-store")], Json(body)).into_response()
    }
}

/// The name of who may act.
fn may_act(rights: &Rights) -> Result<&str, Fault> {
    match &rights.actor {
        Some(actor) if rights.may_act() => Ok(actor.as_str()),
        Some(actor) => Err(Fault::forbidden(
            "operator_needed",
            format!("the token {actor} is for looking: actions need one with role = \"operator\""),
        )),
        None => Err(Fault::forbidden(
            "operator_needed",
            "nobody can act until there is a token with role = \"operator\": see [http.tokens] in the configuration",
        )),
    }
}

/// A session's form names its word: who tricks a browser into posting does not know it.
fn is_meant(rights: &Rights, headers: &HeaderMap, fields: &mut Fields) -> Result<(), Fault> {
    let given = fields.take("csrf");
    let Some(expected) = &rights.csrf else { return Ok(()) };
    let header = || headers.get("x-csrf-token").and_then(|value| value.to_str().ok()).map(str::to_owned);
    if given.or_else(header).is_some_and(|given| is_csrf(expected, &given)) {
        return Ok(());
    }
    Err(Fault::forbidden("csrf", "the form is not of this session: load the page again"))
}

/// The page of ours that a browser comes from.
fn came_from(headers: &HeaderMap) -> String {
    let referer = headers.get(header::REFERER).and_then(|page| page.to_str().ok()?.parse::<Uri>().ok());
    referer.and_then(|page| page.path_and_query().map(ToString::to_string)).unwrap_or_else(|| "/".to_owned())
}

/// The route.
pub(super) fn router(counter: Arc<Counter>) -> Router {
    Router::new().route("/actions", post(take)).with_state(counter)
}

async fn take(State(counter): State<Arc<Counter>>, request: Request) -> Response {
    let (head, incoming) = request.into_parts();
    counter.serve(&head, incoming).await.unwrap_or_else(|fault| refused(&fault))
}
