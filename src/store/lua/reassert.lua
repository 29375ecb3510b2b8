-- Writes claims and outcomes of one run again, as their daemon remembers them: on a server that may have lost them, and
-- outcomes that a dead daemon could not write. What stands there and is as late, or later, is left alone.
-- KEYS[1] campaign
-- ARGV[1] run, ARGV[2] when it was made (epoch ms), ARGV[3] the job that made it, ARGV[4] '1' where it closes cases,
-- ARGV[5] slot, ARGV[6] fence, ARGV[7] our incarnation where we hold the slot with that fence, else '', ARGV[8] lease
-- in ms, then fives: delivery, its cell as it was claimed, the cell of its outcome or '' where none is known, when it is
-- due again (epoch ms) or '', event JSON or ''
-- Returns {'other'} (the run is another one of that name, or was made too long ago to have been lost), or
-- {'written' | 'early', outbox entry or '', events that came to be (JSON array) or '', how many deliveries changed}.
-- `early`: there is no such run, because it is lost with them. Its cells wait for the job that makes it again
-- (create_run.lua), for an hour. Nothing goes to the outbox of a campaign that is not there.
local EARLY = 3600000
local run, made, job = ARGV[1], ARGV[2], ARGV[3]
local closes, slot, fence = ARGV[4] == '1', ARGV[5], tonumber(ARGV[6])
local run_key = base .. 'run:' .. run
local retry_key, slots_key, early_key = run_key .. ':retry', run_key .. ':slots', run_key .. ':early'
local now = now_ms()
local about = redis.call('HMGET', run_key, 'state', 'created_at', 'job', 'definition', 'fence', 'ahead')
local state = about[1]
local early = not state
if early then
  local known = redis.call('HMGET', early_key, 'job', 'fence')
  if now - made > EARLY or (known[1] and known[1] ~= job) then
    return { 'other' }
  end
  about[5] = known[2]
elseif about[2] ~= made and (job == '' or about[3] ~= job) then
  return { 'other' }
end
local stopped = state == 'cancelled' or state == 'failed' or state == 'not_sent'
-- A lost run of a permanent message is named after its due time. Its definition decides it again before anything else
-- (tick_lost.lua); where that is lost, too, nothing does, and what is in flight is in doubt for the runs to come.
local definition, orphan = about[4], nil
if early then
  local name, due = run:match('^(.+)@(%d+)$')
  definition = name
  local key = base .. 'recurring:' .. (name or '')
  local d = name and redis.call('HMGET', key, 'job', 'lost') or {}
  orphan = name and d[1] ~= job
  if name and not orphan and not (',' .. (d[2] or '') .. ','):find(',' .. due .. ',', 1, true) then
    redis.call('HSET', key, 'lost', d[2] and (d[2] .. ',' .. due) or due)
  end
end
if closes then
  notes_of(run, definition)
end

-- What is known by the ledger, and what is remembered: which is later? Claims count up the attempts; a claim given back
-- (released, held) does not count, and the next one of that attempt has a later time.
local function is_news(old, claimed, outcome, letter)
  if old == claimed then
    return outcome ~= ''
  end
  local attempt, at = claimed:match('^c,(%d+),(%d+),')
  attempt = tonumber(attempt)
  local counts = (letter == 'q' or letter == 'h') and attempt - 1 or attempt
  if not old then
    return counts > 0
  end
  local was, was_attempt, was_at, why = old:match('^(%a),(%d+),(%d+),([^,]*)')
  was_attempt = tonumber(was_attempt)
  if was == 'c' then
    return attempt > was_attempt or (attempt == was_attempt and tonumber(at) > tonumber(was_at))
  elseif RANK[was] == 0 then
    -- What was unknown, was returned to the queue, and turns out to have been sent, is not sent again.
    return counts > was_attempt or (letter == 's' and counts == was_attempt)
  elseif was == 'n' or (was == 'f' and why:sub(1, 8) == 'unknown:') then
    return counts > was_attempt or (counts == was_attempt and RANK[letter] > RANK.n)
  end
  return was == 'f' and counts > was_attempt
end

