-- Notes that the contact hours of a run are closed, or that they are open again.
-- KEYS[1] campaign; ARGV[1] run, ARGV[2] when they open (epoch ms), '' where they are open, ARGV[3] why they are closed
-- Returns the outbox entry of the event, or ''.
local run_key = base .. 'run:' .. ARGV[1]
local run = redis.call('HMGET', run_key, 'state', 'held_until', 'paused_by', 'auto_paused')
local closed = ARGV[2] ~= ''
if run[1] ~= 'running' or run[2] == (closed and ARGV[2]) then
  return ''
end
local now = now_ms()
if closed then
  redis.call('HSET', run_key, 'held_until', ARGV[2], 'held_reason', ARGV[3])
else
  redis.call('HDEL', run_key, 'held_until', 'held_reason')
  redis.call('HSET', run_key, 'opened_at', int(now))
end
-- People see a pause before they see a hold.
if run[3] or run[4] or (closed and run[2]) then
  return ''
end
local event = run_event(ARGV[1], closed and 'held' or 'running', now)
if closed then
  event = event:sub(1, -2) .. ',"until":' .. ARGV[2] .. '}'
end
return redis.call('XADD', base .. 'outbox', '*', 'run', ARGV[1], 'events', '[' .. event .. ']')
