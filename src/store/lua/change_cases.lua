-- Changes cases that still read as they did when the change was planned, with their events.
-- KEYS[1] campaign; ARGV sixes: number, old JSON, new JSON, state before, state after, event JSON or ''
-- Returns the outbox entry or '', then the numbers of those that read otherwise by now and were left alone.
local missed, events, deltas = { '' }, {}, {}
for i = 1, #ARGV, 6 do
  local key = base .. 'case:' .. ARGV[i]
  if redis.call('GET', key) == ARGV[i + 1] then
    redis.call('SET', key, ARGV[i + 2])
    deltas[ARGV[i + 3]] = (deltas[ARGV[i + 3]] or 0) - 1
    deltas[ARGV[i + 4]] = (deltas[ARGV[i + 4]] or 0) + 1
    if ARGV[i + 5] ~= '' then
      events[#events + 1] = ARGV[i + 5]
    end
  else
    missed[#missed + 1] = ARGV[i]
  end
end
for state, delta in pairs(deltas) do
  if delta ~= 0 then
    redis.call('HINCRBY', campaign_key, 'cases:' .. state, int(delta))
  end
end
if #events > 0 then
  missed[1] = redis.call('XADD', base .. 'outbox', '*', 'run', '', 'events', '[' .. table.concat(events, ',') .. ']')
end
return missed
