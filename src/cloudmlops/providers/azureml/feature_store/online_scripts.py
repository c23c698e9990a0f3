"""What Redis itself does with rows, in Lua: nothing comes between a script's reading and its writing.

Each touches one key, so that it runs on a cluster too. What is new is written before what is old is removed: a script
that is refused for want of memory or rights leaves what there was. Bytes are compared one by one, for Lua's own
comparison of texts follows the locale of the server.
"""

from __future__ import annotations

from typing import Final

_GREATER: Final = """
local function greater(one, other)
  local shorter = math.min(#one, #other)
  for place = 1, shorter do
    local mine, its = string.byte(one, place), string.byte(other, place)
    if mine ~= its then return mine > its end
  end
  return #one > #other
end
"""

_EXPIRY: Final = """
local function expire(rank)
  local after = tonumber(ARGV[1])
  if after < 0 then redis.call('PERSIST', KEYS[1]) return end
  local time, high, low = redis.call('TIME'), 0, 0
  for place = 1, 4 do high = high * 256 + string.byte(rank, place) end
  for place = 5, 8 do low = low * 256 + string.byte(rank, place) end
  local row = math.ceil(((high - 2147483648) * 4294967296 + low) / 1000) + 1
  local now = tonumber(time[1]) * 1000 + math.ceil(tonumber(time[2]) / 1000)
  redis.call('PEXPIREAT', KEYS[1], string.format('%.0f', math.max(row, now) + after))
end
"""

KEEP_GREATEST: Final = f"""{_GREATER}{_EXPIRY}
local stored = redis.call('HKEYS', KEYS[1])
local greatest, row = stored[1], nil
for place = 2, #stored do
  if greater(stored[place], greatest) then greatest = stored[place] end
end
for place = 2, #ARGV, 2 do
  if not greatest or greater(ARGV[place], greatest) then greatest, row = ARGV[place], ARGV[place + 1] end
end
if row then redis.call('HSET', KEYS[1], greatest, row) end
for _, rank in ipairs(stored) do
  if rank ~= greatest then redis.call('HDEL', KEYS[1], rank) end
end
expire(greatest)
"""
"""Of what is stored and what arrives the greatest row stays; what ranks alike does not displace it.

KEYS: the entity's. ARGV: milliseconds after which it may be forgotten, counted from the row's time or from now,
whichever is later, or -1 for never; then rank and packed row, one or more times.
"""

KEEP_LAST_VALUES: Final = f"""{_GREATER}{_EXPIRY}
local features, header = tonumber(ARGV[2]), tonumber(ARGV[3])
local stored, rows, ranks = redis.call('HGETALL', KEYS[1]), {{}}, {{}}
local before = {{}}
for place = 1, #stored, 2 do
  rows[stored[place]], before[stored[place]] = stored[place + 1], true
  ranks[#ranks + 1] = stored[place]
end
for place = 4, #ARGV, 2 do
  if not rows[ARGV[place]] then
    rows[ARGV[place]] = ARGV[place + 1]
    ranks[#ranks + 1] = ARGV[place]
  end
end
table.sort(ranks, greater)
local missing, count = {{}}, features
for feature = 0, features - 1 do missing[feature] = true end
for place, rank in ipairs(ranks) do
  local row, supplies = rows[rank], place == 1
  if count > 0 then
    for feature = 0, features - 1 do
      if missing[feature] then
        local byte = string.byte(row, header + 1 + math.floor(feature / 8))
        if math.floor(byte / 2 ^ (feature % 8)) % 2 == 0 then
          missing[feature], supplies, count = nil, true, count - 1
        end
      end
    end
  end
  if supplies and not before[rank] then redis.call('HSET', KEYS[1], rank, row) end
  if not supplies and before[rank] then redis.call('HDEL', KEYS[1], rank) end
end
expire(ranks[1])
"""
"""Of what is stored and what arrives those rows stay that supply a feature's last value, and the greatest one.

KEYS: the entity's. ARGV: as `KEEP_GREATEST`, after the milliseconds the number of features and of bytes before the bits
that say which of them are null.
"""

SERVE: Final = """
local served = tonumber(redis.call('GET', KEYS[1]) or '0')
if tonumber(ARGV[1]) > served then redis.call('SET', KEYS[1], ARGV[1]) end
"""
"""Serve a generation, unless a later one is served. KEYS: the generation's. ARGV: it."""
