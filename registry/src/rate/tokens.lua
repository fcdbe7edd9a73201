-- Takes tokens of all buckets, or of none; says how many milliseconds to wait for one, 0 when they were taken.
-- The arithmetic is that of level.rs. A bucket is "tokens at", at in microseconds; without a key it is full, and
-- the key goes when it is.
--
-- KEYS: the buckets.
-- ARGV: 'take', or 'charge' to take without asking; the deepest debt, in minutes' worth of the limit; how far the clock
-- may step back, in microseconds; what counts as rounding; then of each bucket its limit per minute, and how many.
local MINUTE_US = 60000000
local debt_minutes, step_back_us, rounding = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]

local levels, wait_ms = {}, 0
for i, key in ipairs(KEYS) do
  local per_minute, wanted = tonumber(ARGV[3 + 2 * i]), tonumber(ARGV[4 + 2 * i])
  local tokens, at = string.match(redis.call('GET', key) or '', '^(%S+) (%d+)$')
  tokens, at = tonumber(tokens), tonumber(at)
  if not tokens or not at then
    tokens, at = per_minute, now
  elseif at - now > step_back_us then
    at = now
  end
  if now > at then
    tokens, at = tokens + (now - at) * per_minute / MINUTE_US, now
  end
  tokens = math.min(tokens, per_minute)
  levels[i] = { tokens = tokens, at = at, per_minute = per_minute, wanted = wanted }
  if 1 - tokens > rounding then
    wait_ms = math.max(wait_ms, math.ceil((1 - tokens) * 60000 / math.max(per_minute, 1)))
  end
end
if ARGV[1] == 'take' and wait_ms > 0 then
  return wait_ms
end

for i, key in ipairs(KEYS) do
  local level = levels[i]
  local tokens = math.max(level.tokens - level.wanted, -debt_minutes * level.per_minute)
  local full_in_ms = math.ceil((level.per_minute - tokens) * 60000 / math.max(level.per_minute, 1))
  if full_in_ms > 0 then
    redis.call('SET', key, string.format('%.17g %.0f', tokens, level.at), 'PX', full_in_ms)
  end
end
return 0
