//! `jobs/enqueue/postgresql`: whatever happens to its reader, the tables say what Redis says.

use std::process::Stdio;

use redis::aio::MultiplexedConnection;
use redis::{AsyncCommands as _, cmd};
use remesa::sandbox::Fate;
use serde_json::json;
use tokio::process::{Child, Command};

use super::postgres::Postgres;
use super::snippet::{RESULTS, folder, installed, missing, pending};
use crate::support::daemon::Daemon;
use crate::support::scene::{Scene, people, phone, run_key, send_job};
use crate::support::wait;

const GROUP: &str = "postgresql";
const ROWS: usize = 1_000;
const DELIVERIES: &str = "SELECT count(*) FROM deliveries";

/// A scene with a database. The sandbox refuses some and loses the answer of others; some have no number.
struct Step {
    scene: Scene,
    postgres: Postgres,
    _daemon: Daemon,
}

impl Step {
    async fn new() -> Self {
        let scene = Scene::with("retry_base = \"20ms\"\n", |sandbox| {
            for n in (1..=ROWS).filter(|n| n % 10 == 0) {
                sandbox.recipients.insert(phone(n), if n % 20 == 0 { Fate::Refuse } else { Fate::Cut });
            }
        })
        .await;
        let (postgres, daemon) = (Postgres::start().await, scene.daemon().await);
        Self { scene, postgres, _daemon: daemon }
    }

    /// Sends the campaign `c`, and lets a few orders be paid and cancelled.
    async fn send(&mut self) {
        let mut rows = people(ROWS);
        for row in rows.iter_mut().step_by(7) {
            row["SMScontact"] = "nobody".into();
        }
        self.scene.run("generate", &send_job("c", rows)).await;
        for (order, event) in [(1, "paid"), (2, "cancelled"), (3, "paid")] {
            self.scene.command(json!({"action": "order_event", "campaign": "c", "order": order, "event": event})).await;
        }
        self.scene.campaign_is("c", "delivered").await;
    }

    fn reader(&self, consumer: &str, more: &[&str]) -> Child {
        let python = installed("postgresql").join("bin/python");
        let mut command = Command::new(&python);
        command.arg(folder().join("postgresql/keep_in_step.py")).args(["--consumer", consumer, "--batch", "20"]);
        command.args(["--redis", &self.scene.redis.url(), "--postgres", &self.postgres.address()]).args(more);
        command.stdin(Stdio::null()).kill_on_drop(true);
        command.spawn().unwrap_or_else(|error| missing(python.to_str().unwrap(), &error))
    }

    /// Reads until nothing is left, claiming what other readers have had in their hands.
    async fn read_all(&self, consumer: &str) {
        let mut reader = self.reader(consumer, &["--claim-after", "0", "--until-empty"]);
        let status = wait::within("the reader ends", reader.wait()).await.unwrap();
        assert!(status.success(), "{status}");
    }

    /// Waits until the table has more rows than that, and kills the reader.
    async fn kill_behind(&self, mut reader: Child, rows: u64) {
        wait::until("rows are written", async || (self.postgres.count(DELIVERIES) > rows).then_some(())).await;
        reader.kill().await.unwrap();
    }

    /// Every row of both tables is what Redis says.
    async fn is_in_step(&mut self) {
        let mut ledger = Vec::new();
        let mut orders = Vec::new();
        for n in 1..=ROWS as u64 {
            let cell = self.scene.cell("c", n).await.expect("every recipient has an outcome");
            let parts: Vec<&str> = cell.splitn(5, ',').collect();
            // What stands behind an unknown delivery is the daemon's own.
            let id = if parts[0] == "n" { "" } else { parts[4] };
            ledger.push(format!("{n}|{}|{}|{}|{}|{id}", parts[0], parts[1], parts[2], parts[3]));
            let order = self.scene.order("c", n).await;
            let text = |field: &str| order[field].as_str().unwrap_or_default().to_owned();
            let (key, reference, state, contact) = (text("key"), text("reference"), text("state"), text("contact"));
            orders.push(format!(
                "{n}|{key}|{reference}|{state}|{}|EUR|{contact}|{}",
                order["amount"], order["expires_at"]
            ));
        }
        let told = self.postgres.rows(
            "SELECT number, CASE state WHEN 'skipped' THEN 'k' WHEN 'unknown' THEN 'n' ELSE left(state, 1) END, attempt,
                    (extract(epoch FROM at) * 1000)::bigint, coalesce(reason, ''),
                    CASE state WHEN 'unknown' THEN '' ELSE coalesce(provider_id, '') END
             FROM deliveries WHERE campaign = 'c' AND run = 'delivery@1' ORDER BY number",
        );
        assert_eq!(told, ledger);
        let told = self.postgres.rows(
            "SELECT number, key, reference, state, amount, currency, coalesce(contact, ''),
                    (extract(epoch FROM expires_at) * 1000)::bigint
             FROM orders WHERE campaign = 'c' ORDER BY number",
        );
        assert_eq!(told, orders);
        let run = self.scene.hash(&run_key("c")).await;
        let told = self.postgres.rows("SELECT state, first, last FROM runs WHERE campaign = 'c'");
        assert_eq!(told, [format!("{}|1|{ROWS}", run["state"])]);
        assert_eq!(pending(&mut self.scene, GROUP).await, 0);
    }
}

#[tokio::test]
async fn readers_killed_in_the_middle_leave_the_tables_in_step_with_the_ledger() {
    let mut step = Step::new().await;
    step.read_all("a").await;
    step.send().await;
    for (consumer, rows) in [("a", 50), ("a", 200), ("b", 400), ("c", 600)] {
        step.kill_behind(step.reader(consumer, &[]), rows).await;
    }
    // Two at once, which take the entries out of each other's hands.
    tokio::join!(step.read_all("d"), step.read_all("e"));
    step.is_in_step().await;
}

