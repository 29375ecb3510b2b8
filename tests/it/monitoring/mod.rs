//! What the operator sees: the metrics of a daemon at work, and the alerts and the dashboard made of them.

mod files;
mod metrics;
