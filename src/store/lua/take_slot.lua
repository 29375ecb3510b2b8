-- Takes a slot for one turn.
-- KEYS[1] campaign; ARGV[1] run, ARGV[2] slot, ARGV[3] token of the entry, ARGV[4] our incarnation,
-- ARGV[5] lease in ms, ARGV[6..] incarnations known to be dead
-- Returns one of
--   {'stale'}: another entry stands for this slot; {'gone'}: no such run; {'ended', state}
--   {'paused', by}: nothing is claimed while paused; resume arms the slot again
--   {'busy', until}: a live owner holds it
--   {'taken', fence, then fours: delivery, cell, order JSON or '', case JSON or ''} of what a dead owner left in flight
local run_key = base .. 'run:' .. ARGV[1]
local slots_key = run_key .. ':slots'
local k, me = ARGV[2], ARGV[4]
local run = redis.call('HMGET', run_key, 'state', 'paused_by', 'auto_paused')
if not run[1] then
  return { 'gone' }
end
local slot = redis.call('HMGET', slots_key, k .. ':owner', k .. ':until', k .. ':token', k .. ':batches')
if slot[3] ~= ARGV[3] then
  return { 'stale' }
end
local now = now_ms()
local owner = slot[1] or ''
if owner ~= '' and owner ~= me and is_live(slot[2], now) then
  local dead = false
  for i = 6, #ARGV do
    dead = dead or ARGV[i] == owner
  end
  if not dead then
    return { 'busy', slot[2] }
  end
end
-- Recipients a dead owner left in flight are looked after even where the run was paused or cancelled.
local fence = redis.call('HINCRBY', run_key, 'fence', 1)
redis.call('HSET', slots_key, k .. ':owner', me, k .. ':fence', fence,
  k .. ':until', int(now + ARGV[5]), k .. ':queued', '0')
redis.call('HDEL', slots_key, k .. ':nonce', k .. ':claimed', k .. ':claimed_at')
local answer = { 'taken', tostring(fence) }
-- A retry may be in flight of a recipient whose batch is not yet done with: it is looked at once.
local seen = {}
local cases = redis.call('HGET', run_key, 'audience') == 'cases'
local function look(delivery)
  if seen[delivery] then
    return
  end
  seen[delivery] = true
  local cell = redis.call('HGET', place_of(run_key, delivery))
  if cell and cell:sub(1, 2) == 'c,' then
    local text = redis.call('GET', base .. (cases and 'case:' or 'order:') .. delivery:match('^%d+')) or ''
    answer[#answer + 1] = delivery
    answer[#answer + 1] = cell
    answer[#answer + 1] = cases and '' or text
    answer[#answer + 1] = cases and text or ''
  end
end
for from, _, next_n in (slot[4] or ''):gmatch('(%d+)-(%d+)-(%d+);') do
  for n = tonumber(from), tonumber(next_n) - 1 do
    look(int(n))
  end
end
local held = IN_FLIGHT + tonumber(k)
for _, delivery in ipairs(redis.call('ZRANGEBYSCORE', run_key .. ':retry', int(held), int(held))) do
  look(delivery)
end
if #answer == 2 then
  -- Nothing is left of an earlier owner: now the flags count.
  local reason = run[2] or run[3]
  if redis.call('HGET', campaign_key, 'state') == 'paused' then
    reason = reason or 'campaign'
  end
  if run[1] ~= 'running' or reason then
    redis.call('HSET', slots_key, k .. ':owner', '', k .. ':until', '0')
    if run[1] ~= 'running' then
      return { 'ended', run[1] }
    end
    return { 'paused', reason }
  end
end
return answer
