//! What the demo shows at its end: orders, deliveries, refused rows, messages, speed, where to look next.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::{
    cli::{
        campaign,
        context::Context,
        format,
        output::{self, Column, Rows},
    },
    domain::delivery::{Cell, DeliveryState},
    sandbox::{Received, SandboxHandle},
    store::view::{CampaignView, RunView},
};

use super::permanent::{Answer, Permanent};

/// Messages shown.
const SAMPLES: usize = 3;

/// Refused rows looked at for an example of each code.
const ERRORS_LOOKED_AT: usize = 1000;

/// Refused rows of one kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Refusal {
    code: String,
    rows: u64,
    /// Line and sentence of one of them.
    line: u64,
    example: String,
}

/// A message as its recipient would read it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Sample {
    to: String,
    text: String,
}

/// Prints everything.
pub(super) async fn print(
    context: &Context,
    sandbox: &SandboxHandle,
    run: &RunView,
    permanent: &Permanent,
    shown: output::Format,
) -> anyhow::Result<()> {
    let store = &context.store;
    let view = campaign::load(store, &run.campaign).await?;
    let errors = store.campaign_errors(&run.campaign, 0, ERRORS_LOOKED_AT).await?;
    let refusals = refusals(&view, &errors);
    let samples = samples(&sandbox.inbox(None, 0, 10_000));
    let stats = sandbox.stats();
    let sent = [DeliveryState::Sent, DeliveryState::Delivered, DeliveryState::Undelivered, DeliveryState::Expired];
    let sent = sent.into_iter().map(|state| run.count(state)).sum();
    let took = run.took(store.now_ms().await?);
    let rate = format::rate(sent, took);
    if shown.json {
        output::json(&serde_json::json!({
            "campaign": view, "run": run, "refused": refusals, "samples": samples, "permanent": permanent,
            "sent": sent, "took_ms": u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            "provider": {
                "accepted": stats.counts.accepted, "duplicates": stats.counts.duplicates,
                "reports_confirmed": stats.reports.confirmed,
            },
        }))?;
        return Ok(());
    }
    output::line(format_args!("the campaign {} is {}", view.campaign, view.state))?;
    let reasons = format::summary(&reasons(context, run).await?);
    output::pairs([
        ("orders by state", format::summary(&view.orders_by_state)),
        ("deliveries by state", format::summary(&run.deliveries_by_state)),
        ("not sent because", reasons),
        ("sent", format!("{} in {}: {rate}", format::counted(sent, "message"), format::duration(took))),
        ("the provider saw", format!("{} accepted, {} twice", stats.counts.accepted, stats.counts.duplicates)),
        ("and reported", format!("on {}, signed", format::counted(stats.reports.confirmed, "message"))),
    ])?;
    print_refusals(&view, &refusals)?;
    output::line("")?;
    output::line("three of the messages:")?;
    for sample in &samples {
        output::line(format_args!(" {}  {}", sample.to, sample.text))?;
    }
    print_permanent(permanent)?;
    output::line("")?;
    print_next()?;
    Ok(())
}

fn print_permanent(permanent: &Permanent) -> std::io::Result<()> {
    output::line("")?;
    output::line("a permanent message to the cases that have not paid, every 3 s, closing each that it reached:")?;
    let mut rows = Rows::new(&[
        Column::Text("RUN"),
        Column::Number("CASES"),
        Column::Number("LEFT OUT"),
        Column::Number("SENT"),
        Column::Number("SKIPPED"),
        Column::Number("CLOSED"),
    ]);
    for run in &permanent.runs {
        let [cases, left_out, sent, skipped, closed] =
            [run.cases, run.left_out, run.sent, run.skipped, run.cases_closed].map(format::count);
        rows.add([run.run.clone(), cases, left_out, sent, skipped, closed]);
    }
    rows.print()?;
    let Answer { from, text, case } = &permanent.reply;
    output::line(format_args!(
        "\n{from} answered \"{text}\": its case was closed, so case {case} was opened for it, which the message leaves alone"
    ))
}

