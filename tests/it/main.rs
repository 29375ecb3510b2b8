//! Tests of the whole (being written).
