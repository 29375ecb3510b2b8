//! The gates of `generate`: a first pass over the source, before anything is generated.
//!
//! It finds what makes the whole job wrong (a source that cannot be read, too many rows, no number to
//! send to), takes the digest by which a later run knows that the source is still the same, finds out the encoding and
//! notes what is to be warned of. Where something is sent it also judges every row as generation will and counts the
//! texts ([`Census`]); a preview is this pass and nothing else.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::{
    domain::contact::ContactError,
    job::{
        Delivery, GenerateJob, OrderRow, Rejection, RejectionCode, RowRefusal, RowRules, Warning, WarningCode,
        rows_have,
    },
    source::{Encoding, ReadError, Reader, Repeats, Row, SourceError, SourceLimits, SourceSpec, digest, open},
};

use super::{
    census::{Census, Terms},
    slices::duplicate_key,
};

/// Offending rows named in a refusal.
const NAMED: usize = 20;

/// Rows between two words to whoever waits.
const TOLD_EVERY: u64 = 1024;

/// Which contacts the delivery needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// None: nothing is sent.
    None,
    /// At least one (PO-1).
    Any,
    /// All (PO-2).
    All,
}

impl Need {
    /// What the job's delivery needs.
    pub fn of(job: &GenerateJob) -> Self {
        match job.delivery {
            Delivery::None => Self::None,
            Delivery::Now(_) => Self::Any,
            Delivery::At(..) if job.allow_partial => Self::Any,
            Delivery::At(..) => Self::All,
        }
    }
}

/// What the first pass looks at, beyond the source as such.
#[derive(Debug)]
pub enum Look {
    /// Nothing: nothing is sent, and each row is judged when it is generated.
    Rows,
    /// Every row as it will be judged, and the text of its message, if one is sent.
    Whole(Option<Box<Terms>>),
}

/// What the first pass found.
#[derive(Debug, Default)]
pub struct Survey {
    /// SHA-256 of the source.
    pub digest: String,
    /// In which encoding it is read.
    pub encoding: Encoding,
    /// Rows, good and bad.
    pub rows: u64,
    /// Rows with a valid contact.
    pub valid: u64,
    /// Rows without one, the first of them.
    pub without: Vec<u64>,
    /// How many are without one.
    pub without_count: u64,
    /// Of them, those with no contact at all.
    pub empty: u64,
    /// Rows refused, by code.
    pub refused: BTreeMap<&'static str, Refused>,
    /// Rows whose reference stood in an earlier row.
    pub repeated_references: u64,
    /// The line of the first of them.
    pub first_repeated: u64,
    /// The texts, where they were asked for.
    pub census: Option<Box<Census>>,
}

/// Rows refused with one code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// How many.
    pub rows: u64,
    /// The first.
    pub first_row: u64,
    /// The line it begins on.
    pub first_line: u64,
    /// Why.
    pub sentence: String,
}

/// Reads the source once, or twice where only the end tells its encoding. Blocking; `told` hears the rows read so far
/// from time to time.
pub fn survey(
    spec: &SourceSpec,
    limits: &SourceLimits,
    rules: &RowRules,
    look: &Look,
    mut told: impl FnMut(u64),
) -> Result<Survey, SourceError> {
    // Opened first: what its header gives away is not worth the digest of a huge file.
    let rows = open(spec, limits, None)?.without_input();
    let digest = digest(spec, limits)?;
    let (mut found, is_clear) = pass(rows, &spec.name(), rules, look, &mut told)?;
    if !is_clear {
        let rows = open(spec, limits, Some(found.encoding))?.without_input();
        (found, _) = pass(rows, &spec.name(), rules, look, &mut told)?;
    }
    Ok(Survey { digest, ..found })
}

/// One reading. The second value is false when there were lines of which only the end told whether they are read at
/// all: then nothing but the encoding is right.
fn pass(
    mut rows: Reader,
    name: &str,
    rules: &RowRules,
    look: &Look,
    told: &mut impl FnMut(u64),
) -> Result<(Survey, bool), SourceError> {
    let is_said = rows.is_encoding_said();
    let (whole, terms) = match look {
        Look::Rows => (false, None),
        Look::Whole(terms) => (true, terms.as_ref()),
    };
    let census = terms.map(|terms| Box::new(Census::new(Terms::clone(terms))));
    let mut found = Survey { census, ..Survey::default() };
    let (mut keys, mut references) = (Repeats::default(), Repeats::default());
    let mut is_clear = true;
    for row in rows.by_ref() {
        found.rows += 1;
        if found.rows.is_multiple_of(TOLD_EVERY) {
            told(found.rows);
        }
        match row {
            Ok(row) => {
                found.look_for_repeats(&row, &mut references);
                is_clear &= !whole || is_said || row.is_utf8;
                if whole && is_clear {
                    let (number, line) = (row.row, row.line);
                    let order =
                        OrderRow::decode(row.columns, rules).and_then(|order| first_of_its_key(order, &mut keys));
                    match order {
                        Ok(order) => found.take(number, &order),
                        Err(refusal) => found.refuse(number, line, refusal),
                    }
                }
            }
            Err(ReadError::Row(bad)) if whole => {
                found.refuse(bad.row, bad.line, RowRefusal::of_code(bad.fault.as_str(), bad.sentence));
            }
            Err(ReadError::Row(_)) => {}
            Err(ReadError::Source(error)) => return Err(error),
        }
    }
    if rows.seen().is_mixed() && !rows.has_header_in_utf8() {
        return Err(SourceError::NotUtf8 { name: name.to_owned() });
    }
    found.encoding = rows.encoding();
    Ok((found, is_clear))
}

