-- Shared by the scripts over one campaign. KEYS[1] is always `<prefix>:{C}:campaign`; the other
-- keys of the campaign share its slot and are built from it.
local campaign_key = KEYS[1]
local base = campaign_key:sub(1, -9)
local PAGE = 128
-- A retry in flight stays in the retry set, with the score of the slot that holds it.
local IN_FLIGHT = 9000000000000000
local function now_ms()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end
-- Whether a lease goes on. None is longer than ten minutes: one that ends later was taken before Redis' clock was set
-- back, and is over.
local LEASE_MAX = 600000
local function is_live(untl, now)
  local left = tonumber(untl or '0') - now
  return left > 0 and left <= LEASE_MAX
end
-- Lua writes large numbers with an exponent; %d is exact below 2^53 and three times as fast as %.0f.
local function int(n)
  return string.format('%d', n)
end
local function page_of(run_key, n)
  return run_key .. ':ledger:' .. int(math.floor(n / PAGE))
end
-- A delivery is called by its recipient's number, and `.<k>` behind it to a further contact k of a case.
local function place_of(run_key, delivery)
  local n, contact = delivery:match('^(%d+)(.*)$')
  n = tonumber(n)
  return page_of(run_key, n), int(n % PAGE) .. contact
end
-- Counters of a run and the totals of its campaign move together.
local function count(run_key, deltas)
  for state, delta in pairs(deltas) do
    if delta ~= 0 then
      redis.call('HINCRBY', run_key, state, int(delta))
      redis.call('HINCRBY', campaign_key, 'deliveries:' .. state, int(delta))
    end
  end
end
-- Events of runs and campaigns are numbered, so that a state that comes again is another event.
local function event_number()
  return redis.call('HINCRBY', campaign_key, 'events', 1)
end
local function campaign_event(state, now)
  local name = base:match('{(.*)}')
  return string.format('{"event":"%s/%s/%d","type":"campaign","campaign":"%s","state":"%s","at":%s}',
    name, state, event_number(), name, state, int(now))
end
-- `total` is the number of its deliveries, `matched` of its cases, or nothing.
local function run_event(run, state, now, total, matched)
  local name = base:match('{(.*)}')
  local numbers = (total and (',"total":' .. total) or '') .. (matched and (',"matched":' .. matched) or '')
  return string.format('{"event":"%s/%s/%s/%d","type":"run","campaign":"%s","run":"%s","state":"%s"%s,"at":%s}',
    name, run, state, event_number(), name, run, state, numbers, int(now))
end
-- Ends the pause that a run took by itself, and begins to count its errors anew (auto_pause.lua).
local function count_anew(run_key)
  redis.call('HDEL', run_key, 'auto_paused', 'auto_paused_at', 'auto_paused_errors', 'auto_paused_attempts', 'attempts', 'errors')
end
-- How many cases a run is for, without those that were left out; nothing where it is for orders.
local function matched_cases(run_key)
  local r = redis.call('HMGET', run_key, 'audience', 'first', 'end', 'left_out')
  if r[1] == 'cases' then
    return int(math.max(r[3] - r[2] + 1, 0) - (r[4] or 0))
  end
end
-- Decides whether the last run of a campaign has ended and nobody adds to it. Returns its event as JSON, or nothing.
local function deliver_if_done(now)
  local c = redis.call('HMGET', campaign_key, 'state', 'generating', 'running_runs')
  -- While a job appends to the campaign there is more to come: that job looks again.
  if c[1] ~= 'running' or c[2] or tonumber(c[3] or '0') > 0 or redis.call('EXISTS', base .. 'runs') == 0 then
    return
  end
  redis.call('HSET', campaign_key, 'state', 'delivered', 'delivered_at', int(now))
  return campaign_event('delivered', now)
end
-- Decides whether a run has just ended. Returns its event as JSON, and the campaign's, or nothing.
local function finish_if_done(run, run_key, now)
  local r = redis.call('HMGET', run_key, 'state', 'queued', 'sending', 'retry', 'held', 'total', 'recurring')
  if r[1] ~= 'running' then
    return
  end
  for i = 2, 5 do
    if tonumber(r[i] or '0') > 0 then
      return
    end
  end
  redis.call('HSET', run_key, 'state', 'finished', 'finished_at', int(now))
  local events = run_event(run, 'finished', now, r[6] or '0', matched_cases(run_key))
  if r[7] then
    -- Permanent messages go on for ever: a campaign is delivered without them.
    return events
  end
  if redis.call('HINCRBY', campaign_key, 'running_runs', -1) < 0 then
    redis.call('HSET', campaign_key, 'running_runs', 0)
  end
  local delivered = deliver_if_done(now)
  if delivered then
    events = events .. ',' .. delivered
  end
  return events
end
