//! The circles whose members have unsubscribe links, by their numbers: one entry a campaign, none a message.

use redis::cmd;

use crate::domain::unsubscribe::Circle;

use super::{Store, StoreError, scripts};

impl Store {
    /// The number of a circle, for good.
    pub async fn circle_number(&self, circle: &Circle) -> Result<u64, StoreError> {
        scripts::NUMBER_CIRCLE.call(&[&self.keys.unsubscribe()]).arg(circle.name()).run(&self.connection).await
    }

    /// The circle of that number; none where its campaign is gone.
    pub async fn circle(&self, number: u64) -> Result<Option<Circle>, StoreError> {
        let mut get = cmd("HGET");
        get.arg(self.keys.unsubscribe()).arg(format!("#{number}"));
        let name: Option<String> = self.connection.query(&get).await?;
        Ok(name.and_then(|name| Circle::parse(&name)))
    }

    /// Forgets the circles of a campaign: its links lead nowhere from now on.
    pub(super) async fn drop_circles(&self, campaign: &str) -> Result<(), StoreError> {
        let key = self.keys.unsubscribe();
        for kind in crate::domain::unsubscribe::CircleKind::ALL {
            let name = Circle { kind: *kind, campaign: campaign.to_owned() }.name();
            let number: Option<u64> = self.connection.query(cmd("HGET").arg(&key).arg(&name)).await?;
            if let Some(number) = number {
                self.connection.query::<()>(cmd("HDEL").arg(&key).arg(&name).arg(format!("#{number}"))).await?;
            }
        }
        Ok(())
    }
}
