//! A campaign: its hash, the numbering of its rows, the writing of its orders, its actions.
//!
//! Guarantees: a row key is numbered once; a slice of orders, its refused rows and its checkpoint
//! are written together; an action is judged against the state in the same script that takes it.

use std::collections::HashMap;

use redis::cmd;

use super::{Answer, Store, StoreError, keys::index_shard, orders::reference_field, outbox::Event, scripts};
use crate::domain::short_code::ShortCode;

/// Runs of a campaign that one action looks at.
const RUNS_LOOKED_AT: u32 = 10_000;

/// What became of a job's wish for a campaign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Creation {
    /// It is new.
    Created {
        /// Number of this generate job in the campaign, from 1.
        batch: u32,
    },
    /// It was there, and the job appends to it.
    Joined {
        /// Number of this generate job in the campaign.
        batch: u32,
    },
    /// This very job made it or joined it before.
    Resumed {
        /// Number of this generate job in the campaign.
        batch: u32,
    },
    /// Another job made it.
    Exists {
        /// That job.
        job: String,
    },
}

/// Whether a job may generate now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Begun {
    /// It may.
    Begun {
        /// Highest number before this batch.
        base: u64,
        /// The batch.
        batch: u32,
        /// Earlier batches of this job, which it wrote before another job numbered rows.
        earlier: Vec<u32>,
    },
    /// Another job of the campaign generates.
    Busy {
        /// That job.
        job: String,
    },
    /// There is no such campaign.
    Gone,
}

/// One slice of generated orders.
#[derive(Debug, Default)]
pub struct Slice {
    /// Where generation stands after this slice (JSON).
    pub checkpoint: String,
    /// Number and JSON of each order.
    pub orders: Vec<(u64, String)>,
    /// Reference and number of each order whose reference is to be found again.
    pub references: Vec<(String, u64)>,
    /// Code and JSON of each refused row.
    pub refused: Vec<(&'static str, String)>,
    /// Refused rows that the campaign keeps with their text; all are counted.
    pub errors_kept: u64,
    /// Tells other systems of its orders; none where it has none.
    pub event: Option<Event>,
}

/// What came of writing a slice.
#[derive(Debug)]
pub struct WrittenSlice {
    /// The campaign's state.
    pub state: String,
    /// The outbox entry with the slice's event, where it was written now.
    pub outbox_id: Option<String>,
}

/// What came of an action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Acted {
    /// Done; these runs are to be woken.
    Done {
        /// Runs to wake.
        wake: Vec<String>,
    },
    /// It was so already.
    Same,
    /// There is no such campaign or run.
    Gone,
    /// Not from this state.
    Wrong {
        /// The state it is in.
        state: String,
    },
}

impl Store {
    /// Creates a campaign or joins it.
    pub async fn create_campaign(
        &self,
        campaign: &str,
        job: &str,
        append: bool,
        state: &str,
        fields: &[(&str, String)],
    ) -> Result<Creation, StoreError> {
        // The list first: a campaign that exists is always listed.
        self.list_campaign(campaign).await?;
        let mut call =
            scripts::CREATE_CAMPAIGN.call(&[&self.keys.campaign(campaign)]).arg(job).arg(u8::from(append)).arg(state);
        for (field, value) in fields {
            call.push(*field);
            call.push(value);
        }
        let mut answer = Answer::new(call.run(&self.connection).await?);
        Ok(match answer.text()?.as_str() {
            "created" => Creation::Created { batch: answer.number()? },
            "joined" => Creation::Joined { batch: answer.number()? },
            "resumed" => Creation::Resumed { batch: answer.number()? },
            _ => Creation::Exists { job: answer.text()? },
        })
    }

    /// Puts a campaign into the list of all.
    pub(super) async fn list_campaign(&self, campaign: &str) -> Result<(), StoreError> {
        let now_ms = self.now_ms().await?;
        let mut list = cmd("ZADD");
        list.arg(self.keys.campaigns()).arg("NX").arg(now_ms).arg(campaign);
        self.connection.query(&list).await
    }

