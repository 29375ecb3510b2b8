//! The commands: arguments in, output and an exit code out; one file a group.
//!
//! [`mod@run`] is the daemon, [`demo`] shows everything at once, [`sandbox`] is the provider simulator; the
//! others look at a daemon's work, or ask for something, through Redis alone, as any program can. Rules
//! live elsewhere. Data is printed by [`output`], words for people go to standard error.

pub mod audit;
pub mod campaign;
pub mod channels;
pub mod check;
pub mod context;
pub mod control;
pub mod demo;
pub mod enqueue;
pub mod error;
pub mod export;
pub mod follow;
pub mod forget;
pub mod format;
pub mod job;
pub mod letters;
pub mod output;
pub mod preview;
pub mod progress;
pub mod published;
pub mod recurring;
pub mod run;
pub mod sandbox;
pub mod status;
pub mod template;
pub mod watch;
pub mod why;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::{bench, store::letters::Letters};

use self::context::Globals;

const EXAMPLES: &str = "\
Examples:
  remesa demo                                  see it work: daemon, Redis, provider, a campaign
  remesa check                                 is everything there that a daemon needs?
  remesa run                                   the daemon, until SIGTERM or Ctrl-C
  remesa preview generate job.json             what it would send, to how many, until when
  remesa enqueue generate job.json --wait      give it a job and follow it to its end
  remesa status                                how deep the queues are, and what stands still
  remesa why campaign nov-dues                 why something does not move, and what to type
  remesa campaign show nov-dues --watch        what becomes of a campaign
  remesa export nov-dues                       its orders and deliveries as a table

Exit codes: 0 done, 1 failed, 64 wrong arguments, 78 a configuration that cannot be used.";

/// Payment-order campaigns and bulk messages from Redis jobs: never twice, never lost.
#[derive(Debug, Parser)]
#[command(name = "remesa", version, after_help = EXAMPLES, max_term_width = 110)]
pub struct Arguments {
    #[command(flatten)]
    globals: Globals,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the daemon until SIGTERM or SIGINT; SIGHUP reads its configuration again.
    Run(run::Args),
    /// Run a whole campaign on this machine: embedded Redis, simulated provider, 600 rows.
    Demo(demo::Args),
    /// Simulate a provider on 127.0.0.1, with errors on demand.
    Sandbox(Box<sandbox::Args>),
    /// Put a job into a queue.
    Enqueue(enqueue::Args),
    /// Show what would become of a generate job: texts, parts, failing rows, start and end of sending.
    Preview(preview::Args),
    /// Show a job's status and result.
    Job(job::Args),
    /// Show queues, channels and daemons on one screen.
    Status(status::Args),
    /// Say why a job, an order, a case, a run, a campaign or a channel does not move, and what to type.
    #[command(subcommand, after_help = why::EXAMPLES)]
    Why(why::About),
    /// List, show and command campaigns.
    #[command(subcommand, after_help = campaign::EXAMPLES)]
    Campaign(campaign::Action),
    /// List, show and command permanent messages.
    #[command(subcommand, after_help = recurring::EXAMPLES)]
    Recurring(recurring::Action),
    /// Write the orders of a campaign with their deliveries into a file.
    Export(export::Args),
    /// List channels, pause, resume and test them.
    #[command(args_conflicts_with_subcommands = true, after_help = channels::EXAMPLES)]
    Channels(channels::Args),
    /// Templates of messages: list, show.
    #[command(subcommand, after_help = template::EXAMPLES)]
    Template(template::Action),
    /// Jobs that were refused: list, show, replay.
    #[command(subcommand, after_help = letters::REJECTED_EXAMPLES)]
    Rejected(letters::Action),
    /// Jobs that were accepted and could not be finished: list, show, replay.
    #[command(subcommand, after_help = letters::DEAD_EXAMPLES)]
    Dead(letters::Action),
    /// Show who did what to campaigns, runs and channels.
    Audit(audit::Args),
    /// Erase a person's data, found by a phone number or an order.
    Forget(forget::Args),
    /// Check configuration, Redis, channels and folders.
    Check(check::Args),
    /// Print or write the JSON schemas of the jobs.
    Schema(published::SchemaArgs),
    /// Print the completions of a shell.
    Completions(published::CompletionsArgs),
    /// Print or write the man pages.
    Man(published::ManArgs),
    /// Measure jobs, generation, sending and exports on this machine.
    Bench(bench::BenchArgs),
}

