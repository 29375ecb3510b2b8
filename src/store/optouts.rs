//! The lists of addresses that may not be written to: opt-outs, and the hard block list.
//!
//! Sets of addresses as they are, so that other systems read them and an operator sees what stands there; they never
//! expire. Asking is one round trip for any number of addresses. Writing goes on over `maxmemory`: a wish not to be
//! written to is never refused. Each change is told first and made then, so that no death in between leaves one that
//! nobody heard of; what is so already is neither told nor made.

use redis::pipe;

use crate::{
    domain::{
        campaign::Category,
        case::Case,
        contact::{Address, AddressKind},
        optout::{Bar, Change},
        order::Order,
        unsubscribe::{Circle, CircleKind},
    },
    job::event::{OPT_OUT, OptOutEvent},
};

use super::{Store, StoreError, outbox::Event};

impl Store {
    /// For each address whether, and why, messages of this category may not go to it.
    pub async fn barred(&self, addresses: &[&Address], category: Category) -> Result<Vec<Option<Bar>>, StoreError> {
        let mut found = vec![None; addresses.len()];
        for (bar, listed) in Bar::of(category).iter().zip(self.listed(Bar::of(category), addresses).await?) {
            for (slot, _) in found.iter_mut().zip(listed).filter(|(_, listed)| *listed) {
                slot.get_or_insert(*bar);
            }
        }
        Ok(found)
    }

    /// For each list, whether each address stands on it.
    async fn listed(&self, lists: &[Bar], addresses: &[&Address]) -> Result<Vec<Vec<bool>>, StoreError> {
        let mut pipeline = pipe();
        let mut asked = Vec::new();
        for (list, bar) in lists.iter().enumerate() {
            for kind in AddressKind::ALL {
                let (indexes, members): (Vec<usize>, Vec<_>) = addresses
                    .iter()
                    .enumerate()
                    .filter(|(_, address)| address.kind() == *kind)
                    .map(|(index, address)| (index, address.identity()))
                    .unzip();
                if !members.is_empty() {
                    let members: Vec<&str> = members.iter().map(AsRef::as_ref).collect();
                    pipeline.cmd("SMISMEMBER").arg(self.keys.barred(*bar, *kind)).arg(members);
                    asked.push((list, indexes));
                }
            }
        }
        let answers: Vec<Vec<bool>> = self.connection.pipeline(&pipeline).await?;
        let mut found = vec![vec![false; addresses.len()]; lists.len()];
        for ((list, indexes), answer) in asked.into_iter().zip(answers) {
            for (index, listed) in indexes.into_iter().zip(answer) {
                if let Some(slot) = found.get_mut(list).and_then(|list| list.get_mut(index)) {
                    *slot = listed;
                }
            }
        }
        Ok(found)
    }

    /// Puts addresses on a list or takes them off, and tells it; says how many it changed. `of` is whose message led to
    /// it.
    pub async fn change_optouts(
        &self,
        change: Change,
        addresses: &[Address],
        of: Option<(&Circle, u64)>,
    ) -> Result<usize, StoreError> {
        let all: Vec<&Address> = addresses.iter().collect();
        let listed = self.listed(&[change.list], &all).await?.into_iter().next().unwrap_or_default();
        let mut changing: Vec<&Address> = all
            .into_iter()
            .zip(listed)
            .filter(|(_, listed)| *listed != change.adds)
            .map(|(address, _)| address)
            .collect();
        changing.sort_unstable_by_key(|address| address.identity());
        changing.dedup_by_key(|address| address.identity());
        if changing.is_empty() {
            return Ok(0);
        }
        let now_ms = self.now_ms().await?;
        self.publish(&[event(change, &changing, of, now_ms)]).await?;
        let command = if change.adds { "SADD" } else { "SREM" };
        for kind in AddressKind::ALL {
            let of_kind = changing.iter().filter(|address| address.kind() == *kind);
            let members: Vec<String> = of_kind.map(|address| address.identity().into_owned()).collect();
            if !members.is_empty() {
                self.surely::<u64>(command, &self.keys.barred(change.list, *kind), members).await?;
            }
        }
        Ok(changing.len())
    }

    /// All addresses of a member of a circle; none where it is gone.
    pub async fn addresses_of(&self, circle: &Circle, number: u64) -> Result<Option<Vec<Address>>, StoreError> {
        let campaign = circle.campaign.as_str();
        let one = std::iter::once(number);
        Ok(match circle.kind {
            CircleKind::Orders => {
                let text = self.orders(campaign, one).await?.into_iter().next().flatten();
                let order = text.and_then(|text| Order::from_json(&text).ok());
                order.map(|order| order.contact.into_iter().map(Address::from).collect())
            }
            CircleKind::Cases => {
                let text = self.cases(campaign, one).await?.into_iter().next().flatten();
                let case = text.and_then(|text| Case::from_json(&text).ok());
                case.map(|case| case.contacts.into_iter().filter_map(|contact| contact.value).collect())
            }
        })
    }
}

fn event(change: Change, addresses: &[&Address], of: Option<(&Circle, u64)>, now_ms: i64) -> Event {
    let member = |kind| of.filter(|(circle, _)| circle.kind == kind).map(|(_, number)| number);
    let whose =
        of.map_or_else(|| format!("{:016x}", rand::random::<u64>()), |(c, number)| format!("{}/{number}", c.name()));
    let side = if change.adds { "on" } else { "off" };
    let id = format!("{}/{side}/{whose}/{now_ms}", change.list);
    let told = OptOutEvent {
        event: &id,
        r#type: OPT_OUT,
        list: change.list.as_str(),
        listed: change.adds,
        by: change.by.as_str(),
        campaign: of.map(|(circle, _)| circle.campaign.as_str()),
        order: member(CircleKind::Orders),
        case: member(CircleKind::Cases),
        contacts: addresses.iter().map(|address| address.masked()).collect(),
        at: now_ms,
    };
    // Plain strings and numbers: there is nothing to refuse.
    let json = serde_json::to_string(&told).unwrap_or_default();
    Event { id, kind: OPT_OUT.into(), json }
}
