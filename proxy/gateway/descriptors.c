#include "gateway/descriptors.h"

#include <sys/resource.h>

#include "base/log.h"

/* Listeners, the trail, the log, the admin endpoint and its clients, event loops. */
enum { OTHERS = 256 };

void descriptors_raise_limit(const struct config *config)
{
    rlim_t wanted = (rlim_t)config->limits.connections +
                    (rlim_t)config->upstream.max_connections + OTHERS;
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted)
        return;
    limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur < wanted)
        log_warn("only %llu open files are allowed, but limits.connections and "
                 "upstream.max_connections need %llu: clients get %u connections at a "
                 "time (raise LimitNOFILE)",
                 (unsigned long long)limit.rlim_cur, (unsigned long long)wanted,
                 descriptors_for_clients(config));
}

unsigned descriptors_for_clients(const struct config *config)
{
    rlim_t wanted = (rlim_t)config->limits.connections;
    rlim_t reserve = (rlim_t)config->upstream.max_connections + OTHERS;
    struct rlimit limit;
    rlim_t room;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
        return (unsigned)wanted;
    room = limit.rlim_cur - (reserve < limit.rlim_cur / 2 ? reserve : limit.rlim_cur / 2);
    return (unsigned)(wanted < room ? wanted : room);
}
