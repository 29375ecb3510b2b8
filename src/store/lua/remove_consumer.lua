-- Removes a dead consumer of a stream, unless something is pending with it: that would be lost for ever.
-- KEYS[1] the stream; ARGV[1] group, ARGV[2] the consumer
-- Returns 1 when it is gone, 0 when something is pending with it.
if redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', 1, ARGV[2])[1] ~= nil then
  return 0
end
redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], ARGV[2])
return 1
