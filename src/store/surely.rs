//! Writes that a full Redis does not refuse.
//!
//! Over `maxmemory` Redis refuses every command that may need memory, but lets scripts run that say so. What is written
//! through here records what happened, tells who is there, or stops something; it never takes on new work.

use redis::{FromRedisValue, ToRedisArgs};

use super::{Store, StoreError, scripts};

impl Store {
    /// Runs `command` on `key`, whatever the memory says.
    pub(crate) async fn surely<T: FromRedisValue>(
        &self,
        command: &str,
        key: &str,
        arguments: impl ToRedisArgs,
    ) -> Result<T, StoreError> {
        scripts::SURELY.call(&[key]).arg(command).arg(arguments).run(&self.connection).await
    }
}
