//! The lists of addresses that may not be written to: opt-outs, and the hard block list.
//!
//! Sets of addresses as they are, so that other systems read them and an operator sees what stands there; they never
//! expire. Asking is one round trip for any number of addresses. Writing goes on over `maxmemory`: a wish not to be
//! written to is never refused.

use redis::pipe;

use crate::domain::{
    campaign::Category,
    optout::{AddressKind, Bar},
};

use super::{Store, StoreError};

/// Addresses that one command adds or removes.
const AT_ONCE: usize = 1_000;

impl Store {
    /// For each address whether, and why, messages of this category may not go to it.
    pub async fn barred(
        &self,
        addresses: &[(AddressKind, &str)],
        category: Category,
    ) -> Result<Vec<Option<Bar>>, StoreError> {
        let mut asked = Vec::new();
        let mut pipeline = pipe();
        for kind in AddressKind::ALL {
            let (indexes, members): (Vec<usize>, Vec<&str>) =
                addresses.iter().enumerate().filter(|(_, of)| of.0 == *kind).map(|(i, of)| (i, of.1)).unzip();
            if members.is_empty() {
                continue;
            }
            for bar in Bar::of(category) {
                pipeline.cmd("SMISMEMBER").arg(self.keys.barred(*bar, *kind)).arg(&members);
                asked.push((*bar, indexes.clone()));
            }
        }
        let answers: Vec<Vec<bool>> = self.connection.pipeline(&pipeline).await?;
        let mut found = vec![None; addresses.len()];
        for ((bar, indexes), answer) in asked.into_iter().zip(answers) {
            for (index, _) in indexes.into_iter().zip(answer).filter(|(_, is)| *is) {
                if let Some(slot) = found.get_mut(index) {
                    slot.get_or_insert(bar);
                }
            }
        }
        Ok(found)
    }

    /// Puts addresses on a list; says how many were not on it.
    pub async fn bar(&self, bar: Bar, kind: AddressKind, addresses: &[&str]) -> Result<u64, StoreError> {
        self.change_list("SADD", bar, kind, addresses).await
    }

    /// Takes addresses off a list; says how many were on it.
    pub async fn unbar(&self, bar: Bar, kind: AddressKind, addresses: &[&str]) -> Result<u64, StoreError> {
        self.change_list("SREM", bar, kind, addresses).await
    }

    async fn change_list(
        &self,
        command: &str,
        bar: Bar,
        kind: AddressKind,
        addresses: &[&str],
    ) -> Result<u64, StoreError> {
        let mut changed = 0;
        for some in addresses.chunks(AT_ONCE) {
            changed += self.surely::<u64>(command, &self.keys.barred(bar, kind), some).await?;
        }
        Ok(changed)
    }
}
