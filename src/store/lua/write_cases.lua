-- Writes one slice of imported cases. New ones are numbered behind the last case, known ones are written where they still
-- read as they did; refused rows and the checkpoint are written once nothing of the slice was missed.
-- KEYS[1] campaign; ARGV[1] job id, ARGV[2] checkpoint before the slice or '', ARGV[3] checkpoint behind it, ARGV[4] how long
-- it is kept in ms, ARGV[5] how many cases there were when the slice was planned, ARGV[6] errors kept at most, ARGV[7]
-- number of new cases, ARGV[8] number of changed ones; then fours: index shard, id, state, JSON; then fives: number, old
-- JSON, new JSON, state before, state after; then refused rows in threes: 'row' or 'contact', code, JSON
-- Returns {'written'} with the places of those that were missed (1 is the first new case), {'again'} when it was written
-- before, {'lost'} when another daemon wrote meanwhile, or {'stop', state of a campaign that takes no cases}.
local c = redis.call('HMGET', campaign_key, 'state', 'cases')
local state, cases = c[1] or 'gone', tonumber(c[2] or '0')
if state == 'gone' or state == 'cancelled' then
  return { 'stop', state }
end
local checkpoint_key = base .. 'import:' .. ARGV[1]
local checkpoint = redis.call('GET', checkpoint_key) or ''
if checkpoint == ARGV[3] then
  return { 'again' }
elseif checkpoint ~= ARGV[2] then
  return { 'lost' }
end
local answer, deltas = { 'written' }, {}
local new, changed, at = tonumber(ARGV[7]), tonumber(ARGV[8]), 9
local is_numbered = cases == tonumber(ARGV[5])
for i = 1, new do
  if is_numbered then
    cases = cases + 1
    redis.call('HSET', base .. 'index:' .. ARGV[at], 'c:' .. ARGV[at + 1], int(cases))
    redis.call('SET', base .. 'case:' .. int(cases), ARGV[at + 3])
    deltas[ARGV[at + 2]] = (deltas[ARGV[at + 2]] or 0) + 1
  else
    answer[#answer + 1] = int(i)
  end
  at = at + 4
end
for i = 1, changed do
  local key = base .. 'case:' .. ARGV[at]
  if redis.call('GET', key) == ARGV[at + 1] then
    redis.call('SET', key, ARGV[at + 2])
    if ARGV[at + 3] ~= ARGV[at + 4] then
      deltas[ARGV[at + 3]] = (deltas[ARGV[at + 3]] or 0) - 1
      deltas[ARGV[at + 4]] = (deltas[ARGV[at + 4]] or 0) + 1
    end
  else
    answer[#answer + 1] = int(new + i)
  end
  at = at + 5
end
if is_numbered and new > 0 then
  redis.call('HSET', campaign_key, 'cases', int(cases))
end
for name, delta in pairs(deltas) do
  if delta ~= 0 then
    redis.call('HINCRBY', campaign_key, 'cases:' .. name, int(delta))
  end
end
if #answer > 1 then
  return answer
end
local errors = base .. 'errors'
local kept = redis.call('LLEN', errors)
for i = at, #ARGV, 3 do
  if ARGV[i] == 'row' then
    redis.call('HINCRBY', campaign_key, 'refused', 1)
    redis.call('HINCRBY', campaign_key, 'refused:' .. ARGV[i + 1], 1)
  end
  if kept < tonumber(ARGV[6]) then
    redis.call('RPUSH', errors, ARGV[i + 2])
    kept = kept + 1
  end
end
redis.call('SET', checkpoint_key, ARGV[3], 'PX', ARGV[4])
return answer
