-- Appends one envelope, unless the backlog would pass its bound. One script, so that the byte counter is
-- exact whoever dies when.
-- KEYS: stream, byte counter.  ARGV: bytes_max, events, received_at, envelope.
local bytes = tonumber(redis.call('GET', KEYS[2]) or '0')
if bytes + #ARGV[4] > tonumber(ARGV[1]) then
  return 0
end
redis.call('XADD', KEYS[1], '*', 'events', ARGV[2], 'received_at', ARGV[3], 'envelope', ARGV[4])
redis.call('INCRBY', KEYS[2], #ARGV[4])
return 1
