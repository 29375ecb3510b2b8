-- What an outcome means for its case, in runs that close cases: an accepted message closes it (BM-14), and what is
-- unknown of it is noted for the later runs of the definition until it is known (BM-15).
local noted_key, moved_cases, case_events = nil, {}, {}
local function notes_of(run, definition)
  if definition and definition ~= run then
    noted_key = base .. 'unknown:' .. definition
  end
end
-- The id as it stands in the JSON; one with signs that JSON escapes is read by a reader of JSON.
local function id_of_case(text, rest)
  local at = rest:find(',"number":', 1, true)
  local id = at and rest:match('^,"number":%d+,"id":("[^"\\]*"),', at)
  if not id then
    local read, case = pcall(cjson.decode, text)
    id = cjson.encode(read and case.id or '')
  end
  return id
end
-- A case that is closed is left alone, whoever closed it.
local function close_case(run, n, now)
  local key = base .. 'case:' .. n
  local text = redis.call('GET', key) or ''
  local state, rest = text:match('^{"state":"(%a+)"(.*)}$')
  if not state or state == 'closed' then
    return
  end
  redis.call('SET', key, '{"state":"closed","closed_by":"' .. run .. '"' .. rest .. ',"closed_at":' .. int(now)
    .. ',"closed_reason":"bulk_message"}')
  moved_cases[state] = (moved_cases[state] or 0) + 1
  local name = base:match('{(.*)}')
  case_events[#case_events + 1] = string.format('{"event":"%s/case/%s/closed/%s","type":"case","campaign":"%s",'
    .. '"case":%s,"id":%s,"state":"closed","reason":"bulk_message","run":"%s","at":%s}',
    name, n, int(now), name, n, id_of_case(text, rest), run, int(now))
end
-- The note of a case: `<run>|<delivery>;` for each delivery of which nobody knows.
local function note_unknown(run, n, delivery)
  if noted_key then
    local token = run .. '|' .. delivery .. ';'
    local noted = redis.call('HGET', noted_key, n) or ''
    if not noted:find(token, 1, true) then
      redis.call('HSET', noted_key, n, noted .. token)
    end
  end
end
local function forget_unknown(run, n, delivery)
  local noted = noted_key and redis.call('HGET', noted_key, n)
  if noted then
    local token = run .. '|' .. delivery .. ';'
    local from, upto = noted:find(token, 1, true)
    if from then
      noted = noted:sub(1, from - 1) .. noted:sub(upto + 1)
      if noted == '' then
        redis.call('HDEL', noted_key, n)
      else
        redis.call('HSET', noted_key, n, noted)
      end
    end
  end
end
-- One delivery (`<n>` or `<n>.<k>`) came to a state that is final, or unknown.
local function outcome_of_case(run, delivery, letter, now)
  local n = delivery:match('^%d+')
  if letter == 'n' then
    note_unknown(run, n, delivery)
    return
  end
  forget_unknown(run, n, delivery)
  if letter == 's' or letter == 'd' then
    close_case(run, n, now)
  end
end
-- Moves the counters; what there is to tell goes behind `events`.
local function count_cases(run_key, events)
  local closed = #case_events
  if closed == 0 then
    return
  end
  for state, count in pairs(moved_cases) do
    redis.call('HINCRBY', campaign_key, 'cases:' .. state, int(-count))
  end
  redis.call('HINCRBY', campaign_key, 'cases:closed', int(closed))
  redis.call('HINCRBY', run_key, 'cases_closed', int(closed))
  for _, event in ipairs(case_events) do
    events[#events + 1] = event
  end
end
