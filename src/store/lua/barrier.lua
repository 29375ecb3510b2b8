-- The barrier before anybody claims on a server that is new: what all daemons did is to stand there first.
-- KEYS[1] the server's hash: which one, since when by its own clock, who is done, whether it is open
-- ARGV[1] the server, ARGV[2] how long is waited for others that give no sign of being at it in ms, ARGV[3] our incarnation,
-- ARGV[4] number d of incarnations whose claims and outcomes stand here (we, and dead ones of our instance), these, then the
-- incarnations that seem to be alive
-- Returns {'open'}, or {'closed', how long at most it stays so in ms}.
-- Without d it is only noted that the server is new, and that we are at it, for ourselves and for the dead ones that stand in
-- the place of those who seem to be alive. Where the data came from another server, it stays closed for a moment
-- in any case: a daemon that began just before may not stand in these data.
local MOMENT = 1000
local key = KEYS[1]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local known = redis.call('HMGET', key, 'server', 'since', 'open', 'moment')
if known[1] ~= ARGV[1] then
  known = { ARGV[1], now, false, known[1] and MOMENT or 0 }
  redis.call('DEL', key)
  redis.call('HSET', key, 'server', ARGV[1], 'since', string.format('%d', now), 'moment', known[4])
end
if known[3] then
  return { 'open' }
end
local since = tonumber(known[2])
if now < since then
  -- The clock was set back: the wait begins anew, and does not become longer.
  since = now
  redis.call('HSET', key, 'since', string.format('%d', now))
end
redis.call('HSET', key, 'at:' .. ARGV[3], string.format('%d', now))
local done = tonumber(ARGV[4])
if done == 0 then
  for i = 5, #ARGV do
    redis.call('HSET', key, 'at:' .. ARGV[i], string.format('%d', now))
  end
  return { 'closed', '0' }
end
for i = 5, 4 + done do
  redis.call('HSET', key, 'done:' .. ARGV[i], '1')
end
-- Whoever writes what it did again is waited for as long as that takes: only silence is taken for death.
local left, missing = 0, false
for i = 5 + done, #ARGV do
  if redis.call('HEXISTS', key, 'done:' .. ARGV[i]) == 0 then
    local sign = tonumber(redis.call('HGET', key, 'at:' .. ARGV[i]) or since)
    missing, left = true, math.max(left, math.min(sign, now) + ARGV[2] - now)
  end
end
if not missing then
  left = since + known[4] - now
end
if done > 0 and left <= 0 then
  redis.call('DEL', key)
  redis.call('HSET', key, 'server', ARGV[1], 'since', string.format('%d', since), 'open', string.format('%d', now))
  return { 'open' }
end
return { 'closed', string.format('%d', math.max(left, 0)) }
