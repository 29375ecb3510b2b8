//! What every handler is given: the store, the configuration, the channels this daemon serves.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::{
    channel::{Channel, governor::Governor, settings::ChannelSettings},
    config::Config,
    journal::{Journal, keeper::Keeper},
    metrics::Metrics,
    orders::http::Platform,
    store::{
        Store, StoreError,
        barrier::Barrier,
        leases::Registry,
        outbox::Event,
        pressure::Pressure,
        publisher::{Parcel, Publisher},
        replicas::Replicas,
    },
};

use super::turn::plan::RunPlan;

/// A channel this daemon serves.
#[derive(Debug)]
pub struct ServedChannel {
    /// The way to the provider.
    pub channel: Channel,
    /// Its rate, permits and breaker.
    pub governor: Governor,
}

impl ServedChannel {
    /// Its settings.
    pub fn settings(&self) -> &ChannelSettings {
        &self.channel.settings
    }
}

/// A payment point whose orders a platform makes.
#[derive(Debug)]
pub struct ServedPoint {
    /// The way to the platform.
    pub platform: Platform,
    /// Its rate, permits and breaker.
    pub governor: Governor,
}

impl ServedPoint {
    /// Name of its shared state beside the channels'; no channel has a colon in its name.
    pub fn shared_name(point: &str) -> String {
        format!("orders:{point}")
    }
}

/// Shared by all handlers of a daemon.
#[derive(Debug)]
pub struct Context {
    /// Redis.
    pub store: Store,
    /// What this process is told to be.
    pub config: Arc<Config>,
    /// Channels by name.
    pub channels: HashMap<String, Arc<ServedChannel>>,
    /// Payment points with a platform, by name.
    pub points: HashMap<String, Arc<ServedPoint>>,
    /// The HMAC key of links and references.
    pub secret: Arc<[u8]>,
    /// Who we are.
    pub incarnation: String,
    /// Earlier incarnations of this instance, known to be dead.
    pub dead: Vec<String>,
    /// What was claimed and what became of it, on disk.
    pub journal: Arc<Journal>,
    /// Whether outcomes may be written, and recipients claimed, on the server that answers now.
    pub barrier: Arc<Barrier>,
    /// Slots in hand are renewed through it.
    pub registry: Arc<Registry>,
    /// Events on their way.
    pub publisher: Publisher,
    /// Who says whether a claim is replicated, where it has to be before anything leaves.
    pub replicas: Option<Replicas>,
    /// Counts.
    pub metrics: Arc<Metrics>,
    /// Set when the daemon drains: no new work begins.
    pub drain: CancellationToken,
    /// Compiled runs, by campaign and run.
    pub plans: Plans,
    /// Whether Redis has room for more.
    pub pressure: Pressure,
    /// Previews under way.
    pub previews: Semaphore,
}

/// What a run must know of its channel when it is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunShape {
    /// Turns side by side.
    pub slots: u32,
    /// Whether its provider recognises a repeat.
    pub idempotent: bool,
}

impl Context {
    /// Who writes again what a server lost, and lets nobody claim before.
    pub fn keeper(&self, store: &Store) -> Keeper {
        Keeper {
            store: store.separate(),
            journal: Arc::clone(&self.journal),
            barrier: Arc::clone(&self.barrier),
            registry: Arc::clone(&self.registry),
            publisher: self.publisher.clone(),
            metrics: Arc::clone(&self.metrics),
            incarnation: self.incarnation.clone(),
            dead: self.dead.clone(),
            lease: self.config.leases.lease,
        }
    }

    /// How the runs of a channel are made. Where another daemon serves it, its heartbeat tells what it is like.
    pub async fn run_shape(&self, channel: &str) -> Result<RunShape, StoreError> {
        if let Some(served) = self.channels.get(channel) {
            let settings = served.settings();
            return Ok(RunShape { slots: settings.slots, idempotent: settings.idempotent });
        }
        let told = self.store.channel(channel).await?;
        Ok(RunShape {
            slots: told.get("slots").and_then(|slots| slots.parse().ok()).unwrap_or(1),
            idempotent: told.get("idempotent").is_some_and(|flag| flag == "1"),
        })
    }

    /// Hands the events of an outbox entry to the publisher.
    pub fn publish(&self, campaign: &str, outbox_id: String, events: Vec<Event>) {
        self.publisher.publish(Parcel { campaign: campaign.to_owned(), outbox_id, events });
    }
}

/// Campaign, run, and when it was created: a Redis that came back without its data may see the same
/// names again, with another text.
type PlanKey = (String, String, String);

fn key(campaign: &str, run: &str, created_at: &str) -> PlanKey {
    (campaign.to_owned(), run.to_owned(), created_at.to_owned())
}

/// Compiled runs, so that a text is parsed once a run and not once a turn.
#[derive(Debug, Default)]
pub struct Plans(Mutex<HashMap<PlanKey, Arc<RunPlan>>>);

/// Runs kept compiled; above, all are forgotten and compiled again as they come.
const PLANS_KEPT: usize = 1000;

impl Plans {
    /// The plan of a run, if it is known.
    pub fn get(&self, campaign: &str, run: &str, created_at: &str) -> Option<Arc<RunPlan>> {
        let plans = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        plans.get(&key(campaign, run, created_at)).cloned()
    }

    /// Keeps a plan.
    pub fn keep(&self, campaign: &str, run: &str, created_at: &str, plan: &Arc<RunPlan>) {
        let mut plans = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if plans.len() >= PLANS_KEPT {
            plans.clear();
        }
        plans.insert(key(campaign, run, created_at), Arc::clone(plan));
    }
}
