-- Keeps how far a `forget` is: it frees memory, so it goes on over `maxmemory`.
-- KEYS[1] its key; ARGV[1] JSON, ARGV[2] time to live in ms
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
