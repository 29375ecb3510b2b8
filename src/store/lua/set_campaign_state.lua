-- Moves a campaign from one state to another, with its event; leaves it alone in any other state.
-- KEYS[1] campaign; ARGV[1] states it may come from, comma-separated, ARGV[2] state it goes to,
-- then field, value ...
-- Returns the state it has now, and the outbox entry or ''.
local state = redis.call('HGET', campaign_key, 'state')
if not state then
  return { 'gone', '' }
end
if not (',' .. ARGV[1] .. ','):find(',' .. state .. ',', 1, true) then
  return { state, '' }
end
local now = now_ms()
local fields = {}
for i = 3, #ARGV do
  fields[#fields + 1] = ARGV[i]
end
redis.call('HSET', campaign_key, 'state', ARGV[2], ARGV[2] .. '_at', int(now), unpack(fields))
local outbox = redis.call('XADD', base .. 'outbox', '*', 'run', '', 'events', '[' .. campaign_event(ARGV[2], now) .. ']')
return { ARGV[2], outbox }
