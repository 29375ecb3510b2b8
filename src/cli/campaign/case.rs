//! `remesa campaign case`: one case, its contacts, and what each run sent to it.

use anyhow::anyhow;

use crate::{
    cli::{
        context::Context,
        error::Usage,
        format,
        output::{self, Column, Page, Rows},
    },
    domain::{
        case::{Case, ClosedReason},
        clock::EpochMs,
        lookup::PersonalData,
    },
    store::case_view::{CaseDelivery, case_with_deliveries},
};

use super::{cases, load};

const EXAMPLES: &str = "\
Examples:
  remesa campaign case nov-dues 17
  remesa campaign case nov-dues --id c-17
  remesa campaign case nov-dues 17 --json";

/// Arguments of `remesa campaign case`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The campaign.
    campaign: String,
    /// The case's number, from 1 in the order of their import.
    #[arg(required_unless_present = "id")]
    number: Option<u64>,
    /// The id it was imported with, in the place of the number.
    #[arg(long, conflicts_with = "number")]
    id: Option<String>,
    #[command(flatten)]
    format: output::Format,
}

/// Runs the command.
pub(super) async fn run(context: &Context, args: Args) -> anyhow::Result<()> {
    let (store, campaign) = (&context.store, args.campaign.as_str());
    load(store, campaign).await?;
    let number = match (args.number, &args.id) {
        (Some(number), _) => number,
        (None, Some(id)) => store
            .case_number(campaign, id)
            .await?
            .ok_or_else(|| anyhow!("{campaign} has no case with the id \"{id}\""))?,
        (None, None) => return Err(Usage("name the case: its number, or --id".to_owned()).into()),
    };
    let text = store.cases(campaign, std::iter::once(number)).await?.into_iter().next().flatten();
    let Some(text) = text else {
        let last = format::count(store.case_count(campaign).await?);
        return Err(anyhow!("{campaign} has no case {number}: its cases are numbered from 1 to {last}"));
    };
    let case = Case::from_json(&text)?;
    let deliveries = store.case_deliveries(campaign, &case).await?;
    if args.format.json {
        output::json(&case_with_deliveries(campaign, &case, &deliveries, PersonalData::Whole))?;
        return Ok(());
    }
    page(campaign, &case, &deliveries).print()?;
    Ok(())
}

fn page(campaign: &str, case: &Case, deliveries: &[CaseDelivery]) -> Page {
    let mut page = Page::default();
    page.line(format_args!("case {} of {campaign} is {}", case.number, case.state));
    let value = |value: &serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let by = case.closed_by.as_ref().map(|run| format!(" by {run}")).unwrap_or_default();
    let client = &case.client;
    let mut pairs = vec![
        ("id", case.id.clone()),
        ("closed", case.closed_reason.map(|reason: ClosedReason| format!("{reason}{by}")).unwrap_or_default()),
        ("outcome", case.outcome.clone().unwrap_or_default()),
        ("origin", case.origin.clone().unwrap_or_default()),
        ("opened by a reply to", case.reply_to.clone().unwrap_or_default()),
        ("order", case.order.map(|order| order.to_string()).unwrap_or_default()),
        ("name", cases::name(case)),
        ("birth date", client.birth_date.map(|date| date.to_string()).unwrap_or_default()),
        ("labels", client.labels.join(", ")),
        ("created", case.created_at.to_rfc3339()),
        ("updated", case.updated_at.to_rfc3339()),
        ("forgotten", case.forgotten_at.map(EpochMs::to_rfc3339).unwrap_or_default()),
    ];
    pairs.extend(client.other.iter().chain(&case.vars).map(|(name, each)| (name.as_str(), value(each))));
    page.pairs(pairs);
    page.line("");
    let mut contacts = Rows::new(&["CONTACT", "KIND", "ADDRESS", "UPDATED", ""].map(Column::Text));
    for (index, contact) in case.contacts.iter().enumerate() {
        contacts.add([
            index.to_string(),
            contact.kind.to_string(),
            contact.value.as_ref().map_or_else(|| "-".to_owned(), |address| address.as_str().to_owned()),
            contact.updated_at.to_rfc3339(),
            if contact.gone { "gone" } else { "" }.to_owned(),
        ]);
    }
    if contacts.is_empty() {
        page.line("no contact");
    } else {
        page.rows(&contacts);
    }
    for reply in &case.replies {
        page.line(format_args!("reply {}: {}", reply.at.to_rfc3339(), format::cut(&reply.text, 80)));
    }
    page.line("");
    if deliveries.is_empty() {
        page.line("no run was to send to it");
        return page;
    }
    let columns = ["RUN", "CONTACT", "STATE", "WHY", "ATTEMPT", "WHEN", "CHANNEL", "PROVIDER'S ID"].map(Column::Text);
    let mut rows = Rows::new(&columns);
    for CaseDelivery { run, channel, contact, standing } in deliveries {
        rows.add([
            run.clone(),
            contact.to_string(),
            standing.state.to_string(),
            format::or_dash(&standing.reason),
            standing.attempt.to_string(),
            standing.at.map_or_else(|| "-".to_owned(), EpochMs::to_rfc3339),
            channel.clone(),
            format::or_dash(&standing.provider_id),
        ]);
    }
    page.rows(&rows);
    page
}
