//! What is left of a case when its person is forgotten (DA-9, BM-24).
//!
//! What counts stays: number, state, times, why and by which run it was closed, its order. What tells who it was goes:
//! the client, the addresses (their places stay, so that no later one takes the number of an earlier one), variables,
//! replies. The id stays, by which an import knows not to bring the person back, unless it holds the number itself. Of somebody
//! else's case that only mentions the number, nothing but the mention goes.

use super::{Case, Client};
use crate::domain::clock::EpochMs;
use crate::domain::contact::{Address, sought::Sought};
use crate::domain::forget;

/// A case as it is to be.
#[derive(Debug, Clone, PartialEq)]
pub struct ForgottenCase {
    /// The case.
    pub case: Case,
    /// Whether it was the person's own: then nothing is sent for it any more.
    pub own: bool,
}

impl Case {
    /// Forgets the person in the case; `named` when the case itself was named and is the person's, whatever it holds.
    /// Nothing, where there is nothing to forget.
    pub fn forget(&self, sought: Option<&Sought>, named: bool, now: EpochMs) -> Option<ForgottenCase> {
        let own = named || self.is_of(sought);
        let mut left = self.clone();
        if own {
            left.client = Client::default();
            left.vars.clear();
            left.replies.clear();
            left.outcome = None;
            for contact in &mut left.contacts {
                (contact.value, contact.gone) = (None, true);
            }
            left.forgotten_at = left.forgotten_at.or(Some(now));
        } else if let Some(sought) = sought {
            left.hide(sought);
        }
        if sought.is_some_and(|sought| sought.is_in(left.id.as_bytes())) {
            left.id = forget::key(left.number);
        }
        (left != *self).then_some(ForgottenCase { case: left, own })
    }

    fn is_of(&self, sought: Option<&Sought>) -> bool {
        let Some(sought) = sought else { return false };
        let mut addresses = self.contacts.iter().filter_map(|contact| contact.value.as_ref()).peekable();
        if addresses.peek().is_none() {
            return self.forgotten_at.is_none() && self.mentions(sought);
        }
        addresses.any(|address| address.phone() == Some(sought.phone()))
    }

    /// Whether the number stands anywhere but among the contacts.
    fn mentions(&self, sought: &Sought) -> bool {
        let is_in = |text: &str| sought.is_in(text.as_bytes());
        let mut vars = self.vars.iter().chain(&self.client.other);
        is_in(&self.id)
            || self.client.texts().iter().any(|(_, text)| text.as_deref().is_some_and(is_in))
            || self.client.labels.iter().any(|label| is_in(label))
            || vars.any(|(name, value)| is_in(name) || sought.is_in_value(value))
            || self.replies.iter().any(|reply| is_in(&reply.text))
    }

    fn hide(&mut self, sought: &Sought) {
        let is_in = |text: &str| sought.is_in(text.as_bytes());
        for (_, text) in self.client.texts_mut() {
            if text.as_deref().is_some_and(is_in) {
                *text = None;
            }
        }
        self.client.labels.retain(|label| !is_in(label));
        for vars in [&mut self.vars, &mut self.client.other] {
            vars.retain(|name, value| !is_in(name) && !sought.is_in_value(value));
        }
        for reply in &mut self.replies {
            reply.text = sought.hide(&reply.text);
        }
        if self.outcome.as_deref().is_some_and(is_in) {
            self.outcome = None;
        }
    }

    /// The number by which its person is looked for elsewhere: of its phone numbers the newest.
    pub fn newest_phone(&self) -> Option<&crate::domain::contact::Phone> {
        let phones =
            self.contacts.iter().filter_map(|c| Some((c.updated_at, c.value.as_ref().and_then(Address::phone)?)));
        phones.reduce(|best, other| if other.0 > best.0 { other } else { best }).map(|(_, phone)| phone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::case::tests::{NOW, case, contact};
    use crate::domain::case::{ContactKind, Reply};
    use crate::domain::contact::Phone;

    fn sought() -> Sought {
        Sought::new(Phone::parse("+34600123456", None).unwrap())
    }

    fn full() -> Case {
        let mut case = case();
        case.contacts =
            vec![contact(ContactKind::Email, "ana@example.com", 9), contact(ContactKind::Mobile, "+34600123456", 1)];
        case.vars.insert("debt".to_owned(), 12.into());
        case.add_reply(Reply { at: NOW, text: "sí".to_owned(), run: None });
        case
    }

    #[test]
    fn da_9_of_a_persons_case_only_what_counts_is_left_and_the_places_of_contacts() {
        let forgotten = full().forget(Some(&sought()), false, NOW).unwrap();
        assert!(forgotten.own);
        let left = forgotten.case;
        assert!(left.client.is_empty() && left.vars.is_empty() && left.replies.is_empty());
        assert!(left.contacts.iter().all(|contact| contact.value.is_none() && contact.gone));
        assert_eq!((left.contacts.len(), left.id.as_str(), left.forgotten_at), (2, "c-1", Some(NOW)));
        assert_eq!(left.forget(Some(&sought()), false, NOW), None);
        assert_eq!(left.forget(None, true, EpochMs(NOW.0 + 1)), None);
        assert!(!left.to_json().contains("ana@") && !left.to_json().contains("600123456"));
    }

    #[test]
    fn an_id_that_holds_the_number_is_replaced() {
        let case = Case { id: "34600123456".to_owned(), ..full() };
        assert_eq!(case.forget(Some(&sought()), false, NOW).unwrap().case.id, "forgotten:1");
    }

    #[test]
    fn of_somebody_elses_case_nothing_but_the_mention_goes() {
        let mut other = case();
        other.contacts = vec![contact(ContactKind::Mobile, "+34600123457", 1)];
        assert_eq!(other.forget(Some(&sought()), false, NOW), None);
        other.vars.insert("guardian".to_owned(), "600-123-456".into());
        let forgotten = other.forget(Some(&sought()), false, NOW).unwrap();
        assert!(!forgotten.own && forgotten.case.vars.is_empty());
        assert_eq!((forgotten.case.contacts, forgotten.case.forgotten_at), (other.contacts.clone(), None));
        other.contacts.clear();
        assert!(other.forget(Some(&sought()), false, NOW).unwrap().own, "without a contact it is of whom it mentions");
    }

    #[test]
    fn the_newest_number_of_a_case_is_the_one_to_look_for() {
        let mut case = full();
        assert_eq!(case.newest_phone().unwrap().as_e164(), "+34600123456");
        case.contacts.push(contact(ContactKind::Whatsapp, "+34600000009", 5));
        assert_eq!(case.newest_phone().unwrap().as_e164(), "+34600000009");
    }
}
