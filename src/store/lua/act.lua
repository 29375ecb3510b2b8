-- Pauses, resumes or cancels a campaign or one of its runs, or fails a run that cannot go on. O(1) in the number of
-- recipients: what is queued, held or waiting for a retry in a cancelled run reads as `skipped: cancelled`, in a
-- failed one as `skipped: failed`, in one whose
-- time lay outside the contact hours as `skipped: not_sent`.
-- KEYS[1] campaign; ARGV[1] 'pause' | 'resume' | 'cancel' | 'fail' | 'miss' (both a run only), ARGV[2] run or '' for the campaign,
-- ARGV[3] who asks (a reason), ARGV[4] runs looked at most
-- Returns {'done', outbox entry, then the runs to wake}, {'same', state} when it was so already, {'gone'}, or
-- {'wrong', the state}.
local action, only = ARGV[1], ARGV[2]
local END = { cancel = { 'cancelled', 'cancelled_by' }, fail = { 'failed', 'failed_reason' },
  miss = { 'not_sent', 'not_sent_reason' } }
local state = redis.call('HGET', campaign_key, 'state')
if not state then
  return { 'gone' }
end
local now = now_ms()
local events = {}
local function say(event)
  events[#events + 1] = event
end
local function end_run(run, new_state, reason_field)
  local run_key = base .. 'run:' .. run
  local r = redis.call('HMGET', run_key, 'state', 'queued', 'retry', 'held', 'recurring')
  if r[1] ~= 'running' then
    return
  end
  local q, w, h = tonumber(r[2] or '0'), tonumber(r[3] or '0'), tonumber(r[4] or '0')
  redis.call('HSET', run_key, 'state', new_state, 'finished_at', int(now), reason_field, ARGV[3])
  redis.call('HDEL', run_key, 'paused_by', 'held_until', 'held_reason')
  count_anew(run_key)
  count(run_key, { queued = -q, retry = -w, held = -h, skipped = q + w + h })
  if not r[5] then
    redis.call('HINCRBY', campaign_key, 'running_runs', -1)
  end
  say(run_event(run, new_state, now))
end
local answer = { 'done', '' }
if only ~= '' then
  local run_key = base .. 'run:' .. only
  local r = redis.call('HMGET', run_key, 'state', 'paused_by', 'auto_paused')
  if not r[1] then
    return { 'gone' }
  elseif END[action] then
    local new_state, reason_field = END[action][1], END[action][2]
    if r[1] == new_state then
      return { 'same', new_state }
    elseif r[1] ~= 'running' then
      return { 'wrong', r[1] }
    end
    end_run(only, new_state, reason_field)
    say(deliver_if_done(now))
  elseif r[1] ~= 'running' then
    return { 'wrong', r[1] }
  elseif action == 'pause' then
    if r[2] then
      return { 'same', 'paused' }
    end
    redis.call('HSET', run_key, 'paused_by', ARGV[3], 'paused_at', int(now))
    say(run_event(only, 'paused', now))
  else
    if not r[2] and not r[3] then
      return { 'wrong', r[1] }
    end
    redis.call('HDEL', run_key, 'paused_by', 'paused_at')
    count_anew(run_key)
    say(run_event(only, 'running', now))
    answer[#answer + 1] = only
  end
else
  local runs = redis.call('ZREVRANGE', base .. 'runs', 0, ARGV[4] - 1)
  if action == 'cancel' then
    if state == 'cancelled' then
      return { 'same', state }
    end
    redis.call('HSET', campaign_key, 'state', 'cancelled', 'cancelled_at', int(now))
    redis.call('HDEL', campaign_key, 'paused_from', 'paused_by', 'paused_at')
    for _, run in ipairs(runs) do
      end_run(run, 'cancelled', 'cancelled_by')
    end
    for _, name in ipairs(redis.call('ZRANGE', base .. 'definitions', 0, -1)) do
      local key = definition_key(name)
      if redis.call('HGET', key, 'state') ~= 'stopped' then
        redis.call('HDEL', key, 'pending')
        redis.call('HSET', key, 'stopped_by', ARGV[3])
        stop_definition(name, ARGV[3], now, events)
      end
    end
    say(campaign_event('cancelled', now))
  elseif action == 'pause' then
    if state == 'paused' then
      return { 'same', state }
    elseif state ~= 'running' and state ~= 'scheduled' then
      -- A campaign at rest may have permanent messages, whose ticks a pause holds back.
      if (state ~= 'generated' and state ~= 'delivered') or redis.call('EXISTS', base .. 'definitions') == 0 then
        return { 'wrong', state }
      end
    end
    redis.call('HSET', campaign_key, 'state', 'paused', 'paused_from', state, 'paused_by', ARGV[3],
      'paused_at', int(now))
    say(campaign_event('paused', now))
  else
    if state ~= 'paused' then
      return { 'wrong', state }
    end
    local back = redis.call('HGET', campaign_key, 'paused_from') or 'running'
    local c = redis.call('HMGET', campaign_key, 'running_runs', 'generating')
    if back == 'running' and #runs > 0 and tonumber(c[1] or '0') <= 0 and not c[2] then
      -- What was in flight when it was paused ended the last run meanwhile.
      back = 'delivered'
      redis.call('HSET', campaign_key, 'delivered_at', int(now))
    end
    redis.call('HSET', campaign_key, 'state', back)
    redis.call('HDEL', campaign_key, 'paused_from', 'paused_by', 'paused_at')
    say(campaign_event(back, now))
    for _, run in ipairs(runs) do
      if redis.call('HGET', base .. 'run:' .. run, 'state') == 'running' then
        answer[#answer + 1] = run
      end
    end
  end
end
if #events > 0 then
  answer[2] = redis.call('XADD', base .. 'outbox', '*', 'run', only, 'events', '[' .. table.concat(events, ',') .. ']')
end
return answer
