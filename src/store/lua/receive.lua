-- Takes receipts of one run into its ledger: cells, counters, retry set and one outbox entry, in one step; ends the
-- run when it waited for nothing else.
-- KEYS[1] campaign
-- ARGV[1] run, ARGV[2] channel they came by or '' (a job), then eights: ordinal, contact, attempt, letter, reason,
-- provider id or '', the provider's time in ms or '', event JSON without its end (it ends with the attempt)
-- Returns {outbox entry id or '', events or '', then for each receipt: the letter of its cell, with '+' before it where
-- the receipt changed it; or '?' when nothing of the kind was ever claimed here}.
-- A receipt is about the message of one attempt. `delivered` always counts: somebody has the message. Other news
-- counts only while the ledger still speaks of that message, which attempts under one idempotency key share: what
-- became of an attempt that an operator's retry has left behind does not take that retry back, but for one thing:
-- what was unknown, and was sent, is not sent again (DA-1).
-- The event speaks of the attempt that the cell counts from now on, so that readers may go by the attempt.
local run = ARGV[1]
local run_key = base .. 'run:' .. run
local answer = { '', '' }
local r = redis.call('HMGET', run_key, 'state', 'channel', 'audience', 'close_cases', 'definition')
if not r[1] or (ARGV[2] ~= '' and ARGV[2] ~= r[2]) then
  for _ = 3, #ARGV, 8 do
    answer[#answer + 1] = '?'
  end
  return answer
end
local closes = r[4] == '1'
if closes then
  notes_of(run, r[5])
end
local stopped = r[1] == 'cancelled' or r[1] == 'failed'
local now = now_ms()
local retry_key = run_key .. ':retry'
local retries_exist = redis.call('EXISTS', retry_key) == 1

-- All cells at once; a second receipt of the same recipient sees what the first one made of it.
local pages = {}
for i = 3, #ARGV, 8 do
  local page, field = page_of(run_key, tonumber(ARGV[i])), int(ARGV[i] % PAGE)
  if ARGV[i + 1] ~= '0' then
    field = field .. '.' .. ARGV[i + 1]
  end
  local p = pages[page]
  if p == nil then
    p = { fields = {}, cells = {}, changed = {} }
    pages[page] = p
  end
  if p.cells[field] == nil then
    p.cells[field] = false
    p.fields[#p.fields + 1] = field
  end
end
for page, p in pairs(pages) do
  for j, cell in ipairs(redis.call('HMGET', page, unpack(p.fields))) do
    p.cells[p.fields[j]] = cell
  end
end

-- Nothing that a provider calls the message comes back once its person was forgotten.
local function is_forgotten(n)
  return (redis.call('GET', base .. (r[3] == 'cases' and 'case:' or 'order:') .. n) or ''):find('"forgotten_at":%d') ~= nil
end

local deltas, events, done = {}, {}, {}
for i = 3, #ARGV, 8 do
  local n, attempt, letter, id = ARGV[i], tonumber(ARGV[i + 2]), ARGV[i + 3], ARGV[i + 5]
  local contact = ARGV[i + 1] == '0' and '' or '.' .. ARGV[i + 1]
  local field, delivery = int(n % PAGE) .. contact, n .. contact
  local p = pages[page_of(run_key, tonumber(n))]
  local old, old_attempt, old_at, why, tail = (p.cells[field] or ''):match('^(%a),(%d+),(%d+),([^,]*),(.*)$')
  if not old then
    answer[#answer + 1] = '?'
  else
    old_attempt = tonumber(old_attempt)
    -- What waits in a run that was stopped reads as skipped, and is counted so.
    local is = (stopped and RANK[old] == 0) and 'k' or old
    local same
    if RANK[old] < RANK.s then
      -- The last field is the attempt of the idempotency key; 0: the next attempt gets a new one.
      local key = tonumber(tail:match('^(%d+)') or old_attempt)
      same = attempt >= (key > 0 and key or old_attempt + 1)
        or (letter == 's' and why == 'operator:unknown' and attempt >= old_attempt)
    else
      same = attempt >= old_attempt or (id ~= '' and id == tail)
    end
    if (letter == 'd' or same) and RANK[letter] > RANK[is] then
      if is_forgotten(n) then
        id = ''
      elseif id == '' and RANK[old] >= RANK.s and why:sub(1, 8) ~= 'unknown:' then
        id = tail
      end
      local counts = int(math.max(attempt, old_attempt))
      local event = ARGV[i + 7]
      if attempt < old_attempt then
        event = event:gsub('^({"event":"[^"]*/)%d+(/%l+")', '%1' .. counts .. '%2')
        event = event:gsub('"attempt":%d+$', '"attempt":' .. counts)
      end
      local at = math.max(tonumber(old_at), math.min(tonumber(ARGV[i + 6]) or now, now))
      p.cells[field] = letter .. ',' .. counts .. ',' .. int(at) .. ',' .. ARGV[i + 4] .. ',' .. id
      p.changed[field] = true
      deltas[NAMES[is]] = (deltas[NAMES[is]] or 0) - 1
      deltas[NAMES[letter]] = (deltas[NAMES[letter]] or 0) + 1
      -- What was sent closed its case then, and may have been opened again since.
      if closes and old ~= 's' then
        outcome_of_case(run, delivery, letter, now)
      end
      if retries_exist and RANK[old] < RANK.n then
        done[#done + 1] = delivery
      end
      events[#events + 1] = event .. (id ~= '' and ',"provider_id":' .. cjson.encode(id) or '')
        .. ',"at":' .. int(at) .. '}'
      answer[#answer + 1] = '+' .. letter
    else
      answer[#answer + 1] = is
    end
  end
end
for page, p in pairs(pages) do
  local sets = {}
  for field in pairs(p.changed) do
    sets[#sets + 1] = field
    sets[#sets + 1] = p.cells[field]
  end
  if #sets > 0 then
    redis.call('HSET', page, unpack(sets))
  end
end
if #done > 0 then
  redis.call('ZREM', retry_key, unpack(done))
end
if #events > 0 then
  count(run_key, deltas)
  count_cases(run_key, events)
  events[#events + 1] = finish_if_done(run, run_key, now)
  answer[2] = '[' .. table.concat(events, ',') .. ']'
  answer[1] = redis.call('XADD', base .. 'outbox', '*', 'run', run, 'events', answer[2])
end
return answer
