-- Arms the slots of a run that nobody runs and nobody waits for: each gets a new token, so that an
-- older entry of that slot, should one turn up, is recognised as stale.
-- KEYS[1] campaign; ARGV[1] run, ARGV[2] 'wake' (leave slots alone that have an entry waiting) or
-- 'repair', then with 'repair' the slots whose entries are missing. Those are armed in a stopped run too while it
-- has recipients in flight: whoever takes the slot judges what a dead owner left, and nothing else
-- Returns the channel, then pairs: slot, token.
local run_key = base .. 'run:' .. ARGV[1]
local run = redis.call('HMGET', run_key, 'state', 'slots', 'channel', 'paused_by', 'sending', 'auto_paused')
local answer = { run[3] or '' }
local campaign_state = redis.call('HGET', campaign_key, 'state')
local stopped = run[1] ~= 'running' or run[4] or run[6] or campaign_state == 'paused' or campaign_state == 'cancelled'
if stopped and not (ARGV[2] == 'repair' and tonumber(run[5] or '0') > 0) then
  return answer
end
local slots_key = run_key .. ':slots'
local now = now_ms()
local wanted = {}
if ARGV[2] == 'repair' then
  for i = 3, #ARGV do
    wanted[#wanted + 1] = ARGV[i]
  end
else
  for k = 0, tonumber(run[2]) - 1 do
    wanted[#wanted + 1] = int(k)
  end
end
for _, k in ipairs(wanted) do
  local slot = redis.call('HMGET', slots_key, k .. ':until', k .. ':queued')
  if not is_live(slot[1], now) and (ARGV[2] == 'repair' or slot[2] ~= '1') then
    local token = redis.call('HINCRBY', slots_key, k .. ':token', 1)
    redis.call('HSET', slots_key, k .. ':queued', '1')
    answer[#answer + 1] = k
    answer[#answer + 1] = tostring(token)
  end
end
return answer
