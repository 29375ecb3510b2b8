-- Writes what was judged of one stretch of a run's cases: who is left out, and to which further contacts of the others it
-- goes. Only once for each stretch: nothing is written where another has sifted it.
-- KEYS[1] campaign
-- ARGV[1] run, ARGV[2] first, ARGV[3] last of the stretch, ARGV[4] '1' where the same slot goes on with the next one,
-- ARGV[5] number l of those left out, then l pairs: ordinal, reason; then further deliveries `<n>.<contact>`
-- Returns {'sifted' | 'moved' (another did it) | 'over' (the run has ended), outbox entry, events as JSON}.
local run, first, last = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local run_key = base .. 'run:' .. run
local flags = redis.call('HMGET', run_key, 'state', 'sifted', 'cursor', 'ahead')
if flags[1] ~= 'running' then
  return { 'over', '', '' }
elseif tonumber(flags[2]) ~= first - 1 then
  return { 'moved', '', '' }
end
local now = now_ms()
-- Who is left out, page by page: they ascend. One that was forgotten meanwhile has its cell.
local skipped, cells = 0, {}
local function skip(page, fields, reasons)
  local known = redis.call('HMGET', page, unpack(fields))
  local sets = {}
  for i, field in ipairs(fields) do
    if not known[i] then
      local reason = reasons[i]
      cells[reason] = cells[reason] or ('k,0,' .. int(now) .. ',' .. reason .. ',')
      sets[#sets + 1] = field
      sets[#sets + 1] = cells[reason]
      skipped = skipped + 1
    end
  end
  if #sets > 0 then
    redis.call('HSET', page, unpack(sets))
  end
end
local left_out = tonumber(ARGV[5])
local further = 6 + 2 * left_out
local number, fields, reasons
for i = 6, further - 1, 2 do
  local n = tonumber(ARGV[i])
  local f = n % PAGE
  if number ~= n - f then
    if number then
      skip(page_of(run_key, number), fields, reasons)
    end
    number, fields, reasons = n - f, {}, {}
  end
  fields[#fields + 1] = int(f)
  reasons[#reasons + 1] = ARGV[i + 1]
end
if number then
  skip(page_of(run_key, number), fields, reasons)
end
-- Further contacts wait at once for their message. One that was claimed before this was lost has its cell, and counts.
local ahead = tonumber(flags[4] or '0') > 0
local pages, due, more, cell = {}, {}, 0, 'q,0,' .. int(now) .. ',,0'
for i = further, #ARGV do
  local page, field = place_of(run_key, ARGV[i])
  if not (ahead and redis.call('HEXISTS', page, field) == 1) then
    local sets = pages[page] or {}
    pages[page] = sets
    sets[#sets + 1] = field
    sets[#sets + 1] = cell
    due[#due + 1] = int(now)
    due[#due + 1] = ARGV[i]
    more = more + 1
  end
end
for i = 1, #due, 1000 do
  redis.call('ZADD', run_key .. ':retry', unpack(due, i, math.min(i + 999, #due)))
end
for page, sets in pairs(pages) do
  for i = 1, #sets, 1000 do
    redis.call('HSET', page, unpack(sets, i, math.min(i + 999, #sets)))
  end
end
count(run_key, { queued = more - skipped, skipped = skipped, total = more })
redis.call('HSET', run_key, 'sifted', int(last), 'sift_until', ARGV[4] == '1' and int(now + 5000) or '0',
  'progress_at', int(now))
redis.call('HINCRBY', run_key, 'left_out', int(left_out))
if left_out == last - first + 1 and tonumber(flags[3]) == first then
  -- Nobody of the stretch is left to be claimed.
  redis.call('HSET', run_key, 'cursor', int(last + 1))
end
local done = finish_if_done(run, run_key, now)
if not done then
  return { 'sifted', '', '' }
end
done = '[' .. done .. ']'
return { 'sifted', redis.call('XADD', base .. 'outbox', '*', 'run', run, 'events', done), done }
