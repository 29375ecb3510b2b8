-- Writes what came of orders that a payment platform was asked for, if they still read as they were claimed.
-- KEYS[1] campaign; ARGV[1] refused rows kept at most, then nines: number, old JSON, new JSON, state before,
-- state after, event JSON or '', where it waits ('' = it is settled, 'creating', 'doubt') with the time as
-- '<set>,<ms>', refused row as '<code>,<JSON>' or '', the end of the claim in which this was found out, or '' for
-- what holds whoever has the order in hand (the platform made it)
-- Returns the outbox entry or '', then the numbers of those that read otherwise by now and were left alone. What
-- was found out in a claim that is over and another's now is dropped without a word: the other one settles it.
local missed, events, deltas = { '' }, {}, {}
for i = 2, #ARGV, 9 do
  local n, key, claim = ARGV[i], base .. 'order:' .. ARGV[i], ARGV[i + 8]
  if redis.call('GET', key) ~= ARGV[i + 1] then
    missed[#missed + 1] = n
  elseif claim == '' or tonumber(redis.call('ZSCORE', base .. 'asked', n) or '') == tonumber(claim) then
    if ARGV[i + 2] ~= ARGV[i + 1] then
      redis.call('SET', key, ARGV[i + 2])
    end
    local from, to = ARGV[i + 3], ARGV[i + 4]
    deltas[from] = (deltas[from] or 0) - 1
    deltas[to] = (deltas[to] or 0) + 1
    local event = ARGV[i + 5]
    if to == 'creating' or to == 'in_doubt' then
      -- An order may come to these more than once, and each time is another event.
      event = event:gsub('("event":"[^"]*)"', '%1/' .. int(event_number()) .. '"', 1)
    end
    if event ~= '' then
      events[#events + 1] = event
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
