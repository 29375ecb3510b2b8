-- Adds entries of our own to a stream: they stand for work that was taken on, so they are never refused.
-- KEYS[1] the stream; ARGV[1] the field of each entry, then its value in each of them
-- Returns how many were added.
for i = 2, #ARGV do
  redis.call('XADD', KEYS[1], '*', ARGV[1], ARGV[i])
end
return #ARGV - 1
