-- Removes alarms that were worked off, unless they were set anew meanwhile.
-- KEYS[1] the alarm clock; ARGV pairs: member, the score it was hidden with
local removed = 0
for i = 1, #ARGV, 2 do
  local score = redis.call('ZSCORE', KEYS[1], ARGV[i])
  if score and tonumber(score) == tonumber(ARGV[i + 1]) then
    removed = removed + redis.call('ZREM', KEYS[1], ARGV[i])
  end
end
return removed
