//! Slices: a stretch of judged rows becomes cases, written with its checkpoint in one step.
//!
//! What is known of the ids is read at once, what the rows make of it is planned here, and written where it still reads the
//! same. What somebody else changed meanwhile (a message that closed a case, another import) is read and planned again.

use std::collections::{HashMap, HashSet};

use crate::{
    domain::{case::Case, clock::EpochMs},
    job::{CaseRow, RowCode, RowRefusal},
    source::error_file::RefusedRow,
    store::{
        Store, StoreError,
        imports::{CaseSlice, ChangedCase, FoundCases, NewCase, RecordedRow, WrittenCases},
    },
};

use super::{
    super::intake::{
        error_log::ErrorLog,
        reading::{GoodRow, Judged, Stretch, listed, refused},
    },
    report::{KEPT, Progress, Tally},
};

/// A slice that changes under our hands is planned again so often.
const TRIES: u32 = 50;

/// What came of a stretch.
#[derive(Debug, PartialEq, Eq)]
pub enum Wrote {
    /// It is written.
    All,
    /// Another daemon goes on with this job.
    Lost,
    /// The campaign takes no cases any more.
    Stopped {
        /// Its state.
        state: String,
    },
}

/// Writes stretches as cases of a campaign.
#[derive(Debug)]
pub struct Writer<'a> {
    /// The store.
    pub store: &'a Store,
    /// The campaign.
    pub campaign: &'a str,
    /// The job.
    pub job: &'a str,
    /// Refused rows kept with their text.
    pub errors_kept: u64,
    /// The error file.
    pub log: ErrorLog,
    /// The checkpoint that stands in Redis.
    pub checkpoint: Option<String>,
}

/// A case as a slice leaves it.
struct Draft {
    /// Its number and JSON as they were found.
    known: Option<(u64, String, &'static str)>,
    case: Case,
    tally: Tally,
}

/// What is to be written of a slice.
#[derive(Default)]
struct Plan {
    /// By id, in the order of the rows.
    drafts: Vec<Draft>,
    /// Rows that make no case.
    refused: Vec<RefusedRow>,
}

impl Writer<'_> {
    /// Writes one stretch and moves `progress` on.
    pub async fn write(&mut self, stretch: Stretch<CaseRow>, progress: &mut Progress) -> Result<Wrote, StoreError> {
        let mut recorded = Vec::new();
        let (mut bad, mut rows) = (Vec::new(), Vec::with_capacity(stretch.rows.len()));
        for judged in stretch.rows {
            match judged {
                Judged::Bad(row) => bad.push(row),
                Judged::Good(row) => rows.push(row),
            }
        }
        self.name_orders(&mut rows, &mut bad).await?;
        let incomplete = note_contacts(&rows, progress);
        recorded.extend(incomplete.iter().map(|row| record(row, false)));
        progress.at = Some(stretch.next);
        let mut unlogged = incomplete;
        for _ in 0..TRIES {
            let now = EpochMs(self.store.now_ms().await?);
            let ids: Vec<&str> = distinct(&rows);
            let found = self.store.find_cases(self.campaign, ids.iter().copied()).await?;
            let mut plan = plan(&rows, &found, now);
            // Rows that make no case are none of a later try either.
            let refused_rows: HashSet<u64> = plan.refused.iter().map(|row| row.row).collect();
            rows.retain(|row| !refused_rows.contains(&row.row));
            bad.append(&mut plan.refused);
            for row in bad.drain(..) {
                progress.refuse(row.code);
                recorded.push(record(&row, true));
                unlogged.push(row);
            }
            // In the order of the source, as a person reads it.
            unlogged.sort_by_key(|row| row.row);
            // The file first: what it has beyond the checkpoint is cut off by whoever goes on from there.
            self.log.add(&stretch.layout, std::mem::take(&mut unlogged), &mut progress.errors).await;
            let mut all = progress.clone();
            plan.drafts.iter().for_each(|draft| all.tally.add(draft.tally));
            let (slice, order) = self.slice(&plan, &found, &all, &recorded);
            match self.store.write_cases(self.campaign, self.job, &slice).await? {
                WrittenCases::Written => {
                    *progress = all;
                    self.checkpoint = Some(slice.after);
                    return Ok(Wrote::All);
                }
                WrittenCases::Lost => return Ok(Wrote::Lost),
                WrittenCases::Stopped { state } => return Ok(Wrote::Stopped { state }),
                WrittenCases::Missed(places) => {
                    let missed: HashSet<usize> =
                        places.into_iter().filter_map(|place| order.get(place).copied()).collect();
                    let mut open = HashSet::new();
                    for (place, draft) in plan.drafts.iter().enumerate() {
                        if missed.contains(&place) {
                            open.insert(draft.case.id.as_str());
                        } else {
                            progress.tally.add(draft.tally);
                        }
                    }
                    rows.retain(|row| open.contains(row.value.case.id.as_str()));
                }
            }
        }
        Err(StoreError::Unavailable("cases change too fast".to_owned()))
    }

    /// Gives rows that name a payment order its number, and refuses those whose order is not there.
    async fn name_orders(&self, rows: &mut Vec<GoodRow<CaseRow>>, bad: &mut Vec<RefusedRow>) -> Result<(), StoreError> {
        let named = |row: &GoodRow<CaseRow>| {
            let by_key = row.value.order_key.clone().map(Err);
            row.value.case.order.map(Ok).or(by_key)
        };
        let wanted: Vec<Result<u64, String>> = rows.iter().filter_map(named).collect();
        if wanted.is_empty() {
            return Ok(());
        }
        let mut found = self.store.known_orders(self.campaign, &wanted).await?.into_iter();
        let mut kept = Vec::with_capacity(rows.len());
        for mut row in rows.drain(..) {
            if let Some(wanted) = named(&row) {
                row.value.case.order = found.next().flatten();
                if row.value.case.order.is_none() {
                    let which = wanted.map_or_else(|key| format!("with the key \"{key}\""), |n| format!("number {n}"));
                    let sentence = format!("the campaign has no order {which}: import the cases behind their orders");
                    bad.push(row.refuse(RowRefusal::new(RowCode::UnknownOrder, sentence)));
                    continue;
                }
            }
            kept.push(row);
        }
        *rows = kept;
        Ok(())
    }

