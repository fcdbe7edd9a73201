-- A page of dead letters, the oldest first. It ends after a bound is reached.
-- KEYS: dead letters.  ARGV: after (an id, or '-' for the first page), limit, bytes_max.
-- Returns: { { id, at, reason, envelope }, … }
local letters, bytes = {}, 0
local limit, bytes_max = tonumber(ARGV[2]), tonumber(ARGV[3])
local start = ARGV[1] == '-' and '-' or '(' .. ARGV[1]
while #letters < limit and bytes < bytes_max do
  local found = redis.call('XRANGE', KEYS[1], start, '+', 'COUNT', math.min(8, limit - #letters))
  if not found[1] then
    break
  end
  for _, entry in ipairs(found) do
    local letter = { entry[1], '', '', '' }
    for f = 1, #entry[2], 2 do
      local name, value = entry[2][f], entry[2][f + 1]
      if name == 'at' then
        letter[2] = value
      elseif name == 'reason' then
        letter[3] = value
      elseif name == 'envelope' then
        letter[4] = value
      end
    end
    bytes = bytes + #letter[4]
    letters[#letters + 1] = letter
    start = '(' .. entry[1]
  end
end
return letters
