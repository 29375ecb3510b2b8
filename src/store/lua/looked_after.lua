-- After a look at a member of the list of what is in progress: it goes to the end of the list, or leaves it. It
-- leaves only after a while without news, because whoever announced it may be about to write what it announced.
-- KEYS[1] the list; ARGV[1] member, ARGV[2] its score at the look, ARGV[3] 'drop' or 'keep', ARGV[4] how long
-- without news before it may leave, ms
-- Returns 1 when it left.
local score = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not score or tonumber(score) ~= tonumber(ARGV[2]) then
  return 0
end
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
if ARGV[3] == 'keep' then
  redis.call('ZADD', KEYS[1], 'XX', string.format('%.0f', now), ARGV[1])
elseif now - tonumber(score) > tonumber(ARGV[4]) then
  return redis.call('ZREM', KEYS[1], ARGV[1])
end
return 0
