-- Writes down that an entry is processed alone.
-- KEYS: stream, tries.  ARGV: id.
-- Returns: how often that was written down, or 0 when the entry is gone.
if not redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[1])[1] then
  return 0
end
return redis.call('HINCRBY', KEYS[2], ARGV[1], 1)
