/*
 * What the load is asked to do.
 *
 *     -c N   connections (1)         -d S   seconds (1)
 *     -r N   requests a second, at random moments; without it, each connection sends its
 *            next request when it has the answer
 *     -n     a new connection for each request        -s   with the TLS session before
 *     -k     a request on each connection, which is then kept: says "open N" and waits
 * for the end of its standard input -X M   the method (GET)        -b N   a body of so
 * many bytes -H F   a header field more
 */
#ifndef BENCH_LOAD_PLAN_H
#define BENCH_LOAD_PLAN_H

#include "load_conn.h"

struct load_plan {
    int connections;
    double seconds, rate; /* rate 0: closed loop */
    bool renews, keeps;
    const char *method;
    size_t body_bytes;
    char fields[2048];
    struct load_target target;
};

/* Reads the command line; says what is wrong with it, and exits. */
void load_plan_read(struct load_plan *plan, int argc, char **argv);

#endif
