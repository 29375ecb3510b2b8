-- Adds warnings of a job to its campaign, each once.
-- KEYS[1] campaign; ARGV[1] job id, then warnings as JSON objects
-- Returns how many were new to the campaign.
if redis.call('EXISTS', campaign_key) == 0 then
  return 0
end
local new = 0
for _, field in ipairs({ 'warnings:' .. ARGV[1], 'warnings' }) do
  local list = redis.call('HGET', campaign_key, field) or '[]'
  local before = list
  new = 0
  for i = 2, #ARGV do
    if not list:find(ARGV[i], 1, true) then
      list = list:sub(1, -2) .. (list == '[]' and '' or ',') .. ARGV[i] .. ']'
      new = new + 1
    end
  end
  if list ~= before then
    redis.call('HSET', campaign_key, field, list)
  end
end
return new
