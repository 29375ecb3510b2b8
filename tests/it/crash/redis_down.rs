//! redis_down
