-- Letters of the ledger with the names of the states, and how much is known in each (DA-4): news of a lower rank
-- never overwrites a higher one.
local NAMES = { q = 'queued', c = 'sending', s = 'sent', d = 'delivered', u = 'undelivered',
  x = 'expired', f = 'failed', k = 'skipped', h = 'held', r = 'retry', n = 'unknown' }
local RANK = { q = 0, h = 0, r = 0, c = 1, n = 2, s = 3, f = 4, k = 4, u = 4, x = 4, d = 5 }
