//! The architecture, held: which room of `src/` may use which, and which crates stay out of a room.
//!
//! Reads every `crate::` path in the sources (comments aside) and compares it with the table. Rooms that compose or
//! measure the others (`app`, `cli`, `sandbox`, `bench`) may use everything and do not stand in it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// One room: what it may use of the crate, and which outside crates never occur in it.
struct Room {
    name: &'static str,
    may_use: &'static [&'static str],
    never: &'static [&'static str],
}

/// May be used by all rooms but `job` and `domain`.
const FOR_ALL: [&str; 3] = ["config", "metrics", "telemetry"];

/// Crates that do I/O or need a runtime.
const OUTSIDE_WORLD: &[&str] = &["tokio", "redis", "apalis", "apalis_core", "reqwest", "axum", "nix", "rand"];

const APALIS: &[&str] = &["apalis", "apalis_core"];

const ROOMS: &[Room] = &[
    Room { name: "domain", may_use: &[], never: OUTSIDE_WORLD },
    Room { name: "job", may_use: &["domain"], never: OUTSIDE_WORLD },
    Room { name: "config", may_use: &["domain"], never: &["tokio", "redis", "apalis", "apalis_core", "reqwest"] },
    Room { name: "store", may_use: &["job", "domain"], never: APALIS },
    Room { name: "source", may_use: &["domain"], never: APALIS },
    // One HTTP request, and whether it left: channels and order providers need the same answer.
    Room { name: "wire", may_use: &["domain"], never: APALIS },
    Room { name: "orders", may_use: &["domain", "wire"], never: APALIS },
    Room { name: "channel", may_use: &["domain", "wire"], never: APALIS },
    // What handlers did, on disk; it tells Redis again.
    Room { name: "journal", may_use: &["store", "domain"], never: APALIS },
    Room { name: "queue", may_use: &["store", "job", "domain"], never: &["reqwest"] },
    Room { name: "export", may_use: &["store", "domain"], never: APALIS },
    Room {
        name: "handler",
        may_use: &["job", "domain", "store", "channel", "orders", "source", "export", "wire", "journal"],
        never: APALIS,
    },
    // What operators see and do, printed by the commands and by the dashboard.
    Room { name: "operate", may_use: &["store", "job", "domain", "queue"], never: APALIS },
    Room { name: "http", may_use: &["store", "domain", "job", "journal", "operate"], never: APALIS },
    Room { name: "metrics", may_use: &["domain", "job"], never: APALIS },
    Room { name: "telemetry", may_use: &["domain"], never: APALIS },
    Room { name: "lifecycle", may_use: &[], never: APALIS },
];

/// What single files may use beyond their room, and why.
const EXCEPTIONS: &[(&str, &str)] = &[
    // Plain data that the configuration resolves and the channel reads.
    ("config/", "channel::settings"),
    ("config/", "orders::settings"),
    // One script on Redis time, shared by all daemons.
    ("channel/governor.rs", "store"),
    // What a failure means stands beside what an operator does about it.
    ("operate/why/", "wire::failure"),
    // An order provider writes the orders it makes.
    ("orders/", "store"),
];

const COMPOSING: [&str; 6] = ["app", "cli", "sandbox", "bench", "lib", "main"];

struct Source {
    /// Relative to `src`, such as `queue/reader.rs`.
    path: String,
    room: String,
    text: String,
}

fn sources() -> Vec<Source> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![src.clone()];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let relative = path.strip_prefix(&src).unwrap().to_str().unwrap().to_owned();
                let room = relative.split(['/', '.']).next().unwrap().to_owned();
                found.push(Source { path: relative, room, text: without_comments(&fs::read_to_string(path).unwrap()) });
            }
        }
    }
    found
}

fn without_comments(text: &str) -> String {
    let code = |line: &str| line.split_once("//").map_or(line, |(code, _)| code).to_owned() + "\n";
    text.lines().map(|line| if line.contains("://") { line.to_owned() + "\n" } else { code(line) }).collect()
}

