//! `remesa audit`: who did what, when, and what it was before and after.

use crate::{
    operate::audit::{self, Wanted},
    store::audit::{AuditEntry, Thing},
};

use super::{
    context::Globals,
    format,
    output::{self, Column, Rows},
};

const EXAMPLES: &str = "\
Examples:
  remesa audit
  remesa audit --campaign nov-dues
  remesa audit --actor ana@desk --limit 200
  remesa audit --json";

/// Arguments of `remesa audit`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// How many, the newest first.
    #[arg(long, default_value_t = 50, value_name = "N")]
    limit: usize,
    /// Only what was done to this campaign.
    #[arg(long, value_name = "CAMPAIGN")]
    campaign: Option<String>,
    /// Only what this one did: user@host of a command, the name of a token, or remesa itself.
    #[arg(long, value_name = "WHO")]
    actor: Option<String>,
    #[command(flatten)]
    format: output::Format,
}

/// Runs the command.
pub async fn run(globals: &Globals, args: Args) -> anyhow::Result<()> {
    let context = globals.open().await?;
    let wanted = Wanted { campaign: args.campaign, actor: args.actor, before: None, limit: args.limit };
    let page = audit::page(&context.store, &wanted).await?;
    if args.format.json {
        output::json(&page.entries)?;
        return Ok(());
    }
    if page.entries.is_empty() {
        output::note("nobody did anything of the kind");
        return Ok(());
    }
    let mut rows = Rows::new(&["WHEN", "WHO", "ACTION", "OF", "BEFORE", "AFTER", "OUTCOME"].map(Column::Text));
    for entry in page.entries {
        let at = format::time(&entry.at.to_string());
        let (of, after) = (named(&entry.of), after(&entry));
        rows.add([at, entry.actor, entry.action, of, entry.before, after, entry.outcome]);
    }
    rows.print()?;
    if page.next.is_some() {
        output::note("there are older entries: see --limit");
    }
    Ok(())
}

/// `nov-dues/reminder`, `nov-dues order 7`, `channel sms-main`.
fn named(of: &Thing) -> String {
    let mut parts = Vec::new();
    match (of.campaign.as_str(), of.run.as_str()) {
        ("", _) => {}
        (campaign, "") => parts.push(campaign.to_owned()),
        (campaign, run) => parts.push(format!("{campaign}/{run}")),
    }
    for (word, text) in [("message", &of.recurring), ("order", &of.order), ("case", &of.case), ("channel", &of.channel)]
    {
        if !text.is_empty() {
            parts.push(format!("{word} {text}"));
        }
    }
    parts.join(" ")
}

fn after(entry: &AuditEntry) -> String {
    match (entry.after.as_str(), entry.counts.as_str()) {
        (after, "") => after.to_owned(),
        ("", counts) => counts.to_owned(),
        (after, counts) => format!("{after} ({counts})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_it_was_done_to_is_said_in_one_line() {
        let of = |campaign: &str, run: &str, order: &str, channel: &str| {
            let text = |text: &str| text.to_owned();
            named(&Thing {
                campaign: text(campaign),
                run: text(run),
                order: text(order),
                channel: text(channel),
                ..Thing::default()
            })
        };
        assert_eq!(of("nov", "delivery@1", "", ""), "nov/delivery@1");
        assert_eq!(of("nov", "", "7", ""), "nov order 7");
        assert_eq!(of("", "", "", "sms"), "channel sms");
    }
}
