//! What a daemon is built of, from its configuration: channels, payment points, queues, limits.

use std::{collections::HashMap, sync::Arc};

use anyhow::Context as _;

use crate::{
    channel::{
        Channel,
        governor::{Bounds, Governor},
    },
    config::{Config, OrderProvider},
    domain::retry::RetryPolicy,
    handler::{Context, ServedChannel, ServedPoint},
    job::QueueName,
    orders::http::Platform,
    queue::{Queue, QueueId, incarnation::Instance, service::Settings, worker::JobPolicy},
    source::leftovers::Leftovers,
    store::{Store, janitor},
};

/// The channels that this daemon serves.
pub(super) fn channels(config: &Config, store: &Store) -> anyhow::Result<HashMap<String, Arc<ServedChannel>>> {
    let mut channels = HashMap::new();
    for (name, settings) in &config.channels {
        let channel = Channel::build(settings).with_context(|| format!("channels.{name}"))?;
        let governor = Governor::new(store, settings);
        channels.insert(name.clone(), Arc::new(ServedChannel { channel, governor }));
    }
    Ok(channels)
}

/// The payment points whose orders a platform makes.
pub(super) fn payment_points(config: &Config, store: &Store) -> anyhow::Result<HashMap<String, Arc<ServedPoint>>> {
    let mut points = HashMap::new();
    for (name, point) in &config.payment_points {
        let OrderProvider::Http(settings) = &point.provider else { continue };
        let platform = Platform::build(settings).with_context(|| format!("payment_points.{name}"))?;
        let bounds = Bounds {
            name: ServedPoint::shared_name(name),
            rate_per_second: settings.rate_per_second,
            in_flight: settings.in_flight,
            attempt: settings.longest(),
            breaker_failures: settings.breaker_failures,
            breaker_cooldown: settings.breaker_cooldown,
        };
        let governor = Governor::new(store, bounds);
        points.insert(name.clone(), Arc::new(ServedPoint { platform, governor }));
    }
    Ok(points)
}

/// How the queue of this daemon works.
pub(super) fn settings(ctx: &Context, instance: &Instance) -> Settings {
    let config = &ctx.config;
    let permits = |queue| match queue {
        QueueName::Control => config.queues.permits_control,
        QueueName::Import | QueueName::Generate | QueueName::Send | QueueName::Recurring => {
            config.queues.permits_generate
        }
    };
    let queues = QueueName::ALL
        .into_iter()
        .map(|queue| Queue::new(QueueId::Jobs(queue), permits(queue)))
        .chain(config.channels.keys().map(|c| Queue::new(QueueId::Batch(c.clone()), config.queues.permits_batch)))
        .collect();
    Settings {
        queues,
        policy: JobPolicy {
            retention_with_id: config.jobs.retention_with_id,
            retention: config.jobs.retention,
            retry: RetryPolicy {
                max_attempts: config.jobs.max_attempts,
                base: config.jobs.retry_base,
                cap: config.jobs.retry_cap,
            },
            max_deliveries: config.leases.max_deliveries,
            max_bytes: config.jobs.max_bytes,
            secret: Arc::clone(&ctx.secret),
        },
        renew: config.leases.renew,
        lease: config.leases.lease,
        sweep: config.leases.sweep,
        pressure: ctx.pressure.clone(),
        incarnation: instance.incarnation.clone(),
        dead: instance.dead.clone(),
    }
}

/// What is removed, and when.
pub(super) fn limits(config: &Config) -> janitor::Limits {
    janitor::Limits {
        results_max_bytes: config.streams.results_max_bytes,
        rejected_max_bytes: config.streams.rejected_max_bytes,
        dead_max_bytes: config.streams.dead_max_bytes,
        audit_max_bytes: config.streams.audit_max_bytes,
        campaigns: config.campaign_retention,
        recurring_runs: config.recurring_retention,
        forgotten: config.forgotten_retention,
    }
}

/// The files that are removed after a time.
pub(super) fn leftovers(config: &Config) -> Leftovers {
    Leftovers {
        state_dir: config.state_dir.clone(),
        spool_dir: config.sources.spool_dir.clone(),
        error_files: config.campaign_retention,
        exports: config.export_retention,
    }
}
