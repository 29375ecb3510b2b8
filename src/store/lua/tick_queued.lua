-- Begins the run that stands in line behind another, once that has ended.
-- KEYS[1] campaign; ARGV[1] name, ARGV[2] the due time that stands in line
-- Returns {'stale'}, {'waits'} or {'decided', outbox entry}
local name = ARGV[1]
local key = definition_key(name)
local d = redis.call('HMGET', key, 'state', 'queued', 'pending')
if d[1] ~= 'active' or d[2] ~= ARGV[2] or d[3] then
  return { 'stale' }
end
local campaign_state = redis.call('HGET', campaign_key, 'state')
if run_under_way(key) or campaign_state == 'paused' then
  return { 'waits' }
end
local events = {}
decide_run(name, key, ARGV[2])
stop_if_over(name, key, now_ms(), events)
return { 'decided', publish(name, events) }
