//! Imports: how far one is, and its cases written slice by slice.
//!
//! Guarantees: an id is numbered once; a case is changed only where it still reads as the change was planned from; a slice's
//! checkpoint is written when all of it is, and only by whoever wrote the checkpoint before. The checkpoint goes by itself: a
//! nightly import leaves nothing behind in its campaign.

use std::time::Duration;

use redis::cmd;

use super::{Answer, Store, StoreError, cases::case_field, entries::millis, keys::index_shard, scripts};

/// The campaign that an import came into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entered {
    /// Its state.
    pub state: String,
    /// Its category.
    pub category: String,
    /// Its country, if it has one.
    pub country: Option<String>,
}

/// Cases as they were found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundCases {
    /// The campaign's state.
    pub state: String,
    /// How many cases it has.
    pub count: u64,
    /// Number and JSON of each id that was asked for, in that order.
    pub cases: Vec<Option<(u64, String)>>,
}

/// A case that nobody knew before.
#[derive(Debug, Clone)]
pub struct NewCase {
    /// Its id.
    pub id: String,
    /// Its state.
    pub state: &'static str,
    /// Its JSON, with the number that it gets.
    pub json: String,
}

/// A known case that is changed.
#[derive(Debug, Clone)]
pub struct ChangedCase {
    /// Its number.
    pub number: u64,
    /// Its JSON as it was read.
    pub before: String,
    /// Its JSON as it is to be.
    pub after: String,
    /// State before and after.
    pub states: (&'static str, &'static str),
}

/// What stands in the campaign's list of errors.
#[derive(Debug, Clone)]
pub struct RecordedRow {
    /// Whether the whole row was refused; else only a contact of it.
    pub is_refused: bool,
    /// Why.
    pub code: &'static str,
    /// As JSON.
    pub json: String,
}

/// One slice.
#[derive(Debug, Default)]
pub struct CaseSlice {
    /// The checkpoint before it; none before the first.
    pub before: Option<String>,
    /// The checkpoint behind it.
    pub after: String,
    /// How long that one is kept.
    pub keep: Duration,
    /// How many cases there were when the slice was planned: new ones are numbered from there.
    pub count: u64,
    /// New cases, numbered in this order.
    pub new: Vec<NewCase>,
    /// Known cases that are changed.
    pub changed: Vec<ChangedCase>,
    /// Rows for the list of errors.
    pub recorded: Vec<RecordedRow>,
    /// How many that list holds.
    pub errors_kept: u64,
}

/// What came of writing a slice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WrittenCases {
    /// All of it is written.
    Written,
    /// These were left alone, by their places: new ones first, then the changed ones. The checkpoint is not written.
    Missed(Vec<usize>),
    /// Another daemon goes on with this job.
    Lost,
    /// The campaign takes no cases.
    Stopped {
        /// Its state, or `gone`.
        state: String,
    },
}

impl Store {
    /// Lets an import into its campaign, which is made where there is none.
    pub async fn enter_import(
        &self,
        campaign: &str,
        name: &str,
        country: &str,
        category: &str,
    ) -> Result<Entered, StoreError> {
        // The list first: a campaign that exists is always listed.
        self.list_campaign(campaign).await?;
        let call = scripts::ENTER_IMPORT.call(&[&self.keys.campaign(campaign)]).arg(name).arg(country).arg(category);
        let mut answer = Answer::new(call.run(&self.connection).await?);
        let _made: String = answer.text()?;
        Ok(Entered { state: answer.text()?, category: answer.text()?, country: answer.some_text()? })
    }

    /// Cases by their ids.
    pub async fn find_cases<'a>(
        &self,
        campaign: &str,
        ids: impl Iterator<Item = &'a str>,
    ) -> Result<FoundCases, StoreError> {
        let mut call = scripts::FIND_CASES.call(&[&self.keys.campaign(campaign)]);
        for id in ids {
            call.push(index_shard(&case_field(id)));
            call.push(id);
        }
        let mut answer = Answer::new(call.run(&self.connection).await?);
        let (state, count) = (answer.text()?, answer.number()?);
        let mut cases = Vec::new();
        while !answer.is_done() {
            let (number, text) = (answer.text()?, answer.text()?);
            cases.push(number.parse().ok().filter(|_| !text.is_empty()).map(|number| (number, text)));
        }
        Ok(FoundCases { state, count, cases })
    }

    /// Writes one slice.
    pub async fn write_cases(&self, campaign: &str, job: &str, slice: &CaseSlice) -> Result<WrittenCases, StoreError> {
        let mut call = scripts::WRITE_CASES
            .call(&[&self.keys.campaign(campaign)])
            .arg(job)
            .arg(slice.before.as_deref().unwrap_or_default())
            .arg(&slice.after)
            .arg(millis(slice.keep))
            .arg(slice.count)
            .arg(slice.errors_kept)
            .arg(slice.new.len())
            .arg(slice.changed.len());
        for new in &slice.new {
            call.push(index_shard(&case_field(&new.id)));
            call.push(&new.id);
            call.push(new.state);
            call.push(&new.json);
        }
        for changed in &slice.changed {
            call.push(changed.number);
            call.push(&changed.before);
            call.push(&changed.after);
            call.push(changed.states.0);
            call.push(changed.states.1);
        }
        for row in &slice.recorded {
            call.push(if row.is_refused { "row" } else { "contact" });
            call.push(row.code);
            call.push(&row.json);
        }
        let mut answer = Answer::new(call.run(&self.connection).await?);
        Ok(match answer.text()?.as_str() {
            "again" => WrittenCases::Written,
            "written" if answer.is_done() => WrittenCases::Written,
            "written" => {
                let place = |text: String| {
                    let place = text.parse::<usize>().ok().and_then(|place| place.checked_sub(1));
                    place.ok_or_else(|| StoreError::Refused(format!("place {text:?} of a case")))
                };
                WrittenCases::Missed(answer.rest().map(place).collect::<Result<_, _>>()?)
            }
            "stop" => WrittenCases::Stopped { state: answer.text()? },
            _ => WrittenCases::Lost,
        })
    }

    /// How far an import is.
    pub async fn import_checkpoint(&self, campaign: &str, job: &str) -> Result<Option<String>, StoreError> {
        self.connection.query(cmd("GET").arg(self.keys.import(campaign, job))).await
    }

    /// Lets what is known of an import go after `keep`.
    pub async fn expire_import(&self, campaign: &str, job: &str, keep: Duration) -> Result<(), StoreError> {
        self.connection.query(cmd("PEXPIRE").arg(self.keys.import(campaign, job)).arg(millis(keep))).await
    }

    /// The numbers of row keys, and whether numbers are those of orders: each as the number, where it is one.
    pub async fn known_orders(
        &self,
        campaign: &str,
        orders: &[Result<u64, String>],
    ) -> Result<Vec<Option<u64>>, StoreError> {
        if orders.is_empty() {
            return Ok(Vec::new());
        }
        let mut pipeline = redis::pipe();
        for order in orders {
            match order {
                Ok(number) => pipeline.cmd("EXISTS").arg(self.keys.order(campaign, *number)),
                Err(key) => {
                    let field = format!("o:{key}");
                    pipeline.cmd("HGET").arg(self.keys.index(campaign, &field)).arg(&field)
                }
            };
        }
        let found: Vec<Option<u64>> = self.connection.pipeline(&pipeline).await?;
        let number = |(order, found): (&Result<u64, String>, Option<u64>)| match order {
            Ok(number) => found.filter(|exists| *exists == 1).map(|_| *number),
            Err(_) => found,
        };
        Ok(orders.iter().zip(found).map(number).collect())
    }
}
