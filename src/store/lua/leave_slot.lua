-- Ends a turn: frees the slot's lease. Nothing of the turn is in flight any more.
-- KEYS[1] campaign; ARGV[1] run, ARGV[2] slot, ARGV[3] fence, ARGV[4] our incarnation,
-- ARGV[5] '1' when its entry goes on to the tail of the queue, '?' when the turn found nothing to do:
-- then the slot goes idle, unless there is something by now (a resume, a retry) that met a live lease;
-- '0' when it goes idle whatever there is: the contact hours are closed, and the alarm clock arms it again
-- Returns 'on' or 'idle', or 'lost' when the slot has another owner.
local slots_key = base .. 'run:' .. ARGV[1] .. ':slots'
local k = ARGV[2]
local slot = redis.call('HMGET', slots_key, k .. ':owner', k .. ':fence', k .. ':batches')
if slot[1] ~= ARGV[4] or slot[2] ~= ARGV[3] then
  return 'lost'
end
-- Batches claimed to their end are done with; an open one waits for the next turn.
local open = ''
for from, to, next_n in (slot[3] or ''):gmatch('(%d+)-(%d+)-(%d+);') do
  if tonumber(next_n) <= tonumber(to) then
    open = open .. next_n .. '-' .. to .. '-' .. next_n .. ';'
  end
end
local on = ARGV[5] == '1'
if ARGV[5] == '?' then
  local run_key = base .. 'run:' .. ARGV[1]
  local run = redis.call('HMGET', run_key, 'state', 'paused_by', 'cursor', 'end', 'auto_paused')
  local campaign_state = redis.call('HGET', campaign_key, 'state')
  local free = run[1] == 'running' and not run[2] and not run[5] and campaign_state ~= 'paused' and campaign_state ~= 'cancelled'
  on = free and (tonumber(run[3]) <= tonumber(run[4]) or open ~= ''
    or redis.call('ZCOUNT', run_key .. ':retry', '-inf', int(now_ms())) > 0)
end
redis.call('HSET', slots_key, k .. ':owner', '', k .. ':until', '0', k .. ':queued', on and '1' or '0',
  k .. ':batches', open)
redis.call('HDEL', slots_key, k .. ':nonce', k .. ':claimed', k .. ':claimed_at')
return on and 'on' or 'idle'
