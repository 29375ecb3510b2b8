-- Creates a run over the ordinals first..last, or finds it there. What was sent before a run of that job was lost, and
-- its daemon wrote again (reassert.lua), counts from its beginning; what was sent for another job is forgotten.
-- KEYS[1] campaign; ARGV[1] run, ARGV[2] first, ARGV[3] last, ARGV[4] number of slots,
-- then field, value ... (channel, text, url_place, job, ...)
-- Returns {'created' | 'exists' | 'gone' | 'cancelled', the run's state, its job, or the outbox entry when created}.
local state = redis.call('HGET', campaign_key, 'state')
if not state then
  return { 'gone', '', '' }
end
local run_key = base .. 'run:' .. ARGV[1]
local known = redis.call('HMGET', run_key, 'state', 'job')
local definition, job
for i = 5, #ARGV - 1, 2 do
  if ARGV[i] == 'recurring' then
    definition = base .. 'recurring:' .. ARGV[i + 1]
  elseif ARGV[i] == 'job' then
    job = ARGV[i + 1]
  end
end
-- The run of a permanent message is made only while its decision stands (recurring.lua), and settles it.
local decided = definition and redis.call('HGET', definition, 'pending') == ARGV[1]
if decided then
  redis.call('HDEL', definition, 'pending')
end
if known[1] then
  return { 'exists', known[1], known[2] or '' }
end
if state == 'cancelled' then
  return { 'cancelled', state, '' }
elseif definition and not decided then
  return { 'cancelled', state, '' }
end
-- A message that waited for its time and was cancelled meanwhile: `cancelled` is the last thing its promise says.
local promise = redis.call('HGET', base .. 'promised', ARGV[1])
if promise and promise:sub(-18) == ',"cancelled":true}' then
  return { 'cancelled', state, '' }
end
local now = now_ms()
local first, last = tonumber(ARGV[2]), tonumber(ARGV[3])
local total = math.max(last - first + 1, 0)
local fields = {}
for i = 5, #ARGV do
  fields[#fields + 1] = ARGV[i]
end
redis.call('HSET', run_key, 'run', ARGV[1], 'state', 'running', 'created_at', int(now),
  'first', ARGV[2], 'cursor', ARGV[2], 'end', ARGV[3], 'slots', ARGV[4], 'fence', 0,
  'total', int(total), 'queued', int(total), unpack(fields))
redis.call('ZADD', base .. 'runs', int(now), ARGV[1])
if not definition then
  redis.call('HINCRBY', campaign_key, 'running_runs', 1)
end
if total > 0 then
  redis.call('HINCRBY', campaign_key, 'deliveries:queued', int(total))
  redis.call('HINCRBY', campaign_key, 'deliveries:total', int(total))
end
local function adopt_early()
  local early_key, retry_key = run_key .. ':early', run_key .. ':retry'
  local early = redis.call('HMGET', early_key, 'job', 'first_page', 'last_page', 'further', 'fence', 'cases_closed')
  if not early[2] then
    return false
  end
  local ours = early[1] == job
  for page = tonumber(early[2]), tonumber(early[3]) do
    redis.call(ours and 'PERSIST' or 'UNLINK', run_key .. ':ledger:' .. int(page))
  end
  redis.call(ours and 'PERSIST' or 'UNLINK', retry_key)
  if ours then
    local deltas = { total = tonumber(early[4] or '0') }
    for _, name in ipairs({ 'queued', 'sending', 'sent', 'delivered', 'undelivered', 'expired', 'failed', 'skipped', 'held',
      'retry', 'unknown' }) do
      deltas[name] = tonumber(redis.call('HGET', early_key, name) or '0')
    end
    count(run_key, deltas)
    redis.call('HSET', run_key, 'fence', early[5] or '0', 'ahead', '1')
    if early[6] then
      redis.call('HSET', run_key, 'cases_closed', early[6])
    end
    total = total + deltas.total
  end
  redis.call('UNLINK', early_key)
  return ours
end
local adopted = adopt_early()
local events = run_event(ARGV[1], 'running', now, int(total))
if not definition and (state == 'generated' or state == 'delivered') then
  redis.call('HSET', campaign_key, 'state', 'running')
  events = campaign_event('running', now) .. ',' .. events
end
if total == 0 or adopted then
  local done = finish_if_done(ARGV[1], run_key, now)
  if done then
    events = events .. ',' .. done
  end
end
local outbox = redis.call('XADD', base .. 'outbox', '*', 'run', ARGV[1], 'events', '[' .. events .. ']')
return { 'created', redis.call('HGET', run_key, 'state'), outbox }
