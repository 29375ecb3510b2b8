-- A delayed or parked job comes due: the entry that the alarm clock wrote takes it over.
-- KEYS[1] the job's hash; ARGV[1] `<queue>:<entry id>` of that entry
-- Returns {'run', payload, attempt, '1' when its handler began before or '', the trace it belongs to or ''} or {'absorbed', state}: the alarm fired twice.
local job = redis.call('HMGET', KEYS[1], 'state', 'entry', 'payload', 'attempt', 'begun', 'traceparent')
local state, entry = job[1], job[2]
if not state then
  return { 'absorbed', 'gone' }
end
if state == 'scheduled' or state == 'parked' or (state == 'running' and entry == ARGV[1]) then
  local t = redis.call('TIME')
  redis.call('HSET', KEYS[1], 'state', 'running', 'entry', ARGV[1],
    'started_at', t[1] * 1000 + math.floor(t[2] / 1000))
  return { 'run', job[3] or '', job[4] or '1', job[5] or '', job[6] or '' }
end
return { 'absorbed', state }
