//! What somebody who looks orders up may ask for, and how much of a person is shown (DA-9).

use super::contact::Phone;
use super::delivery::DeliveryState;
use super::order::{Order, OrderState};
use super::standing::Standing;
use super::word::words;

words! {
    /// How personal data is shown where nobody asks who is looking.
    #[derive(Default)]
    pub enum PersonalData {
        /// Contacts with their country code and last three digits, no variables.
        #[default]
        Masked = "masked",
        /// As it is stored.
        Whole = "whole",
    }
}

/// Names that look so: `*` stands for anything, `?` for one character. Without either it is a part of the name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamePattern(String);

impl NamePattern {
    /// A pattern as people write it.
    pub fn new(text: &str) -> Self {
        Self(if text.contains(['*', '?']) { text.to_owned() } else { format!("*{text}*") })
    }

    /// Whether a name looks so.
    pub fn fits(&self, name: &str) -> bool {
        // `open` is what still has to fit, once for each place where the pattern may stand.
        let pattern: Vec<char> = self.0.chars().collect();
        let close = |mut at: Vec<usize>| {
            let mut i = 0;
            while let Some(&place) = at.get(i) {
                if pattern.get(place) == Some(&'*') && !at.contains(&(place + 1)) {
                    at.push(place + 1);
                }
                i += 1;
            }
            at
        };
        let mut open = close(vec![0]);
        for c in name.chars() {
            let step = |place: &usize| match pattern.get(*place) {
                Some('*') => Some(*place),
                Some(wanted) if *wanted == c || *wanted == '?' => Some(place + 1),
                _ => None,
            };
            open = close(open.iter().filter_map(step).collect());
        }
        open.contains(&pattern.len())
    }
}

/// Which orders are wanted; everything given must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// The order's state, by the clock.
    pub state: Option<OrderState>,
    /// The state of one of its deliveries.
    pub delivery: Option<DeliveryState>,
    /// The reason of that delivery: a code, or what stands before its colon (`missing_variable`).
    pub reason: Option<String>,
    /// The producer's reference.
    pub reference: Option<String>,
    /// The phone number.
    pub contact: Option<Phone>,
}

impl Filter {
    /// Whether every order passes.
    pub fn is_open(&self) -> bool {
        *self == Self::default()
    }

    /// Whether an order passes, in the state it has now, with its deliveries.
    pub fn passes<'a>(
        &self,
        order: &Order,
        state: OrderState,
        mut deliveries: impl Iterator<Item = &'a Standing>,
    ) -> bool {
        let of_order = self.state.is_none_or(|wanted| wanted == state)
            && self.reference.as_ref().is_none_or(|wanted| *wanted == order.reference)
            && self.contact.as_ref().is_none_or(|wanted| order.contact.as_ref() == Some(wanted));
        let asks_deliveries = self.delivery.is_some() || self.reason.is_some();
        of_order && (!asks_deliveries || deliveries.any(|delivery| self.passes_delivery(delivery)))
    }

    fn passes_delivery(&self, delivery: &Standing) -> bool {
        let of_reason = |wanted: &str| {
            delivery.reason.strip_prefix(wanted).is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
        };
        self.delivery.is_none_or(|wanted| wanted == delivery.state) && self.reason.as_deref().is_none_or(of_reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order() -> Order {
        Order::from_json(
            r#"{"state":"available","expires_at":1763719200000,"number":1,"key":"k","reference":"A-1","amount":5,
                "contact":"+34600123456","short_code":"aB3dE5gH1j","created_at":1763546400000}"#,
        )
        .unwrap()
    }

    fn standing(state: DeliveryState, reason: &str) -> Standing {
        Standing { state, attempt: 1, at: None, reason: reason.to_owned(), provider_id: String::new() }
    }

    fn passes(filter: &Filter, deliveries: &[Standing]) -> bool {
        filter.passes(&order(), OrderState::Available, deliveries.iter())
    }

    #[test]
    fn a_pattern_has_its_two_signs_or_is_a_part_of_the_name() {
        let fits = |pattern: &str, name: &str| NamePattern::new(pattern).fits(name);
        assert!(fits("nov-*", "nov-dues") && fits("*dues", "nov-dues") && fits("n*d??s", "nov-dues"));
        assert!(fits("dues", "nov-dues") && fits("", "x") && fits("*", "x") && fits("a*b*c", "aXbYbZc"));
        assert!(!fits("nov-*", "dec-nov-1") && !fits("dues?", "nov-dues") && !fits("a*b*c", "aXbYbZ"));
    }

    #[test]
    fn state_and_reason_are_asked_of_the_same_delivery() {
        let deliveries =
            [standing(DeliveryState::Failed, "http_400"), standing(DeliveryState::Skipped, "missing_variable:name")];
        let filter = |delivery, reason: &str| Filter { delivery, reason: Some(reason.to_owned()), ..Filter::default() };
        assert!(passes(&filter(Some(DeliveryState::Failed), "http_400"), &deliveries));
        assert!(!passes(&filter(Some(DeliveryState::Skipped), "http_400"), &deliveries));
        assert!(passes(&filter(None, "missing_variable"), &deliveries));
        assert!(!passes(&filter(None, "missing"), &deliveries));
        assert!(!passes(&filter(None, "http_400"), &[]));
    }

    #[test]
    fn an_order_is_found_by_state_reference_and_number() {
        let none = Filter::default();
        assert!(none.is_open() && passes(&none, &[]));
        assert!(!passes(&Filter { state: Some(OrderState::Paid), ..Filter::default() }, &[]));
        assert!(passes(&Filter { reference: Some("A-1".to_owned()), ..Filter::default() }, &[]));
        assert!(!passes(&Filter { reference: Some("A-".to_owned()), ..Filter::default() }, &[]));
        let phone = |text| Phone::parse(text, None).ok();
        assert!(passes(&Filter { contact: phone("+34 600 12 34 56"), ..Filter::default() }, &[]));
        assert!(!passes(&Filter { contact: phone("+34600123457"), ..Filter::default() }, &[]));
    }
}
