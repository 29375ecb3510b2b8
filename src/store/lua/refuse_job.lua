-- Notes a refusal under the job's id, unless an accepted job holds that id.
-- KEYS[1] the job's hash; ARGV[1] time to live in ms, then field, value ...
local state = redis.call('HGET', KEYS[1], 'state')
if state and state ~= 'rejected' then
  return 0
end
redis.call('DEL', KEYS[1])
local fields = {}
for i = 2, #ARGV do
  fields[#fields + 1] = ARGV[i]
end
redis.call('HSET', KEYS[1], unpack(fields))
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return 1
