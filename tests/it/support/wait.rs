//! Waiting for things to happen, under a deadline; the only place of the tests with a timer.
//!
//! Prefer what wakes by itself: [`entry`] blocks in Redis until a stream has a new entry, [`within`] awaits a future.
//! [`until`] asks again and again and is for what cannot be awaited. All of them panic when the deadline passes,
//! naming what did not happen; the deadline is far above what anything takes, so a slow machine changes nothing.

use std::time::Duration;

use redis::aio::ConnectionLike;
use redis::streams::{StreamId, StreamReadOptions, StreamReadReply};
use redis::{AsyncCommands as _, RedisResult};
use tokio::time::{MissedTickBehavior, interval, timeout};

/// After this, what did not happen does not happen any more.
pub(crate) const DEADLINE: Duration = Duration::from_mins(1);

/// How often [`until`] asks.
const TICK: Duration = Duration::from_millis(5);

/// What the future gives.
pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    let Ok(value) = timeout(DEADLINE, future).await else { panic!("{what}: did not happen within {DEADLINE:?}") };
    value
}

/// Asks until there is an answer.
pub(crate) async fn until<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    within(what, async {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if let Some(answer) = ask().await {
                return answer;
            }
        }
    })
    .await
}

/// The next entry of the stream behind `after` (`"0"` = from the beginning), as soon as there is one. Needs a
/// connection of its own ([`super::redis::Redis::connect`]): a blocking read holds up everything behind it.
pub(crate) async fn entry(redis: &mut (impl ConnectionLike + Send + Sync), stream: &str, after: &str) -> StreamId {
    const BLOCK_MS: usize = 1_000;
    let options = StreamReadOptions::default().count(1).block(BLOCK_MS);
    within(&format!("an entry in {stream} after {after}"), async {
        loop {
            let reply: RedisResult<Option<StreamReadReply>> = redis.xread_options(&[stream], &[after], &options).await;
            let found = reply.unwrap().and_then(|reply| reply.keys.into_iter().flat_map(|key| key.ids).next());
            if let Some(entry) = found {
                return entry;
            }
        }
    })
    .await
}

/// The first entry of the stream that `matches` says yes to, from the beginning.
pub(crate) async fn entry_where(
    redis: &mut (impl ConnectionLike + Send + Sync),
    stream: &str,
    mut matches: impl FnMut(&StreamId) -> bool,
) -> StreamId {
    let mut after = "0".to_owned();
    loop {
        let found = entry(redis, stream, &after).await;
        if matches(&found) {
            return found;
        }
        after.clone_from(&found.id);
    }
}

/// The field of the hash, once it is one of `values`: `field(c, "remesa:job:a", "state", &["done", "dead"])`.
pub(crate) async fn field(
    redis: &mut (impl ConnectionLike + Send + Sync),
    key: &str,
    field: &str,
    values: &[&str],
) -> String {
    until(&format!("{field} of {key} is one of {values:?}"), async || {
        let value: Option<String> = redis.hget(key, field).await.unwrap();
        value.filter(|value| values.contains(&value.as_str()))
    })
    .await
}
