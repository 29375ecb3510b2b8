-- Keeps a reply: on a case that still reads as it did when this was planned, or on one that is opened for it. A reply is
-- kept once, however often it is told.
-- KEYS[1] campaign; ARGV[1] digest of the reply, ARGV[2] how long it is remembered in ms, ARGV[3] events as JSON with
-- commas between, ARGV[4] number of the case, ARGV[5] its JSON as it was read, ARGV[6] its JSON as it is to be, or that of
-- the case to be opened, whose number reads 0 in it and in the events, ARGV[7] state before or '' (it is opened),
-- ARGV[8] state after, ARGV[9] index hash of its id, ARGV[10] its id (both for one that is opened)
-- Returns {'again', number}, {'moved'}, or {'done', number, outbox entry}.
local seen = base .. 'reply:' .. ARGV[1]
local known = redis.call('GET', seen)
if known then
  return { 'again', known }
end
local number, text, events = ARGV[4], ARGV[6], ARGV[3]
local key = base .. 'case:' .. number
if redis.call('GET', key) ~= ARGV[5] then
  return { 'moved' }
end
if ARGV[7] == '' then
  number = int(redis.call('HINCRBY', campaign_key, 'cases', 1))
  key = base .. 'case:' .. number
  text = text:gsub('"number":0,', '"number":' .. number .. ',', 1)
  events = events:gsub('"case":0,', '"case":' .. number .. ',')
  redis.call('HSET', base .. 'index:' .. ARGV[9], 'c:' .. ARGV[10], number)
else
  redis.call('HINCRBY', campaign_key, 'cases:' .. ARGV[7], -1)
end
redis.call('HINCRBY', campaign_key, 'cases:' .. ARGV[8], 1)
redis.call('SET', key, text)
redis.call('SET', seen, number, 'PX', ARGV[2])
return { 'done', number, redis.call('XADD', base .. 'outbox', '*', 'run', '', 'events', '[' .. events .. ']') }
