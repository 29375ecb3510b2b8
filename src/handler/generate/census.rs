//! What the texts of a job come to: parts, encodings, the characters that force UCS-2, what fails.
//!
//! Each row that will be an order with a valid contact is rendered as it will be sent, with a link of the
//! real length (PO-13, PO-14, PO-15), and its turn is compared with its order's life (PO-7, PO-19). Memory
//! is bounded whatever the rows hold: counts, a few characters, a few samples.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use crate::{
    domain::{
        column::canonical_column,
        contact::Phone,
        estimate::Course,
        expiry::Expiry,
        hours::ContactHours,
        message::{Message, MessageError},
        short_code::ShortCode,
        sms::{self, Encoding, Measure},
        unsubscribe::Farewell,
    },
    handler::contact_rules,
    job::{OrderRow, Warning, WarningCode},
};

use crate::domain::text::{self, Facts};

/// Different characters that are kept, of those that force UCS-2 and of those that are replaced.
const CHARACTERS: usize = 100;

/// Characters of a sample that are kept; ten parts of GSM-7 are 1,530.
const SAMPLE_CHARS: usize = 2000;

/// Where a character comes from that stands in the text itself.
const IN_TEXT: &str = "text";

/// What all messages of the job share.
#[derive(Debug, Clone)]
pub struct Terms {
    /// The template.
    pub message: Message,
    /// The template as written.
    pub text: String,
    /// A code of the real length that belongs to no order.
    pub code: ShortCode,
    /// The link with it.
    pub link: String,
    /// An unsubscribe link of the real length and what stands before it, where messages have one (BM-19).
    pub farewell: Option<(String, String)>,
    /// More parts are not sent.
    pub max_parts: usize,
    /// When the messages leave.
    pub course: Course,
    /// When they may.
    pub hours: ContactHours,
    /// When the orders expire.
    pub expiry: Expiry,
    /// An order with less life left is not sent.
    pub floor: Duration,
    /// Samples wanted.
    pub samples: usize,
}

/// The texts counted.
#[derive(Debug, Clone)]
pub struct Census {
    terms: Terms,
    /// Characters outside GSM-7 that the template itself has.
    fixed: BTreeSet<char>,
    /// Messages that can be sent.
    pub messages: u64,
    /// Their parts.
    pub parts: u64,
    /// Messages by the number of their parts.
    pub by_parts: BTreeMap<usize, u64>,
    /// Messages that go as UCS-2.
    pub ucs2: u64,
    /// Messages whose order would not live long enough for its turn.
    pub late: u64,
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
    /// The row it is of.
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

impl Census {
    /// Nothing counted yet.
    pub fn new(terms: Terms) -> Self {
        let fixed = outside_tags(&terms.text).filter(|c| !sms::is_gsm7(*c)).collect();
        Self {
            terms,
            fixed,
            messages: 0,
            parts: 0,
            by_parts: BTreeMap::new(),
            ucs2: 0,
            late: 0,
            failed: BTreeMap::new(),
            forcing: BTreeMap::new(),
            replaced: BTreeMap::new(),
            samples: Vec::new(),
            longest: None,
        }
    }

    /// What it was told.
    pub const fn terms(&self) -> &Terms {
        &self.terms
    }

    /// Counts the message of a row.
    pub fn take(&mut self, row: u64, order: &OrderRow, contact: &Phone) {
        let mut replaced = Vec::new();
        let text = match self.render(order, &mut replaced) {
            Ok(text) => text,
            Err(error) => return self.fail(row, error.reason()),
        };
        for (c, with) in replaced {
            count_replaced(&mut self.replaced, c, with);
        }
        let measure = sms::measure(&text);
        let too_long = (measure.parts > self.terms.max_parts)
            .then(|| MessageError::TooLong { parts: measure.parts, max: self.terms.max_parts }.reason());
        self.keep(row, contact, &text, &measure, too_long.as_ref());
        if let Some(reason) = too_long {
            return self.fail(row, reason);
        }
        let Terms { course, expiry, floor, .. } = &self.terms;
        self.late += u64::from(!course.in_time(self.parts, expiry, *floor));
        self.messages += 1;
        self.parts += measure.parts as u64;
        *self.by_parts.entry(measure.parts).or_default() += 1;
        if measure.encoding == Encoding::Ucs2 {
            self.ucs2 += 1;
            self.count_forcing(row, order, &measure.forcing);
        }
    }

    fn render(&self, order: &OrderRow, replaced: &mut Vec<(char, String)>) -> Result<String, MessageError> {
        let terms = &self.terms;
        let facts = Facts {
            amount: order.amount,
            currency: Some(order.currency),
            key: order.key.as_deref().unwrap_or_default(),
            contact: order.contact.as_ref().map_or("", |phone| phone.as_e164()),
            concept: &order.concept,
            reference: &order.reference,
            short_code: terms.code.as_str(),
            expires_at: terms.expiry.expires_at(terms.course.generated),
            vars: &order.vars,
            url: &terms.link,
            farewell: terms.farewell.as_ref().map(|(link, label)| Farewell { link, label }),
        };
        text::render(&terms.message, &facts, |c, with| {
            if !replaced.iter().any(|(known, _)| *known == c) {
                replaced.push((c, with.to_owned()));
            }
        })
    }

