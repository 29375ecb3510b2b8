-- Records final outcomes of claims that stand exactly as they were made, in one step; ends the run when
-- it was the last. This is the way of nearly every message: where any of them has moved on meanwhile,
-- nothing is written, and record.lua judges them one by one.
-- KEYS[1] campaign
-- ARGV[1] run, ARGV[2] events as a JSON array or '', ARGV[3] number s of states, then s pairs: state, how
-- many of them; then for each ledger page: page, number k of recipients, k fields, k cells as claimed,
-- k pairs: field, new cell
-- Returns {'moved'}, or {'landed', outbox entry id or '', events the script added or ''}.
local run = ARGV[1]
local run_key = base .. 'run:' .. run
local first_page = 4 + 2 * ARGV[3]
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
local retry_key = run_key .. ':retry'
local retries_exist = redis.call('EXISTS', retry_key) == 1
at = first_page
while at <= #ARGV do
  local k = tonumber(ARGV[at + 1])
  redis.call('HSET', run_key .. ':ledger:' .. ARGV[at], unpack(ARGV, at + 2 + 2 * k, at + 1 + 4 * k))
  if retries_exist then
    local done = {}
    for j = 1, k do
      done[j] = int(ARGV[at] * PAGE + ARGV[at + 1 + j])
    end
    redis.call('ZREM', retry_key, unpack(done))
  end
  at = at + 2 + 4 * k
end
local deltas = { sending = 0 }
for i = 4, first_page - 1, 2 do
  deltas[ARGV[i]] = tonumber(ARGV[i + 1])
  deltas.sending = deltas.sending - ARGV[i + 1]
end
count(run_key, deltas)
local events = ARGV[2]
local done = finish_if_done(run, run_key, now_ms())
if done then
  done = '[' .. done .. ']'
  events = events == '' and done or (events:sub(1, -2) .. ',' .. done:sub(2))
end
local outbox_id = ''
if events ~= '' then
  outbox_id = redis.call('XADD', base .. 'outbox', '*', 'run', run, 'events', events)
end
return { 'landed', outbox_id, done or '' }
