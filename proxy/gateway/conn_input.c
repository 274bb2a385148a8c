/* The memory in which a request's head arrives, and what comes behind it. */
#include <stdlib.h>

#include "base/secret.h"
#include "gateway/conn_internal.h"
#include "gateway/exchange.h"

enum { BODY_ROOM_BYTES = 32768 }; /* behind the largest head: bodies and pipelining */

bool conn_ensure_input(struct conn *conn)
{
    struct station *station = conn->station;

    if (conn->input != NULL)
        return true;
    conn->most_head_bytes = (size_t)conn_limits(conn)->header_bytes;
    conn->input_bytes = conn->most_head_bytes + BODY_ROOM_BYTES;
    conn->input_start = conn->input_end = conn->input_used = 0;
    if (station->spare_input_bytes == conn->input_bytes) {
        conn->input = station->spare_input;
        station->spare_input = NULL;
        station->spare_input_bytes = 0;
    } else {
        conn->input = malloc(conn->input_bytes);
    }
    return conn->input != NULL;
}

void conn_grow_input(struct conn *conn, size_t bytes)
{
    conn->input_end += bytes;
    if (conn->input_used < conn->input_end)
        conn->input_used = conn->input_end;
}

/* One is kept for the next request, whose connection will need it: mostly soon. */
void conn_drop_input(struct conn *conn)
{
    struct station *station = conn->station;

    if (conn->input != NULL) {
        secret_cleanse(conn->input, conn->input_used);
        free(station->spare_input);
        station->spare_input = conn->input;
        station->spare_input_bytes = conn->input_bytes;
    }
    conn->input = NULL;
    conn->input_start = conn->input_end = 0;
}

void conn_compact_input(struct conn *conn)
{
    size_t left = conn->input_end - conn->input_start;

    if (left == 0) {
        conn_drop_input(conn);
        return;
    }
    memmove(conn->input, conn->input + conn->input_start, left);
    conn->input_start = 0;
    conn->input_end = left;
}

char *conn_take_input(struct conn *conn)
{
    char *input = conn->input;
    size_t head_len = conn->exchange->head.len;

    if (input != NULL && head_len < conn->input_used)
        secret_cleanse(input + head_len, conn->input_used - head_len);
    conn->input = NULL;
    conn->input_start = conn->input_end = 0;
    return input;
}
