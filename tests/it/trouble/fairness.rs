//! A small run behind a big one on the same channel: counted at the provider, in the order in which messages came.

use crate::support::daemon::Daemon;
use crate::support::ledger::campaign_audit;
use crate::support::scene::{Scene, people, people_csv, send_file_job, send_job};

/// Rows of the big run: 25 s of the channel's rate.
const BIG: usize = 5_000;

#[tokio::test]
async fn a_small_run_behind_a_big_one_shares_its_channel_turn_by_turn() {
    for daemons in [1, 3] {
        let mut scene = Scene::with("rate_per_second = 200\n", |_| {}).await;
        let mut running = vec![scene.daemon().await];
        for n in 1..daemons {
            running.push(Daemon::start(&scene.settings.instance(&format!("more-{n}"))).await);
        }
        scene.settings.spool("big.csv", people_csv(BIG));
        scene.run("generate", &send_file_job("big", "big.csv")).await;
        scene.counted("big", "sent", 100).await;
        let before = scene.sandbox.stats().counts.accepted;
        scene.run("generate", &send_job("small", people(100))).await;
        scene.finished("small").await;
        assert_eq!(campaign_audit(&mut scene.db, "small").await, [("sent", 100)].into());
        let sent = scene.sandbox.inbox(None, 0, 10_000);
        let references: Vec<&str> = sent.iter().filter_map(|message| message.reference.as_deref()).collect();
        let last = references.iter().rposition(|reference| reference.starts_with("small/")).unwrap() + 1;
        let meanwhile = last - 100 - usize::try_from(before).unwrap();
        eprintln!("{daemons} daemon(s): {meanwhile} messages of the run of {BIG} came while the run of 100 was sent");
        // Turns under way have two seconds, and then it is the small one's turn: 400, and as many again to spare.
        assert!(meanwhile <= 800, "{meanwhile} of {BIG} came before the last of 100");
        assert_eq!(scene.delivery("big").await["state"], "running");
    }
}
