//! Who of a run's cases is left out before anything is claimed, and to which further contacts the others get a message.
//!
//! Judged once for each case, in stretches ahead of the claims, so that a filter over many cases costs no claim for each of
//! them. What may change until a message leaves (activity, contacts, opt-outs) is looked at again then (BM-9).

use super::audience::Contacts;
use super::case::{Case, ContactKind};
use super::filter::Filter;

/// What a run asks of its cases.
#[derive(Debug, Clone, PartialEq)]
pub struct Sieve {
    /// The run's name.
    pub run: String,
    /// Only active cases (BM-10).
    pub only_active: bool,
    /// Which contacts.
    pub contacts: Contacts,
    /// Only cases that meet it (BM-20).
    pub filter: Option<Filter>,
    /// What the channel writes to.
    pub channel: ContactKind,
}

/// What becomes of a case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sifted {
    /// It gets nothing, for this reason.
    LeftOut(&'static str),
    /// It gets a message, and one to each of these further contacts.
    Kept {
        /// Their indexes.
        further: Vec<usize>,
    },
}

impl Sieve {
    /// Judges a case as it is stored, and reads of it no more than is asked.
    pub fn judge(&self, case: &str) -> Result<Sifted, serde_json::Error> {
        if self.only_active && self.is_done(case) {
            return Ok(Sifted::LeftOut("case_closed"));
        }
        if let Some(filter) = &self.filter
            && !filter.matches(case)?
        {
            return Ok(Sifted::LeftOut("filtered"));
        }
        let further = match self.contacts {
            Contacts::Latest => Vec::new(),
            Contacts::All => self.further(&Case::from_json(case)?),
        };
        Ok(Sifted::Kept { further })
    }

    /// Whether it is closed, and not by this run: both stand in front of its number.
    fn is_done(&self, case: &str) -> bool {
        let head = case.split_once(",\"number\":").map_or(case, |(head, _)| head);
        head.starts_with("{\"state\":\"closed\"") && !head.contains(&format!(",\"closed_by\":\"{}\"", self.run))
    }

    /// The contacts beside the primary one (BM-13): an address that is the primary's is not written to again.
    fn further(&self, case: &Case) -> Vec<usize> {
        let Some(primary) = case.primary(self.channel) else { return Vec::new() };
        case.each(self.channel).into_iter().map(|usable| usable.index).filter(|index| *index != primary).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::case::tests::{case, contact};
    use crate::domain::case::{CaseState, Contact};

    fn sieve() -> Sieve {
        Sieve {
            run: "r".into(),
            only_active: false,
            contacts: Contacts::Latest,
            filter: None,
            channel: ContactKind::Mobile,
        }
    }

    #[test]
    fn bm_10_a_closed_case_is_left_out_where_only_active_ones_are_wanted() {
        let mut closed = case();
        closed.state = CaseState::Closed;
        let kept = Sifted::Kept { further: Vec::new() };
        let only_active = Sieve { only_active: true, ..sieve() };
        assert_eq!(sieve().judge(&closed.to_json()).unwrap(), kept);
        assert_eq!(only_active.judge(&closed.to_json()).unwrap(), Sifted::LeftOut("case_closed"));
        assert_eq!(only_active.judge(&case().to_json()).unwrap(), kept);
        closed.closed_by = Some("r".to_owned());
        assert_eq!(
            only_active.judge(&closed.to_json()).unwrap(),
            kept,
            "bm_14: what this run closed goes on to its own other contacts"
        );
    }

    #[test]
    fn bm_20_a_case_that_does_not_meet_the_filter_is_left_out() {
        let filter = |name: &str| {
            let json = format!(r#"{{"all":[{{"column":"first_name","operator":"equals","value":"{name}"}}]}}"#);
            Sieve { filter: Some(serde_json::from_str(&json).unwrap()), ..sieve() }
        };
        assert_eq!(filter("ana").judge(&case().to_json()).unwrap(), Sifted::Kept { further: vec![] });
        assert_eq!(filter("eva").judge(&case().to_json()).unwrap(), Sifted::LeftOut("filtered"));
        assert!(filter("ana").judge("{").is_err());
    }

    #[test]
    fn bm_13_each_usable_contact_but_the_first_is_a_further_one_and_none_twice() {
        use ContactKind as K;
        let mut many = case();
        many.contacts = vec![
            contact(K::Email, "ana@example.com", 1),
            Contact { gone: true, ..contact(K::Mobile, "+34600000001", 1) },
            contact(K::Mobile, "+34600000002", 1),
            contact(K::Mobile, "+34600000003", 1),
            contact(K::Mobile, "+34600000002", 2),
        ];
        let all = Sieve { contacts: Contacts::All, ..sieve() };
        assert_eq!(all.judge(&many.to_json()).unwrap(), Sifted::Kept { further: vec![2, 3] });
        many.contacts[1].gone = false;
        many.contacts[4] = contact(K::Mobile, "+34600000001", 2);
        assert_eq!(all.judge(&many.to_json()).unwrap(), Sifted::Kept { further: vec![2, 3] });
        many.contacts.clear();
        assert_eq!(all.judge(&many.to_json()).unwrap(), Sifted::Kept { further: vec![] });
    }
}
