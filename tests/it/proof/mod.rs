//! The proof: random faults over three daemons and several campaigns, and the end counted at the provider.
//!
//! A seed gives the order of the faults, where in the sending each one strikes, and whom. Campaigns of all three kinds run
//! meanwhile: payment orders with their message, one message to every contact of cases that it closes, and a permanent
//! message that reaches each case once. When everything has come to its end the [`account`] is drawn up: nobody lost,
//! nobody sent to twice, no more unknown than was in flight at the faults, counters and ledger the same, each case closed
//! exactly when it should be, every outcome told in the results stream. What does not add up is shown with the seed and
//! the timeline of the recipient concerned.
//!
//! `make soak` runs further seeds for as long as it is told (`REMESA_SOAK_MINUTES`), with larger campaigns;
//! `REMESA_SOAK_SEED` is the first of them.

mod account;
mod faults;
mod world;

use std::time::{Duration, Instant};

use faults::Fault;
use world::{Size, World};

/// Recipients of one proof in CI.
const SMALL: Size = Size { orders: 400, cases: 120, permanent: 60, rate: 150 };
/// Recipients of one proof of a soak.
const LARGE: Size = Size { orders: 5_000, cases: 1_500, permanent: 300, rate: 400 };

/// One seed, from the first job to the account.
async fn prove(seed: u64, size: Size, faults: usize) {
    let plan = Fault::plan(seed, faults);
    let mut world = World::begin(seed, size).await;
    for (number, fault) in plan.into_iter().enumerate() {
        // Spread over the sending; what is left after the last one is sent in peace.
        let at = world.messages() * (number as u64 + 1) / (faults as u64 + 2);
        if !world.has_sent(at).await {
            break;
        }
        world.strike(fault).await;
    }
    // Fewer would prove less than is said.
    assert!(world.struck.len() > faults / 2, "seed {seed}: all was over after {:?}", world.struck);
    world.heal();
    world.end().await;
    account::draw_up(&mut world).await;
}

#[tokio::test]
async fn nobody_is_lost_and_nobody_is_sent_to_twice_whatever_fails_in_whatever_order() {
    for seed in [6, 8] {
        prove(seed, SMALL, 8).await;
    }
}

#[tokio::test]
async fn a_soak_proves_seed_after_seed() {
    let minutes: u64 = std::env::var("REMESA_SOAK_MINUTES").ok().and_then(|text| text.parse().ok()).unwrap_or(0);
    let seed = std::env::var("REMESA_SOAK_SEED").ok().and_then(|text| text.parse().ok());
    let (began, first) = (Instant::now(), seed.unwrap_or_else(|| u64::from(rand::random::<u32>())));
    let (size, faults) = if minutes > 0 { (LARGE, 40) } else { (SMALL, 4) };
    for seed in first.. {
        eprintln!("soak: seed {seed}, {} min of {minutes} are over", began.elapsed().as_secs() / 60);
        prove(seed, size, faults).await;
        if began.elapsed() >= Duration::from_mins(minutes) {
            return;
        }
    }
}
