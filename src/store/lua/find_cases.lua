-- Finds cases by their ids.
-- KEYS[1] campaign; ARGV pairs: index shard, id
-- Returns {state of the campaign, how many cases it has}, then for each id its number and JSON, or '' and ''.
local c = redis.call('HMGET', campaign_key, 'state', 'cases')
local answer = { c[1] or 'gone', c[2] or '0' }
local keys, places = {}, {}
for i = 1, #ARGV, 2 do
  local number = redis.call('HGET', base .. 'index:' .. ARGV[i], 'c:' .. ARGV[i + 1])
  answer[#answer + 1] = number or ''
  answer[#answer + 1] = ''
  if number then
    keys[#keys + 1] = base .. 'case:' .. number
    places[#places + 1] = #answer
  end
end
-- A call takes some thousand arguments at most.
for first = 1, #keys, 1000 do
  for i, text in ipairs(redis.call('MGET', unpack(keys, first, math.min(first + 999, #keys)))) do
    answer[places[first + i - 1]] = text or ''
  end
end
return answer
