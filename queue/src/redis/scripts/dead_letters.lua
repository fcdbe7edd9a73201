-- The oldest dead letters.
-- KEYS: dead letters.  ARGV: how many.
-- Returns: { { id it had, reason, envelope }, … }
local letters = {}
for i, entry in ipairs(redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', ARGV[1])) do
  local letter = { '', '', '' }
  for f = 1, #entry[2], 2 do
    local name, value = entry[2][f], entry[2][f + 1]
    if name == 'id' then
      letter[1] = value
    elseif name == 'reason' then
      letter[2] = value
    elseif name == 'envelope' then
      letter[3] = value
    end
  end
  letters[i] = letter
end
return letters
