-- Forgets committed entries. An entry that is gone already frees nothing, so that acking twice is harmless.
-- KEYS: stream, byte counter, tries.  ARGV: group, then id and bytes of each entry.
local freed = 0
local has_tries = redis.call('EXISTS', KEYS[3]) == 1
for i = 2, #ARGV, 2 do
  redis.call('XACK', KEYS[1], ARGV[1], ARGV[i])
  if redis.call('XDEL', KEYS[1], ARGV[i]) == 1 then
    freed = freed + tonumber(ARGV[i + 1])
  end
  if has_tries then
    redis.call('HDEL', KEYS[3], ARGV[i])
  end
end
if freed > 0 then
  redis.call('DECRBY', KEYS[2], freed)
end
return freed
