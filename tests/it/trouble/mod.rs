//! Providers in trouble, and what is asked of us meanwhile: nobody is lost or written to twice, other channels and other
//! runs do not wait, a run with too many errors stands still.

mod auto_pause;
mod beside;
mod breaker;
mod fairness;
mod rates;
mod unknown;
