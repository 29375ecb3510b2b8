-- Ends a turn: frees the slot's lease. Nothing of the turn is in flight any more.
-- KEYS[1] campaign; ARGV[1] run, ARGV[2] slot, ARGV[3] fence, ARGV[4] our incarnation,
-- ARGV[5] '1' when its entry goes on to the tail of the queue, '0' when the slot goes idle
-- Returns 1, or 0 when the slot has another owner.
local slots_key = base .. 'run:' .. ARGV[1] .. ':slots'
local k = ARGV[2]
local slot = redis.call('HMGET', slots_key, k .. ':owner', k .. ':fence', k .. ':batches')
if slot[1] ~= ARGV[4] or slot[2] ~= ARGV[3] then
  return 0
end
-- Batches claimed to their end are done with; an open one waits for the next turn.
local open = ''
for from, to, next_n in (slot[3] or ''):gmatch('(%d+)-(%d+)-(%d+);') do
  if tonumber(next_n) <= tonumber(to) then
    open = open .. next_n .. '-' .. to .. '-' .. next_n .. ';'
  end
end
redis.call('HSET', slots_key, k .. ':owner', '', k .. ':until', '0', k .. ':queued', ARGV[5], k .. ':batches', open)
redis.call('HDEL', slots_key, k .. ':nonce', k .. ':claimed')
return 1
