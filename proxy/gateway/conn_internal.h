/* What the files of a connection share: conn.c, conn_input.c and conn_progress.c. */
#ifndef PSGATE_GATEWAY_CONN_INTERNAL_H
#define PSGATE_GATEWAY_CONN_INTERNAL_H

#include "gateway/conn.h"
#include "gateway/station.h"

static inline const struct config_limits *conn_limits(const struct conn *conn)
{
    return &conn->station->snapshot->config->limits;
}

/* conn_input.c */

/* Makes the input's memory, if it has none. False when there is none left. */
bool conn_ensure_input(struct conn *conn);

/* Notes bytes that were added: tokens, and secrets' values. */
void conn_grow_input(struct conn *conn, size_t bytes);

/* Gives the memory back, without what was in it. */
void conn_drop_input(struct conn *conn);

/* Pipelined bytes move to the front; an idle connection holds no memory. */
void conn_compact_input(struct conn *conn);

/* conn_preface.c */

/*
 * Reads the PROXY header on, and not a byte more. True when it is complete and the caller
 * is who it names; false: more is to come, or the connection was closed.
 */
bool conn_read_preface(struct conn *conn);

/* The deadline has come before the header was complete. Closes. */
void conn_on_late_preface(struct conn *conn);

/* conn_progress.c */

/* Sets the time within which bytes must move, or lifts it where none are expected. */
void conn_expect_progress(struct conn *conn, bool expects);

/* Whether bytes have moved fast enough since the window began; begins a new one if so. */
bool conn_keeps_rate(struct conn *conn);

/* The client is too slow with its body, or with taking its answer. */
void conn_on_too_slow(struct conn *conn);

/* The connection's deadline has come; owner is the connection. */
void conn_on_deadline(void *owner);

#endif
