//! What an import brings of a case, and what it makes of the case that is there.
//!
//! A row changes what it brings and leaves the rest: an absent field is not an empty one. Contacts keep their places: new
//! ones are added, known ones confirmed, those that a row with contacts no longer brings are marked `gone`. The same row
//! twice changes nothing. An import closes a case, and opens again only what an import closed: what a message or a
//! person closed here stays closed, or a nightly import would have a permanent message repeat itself every night (BM-15).

use serde_json::{Map, Value};

use super::contact::{CONTACTS_MAX, Contact, ContactKind};
use super::{Case, CaseState, Client, ClosedReason};
use crate::domain::clock::EpochMs;
use crate::domain::contact::Address;

/// Why a row cannot be made into a case.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CaseError {
    /// Over 50 contacts.
    #[error("the case would have {count} contacts with those that are gone, the maximum is {CONTACTS_MAX}")]
    TooManyContacts {
        /// How many.
        count: usize,
    },
    /// What told who it was is gone, and stays gone.
    #[error("the person of this case was forgotten: import it under another id if the person came back")]
    Forgotten,
}

impl CaseError {
    /// The stable code of this refusal.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::TooManyContacts { .. } => "too_many_contacts",
            Self::Forgotten => "forgotten",
        }
    }
}

/// A contact as a row brings it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BroughtContact {
    /// What it is.
    pub kind: ContactKind,
    /// The address.
    pub value: Address,
    /// When it was made or confirmed, if the row says so.
    pub updated_at: Option<EpochMs>,
}

/// What a row says of a case.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Brought {
    /// The id.
    pub id: String,
    /// Where it stands.
    pub state: Option<CaseState>,
    /// Where it came from.
    pub origin: Option<String>,
    /// The number of its payment order.
    pub order: Option<u64>,
    /// What is known of the client; labels apart.
    pub client: Client,
    /// The client's labels, all of them.
    pub labels: Option<Vec<String>>,
    /// The contacts, all of them.
    pub contacts: Option<Vec<BroughtContact>>,
    /// What else is known.
    pub vars: Map<String, Value>,
}

impl Brought {
    /// The case that nobody knew before.
    pub fn create(self, number: u64, now: EpochMs) -> Result<Case, CaseError> {
        let mut case = Case {
            state: CaseState::New,
            closed_by: None,
            order: None,
            reply_to: None,
            number,
            id: self.id.clone(),
            closed_at: None,
            closed_reason: None,
            outcome: None,
            origin: None,
            client: Client::default(),
            contacts: Vec::new(),
            vars: Map::new(),
            replies: Vec::new(),
            created_at: now,
            updated_at: now,
            forgotten_at: None,
        };
        self.apply(&mut case, now)?;
        Ok(case)
    }

    /// The known case as it is from now on; nothing where nothing changes.
    pub fn update(self, known: &Case, now: EpochMs) -> Result<Option<Case>, CaseError> {
        if known.forgotten_at.is_some() {
            return Err(CaseError::Forgotten);
        }
        let mut case = known.clone();
        self.apply(&mut case, now)?;
        if case == *known {
            return Ok(None);
        }
        case.updated_at = now;
        Ok(Some(case))
    }

    fn apply(mut self, case: &mut Case, now: EpochMs) -> Result<(), CaseError> {
        if let Some(state) = self.state {
            take_state(case, state, now);
        }
        case.origin = self.origin.or(case.origin.take());
        case.order = self.order.or(case.order);
        let texts = case.client.texts_mut().into_iter().zip(self.client.texts_mut());
        for ((_, known), (_, brought)) in texts {
            if brought.is_some() {
                *known = brought.take();
            }
        }
        case.client.birth_date = self.client.birth_date.or(case.client.birth_date);
        if let Some(labels) = self.labels {
            case.client.labels = labels;
        }
        case.client.other.extend(self.client.other);
        case.vars.extend(self.vars);
        match self.contacts {
            Some(contacts) => take_contacts(&mut case.contacts, contacts, now),
            None => Ok(()),
        }
    }
}

