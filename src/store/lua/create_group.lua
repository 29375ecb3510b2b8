-- Creates a consumer group at the beginning of its stream, over `maxmemory` too: a daemon that starts beside a full
-- Redis must still read commands.
-- KEYS[1] the stream; ARGV[1] the group
-- Returns OK, or the error BUSYGROUP where it is there already.
return redis.pcall('XGROUP', 'CREATE', KEYS[1], ARGV[1], '0', 'MKSTREAM')
