-- Appends envelopes in their order, each unless the backlog would pass its bound with it. One script, so that the
-- byte counter is exact whoever dies when. The caller bounds how many there are: Redis does nothing else meanwhile.
-- KEYS: stream, byte counter.  ARGV: bytes_max, then events, received_at and envelope of each.
-- Returns: which were refused, counted from 0.
local bytes = tonumber(redis.call('GET', KEYS[2]) or '0')
local bytes_max, added, refused = tonumber(ARGV[1]), 0, {}
for i = 2, #ARGV, 3 do
  local envelope = ARGV[i + 2]
  if bytes + added + #envelope > bytes_max then
    refused[#refused + 1] = (i - 2) / 3
  else
    redis.call('XADD', KEYS[1], '*', 'events', ARGV[i], 'received_at', ARGV[i + 1], 'envelope', envelope)
    added = added + #envelope
  end
end
if added > 0 then
  redis.call('INCRBY', KEYS[2], added)
end
return refused
