//! `POST /replies/<channel>`: what people answer.
//!
//! Believed (its signature, unless the channel says that somebody else sees to it), read (as the channel's configuration
//! says), and kept one after the other; only then it is answered. A reply that is told again is known again. Nothing that
//! is personal is logged.
//!
//! | Answer | Meaning |
//! |---|---|
//! | 200 `{"kept":1,"unknown":0,"again":0}` | kept: on a case or an order's campaign; of no message of ours (`unknown`): told in the results stream alone; kept before (`again`) |
//! | 400 | not JSON, or one of the replies cannot be understood; what could be was kept |
//! | 401 | the signature is missing, wrong or too old |
//! | 404 | no such channel, or it takes no replies |
//! | 408, 413 | the body came too slowly; it is too big |
//! | 503 with `Retry-After` | not kept: too many at once, Redis is away, or too few replicas have it (`redis.wait_replicas`) |

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json, Router,
    extract::{Path, Request, State},
    response::{IntoResponse, Response},
    routing::post,
};
use serde_json::json;
use tokio::sync::Semaphore;

use super::webhook::{self, Refused};
use crate::{
    config::{Config, ReceiptSettings},
    domain::reply::{Inbound, ReplyMap},
    metrics::{Metrics, labels::ReplyResult},
    store::{StoreError, lasting::Lasting, replies::ReplyRules},
};

/// Most replies of one body.
const MOST_REPLIES: usize = 200;

/// Bodies worked on at the same time.
const READING: usize = 16;

/// Takes replies.
#[derive(Debug)]
pub struct Mailbox {
    channels: BTreeMap<String, ReplyMap>,
    signatures: BTreeMap<String, ReceiptSettings>,
    rules: ReplyRules,
    secret: Arc<[u8]>,
    lasting: Lasting,
    metrics: Arc<Metrics>,
    reading: Semaphore,
}

impl Mailbox {
    /// A mailbox for the channels that take replies.
    pub fn new(config: &Config, secret: Arc<[u8]>, lasting: Lasting, metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self {
            channels: config.channel_replies.clone(),
            signatures: config.receipts.clone(),
            rules: ReplyRules::of(config),
            secret,
            lasting,
            metrics,
            reading: Semaphore::new(READING),
        })
    }

    async fn receive(&self, channel: &str, request: Request) -> Result<Tally, Refused> {
        let (Some(map), Some(signature)) = (self.channels.get(channel), self.signatures.get(channel)) else {
            return Err(Refused::UnknownChannel);
        };
        let count = |result| self.metrics.replied(channel, result);
        let (head, incoming) = request.into_parts();
        let bytes = webhook::read(&self.reading, incoming).await?;
        webhook::believe(signature, &head, &bytes).map_err(|error| {
            count(ReplyResult::Unsigned);
            Refused::Signature(error)
        })?;
        let unreadable = |code, message| {
            count(ReplyResult::Unreadable);
            Refused::Unreadable { code, message }
        };
        let body = webhook::parse(&head.headers, &bytes).map_err(|error| unreadable("not_json", error))?;
        let replies = map.replies(&body).map_err(|error| unreadable(error.code(), error.to_string()))?;
        if replies.len() > MOST_REPLIES {
            return Err(Refused::TooBig("a body has at most 200 replies"));
        }
        let (mut tally, mut first_unreadable) = (Tally::default(), None);
        for (index, reply) in replies.iter().enumerate() {
            match map.read(&self.secret, channel, reply) {
                Ok(inbound) => tally.count(self.keep(&inbound).await?),
                Err(error) => {
                    let refused = unreadable(error.code(), format!("reply {index}: {error}"));
                    first_unreadable.get_or_insert(refused);
                }
            }
        }
        first_unreadable.map_or(Ok(tally), Err)
    }

    async fn keep(&self, inbound: &Inbound) -> Result<ReplyResult, Refused> {
        let kept = async {
            let writing = self.lasting.begin().await?;
            let taken = writing.store.take_reply(&self.secret, &self.rules, inbound).await?;
            writing.lasts().await.map(|()| taken)
        };
        let taken = kept.await.map_err(|error: StoreError| {
            tracing::warn!(channel = inbound.channel, %error, "a reply is not kept: it comes again");
            Refused::Busy
        })?;
        let result = ReplyResult::from(&taken);
        self.metrics.replied(&inbound.channel, result);
        Ok(result)
    }
}

/// What became of the replies of one request.
#[derive(Debug, Default)]
struct Tally {
    kept: u64,
    unknown: u64,
    again: u64,
}

impl Tally {
    const fn count(&mut self, result: ReplyResult) {
        match result {
            ReplyResult::Kept | ReplyResult::Opened => self.kept += 1,
            ReplyResult::Unknown => self.unknown += 1,
            ReplyResult::Again => self.again += 1,
            ReplyResult::Unreadable | ReplyResult::Unsigned => {}
        }
    }
}

/// The routes.
pub(super) fn router(mailbox: Arc<Mailbox>) -> Router {
    Router::new().route("/replies/{channel}", post(take)).with_state(mailbox)
}

async fn take(State(mailbox): State<Arc<Mailbox>>, Path(channel): Path<String>, request: Request) -> Response {
    match mailbox.receive(&channel, request).await {
        Ok(Tally { kept, unknown, again }) => {
            Json(json!({ "kept": kept, "unknown": unknown, "again": again })).into_response()
        }
        Err(refused) => refused.into_response(),
    }
}
