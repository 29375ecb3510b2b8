-- A run that was decided cannot be made with this configuration: its due time counts as missed, for that reason.
-- KEYS[1] campaign; ARGV[1] name, ARGV[2] the run, ARGV[3] why, as a code
-- Returns the outbox entry, or '' when it is not decided any more.
local name, run = ARGV[1], ARGV[2]
local key = definition_key(name)
local d = redis.call('HMGET', key, 'pending', 'state')
if d[1] ~= run then
  return ''
end
redis.call('HDEL', key, 'pending')
redis.call('HINCRBY', key, 'runs', -1)
redis.call('HINCRBY', key, 'missed', 1)
local more = ',"reason":"' .. ARGV[3] .. '","due":' .. run:match('@(%d+)$') .. ',"count":1'
return publish(name, { recurring_event(name, 'missed', d[2], now_ms(), more) })
