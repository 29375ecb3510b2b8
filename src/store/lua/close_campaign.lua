-- Looks whether a campaign is delivered: its last run may have ended while a job could still have added to it.
-- KEYS[1] campaign
-- Returns the outbox entry, or '' when there is nothing to say.
local delivered = deliver_if_done(now_ms())
if not delivered then
  return ''
end
return redis.call('XADD', base .. 'outbox', '*', 'run', '', 'events', '[' .. delivered .. ']')
