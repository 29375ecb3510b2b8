//! `remesa campaign order`: one order, its link, and what each run did with it.
//!
//! Joins what lies in different keys: the order, the ledger cell of each run, the link. A waiting cell of
//! a cancelled run reads as `skipped: cancelled`, because cancelling does not touch the ledger.

use anyhow::anyhow;
use serde::Serialize;
use serde_json::json;

use crate::{
    domain::{
        clock::EpochMs,
        delivery::{Cell, DeliveryState},
        money::Currency,
        order::Order,
        short_code::ShortCode,
    },
    store::{
        Store,
        view::{CampaignView, RunView},
    },
};

use super::{
    campaign,
    context::{Context, Globals},
    error::Usage,
    format,
    output::{self, Column, Rows},
};

const EXAMPLES: &str = "\
Examples:
  remesa campaign order nov-dues 17
  remesa campaign order nov-dues --key A-1
  remesa campaign order --short-code aB3dE6gH9k
  remesa campaign order nov-dues 17 --json";

/// Arguments of `remesa campaign order`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The campaign.
    #[arg(required_unless_present = "short_code")]
    campaign: Option<String>,
    /// The order's number, from 1 in row order.
    number: Option<u64>,
    /// The row's key, in the place of the number.
    #[arg(long, conflicts_with = "number")]
    key: Option<String>,
    /// The end of its link, in the place of campaign and number.
    #[arg(long, conflicts_with_all = ["campaign", "number", "key"])]
    short_code: Option<String>,
    #[command(flatten)]
    format: output::Format,
}

/// What one run did with an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct DeliveryView {
    run: String,
    channel: String,
    state: DeliveryState,
    attempt: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<EpochMs>,
    #[serde(skip_serializing_if = "String::is_empty")]
    reason: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    provider_id: String,
}

impl DeliveryView {
    /// What the ledger says; an absent cell is queued.
    fn of(run: &RunView, cell: Option<&str>) -> Self {
        let found = cell.and_then(|text| Cell::parse(text).ok());
        let state = found.as_ref().map_or(DeliveryState::Queued, |cell| cell.state);
        let attempt = found.as_ref().map_or(0, |cell| cell.attempt);
        let waits = matches!(state, DeliveryState::Queued | DeliveryState::Retry | DeliveryState::Held);
        // The last two fields of a cell are the daemon's own while it waits or is being sent.
        let told = found.filter(|_| !waits && state != DeliveryState::Sending);
        let at = told.as_ref().map(|cell| cell.at);
        let (state, reason) = if waits && ["cancelled", "failed"].contains(&run.state.as_str()) {
            (DeliveryState::Skipped, run.state.clone())
        } else {
            (state, told.as_ref().map(|cell| cell.reason.clone()).unwrap_or_default())
        };
        let provider_id = told.map(|cell| cell.provider_id).unwrap_or_default();
        Self { run: run.run.clone(), channel: run.channel.clone(), state, attempt, at, reason, provider_id }
    }
}

/// Runs the command.
pub async fn run(globals: &Globals, args: Args) -> anyhow::Result<()> {
    let context = globals.open().await?;
    let (name, number) = locate(&context.store, &args).await?;
    let view = campaign::load(&context.store, &name).await?;
    let text = context.store.orders(&name, std::iter::once(number)).await?.into_iter().next().flatten();
    let text = text.ok_or_else(|| {
        anyhow!(
            "{name} has no order {number}: its orders are numbered from 1, and it has {}",
            format::count(view.orders)
        )
    })?;
    let order = Order::from_json(&text).map_err(|error| anyhow!("order {number} does not read: {error}"))?;
    let deliveries = deliveries(&context.store, &name, number).await?;
    let now = EpochMs(context.store.now_ms().await?);
    let link = link(&context, &view, &order);
    if args.format.json {
        let order: serde_json::Value = serde_json::from_str(&text)?;
        let shown = json!({ "campaign": name, "order": order, "link": link, "deliveries": deliveries });
        output::json(&shown)?;
        return Ok(());
    }
    print(&view, &order, &link, now)?;
    print_deliveries(&deliveries)?;
    Ok(())
}

async fn locate(store: &Store, args: &Args) -> anyhow::Result<(String, u64)> {
    if let Some(code) = &args.short_code {
        let code = ShortCode::parse(code).map_err(|error| Usage(error.to_string()))?;
        let (first3, rest) = code.split();
        let target = store.resolve_link(first3, rest).await?;
        let found = target.as_deref().and_then(|target| target.split_once('/'));
        let found = found.and_then(|(campaign, number)| Some((campaign.to_owned(), number.parse().ok()?)));
        return found.ok_or_else(|| anyhow!("no order has the short code {}", code.as_str()));
    }
    let campaign = args.campaign.clone().unwrap_or_default();
    match (args.number, &args.key) {
        (Some(number), _) => Ok((campaign, number)),
        (None, Some(key)) => {
            let number = store.order_number(&campaign, key).await?;
            let number = number.ok_or_else(|| anyhow!("{campaign} has no row with the key \"{key}\""))?;
            Ok((campaign, number))
        }
        (None, None) => Err(Usage("name the order: its number, or --key, or --short-code".to_owned()).into()),
    }
}