/// The order, unless an earlier row of the source has its key.
fn first_of_its_key(order: OrderRow, keys: &mut Repeats) -> Result<OrderRow, RowRefusal> {
    match &order.key {
        Some(key) if keys.seen(key) => Err(duplicate_key(key)),
        _ => Ok(order),
    }
}

impl Survey {
    /// Rows that become orders.
    pub const fn orders(&self) -> u64 {
        self.valid + self.without_count
    }

    fn look_for_repeats(&mut self, row: &Row, references: &mut Repeats) {
        if let Some(Value::String(reference)) = row.columns.get("reference")
            && !reference.trim().is_empty()
            && references.seen(reference.trim())
        {
            self.repeated_references += 1;
            if self.first_repeated == 0 {
                self.first_repeated = row.line;
            }
        }
    }

    fn take(&mut self, row: u64, order: &OrderRow) {
        match &order.contact {
            Ok(contact) => {
                self.valid += 1;
                if let Some(census) = &mut self.census {
                    census.take(row, order, contact);
                }
            }
            Err(error) => {
                self.without_count += 1;
                self.empty += u64::from(*error == ContactError::Empty);
                if self.without.len() < NAMED {
                    self.without.push(row);
                }
            }
        }
    }

    /// A row that is refused is generated by nobody: its contact does not count.
    fn refuse(&mut self, first_row: u64, first_line: u64, refusal: RowRefusal) {
        let RowRefusal { code, sentence } = refusal;
        let first = || Refused { rows: 0, first_row, first_line, sentence };
        self.refused.entry(code.as_str()).or_insert_with(first).rows += 1;
    }
}

/// What the first pass warns of.
pub fn warnings(found: &Survey) -> Vec<Warning> {
    let mut warnings = Vec::new();
    if found.encoding == Encoding::Latin1 {
        let sentence = "the file is not UTF-8 and was read as Windows-1252 (Latin-1): look at a name with an accent";
        warnings.push(Warning::new(WarningCode::Latin1Source, sentence));
    }
    if found.repeated_references > 0 {
        let Survey { repeated_references: count, first_repeated: line, .. } = found;
        let rows = rows_have(*count);
        let sentence = format!("{rows} a reference that stood in an earlier row, the first on line {line}");
        warnings.push(Warning::new(WarningCode::DuplicateReference, sentence));
    }
    warnings.extend(found.census.iter().flat_map(|census| census.warnings()));
    warnings
}

/// Judges what the first pass found.
pub fn judge(found: &Survey, need: Need) -> Result<(), Rejection> {
    match need {
        Need::Any if found.valid == 0 => Err(Rejection::of_field(
            RejectionCode::NoValidContact,
            "delivery",
            format!(
                "none of the {} rows has a valid SMScontact to send to; use \"delivery\":\"none\" to just generate",
                found.rows
            ),
        )),
        Need::All if found.without_count > 0 => {
            let rows: Vec<String> = found.without.iter().map(ToString::to_string).collect();
            let more = if found.without_count > found.without.len() as u64 { " and more" } else { "" };
            Err(Rejection::of_field(
                RejectionCode::InvalidContacts,
                "delivery.at",
                format!(
                    "{} rows have no valid SMScontact: rows {}{more}; mend them or set \"allow_partial\":true",
                    found.without_count,
                    rows.join(", "),
                ),
            ))
        }
        Need::None | Need::Any | Need::All => Ok(()),
    }
}

/// A source that cannot be read, as a refusal.
pub fn refusal(error: &SourceError) -> Rejection {
    Rejection::of_code(error.code(), Some("rows_from"), error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(valid: u64, without: &[u64]) -> Survey {
        Survey {
            rows: valid + without.len() as u64,
            valid,
            without: without.to_vec(),
            without_count: without.len() as u64,
            ..Survey::default()
        }
    }

    #[test]
    fn po_1_send_now_needs_one_valid_contact() {
        assert!(judge(&found(1, &[2, 3]), Need::Any).is_ok());
        assert_eq!(judge(&found(0, &[1]), Need::Any).unwrap_err().code, RejectionCode::NoValidContact);
    }

    #[test]
    fn po_2_a_scheduled_delivery_needs_all_and_names_the_rows() {
        let refused = judge(&found(5, &[3, 9]), Need::All).unwrap_err();
        assert_eq!(refused.code, RejectionCode::InvalidContacts);
        assert!(refused.sentence.contains("rows 3, 9"), "{}", refused.sentence);
        assert!(judge(&found(5, &[]), Need::All).is_ok());
    }

    #[test]
    fn just_generate_needs_none() {
        assert!(judge(&found(0, &[1]), Need::None).is_ok());
    }
}
