-- Hands out up to `want` permits of one bucket: `policies::limit::grant`, in whole numbers, inside the store.
--
-- KEYS[1] the bucket; ARGV: nanoseconds between two permits, nanoseconds an empty bucket takes to fill, permits wanted.
-- Answers how many were granted, and how many nanoseconds the bucket now needs to be full.
--
-- Numbers here are doubles, exact to 2^53, and nanoseconds since 1970 are more than that. So what is kept is the time
-- of the last answer in microseconds, and how long the bucket then needed to be full in nanoseconds. A bucket that is
-- full needs no key. The time is the store's own, so gateways need no common clock. Where the store's clock goes
-- back, as after a failover, the bucket is at worst empty.
local interval, fill, want = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]

local needs = 0
local at, needed = string.match(redis.call('GET', KEYS[1]) or '', '^(%d+) (%d+)$')
if at then
  needs = math.min(math.max(needed - (now - at) * 1000, 0), fill)
end

-- Not math.floor(room / interval): the quotient of two large doubles may round up to one permit too many.
local room = fill - needs
local granted = math.min(want, (room - math.fmod(room, interval)) / interval)
needs = needs + granted * interval

if needs > 0 then
  local kept = string.format('%.0f %.0f', now, needs)
  redis.call('SET', KEYS[1], kept, 'PX', string.format('%.0f', math.ceil(needs / 1000000) + 1000))
end
return { granted, needs }
