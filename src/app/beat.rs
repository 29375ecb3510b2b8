//! The heartbeat: who runs, what it serves, and what others must know of its channels.

use std::{sync::Arc, time::Duration};

use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::{
    config::Config,
    handler::{self, Context},
    store::{StoreError, script::digest},
};

/// Beats once; one that serves no `channels` tells nothing of any.
pub(super) async fn beat(ctx: &Context, channels: &[String], http: &str) -> Result<(), StoreError> {
    let now = ctx.store.now_ms().await?;
    let fields = [
        ("version", env!("CARGO_PKG_VERSION").to_owned()),
        ("instance", ctx.config.instance.to_string()),
        ("pid", std::process::id().to_string()),
        ("channels", channels.join(",")),
        ("channels_digest", channels_digest(&ctx.config)),
        ("beat_at", now.to_string()),
        ("in_hand", ctx.registry.len().to_string()),
        ("http", http.to_owned()),
    ];
    let told = if channels.is_empty() { Vec::new() } else { told(ctx) };
    ctx.store.beat(&ctx.incarnation, &fields, &told, now).await
}

/// What daemons that do not serve a channel must know of it: how its runs are to be made.
fn told(ctx: &Context) -> Vec<(String, Vec<(&'static str, String)>)> {
    ctx.channels
        .iter()
        .map(|(name, served)| {
            let settings = served.settings();
            let fields = vec![
                ("slots", settings.slots.to_string()),
                ("idempotent", u8::from(settings.idempotent).to_string()),
                ("rate_per_second", settings.rate_per_second.to_string()),
                (handler::contact_rules::TOLD, settings.contact.to_json()),
            ];
            (name.clone(), fields)
        })
        .collect()
}

/// Tells apart daemons whose channels are set up differently. Of settings that may hold a secret it knows nothing: they
/// do not show themselves.
fn channels_digest(config: &Config) -> String {
    digest(format!("{:?}", config.channels).as_bytes())
}

/// Beats until `end`, and lets go of connections that nobody used for long. From `relieved` on its channels are another
/// daemon's, which may have other settings for them.
pub(super) async fn heartbeat(
    ctx: Arc<Context>,
    channels: Vec<String>,
    http: String,
    relieved: CancellationToken,
    end: CancellationToken,
) {
    let mut tick = tokio::time::interval(Duration::from_secs(5));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = end.cancelled() => return,
            _ = tick.tick() => {}
        }
        let served: &[String] = if relieved.is_cancelled() { &[] } else { &channels };
        if let Err(error) = beat(&ctx, served, &http).await {
            tracing::debug!(%error, "no heartbeat for now");
        }
        for channel in ctx.channels.values() {
            channel.channel.drop_idle();
        }
        for point in ctx.points.values() {
            point.platform.drop_idle();
        }
    }
}