/// The arguments of this process; else they are explained, and the exit code is given.
pub fn arguments() -> Result<Arguments, ExitCode> {
    Arguments::try_parse().map_err(|explained| {
        // To standard output for --help and --version, else to standard error.
        let _ = explained.print();
        ExitCode::from(if explained.use_stderr() { error::USAGE } else { 0 })
    })
}

/// Runs the command.
pub async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let globals = arguments.globals;
    match arguments.command {
        Command::Run(args) => run::run(&globals, args).await,
        Command::Demo(args) => demo::run(args).await,
        Command::Sandbox(args) => sandbox::run(*args).await,
        Command::Enqueue(args) => enqueue::run(&globals, args).await,
        Command::Preview(args) => preview::run(&globals, args).await,
        Command::Job(args) => job::run(&globals, args).await,
        Command::Status(args) => status::run(&globals, args).await,
        Command::Why(about) => why::run(&globals, about).await,
        Command::Campaign(action) => campaign::run(&globals, action).await,
        Command::Recurring(action) => recurring::run(&globals, action).await,
        Command::Export(args) => export::run(&globals, args).await,
        Command::Channels(args) => channels::run(&globals, args).await,
        Command::Template(action) => template::run(&globals, action).await,
        Command::Rejected(action) => letters::run(&globals, Letters::Rejected, action).await,
        Command::Dead(action) => letters::run(&globals, Letters::Dead, action).await,
        Command::Audit(args) => audit::run(&globals, args).await,
        Command::Forget(args) => forget::run(&globals, args).await,
        Command::Check(args) => check::run(&globals, args).await,
        Command::Schema(args) => published::schema(args),
        Command::Completions(args) => published::completions::<Arguments>(&args),
        Command::Man(args) => published::man::<Arguments>(&args),
        Command::Bench(args) => bench::run(args).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_arguments_fit_together() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn every_command_has_examples_in_its_help() {
        fn look(command: &clap::Command, path: &str, without: &mut Vec<String>) {
            for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
                let path = format!("{path} {}", sub.get_name());
                if !sub.get_after_help().is_some_and(|help| help.to_string().contains("Example")) {
                    without.push(path.clone());
                }
                look(sub, &path, without);
            }
        }
        let mut without = Vec::new();
        look(&Arguments::command(), "remesa", &mut without);
        without.retain(|path| !path.starts_with("remesa bench"));
        assert!(without.is_empty(), "{without:?}");
    }

    #[test]
    fn every_command_that_prints_data_takes_json() {
        let arguments = [
            "sandbox",
            "enqueue generate",
            "preview generate",
            "job x",
            "status",
            "why job x",
            "why campaign x",
            "why run x y",
            "why order x 1",
            "why case x 1",
            "why channel x",
            "why recurring x y",
            "campaign list",
            "campaign show x",
            "campaign order x 1",
            "campaign orders x",
            "campaign list --watch",
            "campaign show x --watch",
            "campaign retry x",
            "export x",
            "campaign errors x",
            "campaign cases x",
            "campaign case x 1",
            "template list",
            "template show x",
            "campaign pause x",
            "recurring list",
            "recurring show x y",
            "recurring next x y",
            "recurring run-now x y",
            "channels",
            "channels pause x",
            "channels test x",
            "dead replay --where code=poisoned",
            "status --watch",
            "rejected list",
            "dead show 1-0",
            "audit",
            "check",
            "forget --contact +34600123456",
            "demo",
        ];
        for command in arguments {
            let line = format!("remesa {command} --json");
            assert!(Arguments::try_parse_from(line.split(' ')).is_ok(), "{line}");
        }
    }
}