fn take_state(case: &mut Case, state: CaseState, now: EpochMs) {
    match (case.state.is_active(), state.is_active()) {
        (true, true) => case.state = state,
        (true, false) => {
            case.state = state;
            case.closed_at = Some(now);
            case.closed_reason = Some(ClosedReason::Import);
        }
        (false, true) if case.closed_reason == Some(ClosedReason::Import) => case.open_as(state),
        (false, _) => {}
    }
}

fn take_contacts(known: &mut Vec<Contact>, brought: Vec<BroughtContact>, now: EpochMs) -> Result<(), CaseError> {
    let mut is_here = vec![false; known.len()];
    for BroughtContact { kind, value, updated_at } in brought {
        let is_same = |contact: &Contact| {
            contact.kind == kind && contact.value.as_ref().is_some_and(|known| known.identity() == value.identity())
        };
        if let Some((contact, here)) = known.iter_mut().zip(&mut is_here).find(|(contact, _)| is_same(contact)) {
            *here = true;
            let confirmed = if contact.gone { Some(updated_at.unwrap_or(now)) } else { updated_at };
            contact.updated_at = confirmed.map_or(contact.updated_at, |at| at.max(contact.updated_at));
            contact.gone = false;
            contact.value = Some(value);
        } else {
            let contact = Contact { kind, value: Some(value), updated_at: updated_at.unwrap_or(now), gone: false };
            known.push(contact);
            is_here.push(true);
        }
    }
    for (contact, here) in known.iter_mut().zip(is_here) {
        contact.gone |= !here;
    }
    let count = known.len();
    if count > CONTACTS_MAX { Err(CaseError::TooManyContacts { count }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::case::tests::NOW;
    use proptest::prelude::*;
    use serde_json::json;

    const LATER: EpochMs = EpochMs(NOW.0 + 1000);

    fn mobile(value: &str, updated_at: Option<i64>) -> BroughtContact {
        let value = Address::parse(value, None).unwrap();
        BroughtContact { kind: ContactKind::Mobile, value, updated_at: updated_at.map(EpochMs) }
    }

    fn row() -> Brought {
        Brought {
            id: "c-1".to_owned(),
            client: Client { first_name: Some("Ana".to_owned()), ..Client::default() },
            labels: Some(vec!["vip".to_owned()]),
            contacts: Some(vec![mobile("+34600000001", None)]),
            vars: json!({"plan": "gold"}).as_object().unwrap().clone(),
            ..Brought::default()
        }
    }

    fn only_contacts(contacts: Vec<BroughtContact>) -> Brought {
        Brought { id: "c-1".to_owned(), contacts: Some(contacts), ..Brought::default() }
    }

    #[test]
    fn a_case_without_contacts_is_a_case() {
        let case = Brought { contacts: None, ..row() }.create(7, NOW).unwrap();
        assert_eq!((case.number, case.state, case.contacts.len()), (7, CaseState::New, 0));
    }

    #[test]
    fn the_same_row_twice_changes_nothing() {
        let case = row().create(1, NOW).unwrap();
        assert_eq!(row().update(&case, LATER), Ok(None));
    }

    #[test]
    fn a_row_changes_what_it_brings_and_leaves_the_rest() {
        let case = row().create(1, NOW).unwrap();
        let brought = Brought {
            id: "c-1".to_owned(),
            client: Client { last_name: Some("Ruiz".to_owned()), ..Client::default() },
            labels: Some(Vec::new()),
            vars: json!({"debt": 3}).as_object().unwrap().clone(),
            ..Brought::default()
        };
        let updated = brought.update(&case, LATER).unwrap().unwrap();
        assert_eq!(updated.client.first_name.as_deref(), Some("Ana"));
        assert_eq!(updated.client.last_name.as_deref(), Some("Ruiz"));
        assert_eq!(updated.client.labels, Vec::<String>::new(), "labels that are brought are all of them");
        assert_eq!(Value::Object(updated.vars.clone()), json!({"plan": "gold", "debt": 3}));
        assert_eq!(updated.contacts, case.contacts);
        assert_eq!((updated.created_at, updated.updated_at), (NOW, LATER));
    }

    #[test]
    fn a_contact_never_changes_its_place() {
        let case = row().create(1, NOW).unwrap();
        let contacts =
            vec![mobile("+34600000002", Some(5)), mobile("+34600000003", None), mobile("+34600000003", Some(9))];
        let second = only_contacts(contacts).update(&case, LATER).unwrap().unwrap();
        let shown = |case: &Case| {
            let each = case.contacts.iter();
            let shown = each.map(|c| (c.value.as_ref().unwrap().as_str().to_owned(), c.updated_at.0, c.gone));
            shown.collect::<Vec<_>>()
        };
        let (one, two, three) = ("+34600000001".to_owned(), "+34600000002".to_owned(), "+34600000003".to_owned());
        let expected = [(one.clone(), NOW.0, true), (two.clone(), 5, false), (three.clone(), LATER.0, false)];
        assert_eq!(shown(&second), expected);
        let back = EpochMs(LATER.0 + 1);
        let third = only_contacts(vec![mobile("+34600000001", None), mobile("+34600000002", Some(3))]);
        let third = third.update(&second, back).unwrap().unwrap();
        assert_eq!(shown(&third), [(one, back.0, false), (two, 5, false), (three, LATER.0, true)]);
        assert!(third.contacts.iter().all(|contact| contact.kind == ContactKind::Mobile));
    }

    #[test]
    fn fifty_contacts_are_enough_for_anybody() {
        let contacts =
            |from: u32, count: u32| (from..from + count).map(|n| mobile(&format!("+346{n:08}"), None)).collect();
        let case = only_contacts(contacts(0, 50)).create(1, NOW).unwrap();
        let refused = only_contacts(contacts(1, 50)).update(&case, LATER).unwrap_err();
        assert_eq!((refused.code(), refused), ("too_many_contacts", CaseError::TooManyContacts { count: 51 }));
    }

    #[test]
    fn bm_15_an_import_opens_again_only_what_an_import_closed() {
        let state = |state| Brought { id: "c-1".to_owned(), state: Some(state), ..Brought::default() };
        let case = row().create(1, NOW).unwrap();
        let closed = state(CaseState::Closed).update(&case, LATER).unwrap().unwrap();
        assert_eq!((closed.closed_reason, closed.closed_at), (Some(ClosedReason::Import), Some(LATER)));
        let opened = state(CaseState::Escalated).update(&closed, LATER).unwrap().unwrap();
        assert_eq!((opened.state, opened.closed_reason), (CaseState::Escalated, None));
        for reason in [ClosedReason::BulkMessage, ClosedReason::Operator] {
            let mut case = case.clone();
            case.close(reason, None, NOW).unwrap();
            assert_eq!(state(CaseState::Open).update(&case, LATER), Ok(None), "{reason}");
            assert_eq!(state(CaseState::Closed).update(&case, LATER), Ok(None), "{reason}");
        }
    }

    #[test]
    fn da_9_a_forgotten_person_does_not_come_back_by_an_import() {
        let case = Case { forgotten_at: Some(NOW), ..row().create(1, NOW).unwrap() };
        assert_eq!(row().update(&case, LATER).unwrap_err().code(), "forgotten");
    }

    proptest! {
        #[test]
        fn whatever_is_imported_every_index_names_one_address_for_ever(
            imports in proptest::collection::vec(proptest::collection::vec(0..12_u32, 0..6), 1..6),
        ) {
            let rows = |numbers: &Vec<u32>| numbers.iter().map(|n| mobile(&format!("+346000000{n:02}"), None)).collect();
            let mut case = row().create(1, NOW).unwrap();
            for numbers in &imports {
                let next = only_contacts(rows(numbers)).update(&case, LATER).unwrap().unwrap_or_else(|| case.clone());
                for (before, after) in case.contacts.iter().zip(&next.contacts) {
                    prop_assert_eq!(&before.value, &after.value);
                }
                let here = next.contacts.iter().filter(|contact| !contact.gone).count();
                let wanted: std::collections::BTreeSet<_> = numbers.iter().collect();
                prop_assert_eq!(here, wanted.len());
                prop_assert_eq!(only_contacts(rows(numbers)).update(&next, LATER), Ok(None));
                case = next;
            }
        }
    }
}
