//! What the tests of the whole stand on: a private Redis, the real daemon, providers, and waiting without sleeping.
//!
//! Everything started here belongs to the test that started it, listens on a Unix socket or a free loopback port, and
//! is killed by its process id when its value goes out of scope, also when the test fails. Nothing is mocked.

#![allow(dead_code, reason = "each test uses the part it needs")]

pub(crate) mod browser;
pub(crate) mod clock;
pub(crate) mod cluster;
pub(crate) mod command;
pub(crate) mod daemon;
pub(crate) mod front;
pub(crate) mod gate;
pub(crate) mod grep;
pub(crate) mod http;
pub(crate) mod ledger;
pub(crate) mod mail;
pub(crate) mod provider;
pub(crate) mod proxy;
pub(crate) mod redis;
pub(crate) mod scene;
pub(crate) mod sentinel;
pub(crate) mod shortage;
pub(crate) mod visitor;
pub(crate) mod wait;
pub(crate) mod wall;
