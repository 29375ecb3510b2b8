//! Order providers: who mints an order and its link.
//!
//! [`local`] is Remesa itself: the link's short code is an HMAC of campaign and row, so a redo finds its
//! own. A payment platform over HTTP comes with the campaigns.

pub mod local;
