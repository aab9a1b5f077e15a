-- Takes all or nothing. KEYS: counters; ARGV: how many of each.
-- Nobody comes between the lines of a script, so it may look at all before it takes the first.
-- Returns {0}: taken; {1, index, left, index, left, ...}: too little of these; {2}: there is no such counter.
local short = {1}
for i, key in ipairs(KEYS) do
  local left = redis.call('GET', key)
  if not left then return {2} end
  if tonumber(left) < tonumber(ARGV[i]) then
    short[#short + 1] = i
    short[#short + 1] = tonumber(left)
  end
end
if #short > 1 then return short end
for i, key in ipairs(KEYS) do
  redis.call('DECRBY', key, ARGV[i])
end
return {0}
