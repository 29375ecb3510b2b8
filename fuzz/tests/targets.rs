//! Each target over a fixed number of inputs of a fixed seed, and what the driver must find where there is something.

use std::time::Duration;

use remesa_fuzz::driver::{self, Budget, Ended, Finding};
use remesa_fuzz::targets::{self, Target};

/// So many inputs, or as many as this time allows on a slow machine.
const BUDGET: Budget = Budget { inputs: 10_000, time: Duration::from_secs(10) };

fn stands(name: &str) {
    let target = targets::ALL.iter().find(|target| target.name == name).unwrap();
    let summary = driver::run(target, 5, BUDGET, None).unwrap_or_else(|ended| {
        panic!("{name}: {}\ninput: {}", found(&ended).what, found(&ended).input.escape_ascii())
    });
    assert!(summary.inputs > 500, "{summary:?}");
    assert!(summary.told > 10, "it looks at next to nothing: {summary:?}");
}

fn found(ended: &Ended) -> &Finding {
    match ended {
        Ended::Found(finding) => finding,
        Ended::Unkept(error) => panic!("{error}"),
    }
}

#[test]
fn jobs_are_decoded_or_refused_whatever_they_are() {
    stands("jobs");
}

#[test]
fn files_of_rows_are_read_or_refused_and_can_be_gone_on_with() {
    stands("csv");
}

#[test]
fn templates_are_written_or_refused_within_bounds() {
    stands("templates");
}

#[test]
fn webhooks_believe_nobody() {
    stands("webhooks");
}

#[test]
fn words_are_read_as_they_are_written() {
    stands("words");
}

fn breaks(read: fn(&[u8]) -> String) -> String {
    let target = Target { name: "broken", seeds: || vec![b"good".to_vec()], words: &["bad!"], read };
    found(&driver::run(&target, 1, BUDGET, None).unwrap_err()).what.clone()
}

fn is_bad(input: &[u8]) -> bool {
    input.windows(4).any(|window| window == b"bad!")
}

#[test]
fn a_panic_is_found_with_its_place() {
    let what = breaks(|input| {
        assert!(!is_bad(input), "this is bad");
        String::new()
    });
    assert!(what.contains("this is bad") && what.contains("targets.rs"), "{what}");
}

#[test]
fn too_much_memory_is_found_however_shortly_it_is_held() {
    let what = breaks(|input| {
        let held = if is_bad(input) { vec![1_u8; driver::MOST_MEMORY + 1] } else { Vec::new() };
        held.len().to_string()
    });
    assert!(what.contains("bytes of memory"), "{what}");
}

#[test]
fn too_much_time_is_found() {
    let what = breaks(|input| {
        let mut n = 1_u64;
        while is_bad(input) && driver_time() < 2 * driver::MOST_TIME {
            n = n.wrapping_mul(31);
        }
        n.to_string()
    });
    assert!(what.contains("processor time"), "{what}");
}

/// Processor time of this thread.
fn driver_time() -> Duration {
    nix::time::clock_gettime(nix::time::ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap().into()
}
