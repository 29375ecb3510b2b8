//! The local order provider: Remesa mints the order and its link.
//!
//! A short code is base62 of an HMAC over campaign, row key and a collision counter: unguessable, and
//! the same again for the same row. Codes are taken in Redis before the orders are written, so every
//! order that can be read has a link that resolves to it.

use crate::{
    domain::{
        order::{Order, OrderState},
        short_code::ShortCode,
    },
    store::{Store, StoreError},
};

use super::Draft;

/// Tries at a free short code. With 62^6 codes, the fewest, a million orders collide once in 57,000
/// tries each; ten in a row do not happen.
const TRIES: u32 = 10;

/// Mints orders for one campaign.
#[derive(Debug)]
pub struct Mint<'a> {
    /// The store.
    pub store: &'a Store,
    /// The HMAC key.
    pub secret: &'a [u8],
    /// The campaign.
    pub campaign: &'a str,
    /// Length of a short code.
    pub code_length: usize,
}

impl Mint<'_> {
    /// Another code for an order that has one, its `nth` beyond the first. The same again for the same order.
    pub async fn another(&self, order: &Order, nth: usize) -> Result<ShortCode, StoreError> {
        // No row key has a control character, so this is no other row's.
        let key = format!("{}\n{nth}", order.key);
        let wanted = format!("{}/{}", self.campaign, order.number);
        for counter in 0..TRIES {
            let code = ShortCode::derive(self.secret, self.campaign, &key, counter, self.code_length);
            if self.store.link_order(&code, &wanted).await? == wanted {
                return Ok(code);
            }
        }
        Err(no_code())
    }

    /// Gives each draft its link. One round trip, and another for the codes that were taken.
    pub async fn mint(&self, drafts: Vec<Draft>) -> Result<Vec<Order>, StoreError> {
        let mut orders = Vec::with_capacity(drafts.len());
        let mut open = drafts;
        for counter in 0..TRIES {
            let codes: Vec<ShortCode> = open
                .iter()
                .map(|d| ShortCode::derive(self.secret, self.campaign, &d.key, counter, self.code_length))
                .collect();
            let links: Vec<(String, String, String)> = codes
                .iter()
                .zip(&open)
                .map(|(code, draft)| {
                    let (first, rest) = code.split();
                    (first.to_owned(), rest.to_owned(), format!("{}/{}", self.campaign, draft.number))
                })
                .collect();
            let holders = self.store.link_orders(&links).await?;
            let mut taken = Vec::new();
            for (((draft, code), (_, _, wanted)), holder) in open.into_iter().zip(codes).zip(&links).zip(holders) {
                if holder == *wanted {
                    orders.push(draft.into_order(OrderState::Available, Some(code)));
                } else {
                    taken.push(draft);
                }
            }
            if taken.is_empty() {
                orders.sort_unstable_by_key(|order| order.number);
                return Ok(orders);
            }
            open = taken;
        }
        Err(no_code())
    }
}

fn no_code() -> StoreError {
    StoreError::Refused("no free short code: raise orders.short_code_length".to_owned())
}
