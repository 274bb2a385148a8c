/*
 * The bench's load where wrk does not do: at a rate, whatever the answers take (each
 * request's time counts from when it was due, so that a server that stalls cannot hide
 * it); with a new connection for each request; with large bodies; or to open many
 * connections and keep them.
 *
 *   load [OPTION...] http[s]://127.0.0.1:PORT/PATH     options: see load_plan.h
 *
 * Prints "figures REQUESTS P50 P99 ERRORS US BYTES RESUMED": percentiles in microseconds,
 * the time it took, bytes received, connections that resumed a session.
 */
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "load_plan.h"

enum { EVENTS = 64, OPENING = 64, MOST_ERRORS = 100 };

/* One place for a connection. */
struct place {
    struct load_conn conn;
    int64_t due_ns;
    bool is_busy, wants_write;
};

struct load {
    struct load_plan plan;
    int epoll;
    struct place *places;
    int *idle; /* the numbers of those that wait for a request that is due */
    int idle_count, opened;
    uint32_t *taken_ns; /* of each request */
    size_t count, capacity;
    unsigned long errors, resumed;
    uint64_t bytes;
    uint64_t random;
    int64_t next_due_ns;
};

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static int64_t now_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static void note(struct load *load, int64_t taken_ns)
{
    if (load->count == load->capacity) {
        load->capacity = load->capacity == 0 ? 65536 : 2 * load->capacity;
        load->taken_ns =
            realloc(load->taken_ns, load->capacity * sizeof(*load->taken_ns));
        if (load->taken_ns == NULL)
            die("realloc");
    }
    load->taken_ns[load->count++] =
        taken_ns < UINT32_MAX ? (uint32_t)taken_ns : UINT32_MAX;
}

static void fail(struct load *load, const char *why)
{
    if (++load->errors < MOST_ERRORS)
        return;
    (void)fprintf(stderr, "load: too many errors, the last: %s\n", why);
    exit(1);
}

static void watch(struct load *load, struct place *place, int operation)
{
    struct epoll_event event = {.events = EPOLLIN | (place->wants_write ? EPOLLOUT : 0),
                                .data.ptr = place};

    if (epoll_ctl(load->epoll, operation, place->conn.fd, &event) != 0)
        die("epoll_ctl");
}

static void open_place(struct load *load, struct place *place)
{
    if (!load_conn_open(&place->conn, &load->plan.target))
        die("connect");
    place->is_busy = true;
    place->wants_write = true;
    watch(load, place, EPOLL_CTL_ADD);
}

static void close_place(struct load *load, struct place *place)
{
    load->bytes += place->conn.bytes;
    load->resumed += place->conn.is_resumed;
    load_conn_close(&place->conn); /* epoll forgets it */
    place->is_busy = false;
}

static void go_on(struct load *load, struct place *place, int64_t until_ns);

/* The next request of a place that is free; at once, where none waits to be due. */
static void begin(struct load *load, struct place *place, int64_t due_ns,
                  int64_t until_ns)
{
    place->due_ns = due_ns;
    if (place->conn.fd < 0) {
        open_place(load, place);
        return;
    }
    load_conn_begin(&place->conn);
    place->is_busy = true;
    go_on(load, place, until_ns);
}

static void end(struct load *load, struct place *place, int64_t until_ns)
{
    int64_t at_ns = now_ns();

    place->is_busy = false;
    if (at_ns >= until_ns)
        return;
    note(load, at_ns - place->due_ns);
    if (load->plan.keeps) {
        if (load->opened < load->plan.connections)
            begin(load, &load->places[load->opened++], at_ns, until_ns);
        return;
    }
    if (load->plan.renews)
        close_place(load, place);
    if (load->plan.rate > 0)
        load->idle[load->idle_count++] = (int)(place - load->places);
    else if (place->conn.fd < 0)
        begin(load, place, at_ns, until_ns);
    /* else serve() goes on with it: no recursion */
}

static void go_on(struct load *load, struct place *place, int64_t until_ns)
{
    for (;;) {
        bool wants_write = false;

        enum load_step step =
            load_conn_go_on(&place->conn, &load->plan.target, &wants_write);

        if (step != LOAD_FAILED && wants_write != place->wants_write) {
            place->wants_write = wants_write;
            watch(load, place, EPOLL_CTL_MOD);
        }
        switch (step) {
        case LOAD_WAITING:
            return;
        case LOAD_FAILED:
            fail(load, "an answer was cut, malformed or refused");
            close_place(load, place);
            open_place(load, place);
            return;
        case LOAD_ANSWERED:
            end(load, place, until_ns);
        }
        if (load->plan.rate > 0 || load->plan.renews || load->plan.keeps ||
            now_ns() >= until_ns)
            return;
        place->due_ns = now_ns();
        place->is_busy = true;
        load_conn_begin(&place->conn);
    }
}

