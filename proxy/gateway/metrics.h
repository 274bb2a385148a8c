/*
 * What the workers count. Each has a shard of its own, which it alone writes, without a
 * lock and without an allocation once warm; whoever reads adds the shards up.
 *
 * Labels are bounded: operations by the tables that were loaded, clients by the clients
 * files, statuses and outcomes by their nature. What is beyond the bounds counts as
 * "other", and its status, if need be, as the first of its class (418 as 400): so sums
 * stay right.
 */
#ifndef PSGATE_GATEWAY_METRICS_H
#define PSGATE_GATEWAY_METRICS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "access/client.h"
#include "api/operations.h"
#include "base/histogram.h"
#include "gateway/outcome.h"
#include "gateway/reason.h"

enum {
    METRICS_OTHER = 0,         /* the number of the operation "other" */
    METRICS_OPERATIONS = 1024, /* the most that are told apart, over all reloads */
    METRICS_CLIENTS = 65536,   /* the same of clients' names */
    METRICS_SERIES = 4096,     /* of operation, status and cache outcome, a worker */
};

struct metrics;
struct metrics_shard;

struct metrics *metrics_new(void);
void metrics_free(struct metrics *metrics);

/* A new worker's shard, freed with the metrics. NULL when memory is out. */
struct metrics_shard *metrics_add_shard(struct metrics *metrics);

/*
 * Gives the clients of a set their numbers; before the set is put in force. Clients of
 * one name share it, over reloads too.
 */
bool metrics_name_clients(struct metrics *metrics, struct client_set *set) MUST_CHECK;

/*
 * The numbers of a table's operations, in its order, and METRICS_OTHER last; an array
 * that the caller frees, or NULL when memory is out.
 */
uint16_t *metrics_name_operations(struct metrics *metrics,
                                  const struct operation_table *table);

/* One request that has ended, as its shard counts it. */
struct metrics_request {
    uint16_t operation; /* its number */
    uint16_t status;    /* 0: the client left before there was one */
    enum cache_outcome outcome;
    const struct client *client;   /* or NULL */
    bool is_refused;               /* by the gateway, and not for a fault of its own */
    int64_t now_us;                /* of clock_monotonic_us */
    int64_t total_us, upstream_us; /* upstream_us 0: it did not ask upstream */
};

/* On the shard's worker. */
void metrics_begin(struct metrics_shard *shard);
void metrics_end(struct metrics_shard *shard);
void metrics_count(struct metrics_shard *shard, const struct metrics_request *request);
void metrics_count_reason(struct metrics_shard *shard, enum reason reason);

/* Reading: from any thread; numbers of different calls may be of different moments. */

/* The name of an operation's number, or NULL: there are no more. */
const char *metrics_operation(struct metrics *metrics, unsigned number);

struct metrics_series {
    uint16_t operation, status;
    enum cache_outcome outcome;
    uint64_t count;
};

/*
 * Requests by operation, status and outcome, in that order, each combination once. An
 * array of *count that the caller frees, or NULL when memory is out.
 */
struct metrics_series *metrics_read_requests(struct metrics *metrics, size_t *count);

struct metrics_times {
    struct histogram_counts total, upstream;
};

/* Adds an operation's durations to *times. */
void metrics_read_times(struct metrics *metrics, unsigned operation,
                        struct metrics_times *times);

struct metrics_usage {
    uint64_t requests, refused;
    int64_t last_us; /* of clock_monotonic_us; 0: never seen */
};

void metrics_read_client(struct metrics *metrics, const struct client *client,
                         struct metrics_usage *usage);

/* How often the gateway itself answered for that reason. */
uint64_t metrics_read_reason(struct metrics *metrics, enum reason reason);

/* Requests whose head was read and which have not ended. */
uint64_t metrics_in_flight(struct metrics *metrics);

#endif
