-- Numbers the orders or the cases of a campaign for their unsubscribe links, or finds their number. A number is never
-- given twice, so that an old link leads nowhere rather than elsewhere.
-- KEYS[1] the index of circles; ARGV[1] the circle's name
-- Returns its number.
local number = redis.call('HGET', KEYS[1], ARGV[1])
if not number then
  number = redis.call('HINCRBY', KEYS[1], 'next', 1)
  redis.call('HSET', KEYS[1], ARGV[1], number, '#' .. number, ARGV[1])
end
return tonumber(number)
