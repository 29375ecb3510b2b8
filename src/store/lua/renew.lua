-- Renews the leases of entries that are still ours. XCLAIM takes from any owner, so each entry is
-- looked at first.
-- KEYS[1] the stream; ARGV[1] group, ARGV[2] our consumer, then pairs: entry id, 'p' when progress
--         was recorded since (its delivery count starts again at 1) or ''
-- Returns the ids that are no longer ours.
local lost = {}
local group, me = ARGV[1], ARGV[2]
for i = 3, #ARGV, 2 do
  local id = ARGV[i]
  local pending = redis.call('XPENDING', KEYS[1], group, id, id, 1)
  if pending[1] ~= nil and pending[1][2] == me then
    if ARGV[i + 1] == 'p' then
      redis.call('XCLAIM', KEYS[1], group, me, 0, id, 'RETRYCOUNT', 1, 'JUSTID')
    else
      redis.call('XCLAIM', KEYS[1], group, me, 0, id, 'JUSTID')
    end
  else
    lost[#lost + 1] = id
  end
end
return lost