local pages = {}
for i = 9, #ARGV, 5 do
  local page, field = place_of(run_key, ARGV[i])
  local p = pages[page]
  if p == nil then
    p = { fields = {}, at = {} }
    pages[page] = p
  end
  p.fields[#p.fields + 1] = field
  p.at[#p.at + 1] = i
end
local retries_exist = redis.call('EXISTS', retry_key) == 1
local deltas, events, changed, further, in_flight = {}, {}, 0, 0, false
local function move(name, by)
  deltas[name] = (deltas[name] or 0) + by
end
for page, p in pairs(pages) do
  local cells = redis.call('HMGET', page, unpack(p.fields))
  local sets = {}
  for j, i in ipairs(p.at) do
    local delivery, claimed, outcome, due = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
    local old, new = cells[j], outcome ~= '' and outcome or claimed
    local letter = new:sub(1, 1)
    if stopped and RANK[letter] == 0 then
      -- Nothing waits in a run that was stopped for good.
      letter, due = 'k', ''
      new = new:gsub('^%a,(%d+),(%d+),.*$', 'k,%1,%2,' .. state .. ',')
    end
    if is_news(old, claimed, outcome, outcome ~= '' and outcome:sub(1, 1) or 'c') then
      changed = changed + 1
      sets[#sets + 1] = p.fields[j]
      sets[#sets + 1] = new
      if not old and delivery:find('.', 1, true) then
        -- A further contact of a case that was sifted and is not any more: it counts from now on (sift.lua).
        further = further + 1
      elseif not old or (stopped and RANK[old:sub(1, 1)] == 0) then
        move(stopped and 'skipped' or 'queued', -1)
      else
        move(NAMES[old:sub(1, 1)], -1)
      end
      move(NAMES[letter], 1)
      if letter == 'c' then
        in_flight = true
        redis.call('ZADD', retry_key, int(IN_FLIGHT + tonumber(slot)), delivery)
      elseif due ~= '' then
        redis.call('ZADD', retry_key, due, delivery)
      elseif retries_exist or early then
        redis.call('ZREM', retry_key, delivery)
      end
      if closes and letter ~= 'c' and RANK[letter] > 0 then
        outcome_of_case(run, delivery, letter, now)
      elseif closes and orphan then
        outcome_of_case(run, delivery, letter == 'c' and 'n' or letter, now)
      end
      if ARGV[i + 4] ~= '' then
        events[#events + 1] = ARGV[i + 4]
      end
    end
  end
  if #sets > 0 then
    redis.call('HSET', page, unpack(sets))
    if early then
      redis.call('PEXPIRE', page, EARLY)
      local number = tonumber(page:match('%d+$'))
      local range = redis.call('HMGET', early_key, 'first_page', 'last_page')
      redis.call('HSET', early_key, 'first_page', int(math.min(range[1] or number, number)),
        'last_page', int(math.max(range[2] or number, number)))
    end
  end
end
local counted = early and early_key or run_key
if tonumber(about[5] or '0') < fence then
  redis.call('HSET', counted, 'fence', int(fence))
end
if early then
  -- What was absent counts as queued once the run is there: only the others are counted here.
  deltas.queued = (deltas.queued or 0)
  for name, by in pairs(deltas) do
    redis.call('HINCRBY', early_key, name, int(by))
  end
  redis.call('HINCRBY', early_key, 'further', int(further))
  redis.call('HSET', early_key, 'job', job)
  redis.call('PEXPIRE', early_key, EARLY)
  redis.call('PEXPIRE', retry_key, EARLY)
elseif changed > 0 then
  move('total', further)
  count(run_key, deltas)
  -- Fresh ordinals are looked at before they are claimed from now on (claim.lua).
  redis.call('HINCRBY', run_key, 'ahead', 1)
end
if in_flight and not early and ARGV[7] ~= '' then
  local held = redis.call('HGET', slots_key, slot .. ':fence')
  if tonumber(held or '0') < fence then
    redis.call('HSET', slots_key, slot .. ':owner', ARGV[7], slot .. ':fence', int(fence),
      slot .. ':until', int(now + ARGV[8]))
  end
end
count_cases(counted, events)
if not early and changed > 0 then
  events[#events + 1] = finish_if_done(run, run_key, now)
end
local answer = { early and 'early' or 'written', '', '', int(changed) }
if #events > 0 then
  answer[3] = '[' .. table.concat(events, ',') .. ']'
  if not early or redis.call('EXISTS', campaign_key) == 1 then
    answer[2] = redis.call('XADD', base .. 'outbox', '*', 'run', run, 'events', answer[3])
  end
end
return answer
