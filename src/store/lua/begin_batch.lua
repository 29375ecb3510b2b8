-- Lets one generate job of a campaign number its rows at a time: a batch is a stretch of numbers.
-- KEYS[1] campaign; ARGV[1] job id, ARGV[2] a job that is known to be over, or ''
-- Returns {'begun', highest number before this batch}, {'busy', the job that generates now}, or {'gone'}.
local c = redis.call('HMGET', campaign_key, 'state', 'generating', 'next', 'batch:' .. ARGV[1])
if not c[1] then
  return { 'gone' }
end
if c[2] and c[2] ~= ARGV[1] and c[2] ~= ARGV[2] then
  return { 'busy', c[2] }
end
redis.call('HSET', campaign_key, 'generating', ARGV[1])
local base_field = 'base:' .. (c[4] or '1')
redis.call('HSETNX', campaign_key, base_field, int(tonumber(c[3] or '1') - 1))
return { 'begun', redis.call('HGET', campaign_key, base_field) }
