-- Reserves message parts on a channel: GCRA on Redis TIME in microseconds, shared by all daemons.
-- KEYS[1] the channel's hash; ARGV[1] parts wanted, ARGV[2] microseconds between two parts, with decimals (0 = no
-- limit), ARGV[3] how far ahead may be reserved, in microseconds, ARGV[4] how long a probe of the
-- breaker may take, ms
-- Returns {granted, microseconds until the first may go, wait in ms when nothing was granted, why:
-- '' | 'rate' | 'paused' | 'blocked' | 'breaker' | 'probe' (one message, to see whether the provider is back)}
local c = redis.call('HMGET', KEYS[1], 'tat_us', 'blocked_until', 'paused', 'breaker_until')
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local now_ms = math.floor(now / 1000)
local want = tonumber(ARGV[1])
if c[3] then
  return { 0, 0, 1000, 'paused' }
end
if c[2] and tonumber(c[2]) > now_ms then
  return { 0, 0, tonumber(c[2]) - now_ms, 'blocked' }
end
local why = ''
-- Neither a pause of the breaker nor a reservation reaches further than this: beyond it lies what was written before
-- Redis' clock was set back.
local FAR_MS = 600000
if c[4] then
  if tonumber(c[4]) > now_ms and tonumber(c[4]) <= now_ms + FAR_MS then
    return { 0, 0, tonumber(c[4]) - now_ms, 'breaker' }
  end
  -- Half open: one probe; the others wait until it has answered or its time is up.
  redis.call('HSET', KEYS[1], 'breaker_until', string.format('%.0f', now_ms + ARGV[4]))
  want, why = 1, 'probe'
end
local gap = tonumber(ARGV[2])
if gap == 0 then
  return { want, 0, 0, why }
end
local tat = math.max(tonumber(c[1] or '0'), now)
if tat > now + FAR_MS * 1000 then
  tat = now
end
local ahead = tonumber(ARGV[3])
-- At most `ahead` is ever reserved, so that daemons share the rate and a pause binds soon.
local fit = math.floor((now + ahead - tat) / gap) + 1
if why == '' and fit < 1 then
  return { 0, 0, math.ceil((tat - now - ahead) / 1000), 'rate' }
end
local granted = math.max(1, math.min(want, fit))
redis.call('HSET', KEYS[1], 'tat_us', string.format('%.3f', tat + granted * gap))
return { granted, math.floor(tat - now), 0, why }
