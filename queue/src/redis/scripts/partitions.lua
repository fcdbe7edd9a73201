-- How many partitions there are: the most that anybody was ever told.
-- KEYS: number of partitions.  ARGV: how many the caller was told.
local number = tonumber(redis.call('GET', KEYS[1]) or '1')
if tonumber(ARGV[1]) > number then
  number = tonumber(ARGV[1])
  redis.call('SET', KEYS[1], number)
end
return number