async fn deliveries(store: &Store, campaign: &str, number: u64) -> anyhow::Result<Vec<DeliveryView>> {
    let mut found = Vec::new();
    for run in campaign::runs(store, campaign).await? {
        if (run.first..=run.end).contains(&number) {
            let cell = store.cells(campaign, &run.run, std::iter::once(number)).await?.into_iter().next().flatten();
            found.push(DeliveryView::of(&run, cell.as_deref()));
        }
    }
    Ok(found)
}

/// The campaign's link address wins over the configuration's of today.
fn link(context: &Context, view: &CampaignView, order: &Order) -> String {
    let base = view.settings.get("link_base").cloned().or_else(|| {
        let point = view.settings.get("payment_point").map(String::as_str)?;
        Some(context.config.payment_point(point)?.link_base.clone())
    });
    order.link(&base.unwrap_or_default())
}

fn print(view: &CampaignView, order: &Order, link: &str, now: EpochMs) -> std::io::Result<()> {
    let state = order.state_at(now);
    output::line(format_args!("order {} of {} is {state}", order.number, view.campaign))?;
    let currency = order.currency.or_else(|| Currency::parse(view.settings.get("currency")?).ok());
    let amount = match currency {
        Some(currency) => format!("{} {}", order.amount.format(currency), currency.code()),
        None => format!("{} minor units", order.amount.minor()),
    };
    let mut pairs = vec![
        ("key", order.key.clone()),
        ("reference", order.reference.clone()),
        ("concept", order.concept.clone()),
        ("amount", amount),
        (
            "contact",
            order.contact.as_ref().map_or_else(|| "no valid one".to_owned(), |phone| phone.as_e164().to_owned()),
        ),
        ("link", link.to_owned()),
        ("created", order.created_at.to_rfc3339()),
        ("expires", order.expires_at.to_rfc3339()),
    ];
    let variable = |value: &serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    pairs.extend(order.vars.iter().map(|(name, value)| (name.as_str(), variable(value))));
    output::pairs(pairs)
}

fn print_deliveries(deliveries: &[DeliveryView]) -> std::io::Result<()> {
    output::line("")?;
    if deliveries.is_empty() {
        return output::line("no run was to send it");
    }
    let columns = ["RUN", "STATE", "WHY", "ATTEMPT", "WHEN", "CHANNEL", "PROVIDER'S ID"].map(Column::Text);
    let mut rows = Rows::new(&columns);
    for delivery in deliveries {
        rows.add([
            delivery.run.clone(),
            delivery.state.to_string(),
            format::or_dash(&delivery.reason),
            delivery.attempt.to_string(),
            delivery.at.map_or_else(|| "-".to_owned(), EpochMs::to_rfc3339),
            delivery.channel.clone(),
            format::or_dash(&delivery.provider_id),
        ]);
    }
    rows.print()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::view::ChannelState;
    use std::collections::HashMap;

    fn view(state: &str, cell: Option<&str>) -> DeliveryView {
        let hash = HashMap::from([("state".to_owned(), state.to_owned())]);
        DeliveryView::of(&RunView::of("c", "r", &hash, None, &ChannelState::Open), cell)
    }

    #[test]
    fn a_recipient_without_a_cell_is_queued_or_skipped_by_the_cancel() {
        assert_eq!(view("running", None).state, DeliveryState::Queued);
        let skipped = view("cancelled", None);
        assert_eq!((skipped.state, skipped.reason.as_str()), (DeliveryState::Skipped, "cancelled"));
        let retry = view("cancelled", Some("r,1,1763719200000,http_503,1"));
        assert_eq!((retry.state, retry.reason.as_str(), retry.attempt), (DeliveryState::Skipped, "cancelled", 1));
    }

    #[test]
    fn a_sent_one_shows_the_providers_id_and_a_claimed_one_nothing_of_ours() {
        let sent = view("cancelled", Some("s,2,1763719200000,,sb-1,x"));
        assert_eq!((sent.state, sent.attempt, sent.provider_id.as_str()), (DeliveryState::Sent, 2, "sb-1,x"));
        let sending = view("running", Some("c,1,1763719200000,17,3"));
        assert_eq!(
            (sending.state, sending.reason.as_str(), sending.provider_id.as_str()),
            (DeliveryState::Sending, "", "")
        );
    }
}