    /// Begins the generation of a batch; one job of a campaign generates at a time.
    pub async fn begin_batch(&self, campaign: &str, job: &str, over: &str) -> Result<Begun, StoreError> {
        let mut answer = Answer::new(
            scripts::BEGIN_BATCH
                .call(&[&self.keys.campaign(campaign)])
                .arg(job)
                .arg(over)
                .run(&self.connection)
                .await?,
        );
        Ok(match answer.text()?.as_str() {
            "begun" => Begun::Begun {
                base: answer.number()?,
                batch: answer.number()?,
                earlier: answer.text()?.split(',').filter_map(|batch| batch.parse().ok()).collect(),
            },
            "busy" => Begun::Busy { job: answer.text()? },
            _ => Begun::Gone,
        })
    }

    /// Ends the generation of a batch.
    pub async fn end_batch(&self, campaign: &str, job: &str) -> Result<(), StoreError> {
        scripts::END_BATCH.call(&[&self.keys.campaign(campaign)]).arg(job).run::<u8>(&self.connection).await?;
        Ok(())
    }

    /// Looks again whether a campaign is delivered, for a job that could have added to it and will not.
    pub async fn close_campaign(&self, campaign: &str) -> Result<(), StoreError> {
        self.announce(campaign).await?;
        let call = scripts::CLOSE_CAMPAIGN.call(&[&self.keys.campaign(campaign)]);
        let outbox: String = call.run(&self.connection).await?;
        self.publish_soon(campaign, &outbox).await;
        Ok(())
    }

