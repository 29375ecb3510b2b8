-- Settles entries of one stream: acknowledges and deletes them and, where a slot goes on, adds its
-- successor to the tail, all in one step.
-- KEYS[1] the stream
-- ARGV[1] group, ARGV[2] our consumer, then triples: entry id, 'o' when ownership must be looked at
--         first (the entry was held for long) or '', the successor's slot text or ''
-- Returns the ids that were no longer ours and were left alone.
local lost = {}
local group, me = ARGV[1], ARGV[2]
for i = 3, #ARGV, 3 do
  local id, look, successor = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local ours = true
  if look == 'o' then
    local pending = redis.call('XPENDING', KEYS[1], group, id, id, 1)
    ours = pending[1] ~= nil and pending[1][2] == me
  end
  if ours then
    local acked = redis.call('XACK', KEYS[1], group, id)
    redis.call('XDEL', KEYS[1], id)
    -- A repeat after a lost reply finds nothing to acknowledge and adds no second successor.
    if successor ~= '' and acked == 1 then
      redis.call('XADD', KEYS[1], '*', 'slot', successor)
    end
  else
    lost[#lost + 1] = id
  end
end
return lost
