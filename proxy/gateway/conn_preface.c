/*
 * What a load balancer sends before its client's bytes: whose connection it is
 * (net/proxy_header.h). In the clear also where TLS follows, so that this is read first,
 * and to the byte: TLS reads for itself.
 */
#include "audit/refusals.h"
#include "base/clock.h"
#include "base/log.h"
#include "gateway/conn_internal.h"
#include "net/proxy_header.h"

/* As with refused changes: ten lines a minute for each balancer, then a count. */
static void log_fault(const struct conn *conn, const char *fault)
{
    struct refusals *faults = conn->station->shared->preface_faults;
    int64_t now_ms = clock_monotonic_ms();
    struct refusals_summary summary;

    while (refusals_next_summary(faults, now_ms, &summary))
        log_warn("%llu more connections from %s were closed for what they began with",
                 (unsigned long long)summary.count, summary.source);
    if (refusals_admit(faults, caller_source(&conn->caller), now_ms))
        log_warn("connection from %s closed: %s", conn->caller.text, fault);
}

static void give_up(struct conn *conn, const char *fault)
{
    log_fault(conn, fault);
    conn_close(conn, CONN_CLOSE_PREFACE);
}

/* Whoever only looks whether somebody listens sends nothing: that is no fault. */
static void on_end(struct conn *conn)
{
    if (conn->input_end == 0)
        conn_close(conn, CONN_CLOSE_CLIENT_LEFT);
    else
        give_up(conn, "its PROXY header is cut short");
}

/* False when nothing came, or the connection is closed. */
static bool read_more(struct conn *conn, size_t wanted)
{
    enum stream_status status;
    size_t got;

    status = stream_read(&conn->stream, conn->input + conn->input_end,
                         wanted - conn->input_end, &got);
    switch (status) {
    case STREAM_OK:
        conn_grow_input(conn, got);
        return true;
    case STREAM_AGAIN:
        return false;
    case STREAM_END:
        on_end(conn);
        return false;
    case STREAM_FAILED:
        break;
    }
    conn_close(conn, CONN_CLOSE_CLIENT_LEFT);
    return false;
}

bool conn_read_preface(struct conn *conn)
{
    struct proxy_header header = {.len = PROXY_HEADER_LEAST_BYTES};

    if (!conn_ensure_input(conn)) {
        conn_close(conn, CONN_CLOSE_NO_MEMORY);
        return false;
    }
    for (;;) {
        switch (proxy_header_read(span_make(conn->input, conn->input_end), &header)) {
        case PROXY_HEADER_MORE:
            if (!read_more(conn, header.len))
                return false;
            break;
        case PROXY_HEADER_BAD:
            give_up(conn, header.fault);
            return false;
        case PROXY_HEADER_DONE:
            if (!header.is_local)
                caller_take_source(&conn->caller, &header.source.address.any);
            conn_drop_input(conn);
            return true;
        }
    }
}

void conn_on_late_preface(struct conn *conn)
{
    if (conn->station->is_draining)
        conn_close(conn, CONN_CLOSE_DRAINED);
    else
        give_up(conn, "its PROXY header has not come within limits.header_timeout");
}
