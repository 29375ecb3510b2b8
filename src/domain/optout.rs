//! Who may not be written to: opt-outs and the hard block list (PO-24, BM-18).
//!
//! Both are lists of addresses of the whole company: they hold for every campaign and every channel of their kind. An
//! opt-out counts for what is `commercial`; the hard block list for everything.

use super::campaign::Category;
use super::word::words;

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

words! {
    /// Who wished it.
    pub enum By {
        /// The recipient, by the link of a message.
        Link = "link",
        /// The recipient, by a word such as STOP.
        Word = "word",
        /// A command.
        Job = "job",
    }
}

/// A wish to be put on a list, or to be taken off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// Which list.
    pub list: Bar,
    /// On or off.
    pub adds: bool,
    /// Who wishes it.
    pub by: By,
}

impl Change {
    /// Nothing commercial any more.
    pub const fn opt_out(by: By) -> Self {
        Self { list: Bar::OptedOut, adds: true, by }
    }

    /// Commercial messages again.
    pub const fn opt_in(by: By) -> Self {
        Self { list: Bar::OptedOut, adds: false, by }
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
