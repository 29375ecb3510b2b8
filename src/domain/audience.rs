//! Whom a message is for, and at which of a client's addresses (BM-8, BM-12, BM-13).

use super::word::words;

words! {
    /// What a run goes over; both are numbered from 1, apart from each other.
    #[derive(Default)]
    pub enum Audience {
        /// The payment orders of a campaign.
        Orders = "orders",
        /// The cases of a campaign.
        #[default]
        Cases = "cases",
    }
}

words! {
    /// Which contacts of a case get the message.
    #[derive(Default)]
    pub enum Contacts {
        /// The newest one that the channel can use (BM-12).
        #[default]
        Latest = "latest",
        /// Each one that the channel can use, no address twice; each is a message of its own (BM-13).
        All = "all",
    }
}
