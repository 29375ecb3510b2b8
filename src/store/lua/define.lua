-- Writes a definition, new or changed. A changed one keeps its counts and takes effect at its next due time.
-- KEYS[1] campaign; ARGV[1] name, ARGV[2] the version it replaces, '0' where there is none, ARGV[3] its next due time,
-- ARGV[4] how many fields follow as field, value ..., then fields that are to be absent
-- Returns {'written', version, outbox entry}, {'stale'} when another job changed it or a run of it is about to be made,
-- or {'refused', the campaign's state}.
local campaign_state = redis.call('HGET', campaign_key, 'state')
if not campaign_state or campaign_state == 'cancelled' then
  return { 'refused', campaign_state or '' }
end
local name = ARGV[1]
local key = definition_key(name)
local known = redis.call('HMGET', key, 'version', 'pending')
if (known[1] or '0') ~= ARGV[2] or known[2] then
  return { 'stale' }
end
local now = now_ms()
local version = int(tonumber(ARGV[2]) + 1)
local fields, absent = {}, {}
for i = 5, 4 + tonumber(ARGV[4]) do
  fields[#fields + 1] = ARGV[i]
end
for i = 5 + tonumber(ARGV[4]), #ARGV do
  absent[#absent + 1] = ARGV[i]
end
if not known[1] then
  redis.call('HSET', key, 'recurring', name, 'state', 'active', 'created_at', int(now), 'runs', 0, 'missed', 0, 'overlapped', 0)
  redis.call('ZADD', base .. 'definitions', int(now), name)
end
if #absent > 0 then
  redis.call('HDEL', key, unpack(absent))
end
redis.call('HSET', key, 'version', version, 'updated_at', int(now), unpack(fields))
-- One that had come to its own end goes on where the change gives it more; a paused one stays paused.
local state = redis.call('HGET', key, 'state')
if state == 'stopped' then
  state = 'active'
  redis.call('HSET', key, 'state', state)
  redis.call('HDEL', key, 'reason', 'stopped_at')
end
local more = ',"version":' .. version
if state == 'active' then
  redis.call('HSET', key, 'next_at', ARGV[3])
  more = more .. ',"next":' .. ARGV[3]
end
local events = {}
events[1] = recurring_event(name, 'defined', state, now, more)
stop_if_over(name, key, now, events)
return { 'written', version, publish(name, events) }
