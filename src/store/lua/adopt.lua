-- Takes over entries whose owner is gone: those idle beyond the lease, and those of consumers that
-- are known to be dead. Adopting does not count as a delivery: starting the entry does.
-- KEYS[1] the stream; ARGV[1] group, ARGV[2] our consumer, ARGV[3] lease in ms, ARGV[4] limit,
--         ARGV[5..] dead consumers
-- Returns a flat list: entry id, deliveries so far, its field name, its value, the trace beside it or ''.
local group, me, lease, limit = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local found = {}
local function take(pending)
  for _, p in ipairs(pending) do
    local id, owner, count = p[1], p[2], p[4]
    local entry = redis.call('XRANGE', KEYS[1], id, id)[1]
    if entry == nil then
      -- Deleted by hand: nothing is left to run.
      redis.call('XACK', KEYS[1], group, id)
    else
      redis.call('XCLAIM', KEYS[1], group, me, 0, id, 'JUSTID')
      local fields = entry[2]
      local name, value, trace = '', '', ''
      for i = 1, #fields, 2 do
        if name == '' and (fields[i] == 'job' or fields[i] == 'ref' or fields[i] == 'slot') then
          name, value = fields[i], fields[i + 1]
        elseif trace == '' and fields[i] == 'traceparent' then
          trace = fields[i + 1]
        end
      end
      found[#found + 1] = id
      found[#found + 1] = tostring(count)
      found[#found + 1] = name
      found[#found + 1] = value
      found[#found + 1] = trace
    end
  end
end
for i = 5, #ARGV do
  if ARGV[i] ~= me then
    take(redis.call('XPENDING', KEYS[1], group, '-', '+', limit, ARGV[i]))
  end
end
take(redis.call('XPENDING', KEYS[1], group, 'IDLE', lease, '-', '+', limit))
return found
