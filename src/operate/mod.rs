//! What operators see and do, for the commands and the dashboard alike: one truth, printed in two places.
//!
//! [`status`] is queues, channels and daemons at one instant, with rates from two of them; [`channels`] is which there
//! are and whether they send; [`jobs`] judges a job, puts it into its queue and knows its end; [`replay`] runs refused
//! and dead jobs again, one or ([`wanted`]) all that are like that; [`why`] says why something does not move; [`audit`]
//! is who did what. Nothing here prints, waits for a person, or knows HTTP.

pub mod audit;
pub mod channels;
pub mod jobs;
pub mod pace;
pub mod paused;
pub mod place;
pub mod replay;
pub mod status;
pub mod wanted;
pub mod why;
pub mod words;
