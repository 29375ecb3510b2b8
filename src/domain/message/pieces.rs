//! A text of plain `{{ name }}` placeholders, as a list of pieces.
//!
//! Nearly every message is one, and it is rendered for each recipient: here that is a walk over
//! a list that writes into one string. Anything that the template language would read
//! differently (blocks, comments, filters, attributes, whitespace control, constants) is left to
//! it.

use super::{Escape, MessageError, Vars};

/// Words that are not variables in the template language.
const WORDS: [&str; 17] = [
    "true", "false", "none", "True", "False", "None", "not", "and", "or", "in", "is", "if", "else", "loop", "self",
    "super", "caller",
];

#[derive(Debug, Clone)]
enum Piece {
    Text(Box<str>),
    Variable(Box<str>),
}

/// Text and variables in turn.
#[derive(Debug, Clone)]
pub(super) struct Pieces {
    pieces: Box<[Piece]>,
    capacity: usize,
}

impl Pieces {
    /// Splits a text; `None` when it is more than plain placeholders.
    pub(super) fn compile(text: &str) -> Option<Self> {
        if text.contains("{%") || text.contains("{#") {
            return None;
        }
        let mut pieces = Vec::new();
        let mut capacity = 0;
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            let (inside, behind) = after.split_once("}}")?;
            let name = inside.trim();
            if !is_name(name) {
                return None;
            }
            if !before.is_empty() {
                capacity += before.len();
                pieces.push(Piece::Text(before.into()));
            }
            capacity += 16;
            pieces.push(Piece::Variable(name.into()));
            rest = behind;
        }
        if !rest.is_empty() {
            capacity += rest.len();
            pieces.push(Piece::Text(rest.into()));
        }
        Some(Self { pieces: pieces.into(), capacity })
    }

    /// The names of the variables, in order of appearance.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Text(_) => None,
            Piece::Variable(name) => Some(&**name),
        })
    }

    /// Room that the text is likely to need: its own, and 16 bytes a variable.
    pub(super) const fn capacity(&self) -> usize {
        self.capacity
    }

    /// Appends the text for one recipient, at most `most_bytes` of it.
    pub(super) fn render(
        &self,
        vars: &Vars<'_>,
        escape: Escape,
        most_bytes: usize,
        out: &mut String,
    ) -> Result<(), MessageError> {
        let most = out.len() + most_bytes;
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Variable(name) => {
                    let from = out.len();
                    if !vars.write(name, out) {
                        return Err(MessageError::MissingVariable { name: name.to_string() });
                    }
                    escape.tail(out, from);
                }
            }
            if out.len() > most {
                return Err(MessageError::OverBudget { what: "bytes" });
            }
        }
        Ok(())
    }
}

fn is_name(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next().is_some_and(|c| c == '_' || c.is_alphabetic())
        && chars.all(|c| c == '_' || c.is_alphanumeric())
        && !WORDS.contains(&text)
}
