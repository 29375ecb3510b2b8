-- Forgets the person of one order, if it still reads as it did: the order and its index entry, and in every run of the
-- campaign its delivery. One that waits is skipped as `forgotten`, with counters and event; of one that ended the
-- provider's id goes; one in flight ends as it does, and is looked at again.
-- KEYS[1] campaign; ARGV[1] number, ARGV[2] the order as it was read, ARGV[3] as it is to be, ARGV[4] and ARGV[5] index
-- shard and field to remove, or '', ARGV[6] and ARGV[7] index shard and field instead, ARGV[8] its row key as JSON, for
-- the events, ARGV[9] '1' when the order is the person's own: else its deliveries go on, ARGV[10] runs looked at most,
-- ARGV[11] and ARGV[12] index shard and reference that the order has no more, or ''
-- Returns {'moved'}, or {'done', outbox entry or '', deliveries looked at, of them skipped as forgotten, then the runs
-- that have it in flight}. Asked again it counts the same.
local n, now = tonumber(ARGV[1]), now_ms()
local order_key = base .. 'order:' .. ARGV[1]
if redis.call('GET', order_key) ~= ARGV[2] then
  return { 'moved' }
end
local name = base:match('{(.*)}')
local events = {}
if ARGV[2] ~= ARGV[3] then
  redis.call('SET', order_key, ARGV[3])
  if ARGV[9] == '1' then
    local state = ARGV[3]:match('^{"state":"([a-z_]+)"') or ''
    events[1] = string.format(
      '{"event":"%s/%s/forgotten","type":"order","campaign":"%s","order":%s,"key":%s,"reference":"",'
        .. '"state":"%s","forgotten":true,"at":%s}',
      name, ARGV[1], name, ARGV[1], ARGV[8], state, int(now))
  end
end
if ARGV[5] ~= '' then
  redis.call('HDEL', base .. 'index:' .. ARGV[4], ARGV[5])
  redis.call('HSET', base .. 'index:' .. ARGV[6], ARGV[7], ARGV[1])
end
if ARGV[12] ~= '' then
  -- References are not unique: the index has the numbers of those that share one.
  local index, field = base .. 'index:' .. ARGV[11], 'r:' .. ARGV[12]
  local known = redis.call('HGET', index, field)
  if known then
    local left = {}
    for number in known:gmatch('%d+') do
      left[#left + 1] = number ~= ARGV[1] and number or nil
    end
    local text = table.concat(left, ',') .. (known:sub(-1) == '+' and '+' or '')
    if text == '' then
      redis.call('HDEL', index, field)
    else
      redis.call('HSET', index, field, text)
    end
  end
end
local waiting = { q = 'queued', h = 'held', r = 'retry' }
local deliveries, skipped, in_flight = 0, 0, {}
for _, run in ipairs(ARGV[9] == '1' and redis.call('ZREVRANGE', base .. 'runs', 0, ARGV[10] - 1) or {}) do
  local run_key = base .. 'run:' .. run
  local r = redis.call('HMGET', run_key, 'state', 'first', 'end', 'audience')
  if r[1] and r[4] ~= 'cases' and n >= tonumber(r[2]) and n <= tonumber(r[3]) then
    local page, field = page_of(run_key, n), int(n % PAGE)
    local cell = redis.call('HGET', page, field)
    local letter, attempt, ms, reason, last = (cell or 'q,0,0,,'):match('^(%a),(%d+),(%d+),([^,]*),(.*)$')
    deliveries = deliveries + 1
    if letter == 'c' then
      in_flight[#in_flight + 1] = run
    elseif waiting[letter] and r[1] == 'running' then
      -- Where an attempt may have been accepted, nobody can say that it was not sent.
      local doubt = last:sub(-1) == '?'
      local to, state = doubt and 'n' or 'k', doubt and 'unknown' or 'skipped'
      redis.call('HSET', page, field, to .. ',' .. attempt .. ',' .. int(now) .. ',forgotten,' .. (doubt and last or ''))
      if cell then
        redis.call('ZREM', run_key .. ':retry', ARGV[1])
      else
        redis.call('HINCRBY', run_key, 'ahead', 1)
      end
      count(run_key, { [waiting[letter]] = -1, [state] = 1 })
      skipped = skipped + 1
      events[#events + 1] = string.format(
        '{"event":"%s/%s/%s.0/%s/%s","type":"delivery","campaign":"%s","run":"%s","order":%s,"key":%s,"state":"%s",'
          .. '"reason":"forgotten","attempt":%s,"parts":0,"at":%s}',
        name, run, ARGV[1], attempt, state, name, run, ARGV[1], ARGV[8], state, attempt, int(now))
      events[#events + 1] = finish_if_done(run, run_key, now)
    elseif letter ~= 'n' and not waiting[letter] then
      if reason == 'forgotten' then
        skipped = skipped + 1
      end
      if last ~= '' then
        redis.call('HSET', page, field, letter .. ',' .. attempt .. ',' .. ms .. ',' .. reason .. ',')
      end
    elseif letter == 'n' and reason == 'forgotten' then
      skipped = skipped + 1
    end
  end
end
local outbox = ''
if #events > 0 then
  outbox = redis.call('XADD', base .. 'outbox', '*', 'run', '', 'events', '[' .. table.concat(events, ',') .. ']')
end
return { 'done', outbox, tostring(deliveries), tostring(skipped), unpack(in_flight) }
