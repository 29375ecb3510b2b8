//! Everything a command prints: lines, tables and JSON on standard output, notes on standard error.
//!
//! The only place that writes to standard output, so that `--json` is never mixed with words. A failed
//! write is an error of the command; a reader that has gone away ends it quietly. Tables are plain
//! columns, as wide as the terminal and as their content elsewhere.

use std::io::{self, IsTerminal as _, Write as _};

use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets::NOTHING};
use serde::Serialize;

/// Below so many characters a line, columns are not fitted to the terminal.
const NARROW: u16 = 80;

/// The flag of every command that prints data.
#[derive(Debug, Clone, Copy, Default, clap::Args)]
pub struct Format {
    /// Print JSON instead of text.
    #[arg(long)]
    pub json: bool,
}

/// A line on standard output.
pub fn line(text: impl std::fmt::Display) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{text}")
}

/// Text on standard output, as it is.
pub fn raw(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// A value as indented JSON on standard output.
pub fn json(value: &impl Serialize) -> io::Result<()> {
    let text = serde_json::to_string_pretty(value)?;
    line(text)
}

/// A value as one line of JSON on standard output.
pub fn json_line(value: &impl Serialize) -> io::Result<()> {
    let text = serde_json::to_string(value)?;
    line(text)
}

/// A line on standard error: what is not data.
pub fn note(text: impl std::fmt::Display) {
    // Nobody is left to hear that nobody hears.
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Whether standard error is a terminal, so that progress may be drawn over itself.
pub fn is_drawn() -> bool {
    io::stderr().is_terminal()
}

/// A table of text columns and (with [`Column::Number`]) right-aligned ones.
#[derive(Debug)]
pub struct Rows {
    columns: Vec<Column>,
    table: Table,
}

/// How a column is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Column {
    /// Left.
    Text(&'static str),
    /// Right.
    Number(&'static str),
}

impl Column {
    fn title(self) -> &'static str {
        match self {
            Self::Text(title) | Self::Number(title) => title,
        }
    }

    fn cell(self, text: String) -> Cell {
        match self {
            Self::Text(_) => Cell::new(text),
            Self::Number(_) => Cell::new(text).set_alignment(CellAlignment::Right),
        }
    }
}

impl Rows {
    /// An empty table.
    pub fn new(columns: &[Column]) -> Self {
        let mut table = Table::new();
        table.load_style(NOTHING);
        // A narrow terminal (or one that does not know its width) wraps lines better than columns.
        let is_wide = io::stdout().is_terminal() && table.width().is_some_and(|width| width >= NARROW);
        let arrangement = if is_wide { ContentArrangement::Dynamic } else { ContentArrangement::Disabled };
        table.set_content_arrangement(arrangement);
        table.set_header(columns.iter().map(|column| column.cell(column.title().to_owned())));
        Self { columns: columns.to_vec(), table }
    }

    /// An empty table whose rows are one line each, however long: what is drawn is cut where it is drawn.
    pub fn of_lines(columns: &[Column]) -> Self {
        let mut rows = Self::new(columns);
        rows.table.set_content_arrangement(ContentArrangement::Disabled);
        rows
    }

    /// Adds a row.
    pub fn add<const N: usize>(&mut self, cells: [String; N]) {
        let cells = self.columns.iter().zip(cells).map(|(column, text)| column.cell(text));
        self.table.add_row(cells.collect::<Vec<_>>());
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// The table as text, without blanks at the ends of lines.
    pub fn text(&self) -> String {
        let lines = self.table.lines().map(|line| line.trim_end().to_owned());
        lines.collect::<Vec<_>>().join("\n")
    }

    /// Prints it.
    pub fn print(&self) -> io::Result<()> {
        line(self.text())
    }
}

/// Names and values, one a line, the values under each other.
pub fn pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, String)>) -> io::Result<()> {
    let mut page = Page::default();
    page.pairs(pairs);
    page.print()
}

/// Several lines and tables that are printed at once, or drawn again and again.
#[derive(Debug, Default)]
pub struct Page(String);

impl Page {
    /// A line.
    pub fn line(&mut self, text: impl std::fmt::Display) {
        use std::fmt::Write as _;
        // Writing to a string does not fail.
        let _ = writeln!(self.0, "{text}");
    }

    /// Names and values, one a line, the values under each other; empty values are left out.
    pub fn pairs<'a>(&mut self, pairs: impl IntoIterator<Item = (&'a str, String)>) {
        let pairs: Vec<_> = pairs.into_iter().filter(|(_, value)| !value.is_empty()).collect();
        let width = pairs.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
        for (name, value) in pairs {
            self.line(format_args!(" {name:<width$}  {value}"));
        }
    }

    /// A table.
    pub fn rows(&mut self, rows: &Rows) {
        self.line(rows.text());
    }

    /// What it says.
    pub fn into_text(self) -> String {
        self.0
    }

    /// Prints it.
    pub fn print(&self) -> io::Result<()> {
        raw(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_at_the_right_and_lines_end_without_blanks() {
        let mut rows = Rows::new(&[Column::Text("QUEUE"), Column::Number("WAITING"), Column::Text("NOTE")]);
        assert!(rows.is_empty());
        rows.add(["generate".to_owned(), "7".to_owned(), String::new()]);
        rows.add(["control".to_owned(), "1,200".to_owned(), "x".to_owned()]);
        assert_eq!(rows.text(), " QUEUE     WAITING  NOTE\n generate        7\n control     1,200  x");
    }
}
