-- Changes an element of a list that still reads as it did.
-- KEYS[1] the list; ARGV[1] index, ARGV[2] old, ARGV[3] new
-- Returns 1, or 0 when it reads otherwise.
if redis.call('LINDEX', KEYS[1], ARGV[1]) ~= ARGV[2] then
  return 0
end
redis.call('LSET', KEYS[1], ARGV[1], ARGV[3])
return 1
