//! A backlog that was there before the first daemon, and how much of it is in hand at once.

use std::collections::BTreeMap;

use redis::AsyncCommands as _;
use serde_json::json;

use super::{Stage, endless, incarnation};
use crate::support::daemon::Daemon;
use crate::support::wait;

const JOBS: usize = 12_000;

/// What a malformed job looks like, and the code it is refused with. None is an object with an id.
const MALFORMED: [(&str, &str); 6] = [
    ("{\"action\":\"pause\",", "not_json"),
    ("[1,2]", "not_an_object"),
    ("", "no_job"),
    ("{\"action\":\"pauze\",\"channel\":\"sms-main\"}", "unknown_action"),
    ("{\"action\":\"pause\",\"chanel\":\"sms-main\"}", "unknown_field"),
    ("\u{0}\u{1}\u{feff}", "not_json"),
];

#[tokio::test]
async fn of_12000_jobs_that_waited_all_valid_ones_are_done_and_all_malformed_ones_rejected() {
    let mut stage = Stage::with_channel().await;
    let mut expected: BTreeMap<&str, usize> = BTreeMap::new();
    let mut valid = Vec::new();
    let mut pipeline = redis::pipe();
    for n in 0..JOBS {
        let job = if n % 10 == 7 {
            let (text, code) = MALFORMED[n / 10 % MALFORMED.len()];
            *expected.entry(code).or_default() += 1;
            text.to_owned()
        } else if n % 2 == 0 {
            valid.push((n, format!("job-{n}")));
            json!({"id": format!("job-{n}"), "action": "pause", "channel": "sms-main"}).to_string()
        } else {
            valid.push((n, String::new()));
            json!({"action": "resume", "channel": "sms-main"}).to_string()
        };
        pipeline.xadd("remesa:jobs:control", "*", &[("job", job)]);
    }
    let entries: Vec<String> = pipeline.query_async(&mut stage.connection).await.unwrap();

    let mut daemon = Daemon::start(&stage.settings).await;
    stage.drained("control").await;

    let mut states = redis::pipe();
    for (n, id) in &valid {
        let id = if id.is_empty() { format!("control:{}", entries[*n]) } else { id.clone() };
        states.hget(format!("remesa:job:{id}"), "state");
    }
    let states: Vec<Option<String>> = states.query_async(&mut stage.connection).await.unwrap();
    assert_eq!(states.iter().filter(|state| state.as_deref() == Some("done")).count(), JOBS / 10 * 9);
    let mut found: BTreeMap<String, usize> = BTreeMap::new();
    for letter in stage.letters("rejected").await {
        *found.entry(letter["code"].clone()).or_default() += 1;
    }
    assert_eq!(found, expected.into_iter().map(|(code, count)| (code.to_owned(), count)).collect());
    assert!(daemon.is_running());
    assert!(stage.letters("dead").await.is_empty());
}

#[tokio::test]
async fn no_more_is_in_hand_than_there_are_permits() {
    let mut stage = Stage::set(&[("queues.permits_generate", "3")]).await;
    stage.spool_endless();
    for n in 0..9 {
        stage.add_json("generate", &endless(&format!("e-{n}"), &format!("c-{n}"))).await;
    }
    let daemon = Daemon::start(&stage.settings).await;
    let me = incarnation(&daemon).await;
    for n in 0..3 {
        stage.job(&format!("e-{n}"), &["running"]).await;
    }
    // The control queue has permits of its own: it goes on while generate is full.
    let entry = stage.add("control", r#"{"action":"pause","campaign":"nobody"}"#).await;
    stage.job(&format!("control:{entry}"), &["rejected"]).await;
    let pending = stage.pending("generate").await;
    assert_eq!(pending.iter().filter(|entry| entry.consumer == me).count(), 3);
    assert_eq!(pending.len(), 3);
    let taken: bool = stage.connection.exists("remesa:job:e-3").await.unwrap();
    assert!(!taken, "a job without a permit was taken");
}

#[tokio::test]
async fn depth_says_what_waits_and_what_runs() {
    let mut stage = Stage::set(&[("queues.permits_generate", "2")]).await;
    stage.spool_endless();
    for n in 0..5 {
        stage.add_json("generate", &endless(&format!("e-{n}"), &format!("c-{n}"))).await;
    }
    let _daemon = Daemon::start(&stage.settings).await;
    wait::until("3 wait and 2 run", async || {
        let fields = ["generate:waiting", "generate:running"];
        let depth: Vec<Option<u64>> = stage.connection.hmget("remesa:depth", &fields).await.unwrap();
        (depth == [Some(3), Some(2)]).then_some(())
    })
    .await;
}
