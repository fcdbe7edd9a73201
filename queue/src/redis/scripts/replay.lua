-- Puts dead letters back into the stream, each in one step with its removal, for as long as the backlog has
-- room.
-- KEYS: stream, byte counter, dead letters, bytes of the dead letters.
-- ARGV: bytes_max of the backlog, then ids.
-- Returns: { how many were put back, 1 where one did not fit or else 0 }
local replayed = 0
for i = 2, #ARGV do
  local found = redis.call('XRANGE', KEYS[3], ARGV[i], ARGV[i])
  if found[1] then
    local fields, freed, envelope_bytes = {}, 0, 0
    for f = 1, #found[1][2], 2 do
      local name, value = found[1][2][f], found[1][2][f + 1]
      if name ~= 'id' and name ~= 'reason' and name ~= 'at' then
        fields[#fields + 1] = name
        fields[#fields + 1] = value
        freed = freed + #value
        if name == 'envelope' then
          envelope_bytes = #value
        end
      end
    end
    local waiting = tonumber(redis.call('GET', KEYS[2]) or '0')
    if waiting + envelope_bytes > tonumber(ARGV[1]) then
      return { replayed, 1 }
    end
    redis.call('XADD', KEYS[1], '*', unpack(fields))
    redis.call('INCRBY', KEYS[2], envelope_bytes)
    redis.call('XDEL', KEYS[3], ARGV[i])
    -- Letters of the first versions were not counted.
    local held = tonumber(redis.call('GET', KEYS[4]) or '0')
    redis.call('SET', KEYS[4], math.max(0, held - freed))
    replayed = replayed + 1
  end
end
return { replayed, 0 }
