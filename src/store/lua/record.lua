-- Records outcomes of claimed recipients: ledger, counters, retry set and one outbox entry, in one
-- step; ends the run when it was the last.
-- KEYS[1] campaign
-- ARGV[1] run, ARGV[2] 'h' (we hold the claims) or 't' (we took over the slot of a dead owner), ARGV[3] '1' where the run
-- closes cases, then tens: delivery (`<n>`, `<n>.<contact>`), its cell as it was claimed, letter, attempt, attempt of the idempotency key (with '?'
-- when an attempt under it may have been accepted), reason, provider id, wait in ms until it is due again
-- or '', event JSON or '', '1' where it was an attempt that counts towards the pause of the run, '0' where it was another
-- attempt, '' where it was none
-- An outcome is about one claim: a cell that reads otherwise by now is of another one. So a repeat after
-- a lost reply never lands on a later claim of the same recipient.
-- A receipt may have overtaken its outcome: then the outcome only adds the provider's id, where the receipt had none.
-- Returns {outbox entry id or '', events the script added (cases it closed, the run's end) or '', why the run paused itself or '', then indexes (from 0) of outcomes
-- that were not applied, because the recipient has moved on; 'r' before those that a receipt overtook}, or
-- {'', '', '', 'gone'} where there is no such run, and nothing was written.
local run, mode = ARGV[1], ARGV[2]
local run_key = base .. 'run:' .. run
local retry_key = run_key .. ':retry'
local now = now_ms()
local retries_exist = redis.call('EXISTS', retry_key) == 1
local closes = ARGV[3] == '1'
local about_run = redis.call('HMGET', run_key, 'state', 'definition')
local run_state = about_run[1]
if not run_state then
  return { '', '', '', 'gone' }
end
-- Nothing waits in a run that was stopped for good.
local over = (run_state == 'cancelled' or run_state == 'failed' or run_state == 'not_sent') and run_state
if closes then
  notes_of(run, about_run[2])
end
local pages = {}
for i = 4, #ARGV, 10 do
  local page, field = place_of(run_key, ARGV[i])
  local p = pages[page]
  if p == nil then
    p = { fields = {}, at = {} }
    pages[page] = p
  end
  p.fields[#p.fields + 1] = field
  p.at[#p.at + 1] = i
end
local deltas, events, answer, applied = {}, {}, { '', '', '' }, {}
local tried, errors, code = 0, 0, ''
for page, p in pairs(pages) do
  local cells = redis.call('HMGET', page, unpack(p.fields))
  local sets = {}
  for j, i in ipairs(p.at) do
    local n, letter, attempt = ARGV[i], ARGV[i + 2], tonumber(ARGV[i + 3])
    local key_attempt, reason, provider_id, due = ARGV[i + 4], ARGV[i + 5], ARGV[i + 6], ARGV[i + 7]
    local old, old_attempt = (cells[j] or ''):match('^(%a),(%d+),')
    local apply = old == 'c' and cells[j] == ARGV[i + 1]
    if old == 'n' and mode == 'h' and tonumber(old_attempt) == attempt then
      -- The holder of the claim comes back late and knows what became of it; what was certainly not
      -- sent goes back to the queue as long as the run goes on.
      apply = RANK[letter] > RANK.n or (due ~= '' and run_state == 'running')
    end
    -- The cells were read before any of these outcomes: a second one of a recipient comes too late.
    apply = apply and not applied[n]
    if apply then
      applied[n] = true
      if over and (letter == 'q' or letter == 'r' or letter == 'h') then
        letter, reason, due = 'k', over, ''
      end
      if letter == 'q' or letter == 'h' then
        -- Released or held: certainly not sent, so the attempt does not count.
        local kept = attempt - 1
        local key = tonumber(key_attempt:match('^%d+')) <= kept and key_attempt or '0'
        sets[#sets + 1] = p.fields[j]
        sets[#sets + 1] = letter .. ',' .. int(kept) .. ',' .. int(now) .. ',' .. reason .. ',' .. key
      elseif letter == 'r' then
        sets[#sets + 1] = p.fields[j]
        sets[#sets + 1] = 'r,' .. int(attempt) .. ',' .. int(now) .. ',' .. reason .. ',' .. key_attempt
      else
        if letter == 'n' or (letter == 'f' and reason:sub(1, 8) == 'unknown:') then
          -- There is no provider's id; who asks again must know the key that was used.
          provider_id = key_attempt
        end
        sets[#sets + 1] = p.fields[j]
        sets[#sets + 1] = letter .. ',' .. int(attempt) .. ',' .. int(now) .. ',' .. reason .. ',' .. provider_id
      end
      if closes and letter ~= 'q' and letter ~= 'r' and letter ~= 'h' then
        outcome_of_case(run, n, letter, now)
      end
      if due ~= '' then
        redis.call('ZADD', retry_key, int(now + due), n)
      elseif retries_exist then
        redis.call('ZREM', retry_key, n)
      end
      deltas[NAMES[old]] = (deltas[NAMES[old]] or 0) - 1
      deltas[NAMES[letter]] = (deltas[NAMES[letter]] or 0) + 1
      if ARGV[i + 8] ~= '' then
        events[#events + 1] = ARGV[i + 8]
      end
      tried = tried + (ARGV[i + 9] ~= '' and 1 or 0)
      if ARGV[i + 9] == '1' then
        errors, code = errors + 1, reason
      end
    else
      local overtaken = RANK[old] and RANK[old] >= RANK.s and tonumber(old_attempt) == attempt
      if overtaken and letter == 's' and provider_id ~= '' and not applied[n] and cells[j]:sub(-1) == ',' then
        sets[#sets + 1] = p.fields[j]
        sets[#sets + 1] = cells[j] .. provider_id
      end
      answer[#answer + 1] = (overtaken and 'r' or '') .. int((i - 4) / 10)
    end
  end
  if #sets > 0 then
    redis.call('HSET', page, unpack(sets))
  end
end
count(run_key, deltas)
local added = {}
count_cases(run_key, added)
added[#added + 1] = finish_if_done(run, run_key, now)
local paused, why = count_attempts(run, run_key, tried, errors, code, now)
added[#added + 1], answer[3] = paused, why or ''
if #added > 0 then
  local text = table.concat(added, ',')
  answer[2] = '[' .. text .. ']'
  events[#events + 1] = text
end
if #events > 0 then
  answer[1] = redis.call('XADD', base .. 'outbox', '*', 'run', run, 'events', '[' .. table.concat(events, ',') .. ']')
end
return answer
