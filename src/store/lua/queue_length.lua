-- How a queue stands, without moving what its entries carry.
-- KEYS[1] the stream; ARGV[1] the group
-- Returns {entries, entries in hand, id of the oldest that waits or '', id of the oldest in hand or ''}
local length = redis.call('XLEN', KEYS[1])
if length == 0 then
  return { 0, 0, '', '' }
end
local function first_from(id)
  local first = redis.call('XRANGE', KEYS[1], id, '+', 'COUNT', 1)[1]
  return first and first[1] or ''
end
local groups = redis.call('XINFO', 'GROUPS', KEYS[1])
for _, fields in ipairs(groups) do
  local group = {}
  for i = 1, #fields, 2 do
    group[fields[i]] = fields[i + 1]
  end
  if group['name'] == ARGV[1] then
    local oldest = ''
    if group['pending'] > 0 then
      oldest = redis.call('XPENDING', KEYS[1], ARGV[1])[2] or ''
    end
    return { length, group['pending'], first_from('(' .. group['last-delivered-id']), oldest }
  end
end
-- Nobody has read it yet.
return { length, 0, first_from('-'), '' }
