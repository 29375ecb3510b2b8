-- Takes the due alarms and hides them for a while: whoever took them works them off and disarms
-- them; if it dies, they come due again.
-- KEYS[1] the alarm clock; ARGV[1] limit, ARGV[2] for how long they hide, ms
-- Returns: now in ms, the next due time or '', then pairs: member, its new score.
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[1])
-- The half marks an alarm that is being worked off: setting it anew wins over hiding it.
local hidden = string.format('%.1f', now + ARGV[2] + 0.5)
local answer = { string.format('%.0f', now), '' }
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
