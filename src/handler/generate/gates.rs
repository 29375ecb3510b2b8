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
    source::{BadRow, Encoding, Repeats, Row, SourceError, SourceLimits, SourceSpec},
};

use super::{
    super::intake::first::{Observer, Through, read_through},
    census::{Census, Terms},
    slices::duplicate_key,
};

/// Offending rows named in a refusal.
const NAMED: usize = 20;

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
    /// The source: its digest, its encoding, its rows.
    pub through: Through,
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

/// Reads the source through, as [`read_through`] does. Blocking; `told` hears the rows read so far from time to time.
pub fn survey(
    spec: &SourceSpec,
    limits: &SourceLimits,
    rules: &RowRules,
    look: &Look,
    told: impl FnMut(u64),
) -> Result<Survey, SourceError> {
    Ok(match look {
        Look::Rows => {
            let (through, References { found, .. }) = read_through(spec, limits, References::default, told)?;
            Survey { through, ..found }
        }
        Look::Whole(terms) => {
            let (through, judging) = read_through(spec, limits, || Judging::new(rules, terms.as_deref()), told)?;
            Survey { through, ..judging.references.found }
        }
    })
}

/// Looks at nothing but the references.
#[derive(Debug, Default)]
struct References {
    found: Survey,
    seen: Repeats,
}

impl Observer for References {
    const JUDGES: bool = false;

    fn row(&mut self, row: Row, _: bool) {
        self.found.look_for_repeats(&row, &mut self.seen);
    }

    fn bad(&mut self, _: BadRow) {}
}

/// Judges every row as generation will.
#[derive(Debug)]
struct Judging<'a> {
    rules: &'a RowRules,
    references: References,
    keys: Repeats,
}

impl<'a> Judging<'a> {
    fn new(rules: &'a RowRules, terms: Option<&Terms>) -> Self {
        let census = terms.map(|terms| Box::new(Census::new(Terms::clone(terms))));
        let found = Survey { census, ..Survey::default() };
        Self { rules, references: References { found, seen: Repeats::default() }, keys: Repeats::default() }
    }
}

impl Observer for Judging<'_> {
    const JUDGES: bool = true;

    fn row(&mut self, row: Row, is_clear: bool) {
        let References { found, seen } = &mut self.references;
        found.look_for_repeats(&row, seen);
        if is_clear {
            let (number, line) = (row.row, row.line);
            let order = OrderRow::decode(row.columns, self.rules);
            match order.and_then(|order| first_of_its_key(order, &mut self.keys)) {
                Ok(order) => found.take(number, &order),
                Err(refusal) => found.refuse(number, line, refusal),
            }
        }
    }

    fn bad(&mut self, row: BadRow) {
        let refusal = RowRefusal::of_code(row.fault.as_str(), row.sentence);
        self.references.found.refuse(row.row, row.line, refusal);
    }
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
    if found.through.encoding == Encoding::Latin1 {
        warnings.push(Warning::latin1());
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
                found.through.rows
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

#[cfg(test)]
mod tests {
    use super::*;

    fn found(valid: u64, without: &[u64]) -> Survey {
        Survey {
            through: Through { rows: valid + without.len() as u64, ..Through::default() },
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
