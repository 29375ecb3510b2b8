-- Claims recipients for sending: due retries first, then the next ordinals of the slot's batches.
-- KEYS[1] campaign
-- ARGV[1] run, ARGV[2] slot, ARGV[3] fence, ARGV[4] our incarnation, ARGV[5] nonce, ARGV[6] how many,
-- ARGV[7] lowest ordinal of this slot not yet recorded, ARGV[8] lease in ms, ARGV[9] least remaining
-- life of an order in ms, ARGV[10] largest batch
-- Returns one of {'lost'}, {'stop', why} (paused, cancelled, ended), or
-- {'claimed', now, time of the claim, next retry due or '', '1' if ordinals remain, the first ordinal that this slot is to
--  sift, or 'wait' where nothing can be claimed before another has sifted, or '', then threes:
--  '<delivery>,<attempt>,<attempt of its idempotency key>,<reason to skip it or nothing>', order JSON or '', case JSON or ''};
--  the key's attempt ends with '?' when an attempt under it may have been accepted
-- A run with a filter, or over all contacts, or over active cases only, is sifted first (sift.lua): its fresh ordinals are
-- claimed up to `sifted`. Whoever comes near that end, and nobody does so already, is told to sift the next stretch.
-- The same nonce again (its reply was lost) returns the same recipients.
local run, k, fence, me = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local run_key = base .. 'run:' .. run
local slots_key = run_key .. ':slots'
local slot = redis.call('HMGET', slots_key, k .. ':owner', k .. ':fence', k .. ':batches',
  k .. ':nonce', k .. ':claimed', k .. ':claimed_at')
if slot[1] ~= me or slot[2] ~= fence then
  return { 'lost' }
end
local flags = redis.call('HMGET', run_key, 'state', 'paused_by', 'cursor', 'end', 'slots', 'ahead', 'sifted',
  'sift_until', 'audience', 'only_active', 'needs_order', 'definition', 'auto_paused')
local campaign_state = redis.call('HGET', campaign_key, 'state')
local now = now_ms()
local retry_key = run_key .. ':retry'
local again = slot[4] == ARGV[5]
if not again then
  if flags[1] ~= 'running' then
    return { 'stop', flags[1] or 'gone' }
  elseif flags[2] or flags[13] then
    return { 'stop', 'paused' }
  elseif campaign_state == 'paused' or campaign_state == 'cancelled' then
    return { 'stop', campaign_state }
  end
end
-- So many sifted ordinals are kept before the cursor; one who sifts and dies is waited for so many ms.
local SIFT_AHEAD, SIFT_LEASE = 1000, 5000
local want = tonumber(ARGV[6])
local at = again and slot[6] or int(now)
local cursor, last = tonumber(flags[3]), tonumber(flags[4])
local sifted = tonumber(flags[7])
local ready = sifted and math.min(sifted, last) or last
-- What is claimed: ordinals as text, their attempts, and the same in short for a repeat.
local texts, attempts, claimed = {}, {}, {}
local moved = { queued = 0, retry = 0, held = 0, sending = 0 }
local WAITING = { q = 'queued', r = 'retry', h = 'held' }

