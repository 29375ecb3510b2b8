//! The breaker of a channel, seen by the governors of two daemons: what counts as its probe.

use std::time::{Duration, Instant};

use remesa::channel::governor::{Bounds, Governor, Grant, Pace};
use remesa::domain::failure::Failure;

use crate::support::scene::Scene;
use crate::support::wait;

const CHANNEL: &str = "remesa:channel:sick";

fn governor(scene: &Scene) -> Governor {
    let bounds = Bounds {
        name: "sick".to_owned(),
        rate_per_second: 0,
        in_flight: 8,
        attempt: Duration::from_mins(1),
        breaker_failures: 3,
        breaker_cooldown: Duration::from_millis(100),
    };
    Governor::new(&scene.store(), bounds)
}

/// Waits for the probe to be granted.
async fn probe(governor: &Governor) -> Instant {
    wait::until("a probe is granted", async || {
        let grant = governor.reserve(8, &mut Pace::default()).await.unwrap();
        matches!(grant, Grant::Parts(1)).then(Instant::now)
    })
    .await
}

async fn opened(scene: &mut Scene) -> Option<String> {
    scene.hash(CHANNEL).await.remove("breaker_opened")
}

#[tokio::test]
async fn what_was_under_way_when_the_breaker_opened_is_not_its_probe() {
    let mut scene = Scene::new().await;
    let (one, other) = (governor(&scene), governor(&scene));
    let failure = Failure::transient("connection_refused");
    let before = Instant::now();
    for expected in [None, None, Some("1"), Some("1")] {
        one.note(Err(&failure), before).await.unwrap();
        assert_eq!(opened(&mut scene).await.as_deref(), expected);
    }
    // Another daemon had messages there, too: one that fails, one that is answered.
    other.note(Err(&failure), before).await.unwrap();
    other.note(Ok(()), before).await.unwrap();
    let probed = probe(&one).await;
    one.note(Err(&failure), before).await.unwrap();
    assert_eq!(opened(&mut scene).await.as_deref(), Some("1"));
    one.note(Err(&failure), probed).await.unwrap();
    assert_eq!(opened(&mut scene).await.as_deref(), Some("2"), "the probe's own failure lengthens the pause");
    let probed = probe(&other).await;
    other.note(Ok(()), probed).await.unwrap();
    assert_eq!(opened(&mut scene).await, None, "the probe of any daemon closes the breaker");
}

#[tokio::test]
async fn while_a_probe_is_out_nobody_else_is_let_through() {
    let scene = Scene::new().await;
    let (one, other) = (governor(&scene), governor(&scene));
    let failure = Failure::ambiguous("answer_timeout");
    for _ in 0..3 {
        one.note(Err(&failure), Instant::now()).await.unwrap();
    }
    probe(&other).await;
    for governor in [&one, &other] {
        let grant = governor.reserve(8, &mut Pace::default()).await.unwrap();
        assert!(matches!(grant, Grant::Wait { .. }), "{grant:?}");
    }
}
