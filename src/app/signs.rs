//! The signs of life: what feeds the judgement of `/livez` and of systemd's watchdog.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::{
    handler::Context,
    http::{Liveness, QueueLook},
    queue::{Queue, depth::Depth, pressure},
};

/// Tells the signs of life, and the metrics, how the queues of this daemon stand. A daemon that drains claims nothing,
/// as it should.
pub(super) fn look_at(
    ctx: &Context,
    liveness: Arc<Liveness>,
    queues: Vec<Queue>,
) -> impl Fn(Option<&Depth>) + Send + use<> {
    let (pressure, drain, metrics) = (ctx.pressure.clone(), ctx.drain.clone(), Arc::clone(&ctx.metrics));
    move |depth| {
        let held = |queue: &&Queue| drain.is_cancelled() || pressure::holds(&pressure, &queue.id);
        let Some(depth) = depth else { return liveness.redis_is_away() };
        for queue in &queues {
            metrics.permits_free(&queue.name, queue.permits_free());
        }
        let looks = queues.iter().filter(|queue| !held(queue)).map(|queue| QueueLook {
            queue: &queue.name,
            waiting: depth.queues.get(&*queue.name).map_or(0, |q| q.waiting),
            permits_free: queue.permits_free(),
            claimed: queue.claimed.load(Ordering::Relaxed),
        });
        liveness.look(Instant::now(), looks);
    }
}

/// Shows each second that the event loop moves.
pub(super) async fn tick(liveness: Arc<Liveness>, end: CancellationToken) {
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = end.cancelled() => return,
            _ = tick.tick() => liveness.beat(Instant::now()),
        }
    }
}
