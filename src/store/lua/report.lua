-- Tells the channel what its provider did: opens, closes and lengthens the breaker, notes blocks.
-- KEYS[1] the channel's hash
-- ARGV[1] 'ok' | 'trouble' (too many failures in a row at the reporting daemon, or a failed probe) | 'throttled' | 'denied',
-- ARGV[2] milliseconds (cooldown, or the wait the provider asked for), ARGV[3] reason, ARGV[4] longest cooldown in ms,
-- ARGV[5] '1' for a failed probe
-- Returns the state: 'closed' | 'open' | 'blocked' | 'paused', or 'paused_before' where it was so already.
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local function text(n)
  return string.format('%.0f', n)
end
if ARGV[1] == 'ok' then
  redis.call('HDEL', KEYS[1], 'breaker_until', 'breaker_opened', 'breaker_reason')
  return 'closed'
elseif ARGV[1] == 'throttled' then
  local untl = now + ARGV[2]
  local before = tonumber(redis.call('HGET', KEYS[1], 'blocked_until') or '0')
  redis.call('HSET', KEYS[1], 'blocked_until', text(math.max(untl, before)), 'blocked_reason', ARGV[3])
  return 'blocked'
elseif ARGV[1] == 'denied' then
  local first = redis.call('HSETNX', KEYS[1], 'paused', ARGV[3])
  redis.call('HSETNX', KEYS[1], 'paused_at', text(now))
  return first == 1 and 'paused' or 'paused_before'
end
-- Each time a probe fails the pause doubles; failures that were in flight when it opened, at whatever daemon, say nothing new.
local opened = redis.call('HGET', KEYS[1], 'breaker_opened')
if opened and ARGV[5] ~= '1' then
  return 'open'
end
local times = tonumber(opened or '0')
local cooldown = math.min(ARGV[2] * 2 ^ times, tonumber(ARGV[4]))
redis.call('HSET', KEYS[1], 'breaker_opened', text(times + 1), 'breaker_until', text(now + cooldown),
  'breaker_reason', ARGV[3])
return 'open'
