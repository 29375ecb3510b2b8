//! The dashboard: every page in both languages, what it counts, and in a real browser what people do with it.

mod acting;
mod browsed;
mod hour;
mod pages;
mod stage;
