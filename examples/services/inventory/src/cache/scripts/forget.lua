-- Forgets counters until the next reconciliation. KEYS: counters.
return {redis.call('DEL', unpack(KEYS))}
