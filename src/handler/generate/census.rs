//! What the texts of a job come to: parts, encodings, the characters that force UCS-2, what fails.
//!
//! Each row that will be an order with a valid contact is rendered as it will be sent, with a link of the
//! real length (PO-13, PO-14, PO-15), and its turn is compared with its order's life (PO-7, PO-19). Memory
//! is bounded whatever the rows hold: counts, a few characters, a few samples.

use std::time::Duration;

use crate::{
    domain::{
        column::canonical_column,
        contact::Phone,
        estimate::Course,
        expiry::Expiry,
        hours::ContactHours,
        message::{Message, MessageError},
        short_code::ShortCode,
        sms,
        text::{self, Facts},
        unsubscribe::Farewell,
    },
    handler::contact_rules,
    job::{OrderRow, Warning, WarningCode},
};

use super::super::tally::Tally;

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
    /// What they come to.
    pub tally: Tally,
    /// Messages whose order would not live long enough for its turn.
    pub late: u64,
}

impl Census {
    /// Nothing counted yet.
    pub fn new(terms: Terms) -> Self {
        let tally = Tally::new(&terms.text, terms.samples);
        Self { terms, tally, late: 0 }
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
            Err(error) => return self.tally.fail(row, error.reason()),
        };
        for (c, with) in replaced {
            self.tally.replace(c, with);
        }
        let measure = sms::measure(&text);
        let too_long = (measure.parts > self.terms.max_parts)
            .then(|| MessageError::TooLong { parts: measure.parts, max: self.terms.max_parts }.reason());
        self.tally.keep(row, &contact.masked(), &text, &measure, too_long.as_ref());
        if let Some(reason) = too_long {
            return self.tally.fail(row, reason);
        }
        let Terms { course, expiry, floor, .. } = &self.terms;
        self.late += u64::from(!course.in_time(self.tally.parts, expiry, *floor));
        let values = self.terms.message.variables().iter().map(|name| (name.as_str(), value_of(order, name)));
        self.tally.count(row, &measure, values);
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

    /// What whoever asked may want to know.
    pub fn warnings(&self) -> Vec<Warning> {
        let Terms { course, floor, hours, .. } = &self.terms;
        let mut warnings: Vec<Warning> = contact_rules::warning(hours, course.generated).into_iter().collect();
        if self.late > 0 {
            let left = crate::domain::clock::format_duration(*floor);
            let sentence = match course.rate_per_second {
                0 => format!(
                    "{} of {} orders live less than {left} (orders.floor): no message would be sent",
                    self.late, self.tally.messages
                ),
                rate => format!(
                    "{} of {} orders will have less than {left} to live at their message's turn, at {rate} parts a second behind \
                     {} that wait: they would be skipped",
                    self.late, self.tally.messages, course.parts_ahead
                ),
            };
            warnings.push(Warning::new(WarningCode::WillExpireUnsent, sentence));
        }
        let several: u64 =
            self.tally.by_parts.iter().filter(|(parts, _)| **parts > 1).map(|(_, messages)| messages).sum();
        if several > 0 {
            let most = self.tally.by_parts.keys().next_back().copied().unwrap_or(0);
            let sentence = format!(
                "{several} of {} messages take more than 1 part, up to {most}: {} parts in all",
                self.tally.messages, self.tally.parts
            );
            warnings.push(Warning::new(WarningCode::SeveralParts, sentence));
        }
        warnings
    }
}

/// What a row says by this name, as far as it can hold characters that cost.
fn value_of<'a>(order: &'a OrderRow, name: &str) -> &'a str {
    match canonical_column(name).unwrap_or(name) {
        "concept" if !order.vars.contains_key(name) => &order.concept,
        "reference" if !order.vars.contains_key(name) => &order.reference,
        _ => order.vars.get(name).and_then(|value| value.as_str()).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::tally::{CHARACTERS, Failing, Replaced, SAMPLE_CHARS};
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
        assert_eq!(census.tally.by_parts, [(1, 1), (2, 2), (3, 1)].into());
        assert_eq!((census.tally.messages, census.tally.parts), (4, 8));
        assert_eq!(census.tally.failed["text_too_long"], Failing { messages: 1, first_row: 5 });
        let longest = census.tally.longest.as_ref().unwrap();
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
        assert_eq!(census.tally.ucs2, 3);
        let places = |c: char| {
            let forcing = &census.tally.forcing[&c];
            let places: Vec<_> = forcing.places.iter().map(|(place, n)| (place.as_str(), *n)).collect();
            (forcing.messages, forcing.first_row, places)
        };
        assert_eq!(places('ú'), (3, 1, vec![("name", 2), ("text", 3)]));
        assert_eq!(places('í'), (2, 1, vec![("text", 2)]));
        assert_eq!(places('ó'), (1, 3, vec![("note", 1)]));
        assert_eq!(census.tally.forcing.len(), 3);
    }

    #[test]
    fn po_14_what_transliteration_replaced_is_named() {
        let asked = terms("Última página, {{ name }}");
        let asked = Terms { message: asked.message.clone().transliterated(true), ..asked };
        let census = count(asked, &[json!({"name": "Raúl"}), json!({"name": "Ana 😀"})]);
        assert_eq!(census.tally.ucs2, 1);
        assert_eq!(census.tally.forcing.keys().collect::<String>(), "😀");
        assert_eq!(census.tally.replaced[&'á'], Replaced { with: "a".to_owned(), messages: 2 });
        assert_eq!(census.tally.replaced[&'ú'], Replaced { with: "u".to_owned(), messages: 1 });
        assert_eq!(census.tally.samples[0].text, format!("Ultima pagina, Raul {LINK}"));
    }

    #[test]
    fn po_19_messages_whose_turn_comes_too_late_are_counted() {
        let asked = terms("{{ name }}");
        // 10 minutes of life less 5 are 300 seconds: at one part a second the message behind 300 parts still goes.
        let course = Course { rate_per_second: 1, parts_ahead: 298, ..asked.course };
        let asked = Terms { course, expiry: Expiry::In(Duration::from_mins(10)), ..asked };
        let one = json!({"name": "a"});
        let census = count(asked, &[one.clone(), json!({"name": "a".repeat(130)}), one.clone(), one]);
        assert_eq!((census.tally.messages, census.tally.parts, census.late), (4, 5, 2));
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
        assert_eq!(
            (census.tally.forcing.len(), census.tally.samples.len(), census.tally.messages),
            (CHARACTERS, 2, 300)
        );
        assert_eq!(census.tally.samples[0].text.chars().count(), SAMPLE_CHARS);
    }
}
