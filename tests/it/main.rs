//! Tests of the whole (being written).

mod contract;
