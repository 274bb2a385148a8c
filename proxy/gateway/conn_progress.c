/* How long a connection may wait for its client, and how slow that may be. */
#include "base/clock.h"
#include "gateway/conn_internal.h"
#include "gateway/exchange.h"

enum { SLOWEST_BYTES = 256 }; /* a second, averaged over a timeout: less is a trickle */

/* What counts as progress: bytes taken while some wait to be taken, else bytes sent. */
static uint64_t bytes_moved(const struct conn *conn)
{
    return stream_queued(&conn->stream) > 0 ? conn->stream.bytes_written
                                            : conn->stream.bytes_read;
}

static void start_rate_window(struct conn *conn, int64_t now_ms)
{
    conn->progress_since_ms = now_ms;
    conn->progress_before = bytes_moved(conn);
}

static int64_t progress_timeout(const struct conn *conn)
{
    return stream_queued(&conn->stream) > 0 ? conn_limits(conn)->send_timeout_ms
                                            : conn_limits(conn)->body_timeout_ms;
}

void conn_expect_progress(struct conn *conn, bool expects)
{
    if (!expects) {
        deadline_lift(&conn->deadline);
        return;
    }
    if (!deadline_is_set(&conn->deadline) ||
        conn->was_queued != (stream_queued(&conn->stream) > 0))
        start_rate_window(conn, clock_monotonic_ms());
    conn->was_queued = stream_queued(&conn->stream) > 0;
    deadline_set(&conn->deadline, progress_timeout(conn));
}

bool conn_keeps_rate(struct conn *conn)
{
    int64_t now_ms = clock_monotonic_ms();
    int64_t elapsed_ms = now_ms - conn->progress_since_ms;
    uint64_t moved = bytes_moved(conn) - conn->progress_before;

    if (elapsed_ms < progress_timeout(conn))
        return true;
    if (moved < (uint64_t)elapsed_ms * SLOWEST_BYTES / 1000)
        return false;
    start_rate_window(conn, now_ms);
    return true;
}

void conn_on_too_slow(struct conn *conn)
{
    if (stream_queued(&conn->stream) > 0 || conn->exchange == NULL)
        conn_close(conn, CONN_CLOSE_SLOW_CLIENT);
    else
        exchange_on_body_timeout(conn->exchange);
}

void conn_on_deadline(void *owner)
{
    struct conn *conn = owner;
    bool is_queued = stream_queued(&conn->stream) > 0;
    bool has_moved = bytes_moved(conn) > conn->progress_before;

    switch (conn->state) {
    case CONN_PREFACE:
        conn_on_late_preface(conn);
        break;
    case CONN_HEAD:
        exchange_refuse(conn->exchange, REASON_HEAD_TIMEOUT, NULL);
        break;
    case CONN_IDLE:
    case CONN_EXCHANGE:
    case CONN_LINGER:
        /* A queue that drains slowly raises no event until it is low: look here. */
        if (is_queued && has_moved && conn_keeps_rate(conn)) {
            start_rate_window(conn, clock_monotonic_ms());
            conn_expect_progress(conn, true);
        } else if (is_queued || conn->state == CONN_EXCHANGE) {
            conn_on_too_slow(conn);
        } else {
            conn_close(conn,
                       conn->state == CONN_IDLE ? CONN_CLOSE_IDLE : CONN_CLOSE_DONE);
        }
        break;
    case CONN_TUNNEL:
        conn_close(conn, CONN_CLOSE_IDLE);
        break;
    case CONN_CLOSED:
        break;
    }
}

void conn_note_tunnel_traffic(struct conn *conn)
{
    deadline_set(&conn->deadline, conn_limits(conn)->tunnel_idle_timeout_ms);
}
