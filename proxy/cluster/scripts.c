#include "cluster/scripts.h"

#define NOW_MS                                                                           \
    "local t = redis.call('TIME')\n"                                                     \
    "local now = t[1] * 1000 + math.floor(t[2] / 1000)\n"

/* left: whether a mark stands in the scope. */
#define RAISE                                                                            \
    "local function raise(scope)\n"                                                      \
    "  local left = 0\n"                                                                 \
    "  for _, member in ipairs(redis.call('ZRANGE', KEYS[2], 0, -1)) do\n"               \
    "    if string.sub(member, 1, #scope + 1) == scope .. '\\n' then left = 1 end\n"     \
    "  end\n"                                                                            \
    "  local n = redis.call('HINCRBY', KEYS[1], 'counter', 1)\n"                         \
    "  redis.call('HSET', KEYS[1], 's:' .. scope, n .. '-' .. ARGV[3])\n"                \
    "  redis.call('PUBLISH', ARGV[1], ARGV[2] .. '\\n' .. left .. '\\n' .. scope)\n"     \
    "end\n"

const struct span script_sync = SPAN(
    NOW_MS RAISE
    "local epoch = redis.call('HGET', KEYS[1], 'epoch')\n"
    "local lost = tonumber(redis.call('HGET', KEYS[1], 'lost') or 0)\n"
    "local info, server = redis.pcall('INFO', 'server'), nil\n"
    "if type(info) == 'string' then server = string.match(info, 'run_id:(%x+)') end\n"
    "server = server or ''\n"
    "if not epoch or redis.call('HGET', KEYS[1], 'server') ~= server then\n"
    "  epoch, lost = epoch or ARGV[4], now\n"
    "  redis.call('HSET', KEYS[1], 'epoch', epoch, 'server', server,\n"
    "             'lost', string.format('%.0f', lost))\n"
    "end\n"
    "local doubt = math.min(math.max(lost + ARGV[6] - now, 0), tonumber(ARGV[6]))\n"
    "for i = 7, #ARGV do redis.call('ZADD', KEYS[2], now + ARGV[5], ARGV[i]) end\n"
    "local over = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now)\n"
    "for _, member in ipairs(over) do redis.call('ZREM', KEYS[2], member) end\n"
    "for _, member in ipairs(over) do raise(string.match(member, '^[^\\n]*')) end\n"
    "local scopes = {}\n"
    "local all = redis.call('HGETALL', KEYS[1])\n"
    "for i = 1, #all, 2 do\n"
    "  if string.sub(all[i], 1, 2) == 's:' then\n"
    "    scopes[#scopes + 1] = all[i]\n"
    "    scopes[#scopes + 1] = all[i + 1]\n"
    "  end\n"
    "end\n"
    "return {epoch, scopes, redis.call('ZRANGE', KEYS[2], 0, -1), doubt}\n");

const struct span script_raise =
    SPAN(NOW_MS RAISE "for i = 6, #ARGV do\n"
                      "  local member = ARGV[i] .. '\\n' .. ARGV[2] .. '\\n' .. ARGV[5]\n"
                      "  if tonumber(ARGV[4]) > 0 then\n"
                      "    redis.call('ZADD', KEYS[2], now + ARGV[4], member)\n"
                      "  else\n"
                      "    redis.call('ZREM', KEYS[2], member)\n"
                      "  end\n"
                      "  raise(ARGV[i])\n"
                      "end\n"
                      "return #ARGV - 5\n");

const struct span script_take =
    SPAN("local t = redis.call('TIME')\n"
         "local now = t[1] * 1000000 + t[2]\n"
         "local interval, burst = tonumber(ARGV[1]), tonumber(ARGV[2])\n"
         "local full = tonumber(redis.call('GET', KEYS[1]) or 0)\n"
         "if full < now then full = now end\n"
         "if full > now + interval * burst then full = now + interval * burst end\n"
         "if full - now > interval * (burst - 1) then return {0, full - now} end\n"
         "full = full + interval\n"
         "redis.call('SET', KEYS[1], string.format('%.0f', full), 'PX',\n"
         "           math.ceil((full - now) / 1000) + 1)\n"
         "return {1, full - now}\n");
