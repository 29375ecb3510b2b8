-- Lets an import into its campaign, which is made where there is none; the state of one that is there is left alone.
-- KEYS[1] campaign; ARGV[1] its name for people, ARGV[2] country or '', ARGV[3] category
-- Returns {'created' or 'here', state, category, country or ''}.
local known = redis.call('HMGET', campaign_key, 'state', 'category', 'country')
if known[1] then
  return { 'here', known[1], known[2] or '', known[3] or '' }
end
redis.call('HSET', campaign_key, 'state', 'generated', 'name', ARGV[1], 'category', ARGV[3], 'created_at', int(now_ms()),
  'orders', 0, 'next', 1, 'running_runs', 0, 'cases', 0)
if ARGV[2] ~= '' then
  redis.call('HSET', campaign_key, 'country', ARGV[2])
end
return { 'created', 'generated', ARGV[3], ARGV[2] }
