//! `remesa campaign order`: one order, its link, and what each run did with it.
//!
//! It is named by campaign and number, key or reference, or by what a payer has: the short code, or the whole link. Of
//! a reference there may be several; they are shown one after the other.

use anyhow::anyhow;

use crate::{
    cli::{
        context::Context,
        error::Usage,
        format,
        output::{self, Column, Page, Rows},
    },
    domain::{clock::EpochMs, lookup::PersonalData, short_code::ShortCode},
    store::{
        Store,
        records::{Reader, Record, Runs, STRETCH, Shared},
    },
};

use super::{none, orders};

const EXAMPLES: &str = "\
Examples:
  remesa campaign order nov-dues 17
  remesa campaign order nov-dues --key A-1
  remesa campaign order nov-dues --reference INV-2041
  remesa campaign order aB3dE6gH9k                               the end of its link, alone
  remesa campaign order 'https://pay.example/?p=aB3dE6gH9k'
  remesa campaign order nov-dues 17 --json";

/// Arguments of `remesa campaign order`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The campaign; or, alone, a short code or a link.
    #[arg(required_unless_present = "short_code")]
    campaign: Option<String>,
    /// The order's number, from 1 in row order.
    number: Option<u64>,
    /// The row's key, in the place of the number.
    #[arg(long, conflicts_with = "number")]
    key: Option<String>,
    /// The producer's reference, in the place of the number; there may be several orders of one.
    #[arg(long, conflicts_with_all = ["number", "key"])]
    reference: Option<String>,
    /// The end of its link, in the place of everything else.
    #[arg(long, conflicts_with_all = ["campaign", "number", "key", "reference"])]
    short_code: Option<String>,
    #[command(flatten)]
    format: output::Format,
}

/// Runs the command.
pub(super) async fn run(context: &Context, args: Args) -> anyhow::Result<()> {
    let store = &context.store;
    let (campaign, numbers) = locate(store, &args).await?;
    let reader = store.reader(&campaign, &Runs::All).await?.ok_or_else(|| none(&campaign))?;
    let mut is_first = true;
    // Of a reference there may be many: one stretch after the other.
    for some in numbers.chunks(usize::try_from(STRETCH)?) {
        let mut page = Page::default();
        for record in reader.read(some).await?.records {
            if args.format.json {
                let order = record.to_json(&reader.shared, PersonalData::Whole);
                // One order is an object, those of a reference are a line each.
                if args.reference.is_some() { output::json_line(&order) } else { output::json(&order) }?;
            } else {
                if !is_first {
                    page.line("");
                }
                print(&mut page, &reader.shared, &record);
            }
            is_first = false;
        }
        page.print()?;
    }
    if is_first { Err(absent(&reader, &numbers)) } else { Ok(()) }
}

fn absent(reader: &Reader, numbers: &[u64]) -> anyhow::Error {
    let (campaign, number) = (&reader.shared.campaign, numbers.first().copied().unwrap_or(0));
    let (last, is_between) = (format::count(reader.last), (1..=reader.last).contains(&number));
    if is_between {
        return anyhow!("order {number} of {campaign} is not there: its row was not written");
    }
    anyhow!("{campaign} has no order {number}: its orders are numbered from 1 to {last}")
}

/// The campaign, and the number of the order; of a reference there may be several.
async fn locate(store: &Store, args: &Args) -> anyhow::Result<(String, Vec<u64>)> {
    let campaign = args.campaign.as_deref().unwrap_or_default();
    if let Some(reference) = &args.reference {
        let found = orders::of_reference(store, campaign, reference, args.format).await?;
        if found.is_empty() {
            return Err(anyhow!("{campaign} has no order with the reference \"{reference}\""));
        }
        return Ok((campaign.to_owned(), found));
    }
    if let Some(number) = args.number {
        return Ok((campaign.to_owned(), vec![number]));
    }
    if let Some(key) = &args.key {
        let number = store.order_number(campaign, key).await?;
        let number = number.ok_or_else(|| anyhow!("{campaign} has no row with the key \"{key}\""))?;
        return Ok((campaign.to_owned(), vec![number]));
    }
    let written = args.short_code.as_deref().unwrap_or(campaign);
    let code = match code_of(written) {
        Ok(code) => code,
        Err(error) if args.short_code.is_some() => return Err(Usage(error).into()),
        Err(_) => {
            let rule = "name the order: its number, --key or --reference after the campaign, or a short code alone";
            return Err(Usage(rule.to_owned()).into());
        }
    };
    let found = store.order_of_code(&code).await?;
    let found = found.map(|(campaign, number)| (campaign, vec![number]));
    found.ok_or_else(|| anyhow!("no order has the short code {}", code.as_str()))
}

/// The code of a link, or a code alone.
pub fn code_of(written: &str) -> Result<ShortCode, String> {
    let query = written.split_once('?').map(|(_, query)| query);
    let of_link = query.and_then(|query| query.split('&').find_map(|pair| pair.strip_prefix("p=")));
    ShortCode::parse(of_link.unwrap_or(written)).map_err(|error| error.to_string())
}

fn print(page: &mut Page, shared: &Shared, record: &Record) {
    let order = &record.order;
    page.line(format_args!("order {} of {} is {}", order.number, shared.campaign, record.state));
    let contact = match (&order.contact, order.forgotten_at) {
        (Some(phone), _) => phone.as_e164().to_owned(),
        (None, Some(at)) => format!("forgotten at {}", at.to_rfc3339()),
        (None, None) => "no valid one".to_owned(),
    };
    let mut pairs = vec![
        ("key", order.key.clone()),
        ("reference", order.reference.clone()),
        ("concept", order.concept.clone()),
        ("amount", orders::amount(shared, record)),
        ("contact", contact),
        ("payment point", record.payment_point(shared).to_owned()),
        ("platform's id", order.platform_id.clone().unwrap_or_default()),
        ("link", record.link(shared)),
        ("created", order.created_at.to_rfc3339()),
        ("expires", order.expires_at.to_rfc3339()),
    ];
    let variable = |value: &serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    pairs.extend(order.vars.iter().map(|(name, value)| (name.as_str(), variable(value))));
    page.pairs(pairs);
    page.line("");
    if record.deliveries.is_empty() {
        page.line("no run was to send it");
        return;
    }
    let columns = ["RUN", "STATE", "WHY", "ATTEMPT", "WHEN", "CHANNEL", "PROVIDER'S ID"].map(Column::Text);
    let mut rows = Rows::new(&columns);
    for delivery in &record.deliveries {
        let standing = &delivery.standing;
        rows.add([
            delivery.run.name.clone(),
            standing.state.to_string(),
            format::or_dash(&standing.reason),
            standing.attempt.to_string(),
            standing.at.map_or_else(|| "-".to_owned(), EpochMs::to_rfc3339),
            delivery.run.channel.clone(),
            format::or_dash(&standing.provider_id),
        ]);
    }
    page.rows(&rows);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_found_in_a_link_and_alone() {
        for written in ["aB3dE6gH9k", "https://pay.example/?p=aB3dE6gH9k", "http://x/pay?lang=es&p=aB3dE6gH9k"] {
            assert_eq!(code_of(written).unwrap().as_str(), "aB3dE6gH9k", "{written}");
        }
        assert!(code_of("nov-dues").is_err());
        assert!(code_of("https://pay.example/?q=1").is_err());
    }
}
