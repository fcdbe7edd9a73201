-- Removes a consumer that has nothing pending. With entries pending it must stay: removing it would
-- take them out of everybody's reach.
-- KEYS: stream.  ARGV: group, consumer.
local pending = redis.pcall('XPENDING', KEYS[1], ARGV[1], '-', '+', 1, ARGV[2])
if pending.err or #pending > 0 then
  return 0
end
redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], ARGV[2])
return 1
