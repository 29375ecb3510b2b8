-- Writes a job's state, unless another entry has taken the job over meanwhile.
-- KEYS[1] the job's hash
-- ARGV[1] `<queue>:<entry id>` that may write, ARGV[2] time to live in ms or 0 for none,
-- ARGV[3] fields to delete, comma-separated or '', ARGV[4] fields that become the time now, likewise, then field, value ...
-- Returns the time now (epoch ms) when written, 0 when the job belongs to another entry.
local entry = redis.call('HGET', KEYS[1], 'entry')
if entry and entry ~= ARGV[1] then
  return 0
end
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local fields = {}
for i = 5, #ARGV do
  fields[#fields + 1] = ARGV[i]
end
for field in ARGV[4]:gmatch('[^,]+') do
  fields[#fields + 1] = field
  fields[#fields + 1] = string.format('%d', now)
end
redis.call('HSET', KEYS[1], 'entry', ARGV[1], unpack(fields))
for field in ARGV[3]:gmatch('[^,]+') do
  redis.call('HDEL', KEYS[1], field)
end
if ARGV[2] ~= '0' then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
else
  redis.call('PERSIST', KEYS[1])
end
return now
