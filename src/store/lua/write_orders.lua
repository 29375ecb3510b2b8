-- Writes one slice of generated orders with its refused rows and its checkpoint, in one step.
-- KEYS[1] campaign; ARGV[1] job id, ARGV[2] checkpoint (JSON), ARGV[3] highest number of the slice or
-- 0, ARGV[4] first number of the slice or 0, ARGV[5] errors kept at most, ARGV[6] number of orders k, ARGV[7] the
-- slice's event (JSON) or '', ARGV[8] number of references m (0 without an index of them), then k pairs: number, JSON;
-- then m threes: index shard, reference, number; then refused rows in pairs: code, JSON for the list or ''
-- Returns {orders written now, state of the campaign, outbox entry or ''}. A cancelled campaign takes no more orders.
local NUMBERS_KEPT = 20
local state = redis.call('HGET', campaign_key, 'state') or 'gone'
if state == 'cancelled' or state == 'gone' then
  return { 0, state, '' }
end
-- Each slice is written once: a repeat after a lost reply carries the same checkpoint.
local checkpoint = 'checkpoint:' .. ARGV[1]
if redis.call('HGET', campaign_key, checkpoint) == ARGV[2] then
  return { 0, state, '' }
end
local written, creating = 0, 0
local k = tonumber(ARGV[6])
local at = 9
for _ = 1, k do
  if redis.call('SETNX', base .. 'order:' .. ARGV[at], ARGV[at + 1]) == 1 then
    if ARGV[at + 1]:sub(1, 19) == '{"state":"creating"' then
      -- A payment platform is to make it: it may be asked at once.
      redis.call('ZADD', base .. 'creating', 0, ARGV[at])
      creating = creating + 1
    end
    written = written + 1
  end
  at = at + 2
end
if written > 0 then
  redis.call('HINCRBY', campaign_key, 'orders', written)
  redis.call('HINCRBY', campaign_key, 'orders:available', written - creating)
  if creating > 0 then
    redis.call('HINCRBY', campaign_key, 'orders:creating', creating)
  end
end
-- References are not unique: the first few numbers of each are kept, `+` says that there are more.
for _ = 1, tonumber(ARGV[8]) do
  local index, field, number = base .. 'index:' .. ARGV[at], 'r:' .. ARGV[at + 1], ARGV[at + 2]
  local known = redis.call('HGET', index, field)
  if not known then
    redis.call('HSET', index, field, number)
  elseif known:sub(-1) ~= '+' and not (',' .. known .. ','):find(',' .. number .. ',', 1, true) then
    local _, commas = known:gsub(',', '')
    redis.call('HSET', index, field, known .. (commas + 1 < NUMBERS_KEPT and (',' .. number) or '+'))
  end
  at = at + 3
end
local refused = 0
local errors = base .. 'errors'
local kept = redis.call('LLEN', errors)
while at <= #ARGV do
  redis.call('HINCRBY', campaign_key, 'refused:' .. ARGV[at], 1)
  if ARGV[at + 1] ~= '' and kept < tonumber(ARGV[5]) then
    redis.call('RPUSH', errors, ARGV[at + 1])
    kept = kept + 1
  end
  refused = refused + 1
  at = at + 2
end
if refused > 0 then
  redis.call('HINCRBY', campaign_key, 'refused', refused)
end
local batch = redis.call('HGET', campaign_key, 'batch:' .. ARGV[1]) or '1'
if ARGV[3] ~= '0' then
  redis.call('HSETNX', campaign_key, 'first:' .. batch, ARGV[4])
  redis.call('HSETNX', campaign_key, 'expire:' .. batch, ARGV[4])
  redis.call('HSET', campaign_key, 'last:' .. batch, ARGV[3])
end
redis.call('HSET', campaign_key, checkpoint, ARGV[2])
local outbox = ''
if ARGV[7] ~= '' then
  outbox = redis.call('XADD', base .. 'outbox', '*', 'run', '', 'events', '[' .. ARGV[7] .. ']')
end
return { written, state, outbox }
