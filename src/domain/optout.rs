//! Who may not be written to: opt-outs and the hard block list (PO-24, BM-18).
//!
//! Both are lists of addresses of the whole company: they hold for every campaign and every channel of their kind. An
//! opt-out counts for what is `commercial`; the hard block list for everything.

use super::campaign::Category;
use super::word::words;

words! {
    /// The kind of an address, as the keys of the lists name it.
    pub enum AddressKind {
        /// A phone number in E.164, whatever channel uses it.
        Phone = "phone",
        /// A mail address.
        Email = "email",
    }
}

words! {
    /// Why an address may not be written to: the reason of a `skipped` delivery.
    pub enum Bar {
        /// It is on the hard block list.
        Blocked = "blocked",
        /// Its owner unsubscribed.
        OptedOut = "opted_out",
    }
}

impl Bar {
    /// The lists that count for messages of this category, the one that is told first in front.
    pub const fn of(category: Category) -> &'static [Self] {
        match category {
            Category::Commercial => &[Self::Blocked, Self::OptedOut],
            Category::Transactional => &[Self::Blocked],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn po_24_an_opt_out_stops_what_is_commercial_and_a_block_stops_everything() {
        assert_eq!(Bar::of(Category::Transactional), [Bar::Blocked]);
        assert_eq!(Bar::of(Category::Commercial), [Bar::Blocked, Bar::OptedOut]);
    }
}
