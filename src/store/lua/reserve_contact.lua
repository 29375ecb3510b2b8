-- Reserves one message to an address under its frequency caps. A reservation is named by its delivery, so that the same
-- one again counts once.
-- KEYS[1] the notes of the address (zset: delivery by the time of its reservation in epoch ms)
-- ARGV[1] the delivery `<campaign>/<run>/<recipient>.<contact>`, ARGV[2] how long notes are kept in ms, ARGV[3] how a
-- delivery of the same run begins where one message an address and run is wanted, else '', then pairs, a cap each:
-- messages from this time on count (epoch ms), how many there may be
-- Returns {'reserved'}, {'same'} (another message of the run has the address), or
-- {'full', number of the cap from 0, time of the message that must stop counting first}.
local NOTES_MAX = 200
local key, delivery, same = KEYS[1], ARGV[1], ARGV[3]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if same ~= '' then
  for _, other in ipairs(redis.call('ZRANGE', key, 0, -1)) do
    if other ~= delivery and other:sub(1, #same) == same then
      return { 'same' }
    end
  end
end
local own = tonumber(redis.call('ZSCORE', key, delivery) or '-1')
for i = 4, #ARGV, 2 do
  local since, most = tonumber(ARGV[i]), tonumber(ARGV[i + 1])
  if own < since then
    local there = redis.call('ZCOUNT', key, ARGV[i], '+inf')
    if there >= most then
      -- Room is made when all but `most - 1` of those that count have stopped counting.
      local last = redis.call('ZRANGE', key, ARGV[i], '+inf', 'BYSCORE', 'LIMIT', there - most, 1, 'WITHSCORES')
      return { 'full', string.format('%d', (i - 4) / 2), last[2] }
    end
  end
end
redis.call('ZADD', key, string.format('%d', now), delivery)
redis.call('ZREMRANGEBYRANK', key, 0, -NOTES_MAX - 1)
if redis.call('PTTL', key) < tonumber(ARGV[2]) then
  redis.call('PEXPIRE', key, ARGV[2])
end
return { 'reserved' }