/* Times between requests are exponential: those of a crowd that does not know itself. */
static int64_t gap_ns(struct load *load)
{
    load->random ^= load->random << 13;
    load->random ^= load->random >> 7;
    load->random ^= load->random << 17;
    return (int64_t)(-log(((double)(load->random >> 11) + 1) / 9007199254740993.0) * 1e9 /
                     load->plan.rate);
}

static void send_what_is_due(struct load *load, int64_t until_ns)
{
    while (load->idle_count > 0 && load->next_due_ns <= now_ns()) {
        int64_t due_ns = load->next_due_ns;

        load->next_due_ns += gap_ns(load);
        begin(load, &load->places[load->idle[--load->idle_count]], due_ns, until_ns);
    }
}

/* An idle connection that has something to say: a TLS session, or its end. */
static void listen_to_idle(struct load *load, struct place *place)
{
    char byte;

    if (place->conn.ssl != NULL && SSL_peek(place->conn.ssl, &byte, 1) <= 0 &&
        SSL_get_error(place->conn.ssl, -1) == SSL_ERROR_WANT_READ)
        return;
    fail(load, "an idle connection was closed");
    close_place(load, place);
}

static void serve(struct load *load, int64_t until_ns, int timeout_ms)
{
    struct epoll_event events[EVENTS];
    int count = epoll_wait(load->epoll, events, EVENTS, timeout_ms);

    for (int i = 0; i < count; i++) {
        struct place *place = events[i].data.ptr;

        if (place->is_busy)
            go_on(load, place, until_ns);
        else
            listen_to_idle(load, place);
    }
}

/* What is late when the time is over has taken until then, at least. */
static void note_what_is_late(struct load *load, int64_t until_ns)
{
    for (int i = 0; i < load->plan.connections; i++)
        if (load->places[i].is_busy)
            note(load, until_ns - load->places[i].due_ns);
    for (; load->next_due_ns < until_ns; load->next_due_ns += gap_ns(load))
        note(load, until_ns - load->next_due_ns);
}

static void run(struct load *load, int64_t start_ns)
{
    int64_t until_ns =
        load->plan.keeps ? INT64_MAX : start_ns + (int64_t)(load->plan.seconds * 1e9);
    int first = load->plan.keeps && load->plan.connections > OPENING
                    ? OPENING
                    : load->plan.connections;

    load->next_due_ns = start_ns;
    for (int i = 0; i < load->plan.connections; i++)
        load->places[i].conn.fd = -1;
    for (load->opened = 0; load->opened < first;) {
        int number = load->opened++;

        if (load->plan.rate > 0)
            load->idle[load->idle_count++] = number;
        else
            begin(load, &load->places[number], now_ns(), until_ns);
    }
    while (load->plan.keeps ? load->count < (size_t)load->plan.connections
                            : now_ns() < until_ns) {
        if (load->plan.rate > 0)
            send_what_is_due(load, until_ns);
        serve(load, until_ns, load->plan.rate > 0 ? 0 : 10);
    }
    if (load->plan.rate > 0)
        note_what_is_late(load, until_ns);
}

static int compare(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;

    return (left > right) - (left < right);
}

static double percentile_us(const struct load *load, double part)
{
    return load->count == 0
               ? 0
               : load->taken_ns[(size_t)((double)load->count * part)] / 1000.0;
}

static void report(struct load *load, int64_t taken_ns)
{
    for (int i = 0; i < load->plan.connections; i++)
        if (load->places[i].conn.fd >= 0)
            close_place(load, &load->places[i]);
    qsort(load->taken_ns, load->count, sizeof(*load->taken_ns), compare);
    (void)printf("figures %zu %.1f %.1f %lu %lld %llu %lu\n", load->count,
                 percentile_us(load, 0.5), percentile_us(load, 0.99), load->errors,
                 (long long)(taken_ns / 1000), (unsigned long long)load->bytes,
                 load->resumed);
}

int main(int argc, char **argv)
{
    static struct load load = {.random = 20240416};
    int64_t start_ns;

    load_plan_read(&load.plan, argc, argv);
    (void)signal(SIGPIPE, SIG_IGN);
    load.epoll = epoll_create1(EPOLL_CLOEXEC);
    load.places = calloc((size_t)load.plan.connections, sizeof(*load.places));
    load.idle = calloc((size_t)load.plan.connections, sizeof(*load.idle));
    if (load.epoll < 0 || load.places == NULL || load.idle == NULL)
        die("setting up");
    start_ns = now_ns();
    run(&load, start_ns);
    if (load.plan.keeps) {
        (void)printf("open %zu\n", load.count);
        (void)fflush(stdout);
        while (getchar() != EOF) {
        }
    }
    report(&load, now_ns() - start_ns);
    return 0;
}
