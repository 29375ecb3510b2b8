-- Writes what came of orders that a payment platform was asked for, if they still read as they were claimed.
-- KEYS[1] campaign; ARGV[1] refused rows kept at most, then eights: number, old JSON, new JSON, state before,
-- state after, event JSON or '', where it waits ('' = it is settled, 'creating', 'doubt') with the time as
-- '<set>,<ms>', refused row as '<code>,<JSON>' or ''
-- Returns the outbox entry or '', then the numbers of those that read otherwise by now and were left alone.
local missed, events, deltas = { '' }, {}, {}
for i = 2, #ARGV, 8 do
  local n, key = ARGV[i], base .. 'order:' .. ARGV[i]
  if redis.call('GET', key) == ARGV[i + 1] then
    if ARGV[i + 2] ~= ARGV[i + 1] then
      redis.call('SET', key, ARGV[i + 2])
    end
    local from, to = ARGV[i + 3], ARGV[i + 4]
    deltas[from] = (deltas[from] or 0) - 1
    deltas[to] = (deltas[to] or 0) + 1
    if ARGV[i + 5] ~= '' then
      events[#events + 1] = ARGV[i + 5]
    end
    for _, set in ipairs({ 'creating', 'asked', 'doubt' }) do
      redis.call('ZREM', base .. set, n)
    end
    local set, at = ARGV[i + 6]:match('^(%a+),(%d+)$')
    if set then
      redis.call('ZADD', base .. set, at, n)
    end
    local code, row = ARGV[i + 7]:match('^([a-z_]+),(.*)$')
    if code then
      redis.call('HINCRBY', campaign_key, 'refused', 1)
      redis.call('HINCRBY', campaign_key, 'refused:' .. code, 1)
      if redis.call('LLEN', base .. 'errors') < tonumber(ARGV[1]) then
        redis.call('RPUSH', base .. 'errors', row)
      end
    end
  else
    missed[#missed + 1] = n
  end
end
for state, delta in pairs(deltas) do
  if delta ~= 0 then
    redis.call('HINCRBY', campaign_key, 'orders:' .. state, int(delta))
  end
end
if #events > 0 then
  missed[1] = redis.call('XADD', base .. 'outbox', '*', 'run', '', 'events', '[' .. table.concat(events, ',') .. ']')
end
return missed