    /// The slice, and for each place in it the place of its draft.
    fn slice(
        &self,
        plan: &Plan,
        found: &FoundCases,
        progress: &Progress,
        recorded: &[RecordedRow],
    ) -> (CaseSlice, Vec<usize>) {
        let mut slice = CaseSlice {
            before: self.checkpoint.clone(),
            // Plain values: there is nothing to refuse.
            after: serde_json::to_string(progress).unwrap_or_default(),
            keep: KEPT,
            count: found.count,
            recorded: recorded.to_vec(),
            errors_kept: self.errors_kept,
            ..CaseSlice::default()
        };
        let (mut new, mut changed) = (Vec::new(), Vec::new());
        for (place, draft) in plan.drafts.iter().enumerate() {
            let Draft { known, case, tally } = draft;
            let state = case.state.as_str();
            match known {
                None => {
                    slice.new.push(NewCase { id: case.id.clone(), state, json: case.to_json() });
                    new.push(place);
                }
                Some((number, before, was)) if tally.updated > 0 => {
                    let (number, before, after) = (*number, before.clone(), case.to_json());
                    slice.changed.push(ChangedCase { number, before, after, states: (was, state) });
                    changed.push(place);
                }
                Some(_) => {}
            }
        }
        new.append(&mut changed);
        (slice, new)
    }
}

/// The ids of rows, each once, in their order.
fn distinct(rows: &[GoodRow<CaseRow>]) -> Vec<&str> {
    let mut seen = HashSet::with_capacity(rows.len());
    rows.iter().map(|row| row.value.case.id.as_str()).filter(|id| seen.insert(*id)).collect()
}

/// What the rows make of the cases that were found; `found` is in the order of [`distinct`] ids.
fn plan(rows: &[GoodRow<CaseRow>], found: &FoundCases, now: EpochMs) -> Plan {
    let known = distinct(rows).into_iter().zip(&found.cases);
    let known: HashMap<&str, &(u64, String)> = known.filter_map(|(id, case)| Some((id, case.as_ref()?))).collect();
    let mut plan = Plan::default();
    let mut places: HashMap<&str, usize> = HashMap::with_capacity(rows.len());
    let mut count = found.count;
    for row in rows {
        let id = row.value.case.id.as_str();
        if let Some(draft) = places.get(id).and_then(|place| plan.drafts.get_mut(*place)) {
            // A further row of the same id: the last one counts.
            match row.value.case.clone().update(&draft.case, now) {
                Ok(None) => draft.tally.unchanged += 1,
                Ok(Some(case)) => (draft.case, draft.tally.updated) = (case, draft.tally.updated + 1),
                Err(error) => plan.refused.push(refusal(row, error.code(), &error)),
            }
            continue;
        }
        let draft = match known.get(id) {
            None => row.value.case.clone().create(count + 1, now).map(|case| {
                count += 1;
                Draft { known: None, case, tally: Tally { created: 1, ..Tally::default() } }
            }),
            Some((number, text)) => match Case::from_json(text) {
                Ok(before) => row.value.case.clone().update(&before, now).map(|case| {
                    let (updated, unchanged) = (u64::from(case.is_some()), u64::from(case.is_none()));
                    let known = Some((*number, text.clone(), before.state.as_str()));
                    let tally = Tally { updated, unchanged, ..Tally::default() };
                    Draft { known, case: case.unwrap_or(before), tally }
                }),
                Err(error) => {
                    let sentence = format!("the case {number} that is there does not read: {error}");
                    plan.refused.push(refusal(row, RowCode::WrongType.as_str(), sentence));
                    continue;
                }
            },
        };
        match draft {
            Ok(draft) => {
                places.insert(id, plan.drafts.len());
                plan.drafts.push(draft);
            }
            Err(error) => plan.refused.push(refusal(row, error.code(), &error)),
        }
    }
    for draft in &mut plan.drafts {
        let has_contact = draft.case.contacts.iter().any(|contact| !contact.gone);
        draft.tally.without_contact = u64::from(!has_contact);
    }
    plan
}

fn refusal(row: &GoodRow<CaseRow>, code: &str, why: impl std::fmt::Display) -> RefusedRow {
    refused(row.row, row.line, RowRefusal::of_code(code, why.to_string()), row.input.clone())
}

/// The rows of which an address was refused, and counts them.
fn note_contacts(rows: &[GoodRow<CaseRow>], progress: &mut Progress) -> Vec<RefusedRow> {
    let mut incomplete = Vec::new();
    for row in rows {
        let refused_contacts = &row.value.refused_contacts;
        let Some(first) = refused_contacts.first() else { continue };
        for refusal in refused_contacts {
            *progress.contacts_refused_by_code.entry(refusal.code.to_string()).or_default() += 1;
        }
        let sentences: Vec<&str> = refused_contacts.iter().map(|refusal| refusal.sentence.as_str()).collect();
        let refusal = RowRefusal::new(first.code, sentences.join("; "));
        incomplete.push(refused(row.row, row.line, refusal, row.input.clone()));
    }
    incomplete
}

fn record(row: &RefusedRow, is_refused: bool) -> RecordedRow {
    let (code, json) = listed(row);
    RecordedRow { is_refused, code, json }
}
