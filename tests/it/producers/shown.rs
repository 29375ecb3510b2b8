//! What `jobs/enqueue/README.md` says of the snippets is so: each is short, and each stands in its table.

use std::fs;
use std::path::PathBuf;

use super::snippet::folder;

/// As much of a language as a reader takes in at a glance.
const LINES_AT_MOST: usize = 40;

const EXTENSIONS: [&str; 8] = ["sh", "py", "mjs", "php", "rb", "go", "java", "cs"];

/// Every snippet, relative to `jobs/enqueue`: `python/campaign.py`.
fn snippets() -> Vec<PathBuf> {
    let mut found = Vec::new();
    for language in fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path()) {
        // The example for PostgreSQL is a program, not a snippet.
        if !language.is_dir() || language.ends_with("postgresql") {
            continue;
        }
        for file in fs::read_dir(language).unwrap().map(|entry| entry.unwrap().path()) {
            if file.extension().is_some_and(|extension| EXTENSIONS.iter().any(|known| extension == *known)) {
                found.push(file.strip_prefix(folder()).unwrap().to_owned());
            }
        }
    }
    found
}

#[test]
fn every_snippet_has_at_most_forty_lines() {
    for snippet in snippets() {
        let lines = fs::read_to_string(folder().join(&snippet)).unwrap().lines().count();
        assert!(lines <= LINES_AT_MOST, "{} has {lines} lines", snippet.display());
    }
}

#[test]
fn every_language_has_its_snippet_and_every_snippet_stands_in_the_table() {
    let snippets = snippets();
    for extension in EXTENSIONS {
        assert!(snippets.iter().any(|file| file.extension().unwrap() == extension), "no snippet ends in .{extension}");
    }
    let readme = fs::read_to_string(folder().join("README.md")).unwrap();
    for snippet in snippets {
        let link = format!("]({})", snippet.display());
        assert!(readme.lines().any(|line| line.starts_with('|') && line.contains(&link)), "{link} is not in the table");
    }
}
