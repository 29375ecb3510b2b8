-- Puts another entry in place of one: a stream cannot be changed, so the new one stands at its end.
-- KEYS[1] the stream; ARGV[1] id of the old entry, then field, value ...
-- Returns 1, or 0 when the old one is gone.
if #redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[1]) == 0 then
  return 0
end
local fields = {}
for i = 2, #ARGV do
  fields[#fields + 1] = ARGV[i]
end
redis.call('XADD', KEYS[1], '*', unpack(fields))
redis.call('XDEL', KEYS[1], ARGV[1])
return 1
