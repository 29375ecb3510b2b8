-- Renews the lease of a slot that is still ours.
-- KEYS[1] campaign; ARGV[1] run, ARGV[2] slot, ARGV[3] fence, ARGV[4] our incarnation, ARGV[5] lease in ms
-- Returns 1, or 0 when the slot has another owner.
local slots_key = base .. 'run:' .. ARGV[1] .. ':slots'
local k = ARGV[2]
local slot = redis.call('HMGET', slots_key, k .. ':owner', k .. ':fence')
if slot[1] ~= ARGV[4] or slot[2] ~= ARGV[3] then
  return 0
end
redis.call('HSET', slots_key, k .. ':until', int(now_ms() + ARGV[5]))
return 1
