//! `remesa export`: the orders of a campaign with their deliveries, into a file or onto standard output.
//!
//! The same rows as the control job `export` writes; here the file may lie anywhere, belongs to whoever types, and is
//! complete or not there: it is written beside its place and renamed.

use std::{
    io::{self, IsTerminal as _, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, anyhow};
use clap::ValueEnum;
use serde_json::json;
use tempfile::NamedTempFile;
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    domain::{
        export::{ExportFormat, ExportName},
        lookup::Filter,
    },
    export::{self, ExportError, Format, Written},
    store::records::{Reader, Runs},
};

use super::{
    campaign::{self, orders::Wanted},
    context::Globals,
    error::Usage,
    format, output,
    progress::Progress,
};

const EXAMPLES: &str = "\
Examples:
  remesa export nov-dues                               nov-dues.csv in this folder
  remesa export nov-dues --out november.csv.gz         packed with gzip
  remesa export nov-dues --format ndjson --out -       one JSON object a line, on standard output
  remesa export nov-dues --delivery failed --out failed.csv
  remesa export nov-dues --run delivery@2

The columns are those of jobs/README.md. A cell that a spreadsheet would take for a formula (it begins with = + - @, a
tab or a return) gets a ' before it: phone numbers too. NDJSON is as it is stored. A campaign may be exported while it
runs; orders that are generated after the start are not in it. A daemon need not run.";

/// Arguments of `remesa export`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The campaign.
    campaign: String,
    /// How the rows are written; default: as the name of the file tells, else csv.
    #[arg(long, value_enum)]
    format: Option<Word>,
    /// The file, one that is there is replaced; - is standard output. Default: CAMPAIGN.csv or .ndjson
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// The run whose deliveries are shown; default: for each order the newest that covers it.
    #[arg(long)]
    run: Option<String>,
    #[command(flatten)]
    wanted: Wanted,
    /// Print what was written as JSON, not with --out -.
    #[arg(long)]
    json: bool,
}

/// The words of `--format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Word {
    /// A table with a header.
    Csv,
    /// One JSON object a line.
    Ndjson,
}

impl From<Word> for ExportFormat {
    fn from(word: Word) -> Self {
        match word {
            Word::Csv => Self::Csv,
            Word::Ndjson => Self::Ndjson,
        }
    }
}

/// Runs the command.
pub async fn run(globals: &Globals, args: Args) -> anyhow::Result<()> {
    let filter = args.wanted.filter()?;
    let (out, format) = place(&args)?;
    let context = globals.open().await?;
    let runs = args.run.clone().map_or(Runs::Newest, Runs::Named);
    let Some(reader) = context.store.reader(&args.campaign, &runs).await? else {
        // Without the campaign, or without the run?
        campaign::load(&context.store, &args.campaign).await?;
        let run = args.run.as_deref().unwrap_or_default();
        return Err(anyhow!("{} has no run \"{run}\": see `remesa campaign show {0}`", args.campaign));
    };
    let mut progress = Progress::new(args.json || (out.is_none() && io::stdout().is_terminal()));
    let mut interrupts = signal(SignalKind::interrupt())?;
    let writing = async {
        match &out {
            None => write(&reader, filter, format, io::stdout(), &mut progress).await,
            Some(path) => to_file(path, &reader, filter, format, &mut progress).await,
        }
    };
    let written = tokio::select! {
        written = writing => written?,
        _ = interrupts.recv() => return Err(anyhow!(interrupted(out.is_none()))),
    };
    progress.clear();
    let Some(path) = out else {
        if !io::stdout().is_terminal() {
            output::note(told(&written));
        }
        return Ok(());
    };
    if args.json {
        output::json(&json!({
            "campaign": args.campaign, "file": path, "format": format.rows, "rows": written.rows,
            "bytes": written.bytes, "digest": written.digest,
        }))?;
    } else {
        output::line(format_args!("{}: {}", path.display(), told(&written)))?;
    }
    Ok(())
}

fn interrupted(on_stdout: bool) -> &'static str {
    if on_stdout { "interrupted: what was written is not all of it" } else { "interrupted: no file was written" }
}

