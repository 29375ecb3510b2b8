-- Publishes events over `maxmemory`, where the usual way is refused.
-- KEYS[1] the stream; ARGV triples: event id, kind, JSON
-- Returns how many.
for i = 1, #ARGV, 3 do
  redis.call('XADD', KEYS[1], '*', 'event', ARGV[i], 'type', ARGV[i + 1], 'data', ARGV[i + 2])
end
return #ARGV / 3
