-- Lets the leases of entries begin now, each with its own owner, where they began at a time that has not come: before
-- Redis' clock was set back. Redis shows those as idle for 0 ms, and stays so until that time.
-- KEYS[1] the stream; ARGV[1] group, ARGV[2] the id to begin at, ARGV[3] limit
-- Returns the id to go on at, or ''.
local pending = redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[2], '+', ARGV[3])
for _, p in ipairs(pending) do
  if tonumber(p[3]) == 0 then
    redis.call('XCLAIM', KEYS[1], ARGV[1], p[2], 0, p[1], 'JUSTID')
  end
end
return #pending == tonumber(ARGV[3]) and '(' .. pending[#pending][1] or ''
