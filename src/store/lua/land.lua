-- Records final outcomes of claims that stand exactly as they were made, in one step; ends the run when
-- it was the last. This is the way of nearly every message: where any of them has moved on meanwhile,
-- nothing is written, and record.lua judges them one by one.
-- KEYS[1] campaign
-- ARGV[1] run, ARGV[2] events as a JSON array or '', ARGV[3] '1' where the run closes cases, ARGV[4] how many were attempts,
-- ARGV[5] how many of those count towards the pause of the run, ARGV[6] the code of such a failure or '', ARGV[7] number s of
-- states, then s pairs: state, how many of them; then for each ledger page: page, number k of deliveries, k fields, k cells
-- as claimed, k pairs: field, new cell
-- Returns {'moved'}, or {'landed', outbox entry id or '', events the script added or '', why the run paused itself or ''}.
local run = ARGV[1]
local run_key = base .. 'run:' .. run
if redis.call('EXISTS', run_key) == 0 then
  return { 'moved' }
end
local first_page = 8 + 2 * ARGV[7]
local at = first_page
while at <= #ARGV do
  local k = tonumber(ARGV[at + 1])
  local cells = redis.call('HMGET', run_key .. ':ledger:' .. ARGV[at], unpack(ARGV, at + 2, at + 1 + k))
  for j = 1, k do
    if cells[j] ~= ARGV[at + 1 + k + j] then
      return { 'moved' }
    end
  end
  at = at + 2 + 4 * k
end
local function delivery_of(page, field)
  local f, contact = field:match('^(%d+)(.*)$')
  return int(page * PAGE + f) .. contact
end
local now = now_ms()
local closes = ARGV[3] == '1'
if closes then
  notes_of(run, redis.call('HGET', run_key, 'definition'))
end
local retry_key = run_key .. ':retry'
local retries_exist = redis.call('EXISTS', retry_key) == 1
at = first_page
while at <= #ARGV do
  local k = tonumber(ARGV[at + 1])
  redis.call('HSET', run_key .. ':ledger:' .. ARGV[at], unpack(ARGV, at + 2 + 2 * k, at + 1 + 4 * k))
  if retries_exist then
    local done = {}
    for j = 1, k do
      done[j] = delivery_of(ARGV[at], ARGV[at + 1 + j])
    end
    redis.call('ZREM', retry_key, unpack(done))
  end
  if closes then
    for j = 1, k do
      local field, cell = ARGV[at + 2 * k + 2 * j], ARGV[at + 1 + 2 * k + 2 * j]
      outcome_of_case(run, delivery_of(ARGV[at], field), cell:sub(1, 1), now)
    end
  end
  at = at + 2 + 4 * k
end
local deltas = { sending = 0 }
for i = 8, first_page - 1, 2 do
  deltas[ARGV[i]] = tonumber(ARGV[i + 1])
  deltas.sending = deltas.sending - ARGV[i + 1]
end
count(run_key, deltas)
local added = {}
count_cases(run_key, added)
added[#added + 1] = finish_if_done(run, run_key, now)
local paused, why = count_attempts(run, run_key, tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[6], now)
added[#added + 1] = paused
local events, more = ARGV[2], ''
if #added > 0 then
  more = '[' .. table.concat(added, ',') .. ']'
  events = events == '' and more or (events:sub(1, -2) .. ',' .. more:sub(2))
end
local outbox_id = ''
if events ~= '' then
  outbox_id = redis.call('XADD', base .. 'outbox', '*', 'run', run, 'events', events)
end
return { 'landed', outbox_id, more, why or '' }
