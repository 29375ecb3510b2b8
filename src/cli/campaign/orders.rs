//! `remesa campaign orders`: the orders of a campaign with their deliveries, filtered, in pages, live.
//!
//! Pages go by number, which never changes, so that paging stays right while the campaign runs. A filter is asked of
//! every order, stretch by stretch: memory is one page, and progress is shown while it takes long.

use crate::{
    cli::{
        context::Context,
        error::Usage,
        format,
        output::{self, Column, Page, Rows},
        progress::Progress,
        watch::{Frame, watch},
    },
    domain::{
        clock::EpochMs,
        contact::Phone,
        delivery::DeliveryState,
        lookup::{Filter, PersonalData},
        order::OrderState,
    },
    store::{
        Store,
        records::{self, Reader, Record, Runs, Shared},
    },
};

use super::{load, none, words};

const EXAMPLES: &str = "\
Examples:
  remesa campaign orders nov-dues
  remesa campaign orders nov-dues --after 50                       the next page
  remesa campaign orders nov-dues --state paid --all --json        one JSON object a line
  remesa campaign orders nov-dues --delivery skipped --reason no_valid_contact
  remesa campaign orders nov-dues --reference INV-2041
  remesa campaign orders nov-dues --delivery unknown --watch";

/// Orders looked at by one step of a search, between two looks at the progress.
const STEP: u64 = 8 * records::STRETCH;

/// Arguments of `remesa campaign orders`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The campaign.
    campaign: String,
    #[command(flatten)]
    wanted: Wanted,
    /// The last order of the page before.
    #[arg(long, default_value_t = 0, value_name = "NUMBER")]
    after: u64,
    /// How many.
    #[arg(long, default_value_t = 50, value_name = "N")]
    limit: usize,
    /// As many as there are, as JSON.
    #[arg(long, requires = "json", conflicts_with_all = ["limit", "watch"])]
    all: bool,
    /// Look again and again, until the campaign is at rest or Ctrl-C.
    #[arg(long)]
    watch: bool,
    /// Print one JSON object a line instead of text.
    #[arg(long)]
    json: bool,
}

/// The filters of orders, for `orders` and `export`.
#[derive(Debug, Clone, clap::Args)]
pub struct Wanted {
    /// Only orders in this state, by the clock.
    #[arg(long, value_parser = words::order_state())]
    state: Option<OrderState>,
    /// Only orders with a delivery in this state.
    #[arg(long, value_parser = words::delivery_state())]
    delivery: Option<DeliveryState>,
    /// Only orders with a delivery of this reason.
    #[arg(long, value_name = "CODE")]
    reason: Option<String>,
    /// Only orders with this reference.
    #[arg(long)]
    reference: Option<String>,
    /// Only orders with this phone number, with its country code (+34600123456).
    #[arg(long, value_name = "PHONE")]
    contact: Option<String>,
}

impl Wanted {
    /// The filter.
    pub fn filter(&self) -> Result<Filter, Usage> {
        let phone = |text: &String| Phone::parse(text, None).map_err(|error| Usage(format!("--contact: {error}")));
        Ok(Filter {
            state: self.state,
            delivery: self.delivery,
            reason: self.reason.clone(),
            reference: self.reference.clone(),
            contact: self.contact.as_ref().map(phone).transpose()?,
        })
    }
}

/// Runs the command.
pub async fn run(context: &Context, args: Args) -> anyhow::Result<()> {
    let filter = args.wanted.filter()?;
    let store = &context.store;
    let format = output::Format { json: args.json };
    if args.watch {
        return watch(format, async || look(store, &args, &filter).await).await;
    }
    let reader = store.reader(&args.campaign, &Runs::All).await?.ok_or_else(|| none(&args.campaign))?;
    let shared = &reader.shared;
    let (mut shown, mut after) = (0, args.after);
    let mut progress = Progress::new(args.json);
    let mut table = None;
    let next = loop {
        let left = if args.all { usize::MAX } else { args.limit - shown };
        let page = reader.page(&filter, after, left.min(1000), STEP).await?;
        shown += page.records.len();
        if args.json {
            page.records
                .iter()
                .try_for_each(|record| output::json_line(&record.to_json(shared, PersonalData::Whole)))?;
        } else {
            let rows = table.get_or_insert_with(head);
            page.records.iter().for_each(|record| add(rows, shared, record));
        }
        match page.next {
            Some(next) if args.all || shown < args.limit => after = next,
            next => break next,
        }
        progress.part("looking", after, reader.last, "orders");
    };
    progress.clear();
    if let Some(table) = table.filter(|table| !table.is_empty()) {
        table.print()?;
    } else if !args.json {
        output::note(format_args!("no order of {} is like that", args.campaign));
    }
    if let Some(next) = next {
        output::note(format_args!("there are more: --after {next}"));
    }
    Ok(())
}

