-- Runs one command on one key, over `maxmemory` too: for what is recorded and not for what is taken on.
-- KEYS[1] the key; ARGV[1] the command, ARGV[2..] its arguments behind the key
return redis.call(ARGV[1], KEYS[1], unpack(ARGV, 2))
