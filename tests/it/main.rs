//! Tests of the whole: the real binary, a real Redis, a provider that counts. One module a subject.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that meets the unexpected fails, in its support too"
)]

mod bulk;
mod cluster;
mod contact;
mod contract;
mod crash;
mod dashboard;
mod demo_files;
mod explore;
mod failover;
mod generate;
mod guard;
mod health;
mod import;
mod layers;
mod logs;
mod monitoring;
mod operate;
mod optout;
mod package;
mod platform;
mod pressure;
mod preview;
mod privacy;
mod producers;
mod proof;
mod queue;
mod receipts;
mod recurring;
mod redis;
mod reload;
mod retention;
mod rules;
mod sending;
mod support;
mod support_works;
mod systemd;
mod trouble;
