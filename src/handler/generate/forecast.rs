//! What a job's messages will come to: its channel as it stands, and the terms on which texts are counted.
//!
//! The same for the job at its acceptance and for its preview, in a daemon or beside one. Where Redis is not at hand,
//! what waits on the channel is not known and taken to be nothing.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::{
    config::Config,
    domain::{
        campaign::Category,
        clock::EpochMs,
        contact_rules::{Bounds, ContactRules},
        estimate::Course,
        hours::ContactHours,
        name::Name,
        short_code::{ShortCode, link},
    },
    job::{Delivery, Dispatch, GenerateJob},
    store::{Store, StoreError, view::ChannelState},
};

use super::super::{commercial, contact_rules};
use super::{census::Terms, resolve::Resolved};

/// A channel as far as it decides when messages leave.
#[derive(Debug, Clone)]
pub struct Lane {
    /// Its name.
    pub channel: String,
    /// Parts a second, 0 for no limit; none where nobody says it.
    pub rate_per_second: Option<u32>,
    /// Messages that a daemon has under way at once, where this configuration says it.
    pub in_flight: Option<u32>,
    /// Parts that wait on it, where Redis could be asked.
    pub parts_waiting: Option<u64>,
    /// Why it does not send now, if it does not.
    pub stands_still: Option<String>,
    /// When messages may leave, and how many an address gets.
    pub bounds: Bounds,
}

impl Lane {
    /// Looks at a channel.
    pub(in crate::handler) async fn look(
        config: &Config,
        store: Option<&Store>,
        channel: &Name,
        (category, rules): (Category, &ContactRules),
        now: EpochMs,
    ) -> Result<Self, StoreError> {
        let name = channel.as_str();
        let settings = config.channels.get(name);
        let (told, parts_waiting) = match store {
            Some(store) => (store.channel(name).await?, store.parts_waiting(name).await?.or(Some(0))),
            None => (HashMap::new(), None),
        };
        let rate_told = told.get("rate_per_second").and_then(|rate| rate.parse().ok());
        let state = ChannelState::of(&told, now.0);
        Ok(Self {
            channel: name.to_owned(),
            rate_per_second: settings.map(|settings| settings.rate_per_second).or(rate_told),
            in_flight: settings.map(|settings| settings.in_flight),
            parts_waiting,
            stands_still: (state != ChannelState::Open).then(|| state.to_string()),
            bounds: contact_rules::bounds(config, store, name, category, rules).await?,
        })
    }

    /// How messages of a job leave that may send from `from` on.
    pub fn course(&self, now: EpochMs, from: EpochMs) -> Course {
        let course = Course::new(now, from, self.rate_per_second.unwrap_or(0), self.parts_waiting.unwrap_or(0));
        course.held_until(self.bounds.hours.opens(course.starts))
    }
}

/// When the job's messages may leave at the earliest: once it has generated.
pub(in crate::handler) fn may_start(job: &GenerateJob, at: Option<EpochMs>, now: EpochMs) -> EpochMs {
    match &job.delivery {
        Delivery::At(at, _) => (*at).max(now),
        Delivery::None | Delivery::Now(_) => at.unwrap_or(now).max(now),
    }
}

/// On which terms the texts of a job are counted.
pub(in crate::handler) fn terms(
    config: &Config,
    resolved: &Resolved,
    dispatch: &Dispatch,
    (lane, course): (&Lane, Course),
    samples: usize,
) -> Terms {
    let code = ShortCode::sample(config.orders.short_code_length);
    Terms {
        message: dispatch.message.clone(),
        text: dispatch.text.clone(),
        link: link(&resolved.link_base, &code),
        farewell: commercial::sample(config, resolved.category),
        code,
        max_parts: config.max_parts,
        course,
        hours: lane.bounds.hours.clone(),
        expiry: resolved.expiry,
        floor: config.orders.floor,
        samples,
    }
}

/// When sending starts and ends, as a job's result and the campaign's hash say it: epoch milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Estimate {
    /// When the first message may leave.
    #[serde(rename = "estimated_start")]
    pub starts: EpochMs,
    /// When the last has left; none where the channel's rate is not limited.
    #[serde(rename = "estimated_end")]
    pub ends: Option<EpochMs>,
}

impl Estimate {
    /// The estimate of so many parts, which rest outside the contact hours.
    pub fn of(course: &Course, hours: &ContactHours, parts: u64) -> Self {
        let ends = course.ends(parts).map(|end| hours.done(course.starts, end.since(course.starts)));
        Self { starts: course.starts, ends }
    }
}
