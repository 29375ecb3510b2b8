//! Order providers: who mints an order and its link.
//!
//! [`local`] is Remesa itself: the link's short code is an HMAC of campaign and row, so a redo finds its
//! own. [`http`] is a payment platform, asked for each order once. Both begin with a [`Draft`].

mod draft;
pub mod http;
pub mod local;
pub mod settings;

pub use draft::Draft;
