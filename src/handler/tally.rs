//! What written texts come to: parts, encodings, the characters that force UCS-2, what fails, samples (PO-13, PO-14).
//!
//! Memory is bounded whatever the texts hold: counts, a few characters, a few samples.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::domain::sms::{self, Encoding, Measure};

/// Different characters that are kept, of those that force UCS-2 and of those that are replaced.
pub const CHARACTERS: usize = 100;

/// Characters of a sample that are kept; ten parts of GSM-7 are 1,530.
pub const SAMPLE_CHARS: usize = 2000;

/// Where a character comes from that stands in the text itself.
pub const IN_TEXT: &str = "text";

/// Messages that fail for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failing {
    /// How many.
    pub messages: u64,
    /// The first row.
    pub first_row: u64,
}

/// A character that forces UCS-2.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Forcing {
    /// Messages with it.
    pub messages: u64,
    /// The first row.
    pub first_row: u64,
    /// Of them, by where it comes from: `text` or a variable.
    pub places: BTreeMap<String, u64>,
}

/// A character that was replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replaced {
    /// By what.
    pub with: String,
    /// In so many messages.
    pub messages: u64,
}

/// A message as it would be sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    /// The row, order or case it is of.
    pub row: u64,
    /// Where it would go, masked.
    pub contact: String,
    /// The text, link included; of a very long one the beginning.
    pub text: String,
    /// How it goes over the air.
    pub encoding: Encoding,
    /// Units of that encoding in the whole text.
    pub units: usize,
    /// SMS parts.
    pub parts: usize,
    /// Units still free in the last part.
    pub units_left: usize,
    /// Why it is not sent, where it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fails: Option<String>,
}

/// Texts counted.
#[derive(Debug, Clone)]
pub struct Tally {
    /// Characters outside GSM-7 that the template itself has.
    fixed: BTreeSet<char>,
    /// Samples wanted.
    wanted: usize,
    /// Messages that can be sent.
    pub messages: u64,
    /// Their parts.
    pub parts: u64,
    /// Messages by the number of their parts.
    pub by_parts: BTreeMap<usize, u64>,
    /// Messages that go as UCS-2.
    pub ucs2: u64,
    /// Messages that fail, by reason.
    pub failed: BTreeMap<String, Failing>,
    /// The characters that force UCS-2.
    pub forcing: BTreeMap<char, Forcing>,
    /// The look-alikes that were replaced.
    pub replaced: BTreeMap<char, Replaced>,
    /// The first messages.
    pub samples: Vec<Sample>,
    /// The longest message.
    pub longest: Option<Sample>,
}

impl Tally {
    /// Nothing counted yet, of messages written from this template.
    pub fn new(template: &str, wanted: usize) -> Self {
        Self {
            fixed: outside_tags(template).filter(|c| !sms::is_gsm7(*c)).collect(),
            wanted,
            messages: 0,
            parts: 0,
            by_parts: BTreeMap::new(),
            ucs2: 0,
            failed: BTreeMap::new(),
            forcing: BTreeMap::new(),
            replaced: BTreeMap::new(),
            samples: Vec::new(),
            longest: None,
        }
    }

    /// Counts a message that can be sent. `values` are the variables of its text with what they say here.
    pub fn count<'a>(&mut self, row: u64, measure: &Measure, values: impl Iterator<Item = (&'a str, &'a str)>) {
        self.messages += 1;
        self.parts += measure.parts as u64;
        *self.by_parts.entry(measure.parts).or_default() += 1;
        if measure.encoding == Encoding::Ucs2 {
            self.ucs2 += 1;
            self.count_forcing(row, &measure.forcing, values);
        }
    }

    /// Counts a message that fails.
    pub fn fail(&mut self, row: u64, reason: String) {
        self.failed.entry(reason).or_insert(Failing { messages: 0, first_row: row }).messages += 1;
    }

    /// Keeps a message if it is among the first, or the longest so far.
    pub fn keep(&mut self, row: u64, contact: &str, text: &str, measure: &Measure, fails: Option<&String>) {
        let sample = || Sample {
            row,
            contact: contact.to_owned(),
            text: text.chars().take(SAMPLE_CHARS).collect(),
            encoding: measure.encoding,
            units: measure.units,
            parts: measure.parts,
            units_left: measure.units_left,
            fails: fails.cloned(),
        };
        if self.samples.len() < self.wanted {
            self.samples.push(sample());
        }
        let size = |sample: &Sample| (sample.parts, sample.units);
        if self.longest.as_ref().is_none_or(|longest| size(longest) < (measure.parts, measure.units)) {
            self.longest = Some(sample());
        }
    }

    /// Counts a look-alike that was replaced in a message.
    pub fn replace(&mut self, c: char, with: String) {
        if let Some(known) = self.replaced.get_mut(&c) {
            known.messages += 1;
        } else if self.replaced.len() < CHARACTERS {
            self.replaced.insert(c, Replaced { with, messages: 1 });
        }
    }

    fn count_forcing<'a>(&mut self, row: u64, forcing: &[char], values: impl Iterator<Item = (&'a str, &'a str)>) {
        let mut places: Vec<(char, &str)> =
            forcing.iter().filter(|c| self.fixed.contains(c)).map(|c| (*c, IN_TEXT)).collect();
        for (name, value) in values.filter(|(_, value)| !value.is_ascii()) {
            places.extend(forcing.iter().filter(|c| value.contains(**c)).map(|c| (*c, name)));
        }
        for c in forcing {
            if self.forcing.len() >= CHARACTERS && !self.forcing.contains_key(c) {
                continue;
            }
            let counted = self.forcing.entry(*c).or_insert_with(|| Forcing { first_row: row, ..Forcing::default() });
            counted.messages += 1;
            let mut of = places.iter().filter(|(of, _)| of == c).map(|(_, place)| *place).peekable();
            if of.peek().is_none() {
                // Made by the template itself: a filter, a default.
                *counted.places.entry(IN_TEXT.to_owned()).or_default() += 1;
            }
            for place in of {
                match counted.places.get_mut(place) {
                    Some(messages) => *messages += 1,
                    None => {
                        counted.places.insert(place.to_owned(), 1);
                    }
                }
            }
        }
    }
}

/// The characters of a template that stand outside `{{ }}`, `{% %}` and `{# #}`.
fn outside_tags(text: &str) -> impl Iterator<Item = char> {
    let mut chars = text.chars().peekable();
    let mut closes = None;
    std::iter::from_fn(move || {
        loop {
            let c = chars.next()?;
            match (closes, c, chars.peek()) {
                (None, '{', Some('{' | '%' | '#')) => {
                    closes = chars.next().map(|open| if open == '{' { '}' } else { open });
                }
                (None, c, _) => return Some(c),
                (Some(close), c, Some('}')) if c == close => {
                    chars.next();
                    closes = None;
                }
                (Some(_), _, _) => {}
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_templates_own_characters_are_those_outside_its_tags() {
        let own: String = outside_tags("á{{ é }}í{% if ó %}ú{% endif %}{# ü #}ñ{").collect();
        assert_eq!(own, "áíúñ{");
    }
}
