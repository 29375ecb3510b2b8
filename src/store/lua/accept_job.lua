-- Accepts a job: decides whether this stream entry is the one that runs it.
-- KEYS[1] the job's hash
-- ARGV[1] `<queue>:<entry id>` of this entry, ARGV[2] digest of queue and payload, ARGV[3] queue,
-- ARGV[4] campaign or '', ARGV[5] the entry to adopt the job from, or '',
-- ARGV[6] the trace it belongs to, or ''
-- Returns one of: {'fresh', attempt}, {'resume', attempt, '1' when its handler began before or ''}, {'held', entry}, {'ended', state},
-- {'waiting', state}, {'conflict', state}
local job = redis.call('HMGET', KEYS[1], 'state', 'entry', 'digest', 'attempt', 'begun')
local state, entry, digest, attempt = job[1], job[2], job[3], job[4]
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
if not state or state == 'rejected' then
  redis.call('DEL', KEYS[1])
  redis.call('HSET', KEYS[1], 'state', 'running', 'queue', ARGV[3], 'campaign', ARGV[4],
    'entry', ARGV[1], 'digest', ARGV[2], 'attempt', 1, 'accepted_at', now, 'started_at', now)
  if ARGV[6] ~= '' then
    redis.call('HSET', KEYS[1], 'traceparent', ARGV[6])
  end
  return { 'fresh', '1' }
end
if digest ~= ARGV[2] then
  return { 'conflict', state }
end
if state == 'done' or state == 'dead' then
  return { 'ended', state }
end
if entry == ARGV[1] or (ARGV[5] ~= '' and entry == ARGV[5]) then
  redis.call('HSET', KEYS[1], 'state', 'running', 'entry', ARGV[1])
  return { 'resume', attempt, job[5] or '' }
end
if state == 'running' then
  return { 'held', entry }
end
return { 'waiting', state }