    /// Numbers rows by key; `before` is the highest number given earlier. Returns the campaign's state, and per row its number and whether it had
    /// it before.
    pub async fn number_rows<'a>(
        &self,
        campaign: &str,
        before: u64,
        keys: impl Iterator<Item = &'a str>,
    ) -> Result<(String, Vec<(u64, bool)>), StoreError> {
        let mut call = scripts::NUMBER_ROWS.call(&[&self.keys.campaign(campaign)]).arg(before);
        let mut field = String::new();
        for key in keys {
            field.clear();
            field.push_str("o:");
            field.push_str(key);
            call.push(index_shard(&field));
            call.push(key);
        }
        let mut answer = Answer::new(call.run(&self.connection).await?);
        let state = answer.text()?;
        let numbers = answer
            .rest()
            .map(|text| {
                let number: i64 = text.parse().map_err(|_| StoreError::Refused(format!("row number {text:?}")))?;
                Ok((number.unsigned_abs(), number < 0))
            })
            .collect::<Result<_, StoreError>>()?;
        Ok((state, numbers))
    }

    /// Writes short codes; returns, for each, the order that holds it.
    pub async fn link_orders(&self, links: &[(String, String, String)]) -> Result<Vec<String>, StoreError> {
        if links.is_empty() {
            return Ok(Vec::new());
        }
        // HSETNX and HGET side by side: one round trip tells whose each code is.
        let mut pipeline = redis::pipe();
        for (first3, rest, target) in links {
            let key = self.keys.links(first3);
            pipeline.cmd("HSETNX").arg(&key).arg(rest).arg(target).ignore();
            pipeline.cmd("HGET").arg(&key).arg(rest);
        }
        self.connection.pipeline(&pipeline).await
    }

    /// Writes one short code; returns the order that holds it.
    pub async fn link_order(&self, code: &ShortCode, target: &str) -> Result<String, StoreError> {
        let (first, rest) = code.split();
        let holders = self.link_orders(&[(first.to_owned(), rest.to_owned(), target.to_owned())]).await?;
        Ok(holders.into_iter().next().unwrap_or_default())
    }

    /// The order behind a short code, as `C/n`.
    pub async fn resolve_link(&self, first3: &str, rest: &str) -> Result<Option<String>, StoreError> {
        self.connection.query(cmd("HGET").arg(self.keys.links(first3)).arg(rest)).await
    }

    /// Writes one slice, with its event.
    pub async fn write_slice(&self, campaign: &str, job: &str, slice: &Slice) -> Result<WrittenSlice, StoreError> {
        let first = slice.orders.iter().map(|(n, _)| *n).min().unwrap_or(0);
        let last = slice.orders.iter().map(|(n, _)| *n).max().unwrap_or(0);
        let mut call = scripts::WRITE_ORDERS
            .call(&[&self.keys.campaign(campaign)])
            .arg(job)
            .arg(&slice.checkpoint)
            .arg(last)
            .arg(first)
            .arg(slice.errors_kept)
            .arg(slice.orders.len())
            .arg(slice.event.as_ref().map_or("", |event| &event.json))
            .arg(slice.references.len());
        for (number, json) in &slice.orders {
            call.push(number);
            call.push(json);
        }
        for (reference, number) in &slice.references {
            call.push(index_shard(&reference_field(reference)));
            call.push(reference);
            call.push(number);
        }
        for (code, json) in &slice.refused {
            call.push(*code);
            call.push(json);
        }
        let mut answer = Answer::new(call.run(&self.connection).await?);
        let _new: u64 = answer.number()?;
        Ok(WrittenSlice { state: answer.text()?, outbox_id: answer.some_text()? })
    }

    /// Pauses, resumes or cancels a campaign (`run` = none) or one of its runs, or fails a run.
    pub async fn act(
        &self,
        campaign: &str,
        run: Option<&str>,
        action: &str,
        reason: &str,
    ) -> Result<Acted, StoreError> {
        self.announce(campaign).await?;
        let mut answer = Answer::new(
            scripts::ACT
                .call(&[&self.keys.campaign(campaign)])
                .arg(action)
                .arg(run.unwrap_or(""))
                .arg(reason)
                .arg(RUNS_LOOKED_AT)
                .run(&self.connection)
                .await?,
        );
        Ok(match answer.text()?.as_str() {
            "done" => {
                self.publish_soon(campaign, &answer.text()?).await;
                Acted::Done { wake: answer.rest().collect() }
            }
            "same" => Acted::Same,
            "gone" => Acted::Gone,
            _ => Acted::Wrong { state: answer.text()? },
        })
    }

    /// Moves a campaign to `to`, if it is in one of `from`. Returns the state it has now.
    pub async fn set_campaign_state(
        &self,
        campaign: &str,
        from: &[&str],
        to: &str,
        fields: &[(&str, String)],
    ) -> Result<String, StoreError> {
        self.announce(campaign).await?;
        let mut call = scripts::SET_CAMPAIGN_STATE.call(&[&self.keys.campaign(campaign)]).arg(from.join(",")).arg(to);
        for (field, value) in fields {
            call.push(*field);
            call.push(value);
        }
        let mut answer = Answer::new(call.run(&self.connection).await?);
        let state = answer.text()?;
        self.publish_soon(campaign, &answer.text()?).await;
        Ok(state)
    }

    /// A campaign's hash, empty when there is none.
    pub async fn campaign(&self, campaign: &str) -> Result<HashMap<String, String>, StoreError> {
        self.hash(&self.keys.campaign(campaign)).await
    }

    /// Fields of a campaign's hash.
    pub async fn campaign_fields(&self, campaign: &str, fields: &[&str]) -> Result<Vec<Option<String>>, StoreError> {
        self.connection.query(cmd("HMGET").arg(self.keys.campaign(campaign)).arg(fields)).await
    }

    /// Sets fields of a campaign's hash.
    pub async fn set_campaign_fields(&self, campaign: &str, fields: &[(&str, String)]) -> Result<(), StoreError> {
        self.connection.query(cmd("HSET").arg(self.keys.campaign(campaign)).arg(fields)).await
    }

    /// Campaigns, newest first.
    pub async fn campaign_names(&self, offset: usize, count: usize) -> Result<Vec<String>, StoreError> {
        let mut range = cmd("ZREVRANGE");
        range.arg(self.keys.campaigns()).arg(offset).arg(offset + count.saturating_sub(1));
        self.connection.query(&range).await
    }

    /// Refused rows of a campaign as JSON.
    pub async fn campaign_errors(
        &self,
        campaign: &str,
        offset: usize,
        count: usize,
    ) -> Result<Vec<String>, StoreError> {
        let mut range = cmd("LRANGE");
        range.arg(self.keys.errors(campaign)).arg(offset).arg(offset + count.saturating_sub(1));
        self.connection.query(&range).await
    }
}
