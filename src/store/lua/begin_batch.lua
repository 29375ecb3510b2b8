-- Lets one generate job of a campaign number its rows at a time: a batch is a stretch of numbers.
-- KEYS[1] campaign; ARGV[1] job id, ARGV[2] a job that is known to be over, or ''
-- Returns {'begun', highest number before this batch, batch, earlier batches of this job (comma
-- behind each)}, {'busy', the job that generates now}, or {'gone'}.
local c = redis.call('HMGET', campaign_key, 'state', 'generating', 'next', 'batch:' .. ARGV[1], 'earlier:' .. ARGV[1], 'batches')
if not c[1] then
  return { 'gone' }
end
if c[2] and c[2] ~= ARGV[1] and c[2] ~= ARGV[2] then
  return { 'busy', c[2] }
end
local highest = tonumber(c[3] or '1') - 1
local batch, earlier = c[4] or '1', c[5] or ''
local known = redis.call('HMGET', campaign_key, 'base:' .. batch, 'last:' .. batch)
local joined = tonumber(c[6] or '1') > tonumber(batch)
if c[2] ~= ARGV[1] and joined and known[1] and highest > tonumber(known[2] or known[1]) then
  -- A job that is run again after another one numbered rows goes on in a stretch of its own: the runs
  -- over two stretches never overlap.
  earlier = earlier .. batch .. ','
  batch = int(redis.call('HINCRBY', campaign_key, 'batches', 1))
  redis.call('HSET', campaign_key, 'batch:' .. ARGV[1], batch, 'earlier:' .. ARGV[1], earlier)
end
redis.call('HSET', campaign_key, 'generating', ARGV[1])
redis.call('HSETNX', campaign_key, 'base:' .. batch, int(highest))
return { 'begun', redis.call('HGET', campaign_key, 'base:' .. batch), batch, earlier }
