//! Cases of a campaign: read by number or id, changed only if they still read as planned.
//!
//! `cases` of the campaign's hash is how many there are, numbered from 1 without a gap, and `cases:<state>` how many stand
//! in a state; both change in the script that changes the case.

use redis::cmd;

use super::{Answer, Store, StoreError, scripts};

/// The field of the index that holds the number of a case.
pub(super) fn case_field(id: &str) -> String {
    format!("c:{id}")
}

/// A planned change of one case.
#[derive(Debug, Clone)]
pub struct CaseChange {
    /// The case.
    pub number: u64,
    /// Its JSON as it was read.
    pub before: String,
    /// Its JSON as it is to be.
    pub after: String,
    /// State before and after.
    pub states: (&'static str, &'static str),
    /// The event as JSON, or nothing.
    pub event: String,
}

impl Store {
    /// Cases by number, as JSON, in that order.
    pub async fn cases(
        &self,
        campaign: &str,
        numbers: impl Iterator<Item = u64>,
    ) -> Result<Vec<Option<String>>, StoreError> {
        let keys: Vec<String> = numbers.map(|n| self.keys.case(campaign, n)).collect();
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        self.connection.query(cmd("MGET").arg(&keys)).await
    }

    /// The number of a case by its id, if the campaign has it.
    pub async fn case_number(&self, campaign: &str, id: &str) -> Result<Option<u64>, StoreError> {
        let field = case_field(id);
        self.connection.query(cmd("HGET").arg(self.keys.index(campaign, &field)).arg(&field)).await
    }

    /// How many cases a campaign has: they are numbered up to it.
    pub async fn case_count(&self, campaign: &str) -> Result<u64, StoreError> {
        let found = self.campaign_fields(campaign, &["cases"]).await?;
        Ok(found.into_iter().next().flatten().and_then(|count| count.parse().ok()).unwrap_or(0))
    }

    /// Removes the cases of a campaign, so many at once; the index goes by itself.
    pub(super) async fn drop_cases(&self, campaign: &str, step: u64) -> Result<(), StoreError> {
        let last = self.case_count(campaign).await?;
        let mut from = 1;
        while from <= last {
            let upto = last.min(from + step - 1);
            let keys: Vec<String> = (from..=upto).map(|n| self.keys.case(campaign, n)).collect();
            self.connection.query::<()>(cmd("UNLINK").arg(keys)).await?;
            from = upto + 1;
        }
        Ok(())
    }

    /// Changes cases. Returns the numbers of those that read otherwise by now and were left alone.
    pub async fn change_cases(&self, campaign: &str, changes: &[CaseChange]) -> Result<Vec<u64>, StoreError> {
        if changes.is_empty() {
            return Ok(Vec::new());
        }
        self.announce(campaign).await?;
        let mut call = scripts::CHANGE_CASES.call(&[&self.keys.campaign(campaign)]);
        for change in changes {
            call.push(change.number);
            call.push(&change.before);
            call.push(&change.after);
            call.push(change.states.0);
            call.push(change.states.1);
            call.push(&change.event);
        }
        let mut answer = Answer::new(call.run(&self.connection).await?);
        self.publish_soon(campaign, &answer.text()?).await;
        answer.rest().map(|n| n.parse().map_err(|_| StoreError::Refused(format!("case number {n:?}")))).collect()
    }
}
