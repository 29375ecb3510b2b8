//! The queue around handlers that misbehave: they panic, rest, go on, and lose their entry.
//!
//! The handlers are scripted here; streams, backend, workers and settling are the real ones on a real Redis.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use redis::AsyncCommands as _;
use remesa::domain::clock::EpochMs;
use remesa::domain::name::JobId;
use remesa::domain::retry::RetryPolicy;
use remesa::job::{DeadCode, Outcome, QueueName};
use remesa::metrics::Metrics;
use remesa::queue::service::{QueueService, Settings};
use remesa::queue::worker::JobPolicy;
use remesa::queue::{Handle, JobTask, Queue, QueueId};
use remesa::store::StoreError;
use remesa::store::leases::{Lease, Registry};
use remesa::store::pressure::Pressure;
use remesa::store::runs::SlotRef;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{GROUP, Stage, named};
use crate::support::wait;

/// What a scripted handler does, by the campaign of the job or slot.
#[derive(Default)]
struct Scripted {
    turns: AtomicUsize,
    go_on: Notify,
}

impl Handle for Scripted {
    async fn job(&self, task: JobTask) -> Outcome {
        match task.job.campaign().unwrap().as_str() {
            "panics" => panic!("as scripted"),
            "waits" => self.go_on.notified().await,
            _ => {}
        }
        Outcome::done(serde_json::json!({}))
    }

    async fn turn(&self, slot: SlotRef, _: Arc<Lease>) -> Outcome {
        let turn = self.turns.fetch_add(1, Ordering::SeqCst);
        match slot.campaign.as_str() {
            "panics" => panic!("as scripted"),
            "rests" => Outcome::Snooze { until: EpochMs(i64::MAX) },
            "lost" => {
                self.go_on.notified().await;
                Outcome::Again
            }
            "thrice" if turn < 2 => Outcome::Again,
            _ => Outcome::done(serde_json::json!({})),
        }
    }

    async fn alarm(&self, _: &str) -> Result<Option<i64>, StoreError> {
        Ok(None)
    }

    async fn ended_dead(&self, _: QueueName, _: &JobId, _: &str, _: DeadCode) -> Result<(), StoreError> {
        Ok(())
    }

    async fn poisoned(&self, _: &SlotRef) -> Result<(), StoreError> {
        panic!("as scripted, where nobody catches it")
    }
}

fn slot(campaign: &str) -> String {
    format!("{campaign}/run/0/1")
}

/// A queue service over the stage, with one permit for each queue.
fn serve(stage: &Stage, handler: &Arc<Scripted>) -> QueueService {
    serve_with(stage, handler, Duration::from_mins(1), &[])
}

/// The same with another lease, knowing who is dead.
fn serve_with(stage: &Stage, handler: &Arc<Scripted>, lease: Duration, dead: &[&str]) -> QueueService {
    let queues = [QueueId::Jobs(QueueName::Generate), QueueId::Batch("sms".to_owned())];
    let settings = Settings {
        queues: queues.into_iter().map(|id| Queue::new(id, 1)).collect(),
        policy: JobPolicy {
            secret: b"secret".as_slice().into(),
            retention_with_id: Duration::from_hours(1),
            retention: Duration::from_hours(1),
            retry: RetryPolicy { max_attempts: 2, base: Duration::from_millis(10), cap: Duration::from_millis(10) },
            max_deliveries: 5,
            max_bytes: 1_048_576,
        },
        renew: Duration::from_millis(100),
        lease,
        sweep: Duration::from_millis(100),
        incarnation: "me".to_owned(),
        pressure: Pressure::default(),
        dead: dead.iter().map(ToString::to_string).collect(),
    };
    let (registry, metrics) = (Arc::new(Registry::default()), Arc::new(Metrics::default()));
    QueueService::start(settings, &stage.store(), handler, &registry, &metrics, CancellationToken::new()).unwrap()
}

async fn add_slot(stage: &mut Stage, campaign: &str) -> String {
    stage.connection.xadd("remesa:jobs:batch:sms", "*", &[("slot", slot(campaign))]).await.unwrap()
}

/// Slots in the stream, oldest first.
async fn slots(stage: &mut Stage) -> Vec<String> {
    let reply: redis::streams::StreamRangeReply = stage.connection.xrange_all("remesa:jobs:batch:sms").await.unwrap();
    reply.ids.iter().map(|entry| entry.get("slot").unwrap()).collect()
}

#[tokio::test]
async fn a_job_that_panics_is_tried_again_and_then_dead_and_its_worker_goes_on() {
    let mut stage = Stage::plain().await;
    let service = serve(&stage, &Arc::default());
    stage.add_json("generate", &named("a", "panics")).await;
    stage.add_json("generate", &named("b", "well")).await;
    let dead = stage.job("a", &["dead"]).await;
    assert_eq!(dead["attempt"], "2");
    assert!(dead["error"].contains("panicked"), "{}", dead["error"]);
    stage.job("b", &["done"]).await;
    stage.drained("generate").await;
    assert!(service.stop(wait::DEADLINE).await);
}

