//! The contacts of a case, and which of them a message takes (BM-12, BM-13).
//!
//! A contact keeps its place for ever, so that the ledger's number of a contact is its index. One that an import no longer
//! brings stays where it is, marked `gone`; one of a person who was forgotten stays without its address.

use serde::{Deserialize, Serialize};

use super::Case;
use crate::domain::clock::EpochMs;
use crate::domain::contact::{Address, AddressKind};
use crate::domain::word::words;

/// Contacts of a case at most, those that are gone included.
pub const CONTACTS_MAX: usize = 50;

words! {
    /// What a contact is, and what a channel writes to.
    pub enum ContactKind {
        /// A mobile phone: SMS go there.
        Mobile = "mobile",
        /// A landline: no message goes there.
        Phone = "phone",
        /// An e-mail address.
        Email = "email",
        /// A number that is known to take messages of that service.
        Whatsapp = "whatsapp",
    }
}

impl ContactKind {
    /// What its addresses look like.
    pub const fn address(self) -> AddressKind {
        match self {
            Self::Mobile | Self::Phone | Self::Whatsapp => AddressKind::Phone,
            Self::Email => AddressKind::Email,
        }
    }

    /// Whether a channel that writes to `self` can use a contact of this kind: mobile numbers usually have it.
    pub const fn takes(self, contact: Self) -> bool {
        match self {
            Self::Whatsapp => matches!(contact, Self::Whatsapp | Self::Mobile),
            Self::Mobile => matches!(contact, Self::Mobile),
            Self::Phone => matches!(contact, Self::Phone),
            Self::Email => matches!(contact, Self::Email),
        }
    }
}

/// One address of a case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contact {
    /// What it is.
    pub kind: ContactKind,
    /// The address; none since its person was forgotten.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Address>,
    /// When it was made or confirmed.
    pub updated_at: EpochMs,
    /// An import no longer brings it: nothing is sent there.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub gone: bool,
}

impl Contact {
    /// Its address, if a channel that writes to `channel` can use it now.
    pub fn usable(&self, channel: ContactKind) -> Option<&Address> {
        self.value.as_ref().filter(|_| !self.gone && channel.takes(self.kind))
    }
}

/// A contact that a message may go to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usable<'a> {
    /// Its place among the contacts of the case, for ever.
    pub index: usize,
    /// Where the message goes.
    pub address: &'a Address,
    /// When it was made or confirmed.
    pub updated_at: EpochMs,
}

impl Case {
    /// The contacts that a channel can use now, in their places.
    pub fn usable(&self, channel: ContactKind) -> impl Iterator<Item = Usable<'_>> {
        self.contacts.iter().enumerate().filter_map(move |(index, contact)| {
            Some(Usable { index, address: contact.usable(channel)?, updated_at: contact.updated_at })
        })
    }

    /// The newest usable contact; of several of one time the one with the lowest index (BM-12).
    pub fn latest(&self, channel: ContactKind) -> Option<Usable<'_>> {
        self.usable(channel).reduce(|best, other| if other.updated_at > best.updated_at { other } else { best })
    }

    /// Each usable contact, none of an address that an earlier one has (BM-13).
    pub fn each(&self, channel: ContactKind) -> Vec<Usable<'_>> {
        let mut each: Vec<Usable<'_>> = Vec::new();
        for contact in self.usable(channel) {
            if !each.iter().any(|known| known.address.identity() == contact.address.identity()) {
                each.push(contact);
            }
        }
        each
    }

    /// The lowest index of a contact of a kind that the channel writes to, usable or not.
    pub fn primary(&self, channel: ContactKind) -> Option<usize> {
        self.contacts.iter().position(|contact| channel.takes(contact.kind))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::case::tests::{case, contact};

    fn with(contacts: Vec<Contact>) -> Case {
        Case { contacts, ..case() }
    }

    #[test]
    fn bm_12_the_newest_usable_contact_is_taken_and_a_tie_goes_to_the_lowest_index() {
        use ContactKind as K;
        let case = with(vec![
            contact(K::Mobile, "+34600000001", 5),
            contact(K::Mobile, "+34600000002", 9),
            contact(K::Mobile, "+34600000003", 9),
            Contact { gone: true, ..contact(K::Mobile, "+34600000004", 99) },
            contact(K::Phone, "+34910000005", 99),
            contact(K::Email, "ana@example.com", 99),
        ]);
        let index = |kind| case.latest(kind).map(|usable| usable.index);
        assert_eq!(index(K::Mobile), Some(1));
        assert_eq!(index(K::Email), Some(5));
        assert_eq!(index(K::Whatsapp), Some(1), "a mobile number serves a WhatsApp channel");
        assert_eq!(with(vec![contact(K::Phone, "+34910000005", 1)]).latest(K::Mobile), None);
        assert_eq!(with(Vec::new()).latest(K::Mobile), None);
    }

    #[test]
    fn bm_13_each_usable_contact_is_taken_once_whatever_its_case() {
        use ContactKind as K;
        let case = with(vec![
            Contact { gone: true, ..contact(K::Email, "old@example.com", 1) },
            contact(K::Email, "Ana@example.com", 1),
            contact(K::Mobile, "+34600000001", 1),
            contact(K::Email, "ana@EXAMPLE.com", 2),
            contact(K::Whatsapp, "+34600000001", 2),
            contact(K::Email, "eva@example.com", 2),
        ]);
        let indexes = |kind| case.each(kind).iter().map(|usable| usable.index).collect::<Vec<_>>();
        assert_eq!(indexes(K::Email), [1, 5]);
        assert_eq!(indexes(K::Whatsapp), [2]);
        assert_eq!(case.primary(K::Email), Some(0), "gone or not, the place stays");
        assert_eq!(case.primary(K::Phone), None);
    }

    #[test]
    fn a_contact_of_a_forgotten_person_keeps_its_place_and_is_used_by_nobody() {
        let forgotten = Contact { value: None, ..contact(ContactKind::Mobile, "+34600000001", 5) };
        assert_eq!(serde_json::to_string(&forgotten).unwrap(), "{\"kind\":\"mobile\",\"updated_at\":5}");
        let case = with(vec![forgotten, contact(ContactKind::Mobile, "+34600000002", 1)]);
        assert_eq!(case.latest(ContactKind::Mobile).map(|usable| usable.index), Some(1));
    }
}
