//! Which server the daemons work on, and who of them is done with it: the barrier as all of them see it.
//!
//! A daemon counts as long as it has beaten within ten minutes and did not say goodbye. It is waited for as long as it
//! shows that it writes again what it did, but its silence no longer than a lease: then whatever it had claimed is past its
//! deadline. Once open for a server, it is open for all who come.

use std::time::Duration;

use redis::cmd;

use super::{Answer, ServerIdentity, Store, StoreError, entries::millis, scripts};

/// Daemons looked at, those that beat last first.
const DAEMONS: usize = 1000;

impl Store {
    /// Notes that `server` is new, if it is: from now on, by its own clock, others are waited for. Notes, too, that `me`
    /// writes again what it did, and what the `dead` ones of its instance did.
    pub async fn meet_server(&self, server: &ServerIdentity, me: &str, dead: &[String]) -> Result<(), StoreError> {
        scripts::BARRIER
            .call(&[&self.keys.server()])
            .arg(server.to_string())
            .arg(0)
            .arg(me)
            .arg(0)
            .arg(dead)
            .run::<Vec<String>>(&self.connection)
            .await
            .map(|_| ())
    }

    /// Says that what `settled` (we, and dead ones of our instance) did stands on `server`. `None`: so it does for all
    /// others; else how long at most they are waited for.
    pub async fn pass_barrier(
        &self,
        server: &ServerIdentity,
        me: &str,
        settled: &[&str],
        lease: Duration,
    ) -> Result<Option<Duration>, StoreError> {
        let alive: Vec<String> =
            self.connection.query(cmd("ZREVRANGE").arg(self.keys.workers()).arg(0).arg(DAEMONS - 1)).await?;
        let mut call = scripts::BARRIER
            .call(&[&self.keys.server()])
            .arg(server.to_string())
            .arg(millis(lease))
            .arg(me)
            .arg(settled.len())
            .arg(settled);
        for incarnation in alive.iter().filter(|incarnation| !settled.contains(&incarnation.as_str())) {
            call.push(incarnation);
        }
        let mut answer = Answer::new(call.run(&self.connection).await?);
        Ok(match answer.text()?.as_str() {
            "open" => None,
            _ => Some(Duration::from_millis(answer.number()?)),
        })
    }
}
