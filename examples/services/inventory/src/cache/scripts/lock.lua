-- Takes the lock. KEYS: lock, token; ARGV: who, for how many milliseconds, the highest token the database has seen.
-- Returns {token}, or {0}: somebody has it.
-- The token only grows, also when this store has lost its memory: then it begins above what the database knows.
if not redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then return {0} end
local token = redis.call('INCR', KEYS[2])
if token <= tonumber(ARGV[3]) then
  token = tonumber(ARGV[3]) + 1
  redis.call('SET', KEYS[2], string.format('%.0f', token))
end
return {token}