/// The paths that follow `crate::`, with the groups of a `use` taken apart: `store::keys`, `domain`.
fn crate_paths(text: &str) -> BTreeSet<String> {
    let mut paths = BTreeSet::new();
    for (at, found) in text.match_indices("crate::") {
        let before = text[..at].chars().next_back();
        if before.is_none_or(|c| !(c.is_alphanumeric() || c == '_' || c == '$')) {
            take_path(&text[at + found.len()..], "", &mut paths);
        }
    }
    paths
}

fn take_path(text: &str, prefix: &str, paths: &mut BTreeSet<String>) {
    let Some(group) = text.strip_prefix('{') else {
        let end = text.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')).unwrap_or(text.len());
        let path = text[..end].trim_end_matches(':');
        if !path.is_empty() {
            paths.insert(format!("{prefix}{path}"));
        }
        return;
    };
    let (mut depth, mut start) = (0, 0);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                take_path(group[start..at].trim(), prefix, paths);
                start = at + 1;
                if c == '}' {
                    return;
                }
            }
            _ => {}
        }
    }
}

fn is_excepted(path: &str, used: &str) -> bool {
    EXCEPTIONS.iter().any(|(file, allowed)| path.starts_with(file) && used.starts_with(allowed))
}

#[test]
fn every_room_uses_only_what_the_house_allows() {
    let mut faults = Vec::new();
    for source in sources() {
        if COMPOSING.contains(&source.room.as_str()) {
            continue;
        }
        let Some(room) = ROOMS.iter().find(|room| room.name == source.room) else {
            faults.push(format!("{}: the room {} does not stand in the table", source.path, source.room));
            continue;
        };
        let reads_config = !matches!(room.name, "job" | "domain");
        for used in crate_paths(&source.text) {
            let target = used.split("::").next().unwrap();
            let allowed = target == room.name
                || target.starts_with(char::is_uppercase)
                || room.may_use.contains(&target)
                || (reads_config && FOR_ALL.contains(&target))
                || is_excepted(&source.path, &used);
            if !allowed {
                faults.push(format!("{}: {} may not use crate::{used}", source.path, room.name));
            }
        }
        for crate_name in room.never {
            if names_crate(&source.text, crate_name) {
                faults.push(format!("{}: {} never names {crate_name}", source.path, room.name));
            }
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

/// True if a path of the text begins with this crate.
fn names_crate(text: &str, crate_name: &str) -> bool {
    text.match_indices(&format!("{crate_name}::"))
        .any(|(at, _)| !text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':'))
        || text.contains(&format!("use {crate_name};"))
}

#[test]
fn only_the_queue_and_the_root_name_apalis() {
    let named: Vec<_> = sources()
        .into_iter()
        .filter(|source| APALIS.iter().any(|name| names_crate(&source.text, name)))
        .filter(|source| source.room != "queue")
        .map(|source| source.path)
        .collect();
    assert!(named.is_empty(), "queue/ is the only folder that names apalis: {named:?}");
}

#[test]
fn every_file_opens_with_what_it_does() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for source in sources() {
        let text = fs::read_to_string(root.join(&source.path)).unwrap();
        let head = text.lines().take_while(|line| line.starts_with("//!")).count();
        assert!(head >= 1, "{} does not open with //!", source.path);
        assert!(text.lines().count() <= 500, "{} is longer than 500 lines: two ideas", source.path);
    }
}

#[test]
fn the_reader_of_paths_takes_groups_apart() {
    let text = "use crate::{a::B, c, d::{e, f}};\nuse crate::g::h;\nlet x = crate::i::J::new(); // crate::k\n$crate::l";
    let paths: Vec<_> = crate_paths(&without_comments(text)).into_iter().collect();
    assert_eq!(paths, ["a::B", "c", "d", "g::h", "i::J::new"]);
}
