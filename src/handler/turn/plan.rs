//! A run compiled: its channel, its text, what all its links share.

use std::{
    sync::{Arc, atomic::AtomicU32},
    time::Duration,
};

use crate::{
    domain::{
        message::{Message, UrlPlace},
        money::Currency,
    },
    store::StoreError,
};

use super::super::{Context, ServedChannel};

/// What a turn needs to know of its run.
#[derive(Debug)]
pub struct RunPlan {
    /// The channel, served by this daemon.
    pub channel: Arc<ServedChannel>,
    /// The text.
    pub message: Message,
    /// What stands before the short code of a link.
    pub link_base: String,
    /// The currency of orders that name none.
    pub currency: Option<Currency>,
    /// An order with less life left is not sent (PO-19).
    pub min_life: Duration,
    /// More parts than this are not sent (PO-13).
    pub max_parts: usize,
    /// Parts of a message as last seen, for the next reservation.
    pub parts_hint: AtomicU32,
}

impl RunPlan {
    /// The plan of a run, compiled once. `None`: there is no such run, or its channel is not ours.
    pub async fn load(ctx: &Context, campaign: &str, run: &str) -> Result<Option<Arc<Self>>, StoreError> {
        let created_at = ctx.store.run_field(campaign, run, "created_at").await?.unwrap_or_default();
        if let Some(known) = ctx.plans.get(campaign, run, &created_at) {
            return Ok(Some(known));
        }
        let hash = ctx.store.run(campaign, run).await?;
        let text = |field: &str| hash.get(field).map_or("", String::as_str);
        let Some(channel) = ctx.channels.get(text("channel")) else { return Ok(None) };
        let place = match text("url_place") {
            "start" => Some(UrlPlace::Start),
            "end" => Some(UrlPlace::End),
            _ => None,
        };
        let message = match Message::compile(text("text"), place) {
            Ok(message) => message,
            Err(error) => {
                tracing::error!(campaign, run, %error, "the text of this run does not compile");
                return Ok(None);
            }
        };
        let plan = Arc::new(Self {
            channel: Arc::clone(channel),
            message,
            link_base: text("link_base").to_owned(),
            currency: Currency::parse(text("currency")).ok(),
            min_life: ctx.config.orders.floor,
            max_parts: ctx.config.max_parts,
            parts_hint: AtomicU32::new(1),
        });
        ctx.plans.keep(campaign, run, &created_at, &plan);
        Ok(Some(plan))
    }

    /// The link of a short code.
    pub fn link(&self, short_code: &str) -> String {
        link(&self.link_base, short_code)
    }
}

/// The public link of an order, `https://<host>/?p={short_code}`.
pub fn link(base: &str, short_code: &str) -> String {
    let mut link = String::with_capacity(base.len() + 4 + short_code.len());
    link.push_str(base);
    if !base.ends_with('/') {
        link.push('/');
    }
    link.push_str("?p=");
    link.push_str(short_code);
    link
}