#[tokio::test]
async fn a_turn_that_panics_or_rests_holds_no_permit_and_keeps_its_entry() {
    let mut stage = Stage::plain().await;
    let service = serve(&stage, &Arc::default());
    let resting = [add_slot(&mut stage, "panics").await, add_slot(&mut stage, "rests").await];
    // One permit: these are done only if the two above gave it back.
    for _ in 0..3 {
        add_slot(&mut stage, "well").await;
    }
    stage.left("batch:sms", 2).await;
    let pending = stage.pending("batch:sms").await;
    assert_eq!(pending.iter().map(|entry| entry.entry.clone()).collect::<Vec<_>>(), resting);
    assert!(pending.iter().all(|entry| entry.consumer == "me" && entry.deliveries == 1));
    assert!(service.stop(wait::DEADLINE).await);
    let released = stage.pending("batch:sms").await;
    assert!(released.iter().all(|entry| entry.consumer == "released" && entry.deliveries == 0), "{released:?}");
}

#[tokio::test]
async fn a_turn_that_goes_on_goes_to_the_tail_of_its_queue() {
    let mut stage = Stage::plain().await;
    let handler = Arc::new(Scripted::default());
    let first = add_slot(&mut stage, "thrice").await;
    let service = serve(&stage, &handler);
    stage.left("batch:sms", 0).await;
    assert_eq!(handler.turns.load(Ordering::SeqCst), 3);
    let last: redis::streams::StreamInfoStreamReply =
        stage.connection.xinfo_stream("remesa:jobs:batch:sms").await.unwrap();
    assert!(last.last_generated_id > first, "its successors were new entries");
    assert_eq!(stage.pending("batch:sms").await, []);
    assert!(service.stop(wait::DEADLINE).await);
}

#[tokio::test]
async fn a_turn_whose_entry_was_lost_is_not_settled_and_adds_no_successor() {
    let mut stage = Stage::plain().await;
    let handler = Arc::new(Scripted::default());
    let entry = add_slot(&mut stage, "lost").await;
    let service = serve(&stage, &handler);
    stage.pending_until("batch:sms", "it is in hand", |pending| pending.len() == 1).await;
    let _: redis::Value = redis::cmd("XCLAIM")
        .arg(&["remesa:jobs:batch:sms", GROUP, "thief", "0", &entry])
        .query_async(&mut stage.connection)
        .await
        .unwrap();
    handler.go_on.notify_one();
    // One permit: this is done only when the one before it has been let go.
    add_slot(&mut stage, "well").await;
    stage.left("batch:sms", 1).await;
    assert_eq!(slots(&mut stage).await, [slot("lost")]);
    let pending = stage.pending("batch:sms").await;
    assert_eq!((pending[0].entry.as_str(), pending[0].consumer.as_str()), (entry.as_str(), "thief"));
    assert!(service.stop(wait::DEADLINE).await);
}

#[tokio::test]
async fn a_drain_waits_for_what_runs_within_its_budget_and_settles_it() {
    let mut stage = Stage::plain().await;
    let handler = Arc::new(Scripted::default());
    let service = serve(&stage, &handler);
    stage.add_json("generate", &named("a", "waits")).await;
    stage.job("a", &["running"]).await;
    let (in_time, ()) = tokio::join!(service.stop(wait::DEADLINE), async { handler.go_on.notify_one() });
    assert!(in_time);
    stage.job("a", &["done"]).await;
    stage.drained("generate").await;

    let service = serve(&stage, &handler);
    let entry = stage.add_json("generate", &named("b", "waits")).await;
    stage.job("b", &["running"]).await;
    assert!(!service.stop(Duration::from_millis(200)).await, "nobody lets it go");
    let pending = stage.pending("generate").await;
    assert_eq!((pending[0].entry.as_str(), pending[0].consumer.as_str()), (entry.as_str(), "me"));
}

#[tokio::test]
async fn a_panic_outside_a_handler_leaves_its_entry_to_the_sweeper_and_counts() {
    let mut stage = Stage::plain().await;
    let entry = add_slot(&mut stage, "poison").await;
    let key = "remesa:jobs:batch:sms";
    let () = stage.connection.xgroup_create(key, GROUP, "0").await.unwrap();
    let options = redis::streams::StreamReadOptions::default().group(GROUP, "ghost");
    let _: redis::Value = stage.connection.xread_options(&[key], &[">"], &options).await.unwrap();
    let _: redis::Value = redis::cmd("XCLAIM")
        .arg(&[key, GROUP, "ghost", "0", &entry, "RETRYCOUNT", "9", "JUSTID"])
        .query_async(&mut stage.connection)
        .await
        .unwrap();
    let service = serve_with(&stage, &Arc::default(), Duration::from_millis(300), &["ghost"]);
    stage
        .pending_until("batch:sms", "it was tried twice", |pending| {
            pending.iter().any(|e| e.entry == entry && e.consumer == "me" && e.deliveries >= 11)
        })
        .await;
    add_slot(&mut stage, "well").await;
    stage.left("batch:sms", 1).await;
    assert!(service.stop(wait::DEADLINE).await);
}
