//! What would become of an `import` job: its rows judged one by one, and the campaign looked at.
//!
//! Whether a case is new or known, and whether the orders that rows name are there, is only seen when it is written.

use std::collections::BTreeMap;

use crate::{
    domain::{column::CASES, contact::Country},
    job::{CaseRow, DeadCode, Envelope, ImportJob, Rejection, RowRefusal},
    source::{BadRow, Repeats, Row},
    store::StoreError,
};

use super::{
    super::{
        blocking, import,
        intake::{
            first::{Observer, read_through},
            source_limits,
        },
    },
    Surroundings,
    report::{Contacts, RefusedRow, Report, RowCounts, Verdict},
    source::Unread,
};

/// Rows without a contact that are named.
const NAMED: usize = 20;

/// What is counted of the rows.
#[derive(Default)]
struct Judging {
    country: Option<Country>,
    ids: Repeats,
    cases: u64,
    refused: BTreeMap<&'static str, (u64, RefusedRow)>,
    contacts: Contacts,
}

impl Judging {
    fn refuse(&mut self, row: u64, line: u64, refusal: &RowRefusal) {
        let code = refusal.code.as_str();
        let first = || RefusedRow { code: code.to_owned(), row, line, error: refusal.sentence.clone() };
        self.refused.entry(code).or_insert_with(|| (0, first())).0 += 1;
    }
}

impl Observer for Judging {
    const JUDGES: bool = true;

    fn row(&mut self, row: Row, _: bool) {
        let (number, line) = (row.row, row.line);
        let case = match CaseRow::decode(row.columns, self.country) {
            Ok(case) => case,
            Err(refusal) => return self.refuse(number, line, &refusal),
        };
        self.cases += u64::from(!self.ids.seen(&case.case.id));
        let has_contact = case.case.contacts.as_ref().is_some_and(|contacts| !contacts.is_empty());
        self.contacts.valid += u64::from(has_contact);
        self.contacts.invalid += u64::from(!case.refused_contacts.is_empty());
        if !has_contact {
            self.contacts.missing += u64::from(case.refused_contacts.is_empty());
            if self.contacts.first_without.len() < NAMED {
                self.contacts.first_without.push(number);
            }
        }
    }

    fn bad(&mut self, row: BadRow) {
        self.refuse(row.row, row.line, &RowRefusal::of_code(row.fault.as_str(), row.sentence));
    }
}

impl Surroundings<'_> {
    /// What would become of an import; nothing when it was stopped.
    pub(super) async fn preview_import(
        &self,
        envelope: &Envelope,
        job: &ImportJob,
        told: impl FnMut(u64) + Send + 'static,
    ) -> Result<Option<Report>, StoreError> {
        let late = envelope.not_after.filter(|not_after| *not_after < self.now);
        let judged = late.map_or(Ok(()), |not_after| Err(Rejection::expired(not_after, self.now)));
        let Some(cases) = &job.cases else {
            let verdict = judged.map_or_else(|rejection| Verdict::rejected(&rejection), |()| Verdict::done());
            return Ok(Some(Report { verdict, ..Report::new(String::new()) }));
        };
        let campaign = cases.campaign.to_string();
        let (entered, country) = match self.store {
            Some(store) => {
                let found = store.campaign_fields(&campaign, &["country"]).await?.into_iter().next().flatten();
                (import::judge_campaign(store, cases).await?, found.and_then(|code| Country::parse(&code).ok()))
            }
            None => (Ok(()), None),
        };
        let country = cases.country.or(country);
        let limits = source_limits(self.config, &CASES, self.stop.clone());
        let refused = |rejection: Rejection| Ok(Some(Report::refused(campaign.clone(), &rejection)));
        let copied = match self.copied(&cases.rows, &limits).await? {
            Ok(copied) => copied,
            Err(Unread::Refused(rejection)) => return refused(rejection),
            Err(Unread::Stopped) => return Ok(None),
        };
        let source = copied.source.clone();
        let fresh = move || Judging { country, ..Judging::default() };
        let (through, found) = match blocking(move || read_through(&source, &limits, fresh, told)).await {
            Ok(found) => found,
            Err(error) => match Unread::from(error) {
                Unread::Refused(rejection) => return refused(rejection),
                Unread::Stopped => return Ok(None),
            },
        };
        let verdict = match judged.and(entered) {
            Err(rejection) => Verdict::rejected(&rejection),
            Ok(()) if found.cases == 0 => {
                Verdict::dead(DeadCode::NothingImported, format!("all {} rows would be refused", through.rows))
            }
            Ok(()) => Verdict::done(),
        };
        let refused = found.refused;
        let rows = RowCounts {
            read: through.rows,
            orders: None,
            cases: Some(found.cases),
            refused: refused.values().map(|(rows, _)| rows).sum(),
            refused_by_code: refused.iter().map(|(code, (rows, _))| ((*code).to_owned(), *rows)).collect(),
            first_refused: refused.into_values().map(|(_, first)| first).collect(),
        };
        Ok(Some(Report { verdict, rows: Some(rows), contacts: Some(found.contacts), ..Report::new(campaign) }))
    }
}