-- A delivery that was tried before, or one to a further contact: its cell says how often.
local function claim_tried(delivery)
  local page, field = place_of(run_key, delivery)
  local cell = redis.call('HGET', page, field) or ''
  local letter, attempt, rest = cell:match('^(%a),(%d+),%d+,(.*)$')
  local key_attempt = (rest or ''):match(',(%d+%??)$')
  if again and letter ~= 'c' then
    return
  elseif not again then
    local from = WAITING[letter]
    if not from then
      redis.call('ZREM', retry_key, delivery)
      return
    end
    moved[from], moved.sending = moved[from] - 1, moved.sending + 1
    attempt = int(attempt + 1)
    if not key_attempt or key_attempt == '0' then
      key_attempt = attempt
    end
    redis.call('HSET', page, field, 'c,' .. attempt .. ',' .. at .. ',' .. fence .. ',' .. key_attempt)
    redis.call('ZADD', retry_key, int(IN_FLIGHT + tonumber(k)), delivery)
    claimed[#claimed + 1] = delivery .. ';'
  end
  texts[#texts + 1] = delivery
  attempts[#attempts + 1] = ',' .. attempt .. ',' .. (key_attempt or attempt) .. ','
end

-- Ordinals fresh from the cursor: they have no cell yet, so all get the same one. Only where something was written
-- ahead of the cursor (a person was forgotten, a case was left out) are cells looked at first, and those that are there
-- left alone.
local ahead = sifted or tonumber(flags[6] or '0') > 0
local function claim_fresh(from, to)
  local cell = 'c,1,' .. at .. ',' .. fence .. ',1'
  local n, fresh = from, 0
  while n <= to do
    local first = n - n % PAGE
    local upto, fields, cells = math.min(first + PAGE - 1, to), {}, {}
    local page = page_of(run_key, n)
    for m = n, upto do
      fields[#fields + 1] = int(m - first)
    end
    local known = ahead and redis.call('HMGET', page, unpack(fields))
    for i, field in ipairs(fields) do
      if not (known and known[i]) then
        cells[#cells + 1] = field
        cells[#cells + 1] = cell
        texts[#texts + 1] = int(n + i - 1)
        attempts[#attempts + 1] = ',1,1,'
        fresh = fresh + 1
      end
    end
    if #cells > 0 then
      redis.call('HSET', page, unpack(cells))
    end
    n = upto + 1
  end
  moved.queued, moved.sending = moved.queued - fresh, moved.sending + fresh
  claimed[#claimed + 1] = int(from) .. '-' .. int(to) .. ';'
end

local batches = {}
local floor = tonumber(ARGV[7])
for from, to, next_n in (slot[3] or ''):gmatch('(%d+)-(%d+)-(%d+);') do
  from, to, next_n = tonumber(from), tonumber(to), tonumber(next_n)
  if next_n <= to or to >= floor then
    batches[#batches + 1] = { from, to, next_n }
  end
end
if again then
  for what in (slot[5] or ''):gmatch('([^;]+);') do
    local from, to = what:match('^(%d+)%-(%d+)$')
    if from then
      for n = tonumber(from), tonumber(to) do
        claim_tried(int(n))
      end
    else
      claim_tried(what)
    end
  end
else
  for _, delivery in ipairs(redis.call('ZRANGEBYSCORE', retry_key, '-inf', int(now), 'LIMIT', 0, want)) do
    claim_tried(delivery)
  end
  while #texts < want do
    local open = batches[#batches]
    if open == nil or open[3] > open[2] then
      if cursor > ready or #batches >= 64 then
        break
      end
      -- Towards the end the batches shrink, so that what is left is shared by all slots.
      local share = math.max(want - #texts, math.ceil((ready - cursor + 1) / tonumber(flags[5])))
      open = { cursor, math.min(cursor + math.min(share, tonumber(ARGV[10])) - 1, ready), cursor }
      cursor = open[2] + 1
      batches[#batches + 1] = open
    end
    local upto = math.min(open[3] + want - #texts - 1, open[2])
    claim_fresh(open[3], upto)
    open[3] = upto + 1
  end
end
local min_life = tonumber(ARGV[9])
-- Every order begins so as long as it can be paid; the time follows.
local AVAILABLE = '{"state":"available","expires_at":'
local function why_not(order)
  if not order then
    return 'no_order'
  elseif order:sub(1, #AVAILABLE) ~= AVAILABLE then
    local state, at = order:match('^{"state":"([a-z_]+)","expires_at":(%d+)')
    if (state == 'creating' or state == 'in_doubt') and tonumber(at) <= now then
      return 'order_expired'
    end
    return 'order_' .. (state or 'unreadable')
  end
  local left = (tonumber(order:match('^%d+', #AVAILABLE + 1)) or 0) - now
  if left <= 0 then
    return 'order_expired'
  end
  return left < min_life and 'expires_too_soon' or ''
end
local function read(what, numbers)
  local keys = {}
  for i, n in ipairs(numbers) do
    keys[i] = base .. what .. n
  end
  return #keys > 0 and redis.call('MGET', unpack(keys)) or {}
end
local answer = { 'claimed', int(now), at, '', '', '' }
local function add_orders()
  for i, order in ipairs(read('order:', texts)) do
    answer[4 + 3 * i] = texts[i] .. attempts[i] .. why_not(order)
    answer[5 + 3 * i] = order or ''
    answer[6 + 3 * i] = ''
  end
end

-- What scripts ask of a case stands at its head, in front of its number.
local function head_of(case)
  return case:sub(1, case:find(',"number":', 1, true) or 0)
end
local function why_not_case(case, definition, noted)
  local state = case:match('^{"state":"(%a+)"')
  if not state then
    return 'no_case'
  end
  local head = head_of(case)
  if state == 'closed' and flags[10] == '1' and not head:find(',"closed_by":"' .. run .. '"', 1, true) then
    return 'case_closed'
  elseif head:find(',"reply_to":"' .. definition .. '"', 1, true) then
    return 'opened_by_reply'
  end
  for other in (noted or ''):gmatch('([^|;]+)|') do
    if other ~= run then
      return 'previous_unknown'
    end
  end
  return ''
end
local function add_cases()
  local definition, numbers, with_order, order_numbers = flags[12] or '', {}, {}, {}
  for i, delivery in ipairs(texts) do
    numbers[i] = delivery:match('^%d+')
  end
  local cases = read('case:', numbers)
  local notes = base .. 'unknown:' .. definition
  local noted = definition ~= run and #numbers > 0 and redis.call('EXISTS', notes) == 1
    and redis.call('HMGET', notes, unpack(numbers)) or {}
  for i in ipairs(numbers) do
    local case = cases[i] or ''
    local why = why_not_case(case, definition, noted[i])
    answer[4 + 3 * i] = texts[i] .. attempts[i] .. why
    answer[5 + 3 * i] = ''
    answer[6 + 3 * i] = case
    -- A case without an order of its own may bring its own amount: whether that will do is seen when it is written.
    local order = why == '' and flags[11] == '1' and head_of(case):match(',"order":(%d+),')
    if order then
      with_order[#with_order + 1] = i
      order_numbers[#order_numbers + 1] = order
    end
  end
  for j, order in ipairs(read('order:', order_numbers)) do
    local i = with_order[j]
    answer[4 + 3 * i] = answer[4 + 3 * i] .. why_not(order)
    answer[5 + 3 * i] = order or ''
  end
end
if flags[9] == 'cases' then
  add_cases()
else
  add_orders()
end
if not again then
  count(run_key, moved)
  local text = {}
  for _, b in ipairs(batches) do
    text[#text + 1] = int(b[1]) .. '-' .. int(b[2]) .. '-' .. int(b[3]) .. ';'
  end
  redis.call('HSET', slots_key, k .. ':batches', table.concat(text), k .. ':nonce', ARGV[5],
    k .. ':claimed', table.concat(claimed), k .. ':claimed_at', at)
  redis.call('HSET', run_key, 'cursor', int(cursor), 'progress_at', int(now))
end
redis.call('HSET', slots_key, k .. ':until', int(now + ARGV[8]))
local due = redis.call('ZRANGE', retry_key, 0, 0, 'WITHSCORES')
if due[2] and tonumber(due[2]) < IN_FLIGHT then
  answer[4] = due[2]
end
local open = batches[#batches]
if cursor <= last or (open and open[3] <= open[2]) then
  answer[5] = '1'
end
if sifted and sifted < last and not again and ready - cursor < SIFT_AHEAD then
  if not is_live(flags[8], now) then
    redis.call('HSET', run_key, 'sift_until', int(now + SIFT_LEASE))
    answer[6] = int(sifted + 1)
  elseif #texts == 0 then
    answer[6] = 'wait'
  end
end
return answer
