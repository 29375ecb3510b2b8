-- Claims orders that a payment platform is to make, or may have made already.
-- KEYS[1] campaign; ARGV[1] how many at most, ARGV[2] lease of the claim in ms
-- Returns {campaign state, now, earliest time of what is left or '', then triples: number, 'fresh' | 'doubt',
-- order JSON}. What is claimed stands in `asked` until its claim ends: whoever dies with it leaves a doubt.
-- Of a campaign that rests or failed only the doubtful are taken.
local creating, asked, doubt = base .. 'creating', base .. 'asked', base .. 'doubt'
local now = now_ms()
local answer = { redis.call('HGET', campaign_key, 'state') or 'gone', int(now), '' }
local room = tonumber(ARGV[1])
local function take(from, kind)
  if room <= 0 then
    return
  end
  for _, n in ipairs(redis.call('ZRANGEBYSCORE', from, '-inf', int(now), 'LIMIT', 0, room)) do
    local order = redis.call('GET', base .. 'order:' .. n)
    redis.call('ZREM', from, n)
    if order then
      redis.call('ZADD', asked, int(now + ARGV[2]), n)
      answer[#answer + 1] = n
      answer[#answer + 1] = kind
      answer[#answer + 1] = order
      room = room - 1
    end
  end
end
take(asked, 'doubt')
take(doubt, 'doubt')
if answer[1] ~= 'paused' and answer[1] ~= 'failed' and answer[1] ~= 'gone' then
  take(creating, 'fresh')
end
for _, set in ipairs({ creating, asked, doubt }) do
  local first = redis.call('ZRANGE', set, 0, 0, 'WITHSCORES')
  if first[2] and (answer[3] == '' or tonumber(first[2]) < tonumber(answer[3])) then
    answer[3] = int(tonumber(first[2]))
  end
end
return answer
