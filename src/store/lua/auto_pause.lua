-- BM-26: a run pauses itself when, since its beginning or its last resume, 1,000 of its attempts and over a fifth of the last
-- 2,000 came to nothing for reasons that are not the recipient's (passing and ambiguous failures). All daemons count here.
-- The last attempts are kept by hundreds: the field `errors` is `<all errors>;<hundred>:<its errors>;...`. It is written only
-- where there was an error, so that a run without any pays for one number a batch. Returns the run's event and the reason,
-- or nothing.
local ERRORS_LEAST, ATTEMPTS_LAST, HUNDRED = 1000, 2000, 100
local function count_attempts(run, run_key, tried, errors, code, now)
  if tried == 0 then
    return
  end
  local attempts = redis.call('HINCRBY', run_key, 'attempts', int(tried))
  if errors == 0 then
    return
  end
  local here = math.floor((attempts - 1) / HUNDRED)
  local first = math.max(here - ATTEMPTS_LAST / HUNDRED + 1, 0)
  local known = redis.call('HMGET', run_key, 'errors', 'state', 'auto_paused')
  local all, kept, lately = errors + tonumber((known[1] or '0'):match('^%d+')), '', errors
  for hundred, n in (known[1] or ''):gmatch('(%d+):(%d+);') do
    if tonumber(hundred) == here then
      errors = errors + n
    elseif tonumber(hundred) >= first then
      kept = kept .. hundred .. ':' .. n .. ';'
    end
    lately = lately + (tonumber(hundred) >= first and n or 0)
  end
  redis.call('HSET', run_key, 'errors', int(all) .. ';' .. kept .. int(here) .. ':' .. int(errors) .. ';')
  local last = attempts - first * HUNDRED
  if all < ERRORS_LEAST or lately * 5 <= last or known[2] ~= 'running' or known[3] then
    return
  end
  local reason = 'too_many_errors:' .. code:match('^[^:]*')
  redis.call('HSET', run_key, 'auto_paused', reason, 'auto_paused_at', int(now), 'auto_paused_errors', int(lately),
    'auto_paused_attempts', int(last))
  return run_event(run, 'paused', now):sub(1, -2) .. ',"reason":' .. cjson.encode(reason) .. '}', reason
end
