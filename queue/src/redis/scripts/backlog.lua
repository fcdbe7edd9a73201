-- What waits, at one instant.
-- KEYS: stream, byte counter, dead letters.  ARGV: group.
-- Returns: { entries, bytes, pending, dead letters, received_at of the oldest or '' }
local pending = redis.pcall('XPENDING', KEYS[1], ARGV[1])
local oldest = ''
local first = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)
if first[1] then
  local fields = first[1][2]
  for i = 1, #fields, 2 do
    if fields[i] == 'received_at' then
      oldest = fields[i + 1]
    end
  end
end
return {
  redis.call('XLEN', KEYS[1]),
  tonumber(redis.call('GET', KEYS[2]) or '0'),
  -- No stream or group yet: nothing is pending.
  pending.err and 0 or pending[1],
  redis.call('XLEN', KEYS[3]),
  oldest,
}
