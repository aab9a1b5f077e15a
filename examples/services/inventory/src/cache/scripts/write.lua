-- Sets counters to what the database says. KEYS: token, counters; ARGV: own token, for how many milliseconds, values.
-- Returns {how many were wrong}, or {-1}: another turn has begun since, and knows better.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return {-1} end
local wrong = 0
for i = 2, #KEYS do
  if redis.call('GET', KEYS[i]) ~= ARGV[i + 1] then wrong = wrong + 1 end
  redis.call('SET', KEYS[i], ARGV[i + 1], 'PX', ARGV[2])
end
return {wrong}
