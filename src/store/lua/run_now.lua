-- Decides a run of a definition now, beside its due times. The same job again is told the same run.
-- KEYS[1] campaign; ARGV[1] name, ARGV[2] the job that asks
-- Returns {'run', its name, outbox entry}, {'gone'}, {'wrong', state}, {'under_way', run} or {'stale'} while another
-- run is about to be made
local name = ARGV[1]
local key = definition_key(name)
local d = redis.call('HMGET', key, 'state', 'asked_by', 'asked_run', 'pending')
if not d[1] then
  return { 'gone' }
end
if d[2] == ARGV[2] then
  return { 'run', d[3], '' }
end
if d[4] then
  return { 'stale' }
end
local campaign_state = redis.call('HGET', campaign_key, 'state')
if d[1] == 'stopped' then
  return { 'wrong', d[1] }
elseif not campaign_state or campaign_state == 'cancelled' then
  return { 'wrong', campaign_state or '' }
end
local last = run_under_way(key)
if last then
  return { 'under_way', last }
end
local now = now_ms()
local run = decide_run(name, key, int(now))
redis.call('HSET', key, 'asked_by', ARGV[2], 'asked_run', run)
local events = {}
stop_if_over(name, key, now, events)
return { 'run', run, publish(name, events) }
