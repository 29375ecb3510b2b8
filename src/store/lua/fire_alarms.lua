-- Takes the due alarms and hides them for a while: whoever took them works them off and disarms
-- them; if it dies, they come due again. Those that were taken by the dead are due at once.
-- KEYS[1] the alarm clock; ARGV[1] limit, ARGV[2] for how long they hide, ms, ARGV[3] the mark of who
-- takes them (1 to 1023), ARGV[4...] marks of takers who do not work them off
-- Returns: now in ms, the next due time or '', how many of the latter there were, then pairs: member, its new score.
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local freed = 0
if ARGV[4] then
  local stale = {}
  for i = 4, #ARGV do
    stale[tonumber(ARGV[i])] = true
  end
  -- The latest first: they were hidden last. So many are looked at; among more, they come when their time is over.
  local hidden = redis.call('ZREVRANGEBYSCORE', KEYS[1], now + ARGV[2] + 1, '(' .. string.format('%.0f', now), 'WITHSCORES',
    'LIMIT', 0, 5000)
  for i = 1, #hidden, 2 do
    if stale[(tonumber(hidden[i + 1]) % 1) * 1024] then
      redis.call('ZADD', KEYS[1], 'XX', string.format('%.0f', now), hidden[i])
      freed = freed + 1
    end
  end
end
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[1])
-- The fraction marks an alarm that is being worked off: setting it anew wins over hiding it.
local hidden = string.format('%.10f', now + ARGV[2] + ARGV[3] / 1024)
local answer = { string.format('%.0f', now), '', freed }
for _, member in ipairs(due) do
  redis.call('ZADD', KEYS[1], 'XX', hidden, member)
  answer[#answer + 1] = member
  answer[#answer + 1] = hidden
end
local first = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
if first[2] then
  answer[2] = string.format('%.0f', math.floor(first[2]))
end
return answer
