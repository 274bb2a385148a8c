/*
 * A copy of each record to a syslog server. Best effort: the trail on disk is what
 * counts. Callers never wait: a message is put in a bounded queue, and a thread of its
 * own connects, writes, and after failures connects again, pausing 1 s at first and 30 s
 * at most.
 *
 * Over TCP and TLS a message is RFC 5424, framed by its length (RFC 6587 3.4.1, RFC
 * 5425), with severity notice (5) and the phase as its MSGID:
 *
 *     <37>1 2026-11-23T17:04:05.123Z HOST psgate PID intent - RECORD
 *
 * RECORD is the line as it is in the trail, UTF-8 without a byte order mark: RFC 5424 6.4
 * wants one, but servers pass it on as a part of the message. To the local socket it goes
 * as syslog(3) sends it, since what listens there (journald, rsyslog's imuxsock) reads
 * nothing else:
 *
 *     <37>Nov 23 17:04:05 psgate[PID]: RECORD
 *
 * Neither protocol acknowledges: what the kernel has taken when a connection breaks may
 * be lost, and counts as sent. What was not wholly written is sent again.
 */
#ifndef PSGATE_AUDIT_SYSLOG_H
#define PSGATE_AUDIT_SYSLOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/span.h"
#include "config/syslog.h"

enum {
    AUDIT_SYSLOG_QUEUE_BYTES = 4 * 1024 * 1024,
    AUDIT_SYSLOG_RETRY_MS = 1000,
    AUDIT_SYSLOG_MOST_RETRY_MS = 30000,
    AUDIT_SYSLOG_FLUSH_MS = 1000, /* how long the end waits for what is queued */
};

struct audit_syslog;

/* Borrowed for the call. Zero stands for the values above. */
struct audit_syslog_options {
    const struct config_syslog *server; /* has a URL */
    size_t queue_bytes;
    int64_t retry_ms, most_retry_ms; /* the first pause, and the longest */
};

struct audit_syslog_counts {
    uint64_t sent;
    uint64_t dropped; /* did not fit into queue or datagram, or were left at the end */
    bool is_up;       /* connected, or trying for the first time */
};

/*
 * Reads the CA file and starts the thread, which connects at once; a server that is not
 * there is no error. NULL with error set when that cannot be done. The caller frees it.
 */
struct audit_syslog *audit_syslog_new(const struct audit_syslog_options *options,
                                      struct error *error) MUST_CHECK;

/*
 * Queues a record's line (without its newline) for sending; drops and counts it when the
 * queue is full. phase is a word such as "intent", of printable ASCII. From any thread.
 */
void audit_syslog_send(struct audit_syslog *syslog, const char *phase, struct span line);

/* For the metrics; from any thread, takes no lock. */
struct audit_syslog_counts audit_syslog_count(const struct audit_syslog *syslog);

/*
 * Sends what is queued for at most FLUSH_MS, drops the rest and ends. Nobody may send
 * any more. NULL is fine. A thread that hangs in the system's resolver is left behind to
 * end itself.
 */
void audit_syslog_free(struct audit_syslog *syslog);

#endif
