-- Changes fields of a hash that still read as they did.
-- KEYS[1] the hash; ARGV triples: field, old value, new value
-- Returns how many were changed.
local changed = 0
for i = 1, #ARGV, 3 do
  if redis.call('HGET', KEYS[1], ARGV[i]) == ARGV[i + 1] then
    redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 2])
    changed = changed + 1
  end
end
return changed
