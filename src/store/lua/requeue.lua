-- Returns failed or unknown deliveries, those to further contacts too, of one stretch of ledger pages to the queue: an operator's
-- `retry`. Never what was sent, delivered or skipped.
-- KEYS[1] campaign; ARGV[1] run, ARGV[2] 'failed' | 'unknown' | 'all', ARGV[3] first page, ARGV[4]
-- last page, ARGV[5] '1' when an unknown keeps its idempotency key (an idempotent channel)
-- Returns {'gone'}, {'wrong', state}, or {'done', how many, outbox entry or ''}.
local run_key = base .. 'run:' .. ARGV[1]
local state = redis.call('HGET', run_key, 'state')
if not state then
  return { 'gone' }
elseif state ~= 'running' and state ~= 'finished' then
  return { 'wrong', state }
end
local campaign_state = redis.call('HGET', campaign_key, 'state')
if campaign_state == 'cancelled' or campaign_state == 'failed' then
  return { 'wrong', campaign_state }
end
local now = now_ms()
local back = { f = ARGV[2] ~= 'unknown', n = ARGV[2] ~= 'failed' }
local names = { f = 'failed', n = 'unknown' }
local deltas = { queued = 0, failed = 0, unknown = 0 }
local moved = 0
for page = tonumber(ARGV[3]), tonumber(ARGV[4]) do
  local key = run_key .. ':ledger:' .. int(page)
  local cells = redis.call('HGETALL', key)
  for i = 1, #cells, 2 do
    local letter, attempt, rest = cells[i + 1]:match('^(%a),(%d+),%d+,(.*)$')
    local state_name = names[letter]
    if letter == 'f' and rest:sub(1, 8) == 'unknown:' then
      -- Called failed, as its channel is told (`on_unknown`): it may have been sent.
      letter = 'n'
    end
    if back[letter] then
      -- Asked again under the old key, an idempotent provider answers what it did the first time.
      local key_attempt = '0'
      if letter == 'n' and ARGV[5] == '1' then
        key_attempt = (rest:match(',(%d+)%??$') or attempt) .. '?'
      end
      -- What was unknown may turn out to have been sent: a receipt that says so still counts (receive.lua).
      local reason = letter == 'n' and 'operator:unknown' or 'operator'
      redis.call('HSET', key, cells[i], 'q,' .. attempt .. ',' .. int(now) .. ',' .. reason .. ',' .. key_attempt)
      local field, contact = cells[i]:match('^(%d+)(.*)$')
      redis.call('ZADD', run_key .. ':retry', int(now), int(page * PAGE + field) .. contact)
      deltas[state_name] = deltas[state_name] - 1
      deltas.queued = deltas.queued + 1
      moved = moved + 1
    end
  end
end
local outbox = ''
if moved > 0 then
  count(run_key, deltas)
  if state == 'finished' then
    redis.call('HSET', run_key, 'state', 'running')
    redis.call('HDEL', run_key, 'finished_at')
    count_anew(run_key)
    local permanent = redis.call('HEXISTS', run_key, 'recurring') == 1
    if not permanent then
      redis.call('HINCRBY', campaign_key, 'running_runs', 1)
    end
    local events = run_event(ARGV[1], 'running', now, redis.call('HGET', run_key, 'total') or '0')
    if campaign_state == 'delivered' and not permanent then
      redis.call('HSET', campaign_key, 'state', 'running')
      events = campaign_event('running', now) .. ',' .. events
    end
    outbox = redis.call('XADD', base .. 'outbox', '*', 'run', ARGV[1], 'events', '[' .. events .. ']')
  end
end
return { 'done', moved, outbox }
