//! Fuzzes what Remesa reads, for as long as one likes: `remesa-fuzz --minutes 10`, `remesa-fuzz csv --seed 7`.
//!
//! A finding is kept as a file and ends the program with 1; `--replay <file>` runs it again. An input that ends the
//! process itself, or does not end, is left in `<target>.current`.

use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Parser;
use remesa_fuzz::driver::{self, BEGUN, Budget, Ended, Finding};
use remesa_fuzz::targets::{self, Target};

/// An input that goes on for longer does not end.
const STUCK: Duration = Duration::from_mins(2);

/// Throws hostile input at what Remesa reads: no panic, bounded time and memory.
#[derive(Debug, Parser)]
struct Arguments {
    /// Targets; without any, all of them.
    targets: Vec<String>,
    /// How long each target runs.
    #[arg(long, default_value_t = 5)]
    minutes: u64,
    /// Where chance begins; without one it begins anywhere, and is printed.
    #[arg(long)]
    seed: Option<u64>,
    /// Runs this input alone through the target that is named.
    #[arg(long)]
    replay: Option<PathBuf>,
    /// Where findings are kept.
    #[arg(long, default_value = "target/fuzz")]
    findings: PathBuf,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let chosen = chosen(&arguments.targets)?;
    if let Some(file) = &arguments.replay {
        let [target] = chosen.as_slice() else { bail!("--replay needs one target") };
        let input = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
        return match driver::once(target, &input) {
            Ok((told, cost)) => {
                println!("{}: {told} ({:?}, {} bytes of memory)", target.name, cost.time, cost.bytes);
                Ok(())
            }
            Err(finding) => bail!("{}: {}", target.name, finding.what),
        };
    }
    std::fs::create_dir_all(&arguments.findings)?;
    std::thread::spawn(watch);
    let seed = arguments.seed.unwrap_or_else(rand::random);
    let budget = Budget { inputs: u64::MAX, time: Duration::from_mins(arguments.minutes) };
    let mut found = 0;
    for target in chosen {
        let current = arguments.findings.join(format!("{}.current", target.name));
        match driver::run(target, seed, budget, Some(&current)) {
            Ok(summary) => println!(
                "{}: {} inputs of seed {seed}, {} kinds of answers, {} kept, {} of {} edges; at most {:?} and {} KiB",
                target.name,
                summary.inputs,
                summary.told,
                summary.corpus,
                summary.edges.0,
                summary.edges.1,
                summary.most.time,
                summary.most.bytes / 1024,
            ),
            Err(Ended::Found(finding)) => {
                found += 1;
                keep(target, &finding, &arguments.findings)?;
            }
            Err(Ended::Unkept(error)) => return Err(error).context("an input cannot be kept"),
        }
    }
    if found > 0 {
        bail!("{found} targets cannot stand what they were given");
    }
    Ok(())
}

fn chosen(names: &[String]) -> anyhow::Result<Vec<&'static Target>> {
    if names.is_empty() {
        return Ok(targets::ALL.iter().collect());
    }
    let all: Vec<&str> = targets::ALL.iter().map(|target| target.name).collect();
    let find = |name: &String| targets::ALL.iter().find(|target| target.name == name);
    names.iter().map(|name| find(name).with_context(|| format!("no target {name}: {}", all.join(", ")))).collect()
}

fn keep(target: &Target, finding: &Finding, folder: &std::path::Path) -> anyhow::Result<()> {
    let file = folder.join(format!("{}-{:08x}", target.name, crc32fast::hash(&finding.input)));
    std::fs::write(&file, &finding.input)?;
    eprintln!(
        "{}: {}\n  again: cargo run -p remesa-fuzz -- {} --replay {}",
        target.name,
        finding.what,
        target.name,
        file.display()
    );
    Ok(())
}

/// Ends the process when an input does not end.
fn watch() {
    let mut before = u64::MAX;
    loop {
        std::thread::sleep(STUCK);
        let begun = BEGUN.load(Ordering::Relaxed);
        if begun == before {
            eprintln!("an input does not end: it is in the file *.current of the findings");
            std::process::abort();
        }
        before = begun;
    }
}
