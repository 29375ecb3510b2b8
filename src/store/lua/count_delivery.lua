-- Counts one more delivery of an adopted entry, directly before it runs.
-- KEYS[1] the stream; ARGV[1] group, ARGV[2] our consumer, ARGV[3] entry id
-- Returns the new count, or 0 when the entry is no longer ours.
local pending = redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[3], ARGV[3], 1)
if pending[1] == nil or pending[1][2] ~= ARGV[2] then
  return 0
end
local count = pending[1][4] + 1
redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, ARGV[3], 'RETRYCOUNT', count, 'JUSTID')
return count
