-- Sets an entry aside with its reason, and acks it, in one step: it is always in exactly one place.
-- KEYS: stream, byte counter, dead letters, bytes of the dead letters, tries.
-- ARGV: group, id, bytes, reason, now, dead_letters_bytes_max.
-- Returns: 1; 0 when the entry is gone already; -1 when there is no room.
local found = redis.call('XRANGE', KEYS[1], ARGV[2], ARGV[2])
if not found[1] then
  return 0
end
local fields = found[1][2]
local bytes = 0
for i = 2, #fields, 2 do
  bytes = bytes + #fields[i]
end
local held = tonumber(redis.call('GET', KEYS[4]) or '0')
if held + bytes > tonumber(ARGV[6]) then
  return -1
end
redis.call('XADD', KEYS[3], '*', 'id', ARGV[2], 'reason', ARGV[4], 'at', ARGV[5], unpack(fields))
redis.call('INCRBY', KEYS[4], bytes)
redis.call('XACK', KEYS[1], ARGV[1], ARGV[2])
redis.call('XDEL', KEYS[1], ARGV[2])
redis.call('DECRBY', KEYS[2], ARGV[3])
redis.call('HDEL', KEYS[5], ARGV[2])
return 1
