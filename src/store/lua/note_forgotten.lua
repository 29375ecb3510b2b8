-- Notes that a `forget` was done. The same text again is the same note.
-- KEYS[1] the notes; ARGV[1] when it ended, epoch ms, ARGV[2] JSON
return redis.call('ZADD', KEYS[1], ARGV[1], ARGV[2])
