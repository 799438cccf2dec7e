"""What Redis does in one step. Names of keys: the guide's `active_tasks` and `task:<id>`, a stream beside each task."""

from __future__ import annotations

ACTIVE = "active_tasks"
STATE_SECONDS = 24 * 3600  # how long a task's live state outlives its last change
MAX_EVENTS = 64


def state_key(task_id: str) -> str:
    return f"task:{task_id}"


def events_key(task_id: str) -> str:
    return f"task:{task_id}:ev"


PUBLISH = """
-- KEYS: the task's hash, its events, the active set.  ARGV: id, status, updated_at, seconds to keep, fields ...
-- A late word never undoes a newer one: an end is final, updated_at only grows, and a task waits before it runs.
local status, updated = unpack(redis.call('HMGET', KEYS[1], 'status', 'updated_at'))
local ends = {completed = true, failed = true}
local late = updated and (updated > ARGV[3] or (updated == ARGV[3] and ARGV[2] == 'pending'))
if status and ((ends[status] and not ends[ARGV[2]]) or late) then
  return 0
end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], unpack(ARGV, 5))
redis.call('EXPIRE', KEYS[1], ARGV[4])
if ARGV[2] == 'processing' then
  redis.call('SADD', KEYS[3], ARGV[1])
else
  redis.call('SREM', KEYS[3], ARGV[1])
end
redis.call('XADD', KEYS[2], 'MAXLEN', '~', '%(max_events)d', '*', 'status', ARGV[2])
redis.call('EXPIRE', KEYS[2], ARGV[4])
return 1
""" % {"max_events": MAX_EVENTS}  # noqa: UP031  Lua is full of braces

SYNC_ACTIVE = """
-- KEYS: the active set.  ARGV: how many ids run, those ids, then the ids that were doubted the last time.
-- The store's answer is a moment old: a task that ended since is known by its hash, and one that began since is
-- only doubted, and removed if it is still unknown the next time.
local running, doubted = {}, {}
local count = tonumber(ARGV[1])
for i = 2, count + 1 do running[ARGV[i]] = true end
for i = count + 2, #ARGV do doubted[ARGV[i]] = true end
local doubts, unknown = {}, {}
for _, id in ipairs(redis.call('SMEMBERS', KEYS[1])) do
  if not running[id] then
    local status = redis.call('HGET', 'task:' .. id, 'status')
    if status == 'processing' and not doubted[id] then
      doubts[#doubts + 1] = id
    else
      redis.call('SREM', KEYS[1], id)
    end
  end
end
for id in pairs(running) do
  local status = redis.call('HGET', 'task:' .. id, 'status')
  if status ~= 'completed' and status ~= 'failed' then
    redis.call('SADD', KEYS[1], id)
    if status ~= 'processing' then unknown[#unknown + 1] = id end
  end
end
return {doubts, unknown}
"""

TAKE = """
-- KEYS: the bucket.  ARGV: microseconds between two at the steady rate, burst.
-- The generic cell rate algorithm on the server's clock; answers the microseconds to wait, 0 when taken.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local interval, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local arrival = math.max(tonumber(redis.call('GET', KEYS[1]) or now), now)
local wait = arrival - now - interval * (burst - 1)
if wait > 0 then
  return math.ceil(wait)
end
local next_arrival = arrival + interval
redis.call('SET', KEYS[1], string.format('%.0f', next_arrival), 'PX', math.ceil((next_arrival - now) / 1000) + 1)
return 0
"""