fn told(written: &Written) -> String {
    format!("{}, {}", format::counted(written.rows, "row"), format::bytes(written.bytes))
}

/// Where it goes (nowhere is standard output) and how it is written.
fn place(args: &Args) -> Result<(Option<PathBuf>, Format), Usage> {
    let asked = args.format.map(ExportFormat::from);
    let plain = Format { rows: asked.unwrap_or_default(), gzip: false };
    let path = match &args.out {
        Some(path) if path == Path::new("-") => {
            if args.json {
                return Err(Usage("--json says what was written, and --out - writes it: leave one out".to_owned()));
            }
            return Ok((None, plain));
        }
        // Its place is taken by a rename, which would put a file where a device was.
        Some(path) if path.metadata().is_ok_and(|there| !there.is_file()) => {
            let told = "is there and is no file: name one, or - for standard output";
            return Err(Usage(format!("--out {} {told}", path.display())));
        }
        Some(path) => path.clone(),
        None => PathBuf::from(ExportName::of_campaign(&args.campaign, plain.rows).as_str()),
    };
    let Some((told, gzip)) = path.to_str().and_then(ExportName::told_by) else {
        let gzip = path.extension().is_some_and(|end| end == "gz");
        return Ok((Some(path), Format { gzip, ..plain }));
    };
    if asked.is_some_and(|asked| asked != told) {
        return Err(Usage(format!("--format {} does not go with a file called {}", plain.rows, path.display())));
    }
    Ok((Some(path), Format { rows: told, gzip }))
}

async fn write<W: Write + Send + 'static>(
    reader: &Reader,
    filter: Filter,
    format: Format,
    sink: W,
    progress: &mut Progress,
) -> anyhow::Result<Written> {
    let told = |looked_at| {
        progress.part("exporting", looked_at, reader.last, "orders");
        true
    };
    match export::run(reader, filter, format, sink, told).await {
        Ok((written, _)) => Ok(written),
        // A reader that has gone away is found by its type.
        Err(ExportError::Write(error)) => Err(error.into()),
        Err(error) => Err(error.into()),
    }
}

async fn to_file(
    path: &Path,
    reader: &Reader,
    filter: Filter,
    format: Format,
    progress: &mut Progress,
) -> anyhow::Result<Written> {
    let cannot = || format!("cannot write {}", path.display());
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let draft = NamedTempFile::new_in(folder).with_context(cannot)?;
    let written = write(reader, filter, format, draft.reopen().with_context(cannot)?, progress).await?;
    draft.as_file().sync_all().with_context(cannot)?;
    draft.persist(path).map_err(|error| error.error).with_context(cannot)?;
    Ok(written)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(format: Option<Word>, out: Option<&str>) -> Args {
        let wanted = <Wrapped as clap::Parser>::parse_from(["x"]).wanted;
        Args { campaign: "nov".to_owned(), format, out: out.map(PathBuf::from), run: None, wanted, json: false }
    }

    #[derive(Debug, clap::Parser)]
    struct Wrapped {
        #[command(flatten)]
        wanted: Wanted,
    }

    #[test]
    fn the_name_of_the_file_tells_the_format() {
        let placed = |format, out| place(&args(format, out)).map(|(path, f)| (path, f.rows, f.gzip));
        let file = |name: &str| Some(PathBuf::from(name));
        assert_eq!(placed(None, None).unwrap(), (file("nov.csv"), ExportFormat::Csv, false));
        assert_eq!(placed(Some(Word::Ndjson), None).unwrap(), (file("nov.ndjson"), ExportFormat::Ndjson, false));
        assert_eq!(placed(None, Some("a.ndjson.gz")).unwrap(), (file("a.ndjson.gz"), ExportFormat::Ndjson, true));
        assert_eq!(placed(None, Some("report.txt")).unwrap(), (file("report.txt"), ExportFormat::Csv, false));
        assert_eq!(placed(Some(Word::Ndjson), Some("-")).unwrap(), (None, ExportFormat::Ndjson, false));
        assert!(placed(Some(Word::Csv), Some("a.ndjson")).is_err());
        for no_file in ["/dev/null", "/tmp"] {
            assert!(placed(None, Some(no_file)).is_err(), "{no_file} would be replaced");
        }
    }
}
