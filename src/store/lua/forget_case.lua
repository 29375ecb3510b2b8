-- Forgets the person of one case, if it still reads as it did: the case and its index entry, and in every run over cases the
-- provider's ids of its messages. What waits finds no address in its turn and is skipped.
-- KEYS[1] campaign; ARGV[1] number, ARGV[2] the case as it was read, ARGV[3] as it is to be, ARGV[4] and ARGV[5] index shard
-- and field to remove, or '', ARGV[6] and ARGV[7] index shard and field instead, ARGV[8] its id as JSON, for the event, ARGV[9]
-- '1' when the case is the person's own: else its messages are left alone, ARGV[10] runs looked at most, ARGV[11] contacts
-- Returns {'moved'}, or {'done', outbox entry or '', deliveries looked at, then the runs that have one in flight}.
local n, now = tonumber(ARGV[1]), now_ms()
local case_key = base .. 'case:' .. ARGV[1]
if redis.call('GET', case_key) ~= ARGV[2] then
  return { 'moved' }
end
local name = base:match('{(.*)}')
local outbox = ''
if ARGV[5] ~= '' then
  redis.call('HDEL', base .. 'index:' .. ARGV[4], ARGV[5])
  redis.call('HSET', base .. 'index:' .. ARGV[6], ARGV[7], ARGV[1])
end
if ARGV[2] ~= ARGV[3] then
  redis.call('SET', case_key, ARGV[3])
  if ARGV[9] == '1' then
    local state = ARGV[3]:match('^{"state":"([a-z_]+)"') or ''
    local event = string.format('{"event":"%s/case/%s/forgotten","type":"case","campaign":"%s","case":%s,"id":%s,'
      .. '"state":"%s","forgotten":true,"at":%s}', name, ARGV[1], name, ARGV[1], ARGV[8], state, int(now))
    outbox = redis.call('XADD', base .. 'outbox', '*', 'run', '', 'events', '[' .. event .. ']')
  end
end
local fields = { int(n % PAGE) }
for i = 1, tonumber(ARGV[11]) - 1 do
  fields[#fields + 1] = int(n % PAGE) .. '.' .. int(i)
end
local waits = { q = true, h = true, r = true }
local deliveries, in_flight = 0, {}
for _, run in ipairs(ARGV[9] == '1' and redis.call('ZREVRANGE', base .. 'runs', 0, ARGV[10] - 1) or {}) do
  local run_key = base .. 'run:' .. run
  local r = redis.call('HMGET', run_key, 'audience', 'first', 'end')
  if r[1] == 'cases' and n >= tonumber(r[2]) and n <= tonumber(r[3]) then
    local page, flies = page_of(run_key, n), false
    for i, cell in ipairs(redis.call('HMGET', page, unpack(fields))) do
      local letter, attempt, ms, reason, last = (cell or ''):match('^(%a),(%d+),(%d+),([^,]*),(.*)$')
      if letter then
        deliveries = deliveries + 1
        flies = flies or letter == 'c'
        if letter ~= 'c' and letter ~= 'n' and not waits[letter] and last ~= '' then
          redis.call('HSET', page, fields[i], letter .. ',' .. attempt .. ',' .. ms .. ',' .. reason .. ',')
        end
      end
    end
    in_flight[#in_flight + 1] = flies and run or nil
  end
end
return { 'done', outbox, tostring(deliveries), unpack(in_flight) }
