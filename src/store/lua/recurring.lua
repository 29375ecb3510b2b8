-- Shared by the scripts over permanent messages: one definition is `recurring:<name>`, and `definitions` lists them.
-- A run is decided by writing its name into `pending`; create_run makes it and takes the name out in one step.
local function definition_key(name)
  return base .. 'recurring:' .. name
end
-- `more` is further fields as JSON, each behind a comma, or nothing.
local function recurring_event(name, what, state, now, more)
  local campaign = base:match('{(.*)}')
  return string.format(
    '{"event":"%s/%s/%s/%d","type":"recurring","campaign":"%s","recurring":"%s","what":"%s","state":"%s"%s,"at":%s}',
    campaign, name, what, event_number(), campaign, name, what, state, more or '', int(now))
end
local function publish(name, events)
  if #events == 0 then
    return ''
  end
  return redis.call('XADD', base .. 'outbox', '*', 'run', name, 'events', '[' .. table.concat(events, ',') .. ']')
end
-- Stops a definition for good. What it had decided and not begun is not begun any more, unless it ends by itself.
local function stop_definition(name, reason, now, events)
  local key = definition_key(name)
  redis.call('HSET', key, 'state', 'stopped', 'reason', reason, 'stopped_at', int(now))
  redis.call('HDEL', key, 'next_at', 'queued')
  events[#events + 1] = recurring_event(name, 'stopped', 'stopped', now, ',"reason":"' .. reason .. '"')
end
-- The run before, while it is under way; else nothing.
local function run_under_way(key)
  local last = redis.call('HGET', key, 'last_run')
  if last and redis.call('HGET', base .. 'run:' .. last, 'state') == 'running' then
    return last
  end
end
-- Decides that the due time gets a run. Returns its name.
local function decide_run(name, key, due)
  local run = name .. '@' .. due
  redis.call('HSET', key, 'pending', run, 'last_run', run, 'last_due', due)
  redis.call('HDEL', key, 'queued')
  redis.call('HINCRBY', key, 'runs', 1)
  return run
end
-- A definition ends when its runs are used up, or when nothing is due any more and nothing stands in line.
local function stop_if_over(name, key, now, events)
  local d = redis.call('HMGET', key, 'state', 'runs', 'max_runs', 'next_at', 'queued')
  if d[1] == 'stopped' then
    return
  end
  if d[3] and tonumber(d[2] or '0') >= tonumber(d[3]) then
    stop_definition(name, 'max_runs', now, events)
  elseif d[1] == 'active' and not d[4] and not d[5] then
    stop_definition(name, 'until', now, events)
  end
end
