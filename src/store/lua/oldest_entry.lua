-- The id of a stream's oldest entry, without moving what it carries.
-- KEYS[1] the stream
-- Returns the id, or '' when the stream is empty.
local first = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1]
return first and first[1] or ''
