-- Ends the generation of a batch.
-- KEYS[1] campaign; ARGV[1] job id
if redis.call('HGET', campaign_key, 'generating') == ARGV[1] then
  redis.call('HDEL', campaign_key, 'generating')
end
return 1
