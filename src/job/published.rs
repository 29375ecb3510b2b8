//! What `remesa schema` writes into the folder `jobs/`: the schemas, and the tables of codes in its `README.md`.
//!
//! Texts in, texts out; writing the files is the caller's. Tables stand between two marks of the page, so that
//! the rest of it is written by hand. A test compares what is committed with what comes out here.

use std::fmt::Write as _;

use super::codes::{DeadCode, ReasonCode, RejectionCode, RowCode, WarningCode};
use super::event::event_schema;
use super::queue_name::QueueName;
use super::schema::schema;

/// A file of the folder `jobs/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishedFile {
    /// Its path below `jobs/`.
    pub path: String,
    /// What it must hold.
    pub content: String,
}

/// The generated files; `readme` is `jobs/README.md` as it stands.
pub fn published_files(readme: &str) -> Vec<PublishedFile> {
    let queues = QueueName::ALL.into_iter().map(|queue| (queue.to_string(), schema(queue)));
    let schemas = queues.chain([("results".to_owned(), event_schema())]).filter_map(|(name, schema)| {
        let pretty = serde_json::to_string_pretty(&schema).ok()?;
        Some(PublishedFile { path: format!("{name}/schema.json"), content: format!("{pretty}\n") })
    });
    let readme = PublishedFile { path: "README.md".to_owned(), content: with_tables(readme) };
    schemas.chain([readme]).collect()
}

/// The page with its tables of codes written again.
fn with_tables(readme: &str) -> String {
    let rejections = RejectionCode::ALL.iter().map(|code| (code.as_str(), code.meaning()));
    let rows = RowCode::ALL.iter().map(|code| (code.as_str(), code.meaning()));
    let dead = DeadCode::ALL.iter().map(|code| (code.as_str(), code.meaning()));
    let page = with_table(readme, "rejection", &table(rejections));
    let page = with_table(&page, "row", &table(rows));
    let warnings = WarningCode::ALL.iter().map(|code| (code.as_str(), code.meaning()));
    let page = with_table(&page, "dead", &table(dead));
    let page = with_table(&page, "warning", &table(warnings));
    let reasons = ReasonCode::ALL.iter().map(|code| (code.as_str(), code.meaning()));
    with_table(&page, "reason", &table(reasons))
}

fn table<'a>(codes: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    codes.fold("| Code | Meaning |\n|---|---|\n".to_owned(), |mut table, (code, meaning)| {
        // writing to a String cannot fail
        let _ = writeln!(table, "| `{code}` | {} |", meaning.replace('|', "\\|"));
        table
    })
}

/// Replaces what stands between `<!-- codes:name -->` and `<!-- /codes -->`; a page without the marks stays as it is.
fn with_table(page: &str, name: &str, table: &str) -> String {
    let mark = format!("<!-- codes:{name} -->\n");
    let Some((before, rest)) = page.split_once(&mark) else { return page.to_owned() };
    let Some((_, after)) = rest.split_once("<!-- /codes -->") else { return page.to_owned() };
    [before, &mark, table, "<!-- /codes -->", after].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_written_between_its_marks_and_nothing_else_changes() {
        let page = "a\n<!-- codes:row -->\nstale text\n<!-- /codes -->\nb\n";
        let written = with_tables(page);
        assert!(written.starts_with("a\n<!-- codes:row -->\n| Code | Meaning |\n"), "{written}");
        assert!(written.ends_with("|\n<!-- /codes -->\nb\n") && !written.contains("stale text"));
        assert_eq!(with_tables(&written), written);
        assert_eq!(with_tables("no marks"), "no marks");
    }
}
