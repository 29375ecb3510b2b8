//! `remesa schema`, `remesa completions` and `remesa man`: what the program says of itself for other programs.

use std::{fs, path::PathBuf};

use anyhow::Context as _;
use clap::CommandFactory;
use clap_complete::Shell;
use serde_json::{Map, Value};

use crate::job::{self, QueueName, published_files};

use super::{enqueue, output};

const SCHEMA_EXAMPLES: &str = "\
Examples:
  remesa schema                       all queues, as one JSON object
  remesa schema generate              the schema of one queue
  remesa schema results               the schema of the events in the results stream
  remesa schema --write jobs          write <queue>/schema.json and the tables of README.md there";

const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  remesa completions bash > /etc/bash_completion.d/remesa
  remesa completions zsh > ~/.zfunc/_remesa
  remesa completions fish > ~/.config/fish/completions/remesa.fish";

const MAN_EXAMPLES: &str = "\
Examples:
  remesa man | man -l -                          the page of remesa itself
  remesa man --write /usr/local/share/man/man1   the pages of all commands: remesa-campaign-show.1 ...";

/// Arguments of `remesa schema`.
#[derive(Debug, clap::Args)]
#[command(after_help = SCHEMA_EXAMPLES)]
pub struct SchemaArgs {
    /// One queue, or `results` for the events.
    #[arg(conflicts_with = "write")]
    queue: Option<String>,
    /// Write the published files into this folder.
    #[arg(long, value_name = "DIR")]
    write: Option<PathBuf>,
}

/// Arguments of `remesa completions`.
#[derive(Debug, clap::Args)]
#[command(after_help = COMPLETIONS_EXAMPLES)]
pub struct CompletionsArgs {
    /// The shell.
    #[arg(value_enum)]
    shell: Shell,
}

/// Arguments of `remesa man`.
#[derive(Debug, clap::Args)]
#[command(after_help = MAN_EXAMPLES)]
pub struct ManArgs {
    /// Write the pages of all commands into this folder.
    #[arg(long, value_name = "DIR")]
    write: Option<PathBuf>,
}

/// Prints the man page of `C`, or writes those of all its commands.
pub fn man<C: CommandFactory>(args: &ManArgs) -> anyhow::Result<()> {
    if let Some(folder) = &args.write {
        return clap_mangen::generate_to(C::command(), folder)
            .with_context(|| format!("cannot write into {}", folder.display()));
    }
    let mut page = Vec::new();
    clap_mangen::Man::new(C::command()).render(&mut page)?;
    output::raw(&String::from_utf8(page)?)?;
    Ok(())
}

/// Prints or writes the schemas. Always JSON.
pub fn schema(args: SchemaArgs) -> anyhow::Result<()> {
    if let Some(folder) = args.write {
        return write(&folder);
    }
    let shown = if args.queue.as_deref() == Some("results") {
        job::event::event_schema()
    } else if let Some(name) = args.queue {
        job::schema(enqueue::queue(&name)?)
    } else {
        let each = QueueName::ALL.into_iter().map(|queue| (queue.to_string(), job::schema(queue)));
        Value::Object(each.collect::<Map<_, _>>())
    };
    output::json(&shown)?;
    Ok(())
}

fn write(folder: &std::path::Path) -> anyhow::Result<()> {
    let readme = folder.join("README.md");
    let page = fs::read_to_string(&readme)
        .with_context(|| format!("cannot read {}: the folder is not `jobs` of the repository", readme.display()))?;
    for file in published_files(&page) {
        let path = folder.join(&file.path);
        let before = fs::read_to_string(&path).unwrap_or_default();
        if before == file.content {
            output::line(format_args!("{} is fresh", path.display()))?;
            continue;
        }
        let cannot = || format!("cannot write {}", path.display());
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).with_context(cannot)?;
        }
        fs::write(&path, &file.content).with_context(cannot)?;
        output::line(format_args!("{} is written", path.display()))?;
    }
    Ok(())
}

/// Prints the completions of a shell for the commands of `C`.
pub fn completions<C: CommandFactory>(args: &CompletionsArgs) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut C::command(), "remesa", &mut script);
    output::raw(&String::from_utf8(script)?)?;
    Ok(())
}