/// Writes an event of a delivery into the stream, as the daemon does.
async fn tell(step: &mut Step, order: u64, attempt: u32, state: &str, at: i64) {
    let event = format!("x/delivery@1/{order}.0/{attempt}/{state}");
    let data = json!({"event": event, "type": "delivery", "campaign": "x", "run": "delivery@1", "order": order,
                      "key": format!("k-{order}"), "state": state, "attempt": attempt, "parts": 1, "at": at});
    let fields = [("event", event.as_str()), ("type", "delivery"), ("data", &data.to_string())];
    let _: String = step.scene.db.xadd(RESULTS, "*", &fields).await.unwrap();
}

/// Waits until a client stands before Redis with an acknowledgement, or none does.
async fn acknowledging(db: &mut MultiplexedConnection, wanted: bool) {
    wait::until(&format!("acknowledging: {wanted}"), async || {
        let clients: String = cmd("CLIENT").arg("LIST").query_async(db).await.unwrap();
        (clients.contains("cmd=xack") == wanted).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_reader_killed_between_commit_and_acknowledgement_changes_nothing_when_it_reads_again() {
    let mut step = Step::new().await;
    step.read_all("a").await;
    for order in 1..=5 {
        tell(&mut step, order, 1, "sent", 1_795_000_000_000).await;
    }
    // It has read the events and waits for the table; then Redis puts writes off, so that it can commit and no more.
    let lock = step.postgres.lock("deliveries");
    let mut reader = step.reader("a", &[]);
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
    wait::until("the reader waits", async || (step.postgres.count(waiting) > 0).then_some(())).await;
    let mut db = step.scene.redis.connect().await;
    let () = cmd("CLIENT").arg(&["PAUSE", "60000", "WRITE"]).query_async(&mut db).await.unwrap();
    drop(lock);
    acknowledging(&mut db, true).await;
    assert_eq!(step.postgres.count(DELIVERIES), 5, "it commits before it acknowledges");
    reader.kill().await.unwrap();
    acknowledging(&mut db, false).await;
    let () = cmd("CLIENT").arg("UNPAUSE").query_async(&mut db).await.unwrap();
    assert_eq!(pending(&mut step.scene, GROUP).await, 5);
    let before = step.postgres.rows("SELECT * FROM deliveries ORDER BY number");
    step.read_all("a").await;
    assert_eq!(step.postgres.rows("SELECT * FROM deliveries ORDER BY number"), before);
    assert_eq!(pending(&mut step.scene, GROUP).await, 0);
}

#[tokio::test]
async fn repeated_and_overtaken_events_do_no_harm() {
    let mut step = Step::new().await;
    let now = 1_795_000_000_000;
    for (order, attempt, state, at) in [
        (1, 1, "delivered", now + 9), // overtakes its `sent`, and a late `expired` finds it there
        (1, 1, "sent", now),
        (1, 1, "expired", now + 20),
        (2, 2, "sent", now + 5), // a second attempt before the news of the first one
        (2, 1, "failed", now),
        (3, 1, "unknown", now),
        (3, 1, "sent", now + 3),
        (3, 1, "unknown", now), // the same event again
        (4, 1, "expired", now),
        (4, 1, "delivered", now + 7), // networks do send it late
        (5, 2, "sent", now),
        (5, 1, "delivered", now + 9), // somebody has the message, whichever attempt it was
        (5, 2, "expired", now + 20),
    ] {
        tell(&mut step, order, attempt, state, at).await;
    }
    step.read_all("a").await;
    let told = step.postgres.rows("SELECT number, attempt, state, event FROM deliveries ORDER BY number");
    let event = |order, attempt, state| format!("{order}|{attempt}|{state}|x/delivery@1/{order}.0/{attempt}/{state}");
    let delivered = |order| event(order, 1, "delivered");
    assert_eq!(told, [delivered(1), event(2, 2, "sent"), event(3, 1, "sent"), delivered(4), delivered(5)]);
}

#[tokio::test]
async fn whoever_is_forgotten_is_forgotten_in_the_tables_too() {
    let mut step = Step::new().await;
    let mut rows = people(2);
    rows[0]["key"] = phone(1).into();
    step.scene.run("generate", &send_job("c", rows)).await;
    step.scene.campaign_is("c", "delivered").await;
    step.read_all("a").await;
    let orders = "SELECT number, key, reference, contact FROM orders ORDER BY number";
    let ids = "SELECT number FROM deliveries WHERE provider_id IS NOT NULL ORDER BY number";
    assert_eq!(step.postgres.rows(ids), ["1", "2"]);
    step.scene.command(json!({"action": "forget", "contact": phone(1)})).await;
    step.read_all("a").await;
    assert_eq!(step.postgres.rows(orders), ["1|forgotten:1||".to_owned(), format!("2|k-2|A-2|{}", phone(2))]);
    assert_eq!(step.postgres.rows(ids), ["2"]);
}

#[tokio::test]
async fn a_recipient_without_an_event_is_queued_or_skipped_with_its_run() {
    let mut step = Step::new().await;
    step.scene.command(json!({"action": "pause", "channel": "sms"})).await;
    step.scene.run("generate", &send_job("c", people(3))).await;
    step.read_all("a").await;
    let recipients = "SELECT number, state, reason FROM recipients ORDER BY number";
    assert_eq!(step.postgres.rows(recipients), ["1|queued|", "2|queued|", "3|queued|"]);
    step.scene.command(json!({"action": "cancel", "campaign": "c"})).await;
    step.read_all("a").await;
    assert_eq!(step.postgres.rows(recipients), ["1|skipped|cancelled", "2|skipped|cancelled", "3|skipped|cancelled"]);
}
