//! `remesa campaign cases`: the cases of a campaign, filtered, in pages.
//!
//! Pages go by number, which never changes. A filter is asked of every case, stretch by stretch: memory is one page, and
//! progress is shown while it takes long.

use crate::{
    cli::{
        context::Context,
        error::Usage,
        format,
        output::{self, Column, Rows},
        progress::Progress,
    },
    domain::{
        case::{Case, CaseState},
        clock::EpochMs,
        contact::Address,
        lookup::PersonalData,
    },
    store::case_view::{CaseFilter, STRETCH, case_json},
};

use super::{none, words};

const EXAMPLES: &str = "\
Examples:
  remesa campaign cases nov-dues
  remesa campaign cases nov-dues --after 50                  the next page
  remesa campaign cases nov-dues --active --label vip
  remesa campaign cases nov-dues --state closed --all --json one JSON object a line
  remesa campaign cases nov-dues --contact +34600123456";

/// Cases looked at by one step of a search, between two looks at the progress.
const STEP: u64 = 8 * STRETCH;

/// Arguments of `remesa campaign cases`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The campaign.
    campaign: String,
    /// Only cases in this state.
    #[arg(long, value_parser = words::case_state(), conflicts_with = "active")]
    state: Option<CaseState>,
    /// Only cases that are not closed.
    #[arg(long)]
    active: bool,
    /// Only cases whose client has this label.
    #[arg(long)]
    label: Option<String>,
    /// Only cases with this phone number (+34600123456) or e-mail address.
    #[arg(long, value_name = "ADDRESS")]
    contact: Option<String>,
    /// Only cases of the payment order with this number.
    #[arg(long, value_name = "NUMBER")]
    order: Option<u64>,
    /// The last case of the page before.
    #[arg(long, default_value_t = 0, value_name = "NUMBER")]
    after: u64,
    /// How many.
    #[arg(long, default_value_t = 50, value_name = "N")]
    limit: usize,
    /// As many as there are, as JSON.
    #[arg(long, requires = "json", conflicts_with = "limit")]
    all: bool,
    /// Print one JSON object a line instead of text.
    #[arg(long)]
    json: bool,
}

impl Args {
    fn filter(&self) -> Result<CaseFilter, Usage> {
        let address = |text: &String| Address::parse(text, None).map_err(|error| Usage(format!("--contact: {error}")));
        Ok(CaseFilter {
            state: self.state,
            active: self.active,
            label: self.label.clone(),
            contact: self.contact.as_ref().map(address).transpose()?,
            order: self.order,
        })
    }
}

/// Runs the command.
pub(super) async fn run(context: &Context, args: Args) -> anyhow::Result<()> {
    let (store, filter) = (&context.store, args.filter()?);
    let (mut shown, mut after) = (0, args.after);
    let mut progress = Progress::new(args.json);
    let mut rows = head();
    let next = loop {
        let left = if args.all { usize::MAX } else { args.limit - shown };
        let page = store.case_page(&args.campaign, &filter, after, left.min(1000), STEP).await?;
        let page = page.ok_or_else(|| none(&args.campaign))?;
        shown += page.cases.len();
        if args.json {
            let each = page.cases.iter().map(|case| case_json(&args.campaign, case, PersonalData::Whole));
            each.into_iter().try_for_each(|case| output::json_line(&case))?;
        } else {
            page.cases.iter().for_each(|case| add(&mut rows, case));
        }
        match page.next {
            Some(next) if args.all || shown < args.limit => after = next,
            next => break next,
        }
        progress.part("looking", after, page.last, "cases");
    };
    progress.clear();
    if !args.json {
        if rows.is_empty() {
            output::note(format_args!("no case of {} is like that", args.campaign));
        } else {
            rows.print()?;
        }
    }
    if let Some(next) = next {
        output::note(format_args!("there are more: --after {next}"));
    }
    Ok(())
}

fn head() -> Rows {
    Rows::new(&[
        Column::Number("CASE"),
        Column::Text("ID"),
        Column::Text("STATE"),
        Column::Text("NAME"),
        Column::Text("CONTACT"),
        Column::Number("ORDER"),
        Column::Text("LABELS"),
        Column::Text("UPDATED"),
    ])
}

fn add(rows: &mut Rows, case: &Case) {
    let usable: Vec<&str> = case
        .contacts
        .iter()
        .filter(|contact| !contact.gone)
        .filter_map(|contact| contact.value.as_ref().map(Address::as_str))
        .collect();
    let contact = match usable.as_slice() {
        [] => "-".to_owned(),
        [only] => (*only).to_owned(),
        [first, others @ ..] => format!("{first} and {} more", others.len()),
    };
    rows.add([
        case.number.to_string(),
        format::cut(&case.id, 40),
        case.state.to_string(),
        format::or_dash(&format::cut(&name(case), 40)),
        contact,
        case.order.map_or_else(|| "-".to_owned(), |order| order.to_string()),
        format::or_dash(&format::cut(&case.client.labels.join(", "), 30)),
        EpochMs::to_rfc3339(case.updated_at),
    ]);
}

/// First and last name of the client.
pub(super) fn name(case: &Case) -> String {
    let client = &case.client;
    let names = [&client.first_name, &client.middle_name, &client.last_name];
    names.into_iter().flatten().map(String::as_str).collect::<Vec<_>>().join(" ")
}
