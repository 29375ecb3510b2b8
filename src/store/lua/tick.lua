-- Records what is done about the due times of a definition that have come: one of them gets a run, the others are
-- missed, and the next due time is written. Only if the definition is still what the planner saw.
-- KEYS[1] campaign; ARGV[1] name, ARGV[2] version and ARGV[3] due time that the planner saw, ARGV[4] the due time that
-- is to get a run or '', ARGV[5] the first that gets none or '', ARGV[6] how many get none, ARGV[7] the next one or '',
-- ARGV[8] half the interval, ms
-- Returns {'stale'}, or {'decided', outbox entry, what became of the due time: 'run' | 'queued' | 'overlapped' |
-- 'missed' | ''}
local name = ARGV[1]
local key = definition_key(name)
local d = redis.call('HMGET', key, 'state', 'version', 'next_at', 'pending', 'overlap', 'queued')
if d[1] ~= 'active' or d[2] ~= ARGV[2] or d[3] ~= ARGV[3] or d[4] then
  return { 'stale' }
end
local campaign_state = redis.call('HGET', campaign_key, 'state')
if not campaign_state then
  return { 'stale' }
end
local now = now_ms()
local events = {}
local due, became = ARGV[4], ''
local function not_run(what, reason, first, count)
  redis.call('HINCRBY', key, what, count)
  local more = ',"reason":"' .. reason .. '","due":' .. first .. ',"count":' .. count
  events[#events + 1] = recurring_event(name, what, 'active', now, more)
end
-- A run that was held until its contact hours began takes the place of a due time soon after (BM-1).
local function absorbs(of, at)
  local last = redis.call('HGET', of, 'last_run')
  local held = last and redis.call('HMGET', base .. 'run:' .. last, 'held_until', 'opened_at') or {}
  local opening = tonumber(held[1] or held[2] or '')
  return opening and at - opening < tonumber(ARGV[8])
end
if ARGV[7] == '' then
  redis.call('HDEL', key, 'next_at')
else
  redis.call('HSET', key, 'next_at', ARGV[7])
end
if ARGV[5] ~= '' then
  not_run('missed', 'late', ARGV[5], ARGV[6])
end
if due ~= '' then
  if campaign_state == 'paused' then
    not_run('missed', 'campaign_paused', due, 1)
    became = 'missed'
  elseif absorbs(key, tonumber(due)) then
    not_run('overlapped', 'absorbed', due, 1)
    became = 'overlapped'
  elseif not run_under_way(key) then
    if d[6] then
      -- What stood in line has not begun yet: this one takes its place.
      not_run('overlapped', 'replaced', d[6], 1)
    end
    decide_run(name, key, due)
    became = 'run'
  elseif d[5] == 'queue' then
    if d[6] then
      not_run('overlapped', 'replaced', d[6], 1)
    end
    redis.call('HSET', key, 'queued', due)
    became = 'queued'
  else
    not_run('overlapped', 'under_way', due, 1)
    became = 'overlapped'
  end
end
stop_if_over(name, key, now, events)
return { 'decided', publish(name, events), became }
