//! `rejected replay --where` and `dead replay --where`: counted first, then replayed at a rate; interrupted and repeated.

use std::process::Stdio;

use redis::AsyncCommands as _;
use serde_json::{Value, json};

use crate::support::command::{json_of, refused, run, shown};
use crate::support::scene::{Scene, generate_job, people, send_job};
use crate::support::wait;

/// Jobs for a channel that nobody serves, refused as such: with an id and without.
async fn refused_jobs(scene: &mut Scene, count: usize) {
    for n in 1..=count {
        let mut job = send_job(&format!("c{n}"), people(1));
        job["channel"] = "later".into();
        if n % 2 == 0 {
            job.as_object_mut().unwrap().remove("id");
        }
        scene.enqueue("generate", &job).await;
    }
    scene.enqueue("control", &json!({"action": "pause", "campaign": "nobody"})).await;
    letters(scene, "rejected", count + 1).await;
}

async fn letters(scene: &mut Scene, which: &str, count: usize) {
    wait::until(&format!("{count} are {which}"), async || {
        let found: usize = scene.db.xlen(format!("remesa:{which}")).await.unwrap();
        (found == count).then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_meets_the_conditions_is_counted_and_only_with_yes_replayed() {
    let mut scene = Scene::new().await;
    let mut daemon = scene.daemon().await;
    refused_jobs(&mut scene, 6).await;
    let meant = ["rejected", "replay", "--where", "code=unknown_channel", "queue=generate"];
    let counted = json_of(&scene.settings, &[&meant[..], &["--json"]].concat()).await;
    assert_eq!((counted["matched"].as_u64(), counted["replayed"].as_u64()), (Some(6), Some(0)), "{counted}");
    let said = shown(&scene.settings, &meant).await;
    assert!(said.starts_with("6 rejected jobs would be replayed\n"), "{said}");
    let one = json_of(&scene.settings, &[&meant[..], &["campaign=c3", "since=1h", "--json"]].concat()).await;
    assert_eq!(one["matched"], 1);
    let none = json_of(&scene.settings, &[&meant[..], &["until=1h", "--json"]].concat()).await;
    assert_eq!(none["matched"], 0);
    letters(&mut scene, "rejected", 7).await;
    for (condition, says) in
        [("cod=x", "is not one of code, queue"), ("code=poisoned", "not the code of a rejected job")]
    {
        let error = refused(&scene.settings, &["rejected", "replay", "--where", condition, "--yes"]).await;
        assert!(error.contains(says), "{error}");
    }
    // The channel is there now.
    daemon.term();
    daemon.exit_code().await;
    let served = scene.settings.replaced("[channels.sms]", "[channels.later]");
    let _daemon = crate::support::daemon::Daemon::start(&served).await;
    let replayed = json_of(&scene.settings, &[&meant[..], &["--yes", "--rate", "1000/s", "--json"]].concat()).await;
    assert_eq!((replayed["matched"].as_u64(), replayed["replayed"].as_u64()), (Some(6), Some(6)));
    letters(&mut scene, "rejected", 1).await;
    for n in 1..=6 {
        scene.campaign_is(&format!("c{n}"), "delivered").await;
    }
    assert_eq!(scene.sandbox.stats().counts.accepted, 6);
}

#[tokio::test]
async fn a_replay_that_was_interrupted_and_is_repeated_runs_no_job_twice() {
    let mut scene = Scene::new().await;
    let mut daemon = scene.daemon().await;
    refused_jobs(&mut scene, 10).await;
    daemon.term();
    daemon.exit_code().await;
    let meant = ["rejected", "replay", "--where", "code=unknown_channel", "--yes"];
    let mut slow = scene.settings.command(&[&meant[..], &["--rate", "4/s"]].concat());
    let slow = slow.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    letters(&mut scene, "rejected", 9).await;
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(slow.id().cast_signed()), nix::sys::signal::Signal::SIGINT)
        .unwrap();
    let ended = tokio::task::spawn_blocking(|| slow.wait_with_output().unwrap()).await.unwrap();
    assert!(!ended.status.success());
    let said = String::from_utf8(ended.stderr).unwrap();
    assert!(said.contains("the same command goes on where it stopped"), "{said}");
    // A death between writing and removing leaves the letter: it is written once more.
    let left: Vec<(String, Vec<(String, String)>)> =
        redis::cmd("XRANGE").arg("remesa:rejected").arg("-").arg("+").query_async(&mut scene.db).await.unwrap();
    let again = left.iter().find(|(_, fields)| fields.contains(&("code".to_owned(), "unknown_channel".to_owned())));
    let (entry, fields) = again.unwrap();
    let payload = &fields.iter().find(|(name, _)| name == "job").unwrap().1;
    let id = format!("{{\"id\":\"replay:{entry}:rejected\",");
    let twice = if payload.contains("\"id\"") { payload.clone() } else { payload.replacen('{', &id, 1) };
    let _: String = scene.db.xadd("remesa:jobs:generate", "*", &[("job", twice)]).await.unwrap();
    shown(&scene.settings, &[&meant[..], &["--rate", "10000/s"]].concat()).await;
    letters(&mut scene, "rejected", 1).await;
    let served = scene.settings.replaced("[channels.sms]", "[channels.later]");
    let _daemon = crate::support::daemon::Daemon::start(&served).await;
    for n in 1..=10 {
        scene.campaign_is(&format!("c{n}"), "delivered").await;
    }
    letters(&mut scene, "rejected", 1).await;
    assert_eq!(scene.sandbox.stats().counts.accepted, 10);
}

#[tokio::test]
async fn what_cannot_be_replayed_is_counted_apart_and_kept() {
    let mut scene = Scene::new().await;
    let _daemon = scene.daemon().await;
    for payload in ["{}", "not json", r#"{"campain":"x"}"#] {
        let _: String = scene.db.xadd("remesa:jobs:send", "*", &[("job", payload)]).await.unwrap();
    }
    letters(&mut scene, "rejected", 3).await;
    let output = run(scene.settings.command(&["rejected", "replay", "--where", "queue=send", "--yes", "--json"])).await;
    assert!(!output.status.success());
    let tally: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((tally["replayed"].as_u64(), tally["not_replayed"]["refused_again"].as_u64()), (Some(0), Some(3)));
    letters(&mut scene, "rejected", 3).await;
}

#[tokio::test]
async fn a_dead_job_of_a_kind_runs_again_under_its_id() {
    let mut scene = Scene::new().await;
    let _daemon = scene.daemon().await;
    for n in 1..=3 {
        // No row of it can be generated.
        let mut job = generate_job(&format!("c{n}"), people(1));
        job["rows"][0]["amount"] = "nothing".into();
        job["id"] = format!("gen-{n}").into();
        scene.enqueue("generate", &job).await;
        assert_eq!(scene.refused(&format!("gen-{n}")).await.0, "nothing_generated");
    }
    letters(&mut scene, "dead", 3).await;
    let tally =
        json_of(&scene.settings, &["dead", "replay", "--where", "code=nothing_generated", "--yes", "--json"]).await;
    assert_eq!(tally["replayed"], 3);
    // They die again, and are not met a second time.
    letters(&mut scene, "dead", 3).await;
    for n in 1..=3 {
        wait::field(&mut scene.db, &format!("remesa:job:gen-{n}"), "state", &["dead"]).await;
    }
}
