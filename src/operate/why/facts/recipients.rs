//! The facts about an order or a case: its deliveries, each with what bears on its run while it waits.

use std::collections::BTreeMap;

use redis::cmd;

use crate::{
    domain::{
        case::{Case, CaseState},
        clock::EpochMs,
        delivery::{Cell, DeliveryId, DeliveryState},
        order::OrderState,
        standing::Standing,
    },
    operate::why::{
        Answer, Subject,
        recipient::{self, DeliveryFacts, RecipientFacts},
        run::RunFacts,
    },
    store::{StoreError, records::Runs},
};

use super::{Gather, score_time};

/// Deliveries of one recipient that are told, the newest ones.
const DELIVERIES: usize = 10;

impl Gather<'_> {
    /// The answer about an order.
    pub(in crate::operate::why) async fn order(
        &self,
        campaign: &str,
        number: u64,
    ) -> Result<Option<Answer>, StoreError> {
        let Some(reader) = self.store.reader(campaign, &Runs::All).await? else { return Ok(None) };
        let Some(record) = reader.read(&[number]).await?.records.pop() else { return Ok(None) };
        let of = DeliveryId::of(number);
        let each = record.deliveries.into_iter().rev().map(|it| (it.run.name.clone(), of, it.standing));
        let deliveries = self.deliveries(campaign, each.take(DELIVERIES).collect()).await?;
        let asked_at = self.asked_at(campaign, number, record.state).await?;
        let facts = RecipientFacts {
            subject: Subject::Order { campaign: campaign.to_owned(), order: number },
            campaign: campaign.to_owned(),
            state: record.state.to_string(),
            order: Some(record.state),
            closed: false,
            asked_at,
            above: if deliveries.is_empty() { self.campaign(campaign).await? } else { None },
            deliveries,
        };
        Ok(Some(recipient::plan(&facts, &self.around)))
    }

    /// When the payment platform is asked again for an order that it has not confirmed.
    async fn asked_at(&self, campaign: &str, number: u64, state: OrderState) -> Result<Option<EpochMs>, StoreError> {
        let key = match state {
            OrderState::Creating => self.store.keys.creating(campaign),
            OrderState::InDoubt => self.store.keys.doubt(campaign),
            OrderState::Available
            | OrderState::Expired
            | OrderState::Cancelled
            | OrderState::Paid
            | OrderState::PartiallyRefunded
            | OrderState::Refunded => return Ok(None),
        };
        let score: Option<String> = self.store.connection.query(cmd("ZSCORE").arg(key).arg(number)).await?;
        Ok(score.as_deref().and_then(score_time).filter(|at| *at > self.around.now))
    }

    /// The answer about a case.
    pub(in crate::operate::why) async fn case(
        &self,
        campaign: &str,
        number: u64,
    ) -> Result<Option<Answer>, StoreError> {
        let text = self.store.cases(campaign, std::iter::once(number)).await?.into_iter().next().flatten();
        let Some(case) = text.and_then(|text| Case::from_json(&text).ok()) else { return Ok(None) };
        let found = self.store.case_deliveries(campaign, &case).await?;
        let each = found.into_iter().rev().map(|it| {
            let contact = u32::try_from(it.contact).unwrap_or(0);
            (it.run, DeliveryId { n: number, contact }, it.standing)
        });
        let deliveries = self.deliveries(campaign, each.take(DELIVERIES).collect()).await?;
        let facts = RecipientFacts {
            subject: Subject::Case { campaign: campaign.to_owned(), case: number },
            campaign: campaign.to_owned(),
            state: case.state.to_string(),
            order: None,
            closed: case.state == CaseState::Closed,
            asked_at: None,
            above: if deliveries.is_empty() { self.campaign(campaign).await? } else { None },
            deliveries,
        };
        Ok(Some(recipient::plan(&facts, &self.around)))
    }

    async fn deliveries(
        &self,
        campaign: &str,
        found: Vec<(String, DeliveryId, Standing)>,
    ) -> Result<Vec<DeliveryFacts>, StoreError> {
        let open: Vec<String> =
            found.iter().filter(|(_, _, standing)| standing.state.is_open()).map(|(run, ..)| run.clone()).collect();
        let mut under_way: BTreeMap<String, RunFacts> =
            self.runs(campaign, &open).await?.into_iter().map(|facts| (facts.view.run.clone(), facts)).collect();
        let mut deliveries = Vec::with_capacity(found.len());
        for (run, of, standing) in found {
            let mut pipeline = redis::pipe();
            pipeline.cmd("HGET").arg(self.store.keys.ledger(campaign, &run, of.n)).arg(of.field());
            pipeline.cmd("ZSCORE").arg(self.store.keys.retry(campaign, &run)).arg(of.to_string());
            let (cell, due): (Option<String>, Option<String>) = self.store.connection.pipeline(&pipeline).await?;
            let cell = cell.and_then(|text| Cell::parse(&text).ok());
            // The reason of what is being sent is the daemon's own.
            let told = cell.filter(|cell| cell.state != DeliveryState::Sending && standing.state == cell.state);
            let facts = if standing.state.is_open() { under_way.remove(&run) } else { None };
            deliveries.push(DeliveryFacts {
                code: told.map_or_else(|| standing.reason.clone(), |cell| cell.reason),
                due: due.as_deref().and_then(score_time),
                under_way: facts,
                run,
                of,
                standing,
            });
        }
        Ok(deliveries)
    }
}
