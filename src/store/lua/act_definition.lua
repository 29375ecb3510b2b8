-- Pauses, resumes or stops a definition. Runs that have begun go on; one that was decided and not begun is dropped.
-- KEYS[1] campaign; ARGV[1] name, ARGV[2] 'pause' | 'resume' | 'cancel', ARGV[3] who asks, ARGV[4] for resume: the
-- version and ARGV[5] its next due time from now, or '' when nothing is due any more
-- Returns {'done', outbox entry}, {'same', state}, {'gone'}, {'wrong', state} or {'stale'}
local name, action = ARGV[1], ARGV[2]
local key = definition_key(name)
local d = redis.call('HMGET', key, 'state', 'version')
local state = d[1]
if not state then
  return { 'gone' }
end
local now = now_ms()
local events = {}
if action == 'cancel' then
  if state == 'stopped' then
    return { 'same', state }
  end
  redis.call('HDEL', key, 'pending')
  stop_definition(name, ARGV[3], now, events)
  redis.call('HSET', key, 'stopped_by', ARGV[3])
elseif action == 'pause' then
  if state == 'paused' then
    return { 'same', state }
  elseif state ~= 'active' then
    return { 'wrong', state }
  end
  redis.call('HSET', key, 'state', 'paused', 'paused_by', ARGV[3], 'paused_at', int(now))
  redis.call('HDEL', key, 'next_at', 'queued', 'pending')
  events[1] = recurring_event(name, 'paused', 'paused', now)
else
  if state == 'active' then
    return { 'same', state }
  elseif state ~= 'paused' then
    return { 'wrong', state }
  elseif d[2] ~= ARGV[4] then
    return { 'stale' }
  end
  redis.call('HSET', key, 'state', 'active')
  redis.call('HDEL', key, 'paused_by', 'paused_at')
  local more = ''
  if ARGV[5] ~= '' then
    redis.call('HSET', key, 'next_at', ARGV[5])
    more = ',"next":' .. ARGV[5]
  end
  events[1] = recurring_event(name, 'resumed', 'active', now, more)
  stop_if_over(name, key, now, events)
end
return { 'done', publish(name, events) }
