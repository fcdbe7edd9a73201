-- Takes over entries that were delivered long ago and not acked, until a bound is reached.
-- KEYS: stream.  ARGV: group, consumer, idle_ms, entries_max, events_max, bytes_max, step, cursor.
-- Returns: { cursor, events, { { id, tries, envelope }, … } }; the next call goes on at the cursor.
local taken, events, bytes = {}, 0, 0
local entries_max, events_max, bytes_max = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local cursor = ARGV[8]
-- Each step looks at no more than 10 × COUNT pending entries: a bound on how long Redis is held up.
for _ = 1, 256 do
  if #taken >= entries_max or events >= events_max or bytes >= bytes_max then
    break
  end
  local step = math.min(tonumber(ARGV[7]), entries_max - #taken)
  local answer = redis.call('XAUTOCLAIM', KEYS[1], ARGV[1], ARGV[2], ARGV[3], cursor, 'COUNT', step)
  cursor = answer[1]
  for _, entry in ipairs(answer[2]) do
    local fields = entry[2] or {}
    local envelope = ''
    for i = 1, #fields, 2 do
      if fields[i] == 'envelope' then
        envelope = fields[i + 1]
      elseif fields[i] == 'events' then
        events = events + (tonumber(fields[i + 1]) or 0)
      end
    end
    local pending = redis.call('XPENDING', KEYS[1], ARGV[1], entry[1], entry[1], 1)
    local tries = pending[1] and pending[1][4] or 1
    bytes = bytes + #envelope
    taken[#taken + 1] = { entry[1], tries, envelope }
  end
  if cursor == '0-0' then
    break
  end
end
return { cursor, events, taken }
