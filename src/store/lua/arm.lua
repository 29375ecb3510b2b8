-- Sets an alarm: to the earlier of two times, but to the new one when the alarm is just being worked
-- off (its score then has a fraction), for the hidden time means nothing.
-- KEYS[1] the alarm clock; ARGV[1] member, ARGV[2] due in ms
local score = redis.call('ZSCORE', KEYS[1], ARGV[1])
local due = tonumber(score or '0')
if not score or due % 1 ~= 0 or tonumber(ARGV[2]) < due then
  redis.call('ZADD', KEYS[1], ARGV[2], ARGV[1])
  redis.call('PUBLISH', KEYS[1], ARGV[2])
end
return 1
