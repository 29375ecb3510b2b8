-- Claims recipients for sending: due retries first, then the next ordinals of the slot's batches.
-- KEYS[1] campaign
-- ARGV[1] run, ARGV[2] slot, ARGV[3] fence, ARGV[4] our incarnation, ARGV[5] nonce, ARGV[6] how many,
-- ARGV[7] lowest ordinal of this slot not yet recorded, ARGV[8] lease in ms, ARGV[9] least remaining
-- life of an order in ms, ARGV[10] largest batch
-- Returns one of {'lost'}, {'stop', why} (paused, cancelled, ended), or
-- {'claimed', now, next retry due or '', '1' if ordinals remain, then sixes: ordinal, attempt, attempt of
--  its idempotency key, '?' when an attempt under that key may have been accepted or '', reason to skip it
--  or '', order JSON}
-- The same nonce again (its reply was lost) returns the same recipients.
local run, k, fence, me = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local run_key = base .. 'run:' .. run
local slots_key = run_key .. ':slots'
local slot = redis.call('HMGET', slots_key, k .. ':owner', k .. ':fence', k .. ':batches',
  k .. ':nonce', k .. ':claimed')
if slot[1] ~= me or slot[2] ~= fence then
  return { 'lost' }
end
local flags = redis.call('HMGET', run_key, 'state', 'paused_by', 'cursor', 'end', 'slots')
local campaign_state = redis.call('HGET', campaign_key, 'state')
local now = now_ms()
local retry_key = run_key .. ':retry'
local again = slot[4] == ARGV[5]
if not again then
  if flags[1] ~= 'running' then
    return { 'stop', flags[1] or 'gone' }
  elseif flags[2] then
    return { 'stop', 'paused' }
  elseif campaign_state == 'paused' or campaign_state == 'cancelled' then
    return { 'stop', campaign_state }
  end
end
local picked, from_retry = {}, {}
local want = tonumber(ARGV[6])
local cursor, last = tonumber(flags[3]), tonumber(flags[4])
local batches = {}
local floor = tonumber(ARGV[7])
for from, to, next_n in (slot[3] or ''):gmatch('(%d+)-(%d+)-(%d+);') do
  from, to, next_n = tonumber(from), tonumber(to), tonumber(next_n)
  if next_n <= to or to >= floor then
    batches[#batches + 1] = { from, to, next_n }
  end
end
if again then
  for n, mark in (slot[5] or ''):gmatch('(%d+)(z?);') do
    picked[#picked + 1] = tonumber(n)
    from_retry[tonumber(n)] = mark == 'z'
  end
else
  for _, n in ipairs(redis.call('ZRANGEBYSCORE', retry_key, '-inf', int(now), 'LIMIT', 0, want)) do
    picked[#picked + 1] = tonumber(n)
    from_retry[tonumber(n)] = true
  end
  while #picked < want do
    local open = batches[#batches]
    if open == nil or open[3] > open[2] then
      if cursor > last or #batches >= 64 then
        break
      end
      -- Towards the end the batches shrink, so that what is left is shared by all slots.
      local share = math.max(want - #picked, math.ceil((last - cursor + 1) / tonumber(flags[5])))
      open = { cursor, math.min(cursor + math.min(share, tonumber(ARGV[10])) - 1, last), cursor }
      cursor = open[2] + 1
      batches[#batches + 1] = open
    end
    local upto = math.min(open[3] + want - #picked - 1, open[2])
    for n = open[3], upto do
      picked[#picked + 1] = n
    end
    open[3] = upto + 1
  end
end
local pages, order_keys = {}, {}
for i, n in ipairs(picked) do
  local page = page_of(run_key, n)
  local p = pages[page]
  if p == nil then
    p = { fields = {}, at = {}, sets = {} }
    pages[page] = p
  end
  p.fields[#p.fields + 1] = int(n % PAGE)
  p.at[#p.at + 1] = i
  order_keys[i] = base .. 'order:' .. int(n)
end
local cells = {}
for page, p in pairs(pages) do
  local values = redis.call('HMGET', page, unpack(p.fields))
  for j, i in ipairs(p.at) do
    cells[i] = values[j]
  end
end
local orders = {}
if #order_keys > 0 then
  orders = redis.call('MGET', unpack(order_keys))
end
local deltas = { queued = 0, retry = 0, sending = 0 }
local claimed = {}
local answer = { 'claimed', int(now), '', '' }
local min_life = tonumber(ARGV[9])
for i, n in ipairs(picked) do
  local cell = cells[i]
  local letter, attempt, key_attempt, doubt = 'q', 0, 0, ''
  if cell then
    local l, a, _, rest = cell:match('^(%a),(%d+),(%d+),(.*)$')
    letter, attempt = l, tonumber(a)
    local key, mark = (rest or ''):match(',(%d+)(%??)$')
    key_attempt, doubt = tonumber(key or '0'), mark or ''
  end
  local mine = again and letter == 'c'
  if mine or letter == 'q' or letter == 'r' then
    if not mine then
      attempt = attempt + 1
      if key_attempt == 0 then
        key_attempt = attempt
      end
      deltas[letter == 'q' and 'queued' or 'retry'] = deltas[letter == 'q' and 'queued' or 'retry'] - 1
      deltas.sending = deltas.sending + 1
      local p = pages[page_of(run_key, n)]
      p.sets[#p.sets + 1] = int(n % PAGE)
      p.sets[#p.sets + 1] = 'c,' .. attempt .. ',' .. int(now) .. ',' .. fence .. ',' .. key_attempt .. doubt
      if from_retry[n] then
        redis.call('ZADD', retry_key, int(IN_FLIGHT + tonumber(k)), int(n))
      end
    end
    local skip = ''
    local order = orders[i]
    if not order then
      skip = 'no_order'
      order = ''
    else
      local state, expires = order:match('^{"state":"([a-z_]+)","expires_at":(%d+)')
      if state ~= 'available' then
        skip = 'order_' .. (state or 'unreadable')
      elseif tonumber(expires) <= now then
        skip = 'order_expired'
      elseif tonumber(expires) - now < min_life then
        skip = 'expires_too_soon'
      end
    end
    claimed[#claimed + 1] = int(n) .. (from_retry[n] and 'z;' or ';')
    answer[#answer + 1] = int(n)
    answer[#answer + 1] = int(attempt)
    answer[#answer + 1] = int(key_attempt)
    answer[#answer + 1] = doubt
    answer[#answer + 1] = skip
    answer[#answer + 1] = order
  elseif from_retry[n] then
    redis.call('ZREM', retry_key, int(n))
  end
end
for page, p in pairs(pages) do
  if #p.sets > 0 then
    redis.call('HSET', page, unpack(p.sets))
  end
end
count(run_key, deltas)
local text = {}
for _, b in ipairs(batches) do
  text[#text + 1] = int(b[1]) .. '-' .. int(b[2]) .. '-' .. int(b[3]) .. ';'
end
redis.call('HSET', slots_key, k .. ':batches', table.concat(text), k .. ':nonce', ARGV[5],
  k .. ':claimed', table.concat(claimed), k .. ':until', int(now + ARGV[8]))
if not again then
  redis.call('HSET', run_key, 'cursor', int(cursor), 'progress_at', int(now))
end
local due = redis.call('ZRANGE', retry_key, 0, 0, 'WITHSCORES')
if due[2] and tonumber(due[2]) < IN_FLIGHT then
  answer[3] = due[2]
end
local open = batches[#batches]
if cursor <= last or (open and open[3] <= open[2]) then
  answer[4] = '1'
end
return answer