/// Why deliveries were skipped or failed, counted in the ledger.
async fn reasons(context: &Context, run: &RunView) -> anyhow::Result<BTreeMap<String, u64>> {
    let mut reasons = BTreeMap::new();
    for cell in context.store.cells(&run.campaign, &run.run, run.first..=run.end).await?.into_iter().flatten() {
        if let Ok(cell) = Cell::parse(&cell)
            && matches!(cell.state, DeliveryState::Skipped | DeliveryState::Failed)
        {
            *reasons.entry(cell.reason).or_default() += 1;
        }
    }
    Ok(reasons)
}

fn print_refusals(view: &CampaignView, refusals: &[Refusal]) -> std::io::Result<()> {
    output::line("")?;
    output::line(format_args!("{} refused, the others went on:", format::counted(view.refused, "row")))?;
    let columns = [Column::Number("ROWS"), Column::Text("CODE"), Column::Number("LINE"), Column::Text("FOR EXAMPLE")];
    let mut rows = Rows::new(&columns);
    for refusal in refusals {
        rows.add([
            format::count(refusal.rows),
            refusal.code.clone(),
            refusal.line.to_string(),
            format::cut(&refusal.example, 100),
        ]);
    }
    rows.print()
}

fn print_next() -> std::io::Result<()> {
    output::line("where to look next:")?;
    output::pairs([
        ("jobs/README.md", "the jobs that any program writes with one XADD, and the keys it reads".to_owned()),
        ("config/demo/", "the configuration, the rows and the job of this demo".to_owned()),
        ("config/remesa.toml", "every setting with its default".to_owned()),
        ("remesa sandbox", "the provider simulator; then `remesa run` with a channel to it".to_owned()),
        ("remesa check", "whether this machine has what a daemon needs".to_owned()),
        ("remesa --help", "the other commands".to_owned()),
    ])
}

/// By code, the most frequent first, each with its first example.
fn refusals(view: &CampaignView, errors: &[String]) -> Vec<Refusal> {
    let parsed: Vec<Value> = errors.iter().filter_map(|text| serde_json::from_str(text).ok()).collect();
    let mut refusals: Vec<_> = view
        .refused_by_code
        .iter()
        .map(|(code, rows)| {
            let found = parsed.iter().find(|error| error.get("code").and_then(Value::as_str) == Some(code));
            let example = found.and_then(|error| error.get("error")).and_then(Value::as_str);
            Refusal {
                code: code.clone(),
                rows: *rows,
                line: found.and_then(|error| error.get("line")).and_then(Value::as_u64).unwrap_or(0),
                example: example.unwrap_or_default().to_owned(),
            }
        })
        .collect();
    refusals.sort_by(|a, b| b.rows.cmp(&a.rows).then_with(|| a.code.cmp(&b.code)));
    refusals
}

/// Messages of different countries: their numbers begin differently.
fn samples(inbox: &[Received]) -> Vec<Sample> {
    let mut samples: Vec<Sample> = Vec::new();
    let begins = |to: &str| to.chars().take(3).collect::<String>();
    for message in inbox {
        if samples.len() < SAMPLES && samples.iter().all(|sample| begins(&sample.to) != begins(&message.to)) {
            samples.push(Sample { to: message.to.clone(), text: message.text.clone() });
        }
    }
    samples
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    #[test]
    fn each_code_has_its_count_and_its_first_example() {
        let hash = [("state", "delivered"), ("refused:missing_amount", "1"), ("refused:unknown_currency", "2")];
        let hash: HashMap<_, _> = hash.into_iter().map(|(f, v)| (f.to_owned(), v.to_owned())).collect();
        let errors = [
            r#"{"row":3,"line":4,"code":"unknown_currency","error":"currency: \"EUO\" is none","input":"{}"}"#,
            r#"{"row":5,"line":6,"code":"unknown_currency","error":"later","input":"{}"}"#,
        ];
        let found = refusals(&CampaignView::of("demo", &hash), &errors.map(str::to_owned));
        let shown: Vec<_> = found.iter().map(|r| (r.code.as_str(), r.rows, r.line)).collect();
        assert_eq!(shown, [("unknown_currency", 2, 4), ("missing_amount", 1, 0)]);
        assert_eq!(found[0].example, "currency: \"EUO\" is none");
    }
}