    fn fail(&mut self, row: u64, reason: String) {
        self.failed.entry(reason).or_insert(Failing { messages: 0, first_row: row }).messages += 1;
    }

    fn keep(&mut self, row: u64, contact: &Phone, text: &str, measure: &Measure, fails: Option<&String>) {
        let sample = || Sample {
            row,
            contact: contact.masked(),
            text: text.chars().take(SAMPLE_CHARS).collect(),
            encoding: measure.encoding,
            units: measure.units,
            parts: measure.parts,
            units_left: measure.units_left,
            fails: fails.cloned(),
        };
        if self.samples.len() < self.terms.samples {
            self.samples.push(sample());
        }
        let size = |sample: &Sample| (sample.parts, sample.units);
        if self.longest.as_ref().is_none_or(|longest| size(longest) < (measure.parts, measure.units)) {
            self.longest = Some(sample());
        }
    }

    fn count_forcing(&mut self, row: u64, order: &OrderRow, forcing: &[char]) {
        let mut places: Vec<(char, &str)> =
            forcing.iter().filter(|c| self.fixed.contains(c)).map(|c| (*c, IN_TEXT)).collect();
        for name in self.terms.message.variables() {
            let value = match canonical_column(name).unwrap_or(name) {
                "concept" if !order.vars.contains_key(name) => order.concept.as_str(),
                "reference" if !order.vars.contains_key(name) => order.reference.as_str(),
                _ => order.vars.get(name).and_then(|value| value.as_str()).unwrap_or_default(),
            };
            if !value.is_ascii() {
                places.extend(forcing.iter().filter(|c| value.contains(**c)).map(|c| (*c, name.as_str())));
            }
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

    /// What whoever asked may want to know.
    pub fn warnings(&self) -> Vec<Warning> {
        let Terms { course, floor, hours, .. } = &self.terms;
        let mut warnings: Vec<Warning> = contact_rules::warning(hours, course.generated).into_iter().collect();
        if self.late > 0 {
            let left = crate::domain::clock::format_duration(*floor);
            let sentence = match course.rate_per_second {
                0 => format!(
                    "{} of {} orders live less than {left} (orders.floor): no message would be sent",
                    self.late, self.messages
                ),
                rate => format!(
                    "{} of {} orders will have less than {left} to live at their message's turn, at {rate} parts a second behind \
                     {} that wait: they would be skipped",
                    self.late, self.messages, course.parts_ahead
                ),
            };
            warnings.push(Warning::new(WarningCode::WillExpireUnsent, sentence));
        }
        let several: u64 = self.by_parts.iter().filter(|(parts, _)| **parts > 1).map(|(_, messages)| messages).sum();
        if several > 0 {
            let most = self.by_parts.keys().next_back().copied().unwrap_or(0);
            let sentence = format!(
                "{several} of {} messages take more than 1 part, up to {most}: {} parts in all",
                self.messages, self.parts
            );
            warnings.push(Warning::new(WarningCode::SeveralParts, sentence));
        }
        warnings
    }
}

fn count_replaced(replaced: &mut BTreeMap<char, Replaced>, c: char, with: String) {
    if let Some(known) = replaced.get_mut(&c) {
        known.messages += 1;
    } else if replaced.len() < CHARACTERS {
        replaced.insert(c, Replaced { with, messages: 1 });
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
    use crate::{
        domain::{clock::EpochMs, contact::Country, money::Currency},
        job::RowRules,
    };
    use serde_json::{Value, json};

    const START: EpochMs = EpochMs(1_763_719_200_000);
    /// 36 characters with its blank.
    const LINK: &str = "https://pay.example/?p=xxxxxxxxxxxx";

    fn terms(text: &str) -> Terms {
        Terms {
            message: Message::compile(text, None).unwrap(),
            text: text.to_owned(),
            code: ShortCode::sample(12),
            link: LINK.to_owned(),
            farewell: None,
            max_parts: 4,
            course: Course { generated: START, starts: START, rate_per_second: 0, parts_ahead: 0 },
            hours: ContactHours::default(),
            expiry: Expiry::default(),
            floor: Duration::from_mins(5),
            samples: 2,
        }
    }

    fn row(columns: &Value) -> OrderRow {
        let rules = RowRules {
            country: Country::parse("ES").ok(),
            currency: Currency::parse("EUR").ok(),
            currencies: Vec::new(),
            max_amount_minor: 9_999_999,
        };
        OrderRow::decode(columns.as_object().unwrap().clone(), &rules).unwrap()
    }

    fn count(terms: Terms, rows: &[Value]) -> Census {
        let mut census = Census::new(terms);
        for (number, columns) in (1..).zip(rows) {
            let mut columns = columns.clone();
            (columns["amount"], columns["SMScontact"]) = (1250.into(), "600123456".into());
            let order = row(&columns);
            census.take(number, &order, order.contact.as_ref().unwrap());
        }
        census
    }

    #[test]
    fn po_13_parts_are_counted_with_the_link_and_warned_of_above_one() {
        let text = |length: usize| json!({"name": "a".repeat(length)});
        // 160 units less the link and its blank.
        let census = count(terms("{{ name }}"), &[text(124), text(125), text(270), text(271), text(600)]);
        assert_eq!(census.by_parts, [(1, 1), (2, 2), (3, 1)].into());
        assert_eq!((census.messages, census.parts), (4, 8));
        assert_eq!(census.failed["text_too_long"], Failing { messages: 1, first_row: 5 });
        let longest = census.longest.as_ref().unwrap();
        assert_eq!((longest.row, longest.parts, longest.fails.as_deref()), (5, 5, Some("text_too_long")));
        let warnings = census.warnings();
        assert_eq!(warnings.len(), 1);
        assert_eq!(
            warnings[0].to_string(),
            "several_parts: 3 of 4 messages take more than 1 part, up to 3: 8 parts in all"
        );
        assert_eq!(count(terms("{{ name }}"), &[text(124)]).warnings(), []);
    }

    #[test]
    fn po_14_the_forcing_characters_are_named_with_their_places() {
        let rows = [json!({"name": "Inés"}), json!({"name": "Raúl"}), json!({"name": "Raúl Núñez", "note": "ó"})];
        let census = count(terms("Hola {{ name }} {{ note | default('í') }}, última"), &rows);
        assert_eq!(census.ucs2, 3);
        let places = |c: char| {
            let forcing = &census.forcing[&c];
            let places: Vec<_> = forcing.places.iter().map(|(place, n)| (place.as_str(), *n)).collect();
            (forcing.messages, forcing.first_row, places)
        };
        assert_eq!(places('ú'), (3, 1, vec![("name", 2), ("text", 3)]));
        assert_eq!(places('í'), (2, 1, vec![("text", 2)]));
        assert_eq!(places('ó'), (1, 3, vec![("note", 1)]));
        assert_eq!(census.forcing.len(), 3);
    }

    #[test]
    fn po_14_what_transliteration_replaced_is_named() {
        let asked = terms("Última página, {{ name }}");
        let asked = Terms { message: asked.message.clone().transliterated(true), ..asked };
        let census = count(asked, &[json!({"name": "Raúl"}), json!({"name": "Ana 😀"})]);
        assert_eq!(census.ucs2, 1);
        assert_eq!(census.forcing.keys().collect::<String>(), "😀");
        assert_eq!(census.replaced[&'á'], Replaced { with: "a".to_owned(), messages: 2 });
        assert_eq!(census.replaced[&'ú'], Replaced { with: "u".to_owned(), messages: 1 });
        assert_eq!(census.samples[0].text, format!("Ultima pagina, Raul {LINK}"));
    }

    #[test]
    fn po_19_messages_whose_turn_comes_too_late_are_counted() {
        let asked = terms("{{ name }}");
        // 10 minutes of life less 5 are 300 seconds: at one part a second the message behind 300 parts still goes.
        let course = Course { rate_per_second: 1, parts_ahead: 298, ..asked.course };
        let asked = Terms { course, expiry: Expiry::In(Duration::from_mins(10)), ..asked };
        let one = json!({"name": "a"});
        let census = count(asked, &[one.clone(), json!({"name": "a".repeat(130)}), one.clone(), one]);
        assert_eq!((census.messages, census.parts, census.late), (4, 5, 2));
        let warning = &census.warnings()[0];
        assert_eq!(warning.code, WarningCode::WillExpireUnsent);
        assert!(warning.sentence.starts_with("2 of 4 orders will have less than 5m to live"), "{warning}");
    }

    #[test]
    fn memory_is_bounded_whatever_the_rows_hold() {
        let rows: Vec<Value> = (0..300_u32)
            .map(|n| json!({"name": char::from_u32(0x4E00 + n).unwrap().to_string() + &"x".repeat(3000)}))
            .collect();
        let census = count(Terms { max_parts: 100, ..terms("{{ name }}") }, &rows);
        assert_eq!((census.forcing.len(), census.samples.len(), census.messages), (CHARACTERS, 2, 300));
        assert_eq!(census.samples[0].text.chars().count(), SAMPLE_CHARS);
    }

    #[test]
    fn a_templates_own_characters_are_those_outside_its_tags() {
        let own: String = outside_tags("á{{ é }}í{% if ó %}ú{% endif %}{# ü #}ñ{").collect();
        assert_eq!(own, "áíúñ{");
    }
}
