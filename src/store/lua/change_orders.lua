-- Changes orders that still read as they did when the change was planned, with their events.
-- KEYS[1] campaign; ARGV[1] expiry cursor field or '', ARGV[2] its new value, then sixes: number, old
-- JSON, new JSON, state before, state after, event JSON
-- Returns the outbox entry or '', then the numbers of those that read otherwise by now and were left alone.
local missed, events, deltas = { '' }, {}, {}
for i = 3, #ARGV, 6 do
  local key = base .. 'order:' .. ARGV[i]
  if redis.call('GET', key) == ARGV[i + 1] then
    redis.call('SET', key, ARGV[i + 2])
    deltas[ARGV[i + 3]] = (deltas[ARGV[i + 3]] or 0) - 1
    deltas[ARGV[i + 4]] = (deltas[ARGV[i + 4]] or 0) + 1
    events[#events + 1] = ARGV[i + 5]
  else
    missed[#missed + 1] = ARGV[i]
  end
end
for state, delta in pairs(deltas) do
  if delta ~= 0 then
    redis.call('HINCRBY', campaign_key, 'orders:' .. state, int(delta))
  end
end
if ARGV[1] ~= '' and #missed == 1 then
  redis.call('HSET', campaign_key, ARGV[1], ARGV[2])
end
if #events > 0 then
  missed[1] = redis.call('XADD', base .. 'outbox', '*', 'run', '', 'events', '[' .. table.concat(events, ',') .. ']')
end
return missed
