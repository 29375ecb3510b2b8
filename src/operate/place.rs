//! Where Redis is, in words that hold no secret.

use crate::{
    config::{Config, RedisTarget},
    store::embedded,
};

/// The address of Redis without what is secret in it.
pub fn place(config: &Config) -> String {
    match &config.redis.target {
        RedisTarget::Embedded { .. } => embedded::socket(&config.state_dir).display().to_string(),
        RedisTarget::Server { address } => address.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_without_its_password() {
        let toml = "state_dir = \"/tmp/remesa-test\"\n[redis]\nurl = \"redis://user:pa@ss@db.example:6379/2\"\n";
        let config = Config::parse(toml, "test", std::iter::empty()).unwrap();
        assert_eq!(place(&config), "redis://db.example:6379/2");
    }
}
