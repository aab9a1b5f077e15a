-- Gives back. KEYS: counters; ARGV: how many to each. A counter that is not there stays away: it would begin with a lie.
for i, key in ipairs(KEYS) do
  if redis.call('EXISTS', key) == 1 then redis.call('INCRBY', key, ARGV[i]) end
end
return {#KEYS}
