-- Sets an entry aside with its reason, and acks it, in one step: it is always in exactly one place.
-- KEYS: stream, byte counter, dead letters.  ARGV: group, id, bytes, reason.
local found = redis.call('XRANGE', KEYS[1], ARGV[2], ARGV[2])
if not found[1] then
  return 0
end
local fields = found[1][2]
redis.call('XADD', KEYS[3], '*', 'id', ARGV[2], 'reason', ARGV[4], unpack(fields))
redis.call('XACK', KEYS[1], ARGV[1], ARGV[2])
redis.call('XDEL', KEYS[1], ARGV[2])
redis.call('DECRBY', KEYS[2], ARGV[3])
return 1