/// One look at the page, for `--watch`.
async fn look(store: &Store, args: &Args, filter: &Filter) -> anyhow::Result<Frame> {
    let view = load(store, &args.campaign).await?;
    let reader = store.reader(&args.campaign, &Runs::All).await?.ok_or_else(|| none(&args.campaign))?;
    let found = reader.page(filter, args.after, args.limit, u64::MAX).await?;
    let mut page = Page::default();
    page.line(format_args!(
        "{} is {}: {}, {}",
        view.campaign,
        view.state,
        format::counted(view.orders, "order"),
        format::or_dash(&format::summary(&view.deliveries_by_state))
    ));
    page.line("");
    let mut rows = head();
    found.records.iter().for_each(|record| add(&mut rows, &reader.shared, record));
    page.rows(&rows);
    let items = found
        .records
        .iter()
        .map(|record| (record.order.number.to_string(), record.to_json(&reader.shared, PersonalData::Whole)));
    Ok(Frame {
        fitted: None,
        text: page.into_text(),
        summary: format!(
            "{} {}: {} shown, {}",
            view.campaign,
            view.state,
            format::counted(found.records.len() as u64, "order"),
            format::summary(&view.deliveries_by_state)
        ),
        items: items.collect(),
        at_rest: view.is_at_rest(),
    })
}

/// The numbers of the orders of a reference, ascending: by the index where the campaign has one, else by looking at
/// every order.
pub async fn of_reference(
    store: &Store,
    campaign: &str,
    reference: &str,
    format: output::Format,
) -> anyhow::Result<Vec<u64>> {
    if let Some(found) = store.numbers_of_reference(campaign, reference).await?
        && !found.more
    {
        return Ok(found.numbers);
    }
    let reader = store.reader(campaign, &Runs::Newest).await?.ok_or_else(|| none(campaign))?;
    let filter = Filter { reference: Some(reference.to_owned()), ..Filter::default() };
    let mut progress = Progress::new(format.json);
    scan(&reader, &filter, &mut progress).await
}

async fn scan(reader: &Reader, filter: &Filter, progress: &mut Progress) -> anyhow::Result<Vec<u64>> {
    let (mut numbers, mut after) = (Vec::new(), 0);
    loop {
        let page = reader.page(filter, after, 1000, STEP).await?;
        numbers.extend(page.records.iter().map(|record| record.order.number));
        let Some(next) = page.next else { return Ok(numbers) };
        after = next;
        progress.part("looking without an index", after, reader.last, "orders");
    }
}

fn head() -> Rows {
    Rows::new(&[
        Column::Number("ORDER"),
        Column::Text("STATE"),
        Column::Text("DELIVERY"),
        Column::Text("WHY"),
        Column::Text("WHEN"),
        Column::Number("AMOUNT"),
        Column::Text("CONTACT"),
        Column::Text("REFERENCE"),
    ])
}

fn add(rows: &mut Rows, shared: &Shared, record: &Record) {
    let last = record.deliveries.last().map(|delivery| &delivery.standing);
    let dash = || "-".to_owned();
    rows.add([
        record.order.number.to_string(),
        record.state.to_string(),
        last.map_or_else(dash, |standing| standing.state.to_string()),
        format::or_dash(last.map_or("", |standing| &standing.reason)),
        last.and_then(|standing| standing.at).map_or_else(dash, EpochMs::to_rfc3339),
        amount(shared, record),
        record.order.contact.as_ref().map_or_else(dash, |phone| phone.as_e164().to_owned()),
        format::cut(&record.order.reference, 40),
    ]);
}

/// `12.50 EUR`.
pub fn amount(shared: &Shared, record: &Record) -> String {
    match record.currency(shared) {
        Some(currency) => format!("{} {}", record.order.amount.format(currency), currency.code()),
        None => format!("{} minor units", record.order.amount.minor()),
    }
}
