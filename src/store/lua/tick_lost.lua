-- Decides again a run that a server lost with its decision, and whose messages were written again (reassert.lua): the
-- earliest of them, and none while another run is under way.
-- KEYS[1] campaign; ARGV[1] name, ARGV[2] its lost due times as the planner saw them, ARGV[3] the earliest, ARGV[4] the
-- due time after that or ''
-- Returns {'stale'}, {'waits'} or {'decided', outbox entry}
local name = ARGV[1]
local key = definition_key(name)
local d = redis.call('HMGET', key, 'state', 'lost', 'pending', 'next_at')
if d[1] ~= 'active' or d[2] ~= ARGV[2] or d[3] then
  return { 'stale' }
end
if run_under_way(key) or redis.call('HGET', campaign_key, 'state') == 'paused' then
  return { 'waits' }
end
local left = {}
for due in d[2]:gmatch('%d+') do
  if due ~= ARGV[3] then
    left[#left + 1] = due
  end
end
if #left == 0 then
  redis.call('HDEL', key, 'lost')
else
  redis.call('HSET', key, 'lost', table.concat(left, ','))
end
local events = {}
if redis.call('EXISTS', base .. 'run:' .. name .. '@' .. ARGV[3]) == 0 then
  decide_run(name, key, ARGV[3])
  -- It is not due a second time.
  if d[4] and tonumber(d[4]) <= tonumber(ARGV[3]) then
    if ARGV[4] == '' then
      redis.call('HDEL', key, 'next_at')
    else
      redis.call('HSET', key, 'next_at', ARGV[4])
    end
  end
  stop_if_over(name, key, now_ms(), events)
end
return { 'decided', publish(name, events) }
