//! `remesa campaign errors`: the refused rows of a campaign, counted by code, in pages; where the file of them lies.

use serde_json::{Value, json};

use crate::{
    cli::{
        context::Context,
        format,
        output::{self, Column, Rows},
    },
    job::RowCode,
    store::Store,
};

use super::load;

const EXAMPLES: &str = "\
Examples:
  remesa campaign errors nov-dues
  remesa campaign errors nov-dues --code amount_not_an_integer
  remesa campaign errors nov-dues --offset 100 --limit 100
  remesa campaign errors nov-dues --limit 10000 --json > refused.json";

/// Rows read by one command.
const STRETCH: usize = 1000;

/// Arguments of `remesa campaign errors`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The campaign.
    campaign: String,
    /// Only rows refused with this code.
    #[arg(long)]
    code: Option<String>,
    /// Rows to leave out at the beginning.
    #[arg(long, default_value_t = 0, value_name = "N")]
    offset: usize,
    /// How many.
    #[arg(long, default_value_t = 50, value_name = "N")]
    limit: usize,
    #[command(flatten)]
    format: output::Format,
}

/// Runs the command.
pub(super) async fn run(context: &Context, args: Args) -> anyhow::Result<()> {
    let view = load(&context.store, &args.campaign).await?;
    let (refused, more) = rows(&context.store, &args).await?;
    let next = args.offset + refused.len();
    if args.format.json {
        output::json(&json!({
            "campaign": view.campaign,
            "refused": view.refused,
            "refused_by_code": view.refused_by_code,
            "error_file": view.error_file,
            "rows": refused,
            "next_offset": more.then_some(next),
        }))?;
        return Ok(());
    }
    if view.refused == 0 {
        output::note(format_args!("no row of {} was refused", args.campaign));
        return Ok(());
    }
    let mut codes = Rows::new(&[Column::Number("ROWS"), Column::Text("CODE")]);
    let mut counts: Vec<_> = view.refused_by_code.iter().collect();
    counts.sort_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
    for (code, count) in counts {
        codes.add([format::count(*count), code.clone()]);
    }
    codes.print()?;
    output::line("")?;
    if !refused.is_empty() {
        table(&refused).print()?;
    }
    let all = format::counted(view.refused, "row");
    output::note(format_args!("{} of {all} refused", format::count(refused.len() as u64)));
    if more {
        output::note(format_args!("there are more: --offset {next}"));
    }
    if let Some(file) = &view.error_file {
        let path = context.config.sources.spool_dir.join(file);
        let by_platform = view.refused_by_code.get(RowCode::ProviderRefused.as_str()).copied().unwrap_or(0);
        let but = match by_platform {
            0 => String::new(),
            some => format!(", but for the {} that the platform refused later", format::count(some)),
        };
        output::note(format_args!("as they came{but}: {}", path.display()));
    }
    Ok(())
}

/// The rows of the page, and whether there are more that are kept.
async fn rows(store: &Store, args: &Args) -> anyhow::Result<(Vec<Value>, bool)> {
    let (mut found, mut from, mut skipped) = (Vec::new(), 0, 0);
    loop {
        let texts = store.campaign_errors(&args.campaign, from, STRETCH).await?;
        from += texts.len();
        let is_last = texts.len() < STRETCH;
        let read = texts.iter().filter_map(|text| serde_json::from_str::<Value>(text).ok());
        let wanted = |row: &Value| args.code.as_deref().is_none_or(|code| row.get("code").is_some_and(|c| c == code));
        for row in read.filter(wanted) {
            if skipped < args.offset {
                skipped += 1;
            } else if found.len() == args.limit {
                return Ok((found, true));
            } else {
                found.push(row);
            }
        }
        if is_last {
            return Ok((found, false));
        }
    }
}

fn table(refused: &[Value]) -> Rows {
    let mut rows = Rows::new(&[Column::Number("LINE"), Column::Text("CODE"), Column::Text("WHY"), Column::Text("ROW")]);
    for row in refused {
        let text = |field: &str| row.get(field).and_then(Value::as_str).unwrap_or_default();
        let line = row.get("line").map(Value::to_string).unwrap_or_default();
        rows.add([line, text("code").to_owned(), format::cut(text("error"), 90), format::cut(text("input"), 60)]);
    }
    rows
}
