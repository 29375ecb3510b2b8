-- Gives entries back at a drain, without counting the delivery: the next sweep of any daemon takes
-- them at once, because they look idle for a day.
-- KEYS[1] the stream; ARGV[1] group, ARGV[2] our consumer, then pairs: entry id, 'c' when this
--         delivery was counted, and is taken off, or ''
-- Returns how many were given back.
local given = 0
for i = 3, #ARGV, 2 do
  local pending = redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[i], ARGV[i], 1)
  if pending[1] ~= nil and pending[1][2] == ARGV[2] then
    local count = pending[1][4]
    if ARGV[i + 1] == 'c' then
      count = math.max(count - 1, 0)
    end
    redis.call('XCLAIM', KEYS[1], ARGV[1], 'released', 0, ARGV[i],
      'IDLE', 86400000, 'RETRYCOUNT', count, 'JUSTID')
    given = given + 1
  end
end
return given
