-- Writes a job's state, unless another entry has taken the job over meanwhile.
-- KEYS[1] the job's hash
-- ARGV[1] `<queue>:<entry id>` that may write, ARGV[2] time to live in ms or 0 for none,
-- ARGV[3] fields to delete, comma-separated or '', then field, value ...
-- Returns 1 when written, 0 when the job belongs to another entry.
local entry = redis.call('HGET', KEYS[1], 'entry')
if entry and entry ~= ARGV[1] then
  return 0
end
local fields = {}
for i = 4, #ARGV do
  fields[#fields + 1] = ARGV[i]
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
return 1
