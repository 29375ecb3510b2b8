//! The demo's second part: a permanent message over the cases of the campaign, closing each as it goes.
//!
//! The cases carry their payment orders, so whoever pays is left alone from then on. A client answers, others come in
//! by a later import, and the next runs reach exactly those that are new.

use std::time::Duration;

use anyhow::{Context as _, bail};
use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    cli::{context::Context, enqueue, follow, progress::Progress},
    domain::case::Case,
    job::QueueName,
    operate::jobs,
};

const CASES: &str = include_str!("../../../config/demo/cases.csv");
const IMPORT: &str = include_str!("../../../config/demo/import.json");
const RECURRING: &str = include_str!("../../../config/demo/recurring.json");

/// The file that the import names.
const CASES_FILE: &str = "cases.csv";

/// What the jobs above are about.
const CAMPAIGN: &str = "demo-dues";
const REMINDER: &str = "reminder";
const CHANNEL: &str = "sms-main";

/// Orders that are paid before the first reminder.
const PAID: [&str; 3] = ["D-0004", "D-0005", "D-0007"];

/// Runs shown.
const RUNS: usize = 3;

/// A run begins and ends within this: the interval, and its messages.
const RUN_WITHIN: Duration = Duration::from_secs(20);

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Permanent {
    /// The result of the import.
    pub import: Value,
    /// The first runs.
    pub runs: Vec<Reminder>,
    /// What somebody answered.
    pub reply: Answer,
    /// How many cases are closed at the end.
    pub closed: u64,
}

/// An answer, and the case that it opened: its own was closed by the message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Answer {
    /// Whose, masked.
    pub from: String,
    /// What.
    pub text: String,
    /// The number of the case that has it.
    pub case: u64,
}

/// One run of the permanent message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Reminder {
    /// Its name: the definition and its due time.
    pub run: String,
    /// Cases of the campaign when it began.
    pub cases: u64,
    /// Of them, those it was not for: closed, or filtered out.
    pub left_out: u64,
    /// Messages that the provider took.
    pub sent: u64,
    /// Not sent: paid, no contact.
    pub skipped: u64,
    /// Cases it closed.
    pub cases_closed: u64,
}

/// Plays it.
pub(super) async fn play(context: &Context, progress: &mut Progress) -> anyhow::Result<Permanent> {
    std::fs::write(context.config.sources.spool_dir.join(CASES_FILE), CASES)?;
    for key in PAID {
        control(context, json!({"action": "order_event", "campaign": CAMPAIGN, "key": key, "event": "paid"}), progress)
            .await?;
    }
    let import = job(context, QueueName::Import, IMPORT, progress).await?;
    job(context, QueueName::Recurring, RECURRING, progress).await?;
    let first = run(context, 0, progress).await?;
    let reply = answer(context, progress).await?;
    job(context, QueueName::Import, &later_cases().to_string(), progress).await?;
    let second = run(context, 1, progress).await?;
    let third = run(context, 2, progress).await?;
    control(context, json!({"action": "cancel", "campaign": CAMPAIGN, "recurring": REMINDER}), progress).await?;
    let fields = context.store.campaign_fields(CAMPAIGN, &["cases:closed"]).await?;
    let closed = fields.into_iter().flatten().next().and_then(|count| count.parse().ok()).unwrap_or(0);
    Ok(Permanent { import, runs: vec![first, second, third], reply, closed })
}

/// Two cases that come in while the message goes on.
fn later_cases() -> Value {
    let case = |id: &str, name: &str, mobile: &str, order: &str| json!({ "id": id, "first_name": name, "mobile": mobile, "order_key": order });
    json!({
        "id": "demo-cases-2",
        "campaign": CAMPAIGN,
        "rows": [
            case("C-101", "Carla", "+34600000101", "D-0527"),
            case("C-102", "Diego", "+34600000102", "D-0529"),
        ],
    })
}

/// Does a job and returns its result.
async fn job(context: &Context, queue: QueueName, job: &str, progress: &mut Progress) -> anyhow::Result<Value> {
    let checked = enqueue::check(queue, job.as_bytes())?;
    let enqueued = jobs::put(&context.store, queue, job.as_bytes(), checked.id).await?;
    let end = follow::job(&context.store, &enqueued, progress).await?;
    if !end.is_done() {
        bail!("a job of the demo ended {}", end.sentence());
    }
    Ok(end.result.unwrap_or_default())
}

async fn control(context: &Context, job: Value, progress: &mut Progress) -> anyhow::Result<Value> {
    self::job(context, QueueName::Control, &job.to_string(), progress).await
}

/// Waits for the end of the permanent message's run of this number.
async fn run(context: &Context, number: usize, progress: &mut Progress) -> anyhow::Result<Reminder> {
    let store = &context.store;
    let ended = async {
        let mut looks = tokio::time::interval(Duration::from_millis(50));
        loop {
            looks.tick().await;
            progress.part("the permanent message", number as u64, RUNS as u64, "runs");
            let mut names = store.run_names(CAMPAIGN).await?;
            names.retain(|name| name.starts_with("reminder@"));
            // The due time stands in the name.
            names.sort();
            let Some(name) = names.into_iter().nth(number) else { continue };
            let hash = store.run(CAMPAIGN, &name).await?;
            if hash.get("state").is_some_and(|state| state == "finished") {
                return anyhow::Ok((name, hash));
            }
        }
    };
    let (run, hash) =
        tokio::time::timeout(RUN_WITHIN, ended).await.context("the permanent message does not come")??;
    let count = |field: &str| hash.get(field).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
    let left_out = count("left_out");
    let took = ["sent", "delivered", "undelivered", "expired"].into_iter().map(count).sum();
    Ok(Reminder {
        run,
        cases: count("end"),
        left_out,
        sent: took,
        skipped: count("skipped").saturating_sub(left_out),
        cases_closed: count("cases_closed"),
    })
}

/// One of those who got a reminder answers it.
async fn answer(context: &Context, progress: &mut Progress) -> anyhow::Result<Answer> {
    let cases = context.store.cases(CAMPAIGN, 1..=10).await?;
    let reached = cases.into_iter().flatten().filter_map(|text| Case::from_json(&text).ok());
    let asker = reached.into_iter().find(|case| case.closed_by.is_some()).context("no case was closed")?;
    let contact = asker.contacts.iter().find_map(|contact| contact.value.clone()).context("a case without contact")?;
    let text = "¿Puedo pagar en dos plazos?";
    let reply = json!({"action": "reply", "channel": CHANNEL, "contact": contact.identity(), "text": text});
    let result = control(context, reply, progress).await?;
    let case = result.get("case").and_then(Value::as_u64).context("the answer stands on no case")?;
    Ok(Answer { from: contact.masked(), text: text.to_owned(), case })
}
