-- Gives each row key its number: an order is numbered once, in row order, however often it is asked.
-- KEYS[1] campaign; ARGV[1] highest number before the rows asked for now, then pairs: index shard, row key
-- Returns the campaign's state, then for each row its number, negative when it was numbered before.
local answer = { redis.call('HGET', campaign_key, 'state') or 'gone' }
local next_number = tonumber(redis.call('HGET', campaign_key, 'next') or '1')
local first = next_number
local before = tonumber(ARGV[1])
for i = 2, #ARGV, 2 do
  local index = base .. 'index:' .. ARGV[i]
  local field = 'o:' .. ARGV[i + 1]
  if redis.call('HSETNX', index, field, int(next_number)) == 1 then
    answer[#answer + 1] = next_number
    next_number = next_number + 1
  else
    local number = tonumber(redis.call('HGET', index, field))
    if number <= before and redis.call('EXISTS', base .. 'order:' .. int(number)) == 0 then
      -- Numbered by a job that died before it wrote the order, and never took up its work again.
      redis.call('HSET', index, field, int(next_number))
      answer[#answer + 1] = next_number
      next_number = next_number + 1
    else
      answer[#answer + 1] = -number
    end
  end
end
if next_number > first then
  redis.call('HSET', campaign_key, 'next', int(next_number))
end
return answer
