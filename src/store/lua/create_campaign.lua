-- Creates a campaign, or lets a job join it. One that an import made has no generate job yet: the first one fills it in.
-- KEYS[1] campaign; ARGV[1] job id, ARGV[2] '1' to append, ARGV[3] state to begin in, then field, value ...
-- Returns {'created', batch}, {'joined', batch} (an append), {'resumed', batch} (the same job
-- again), or {'exists', the job that made it}. `batch` numbers the generate jobs of a campaign from 1.
local batch_field = 'batch:' .. ARGV[1]
local known = redis.call('HMGET', campaign_key, 'state', batch_field, 'job')
if known[2] then
  return { 'resumed', known[2] }
end
if known[1] and known[3] and ARGV[2] ~= '1' then
  return { 'exists', known[3] }
end
local batch = redis.call('HINCRBY', campaign_key, 'batches', 1)
redis.call('HSET', campaign_key, batch_field, batch)
if known[1] and known[3] then
  return { 'joined', tostring(batch) }
end
-- Its name, country and category are what the import said.
local said = known[1] and { name = true, country = true, category = true } or {}
local fields = {}
for i = 4, #ARGV, 2 do
  if not (said[ARGV[i]] and redis.call('HEXISTS', campaign_key, ARGV[i]) == 1) then
    fields[#fields + 1] = ARGV[i]
    fields[#fields + 1] = ARGV[i + 1]
  end
end
if known[1] then
  -- What runs over its cases, or was stopped, stays so.
  local rests = known[1] == 'generated' or known[1] == 'delivered'
  redis.call('HSET', campaign_key, 'state', rests and ARGV[3] or known[1], 'job', ARGV[1], unpack(fields))
  return { 'created', tostring(batch) }
end
redis.call('HSET', campaign_key, 'state', ARGV[3], 'job', ARGV[1], 'created_at', int(now_ms()),
  'orders', 0, 'next', 1, 'running_runs', 0, unpack(fields))
return { 'created', tostring(batch) }
