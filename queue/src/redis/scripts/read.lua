-- Delivers new entries until a bound is reached, in small steps, since their sizes are not known before.
-- KEYS: stream.  ARGV: group, consumer, entries_max, events_max, bytes_max, step.
-- Returns: { events, { { id, tries, envelope }, … }, where none was taken the id behind which one would be or else '' }
local taken, events, bytes = {}, 0, 0
local entries_max, events_max, bytes_max = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
while #taken < entries_max and events < events_max and bytes < bytes_max do
  local step = math.min(tonumber(ARGV[6]), entries_max - #taken)
  local answer = redis.call('XREADGROUP', 'GROUP', ARGV[1], ARGV[2], 'COUNT', step, 'STREAMS', KEYS[1], '>')
  if not answer then
    break
  end
  local entries = answer[1][2]
  for _, entry in ipairs(entries) do
    local fields = entry[2] or {}
    local envelope = ''
    for i = 1, #fields, 2 do
      if fields[i] == 'envelope' then
        envelope = fields[i + 1]
      elseif fields[i] == 'events' then
        events = events + (tonumber(fields[i + 1]) or 0)
      end
    end
    bytes = bytes + #envelope
    taken[#taken + 1] = { entry[1], 1, envelope }
  end
  if #entries < step then
    break
  end
end
local behind = ''
if #taken == 0 then
  for _, group in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
    local name, delivered
    for i = 1, #group, 2 do
      if group[i] == 'name' then
        name = group[i + 1]
      elseif group[i] == 'last-delivered-id' then
        delivered = group[i + 1]
      end
    end
    if name == ARGV[1] then
      behind = delivered
    end
  end
end
return { events, taken, behind }
