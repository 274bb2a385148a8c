/*
 * The recording of one mutation: its intent and its result on their way to the trail, and
 * what is held back until they are durable. It belongs to an exchange, but lives on until
 * its records have come back: what was begun in the trail is ended there.
 *
 * On the worker's thread. The trail answers by letter.
 */
#ifndef PSGATE_GATEWAY_RECORDING_H
#define PSGATE_GATEWAY_RECORDING_H

#include <stdbool.h>
#include <stdint.h>

#include "audit/entry.h"
#include "base/text.h"
#include "gateway/reason.h"
#include "net/deadline.h"
#include "net/mailbox.h"

struct exchange;
struct station;
struct snapshot;

enum recording_mode {
    RECORDING_NONE,
    RECORDING_LOG,     /* nothing waits for its records */
    RECORDING_AWAITED, /* the request waits for its intent, the answer for its result */
};

enum recording_intent {
    INTENT_NONE,
    INTENT_PENDING,
    INTENT_RECORDED,
    INTENT_LATE, /* not durable now, but it will be in the trail, and needs its result */
    INTENT_FAILED,
};
enum recording_result {
    RESULT_NONE,
    RESULT_OWED, /* known, but its intent has not come back */
    RESULT_PENDING,
    RESULT_RECORDED,
};

/* The reason where not a byte of the request was sent. */
#define RECORDING_NOT_FORWARDED "not_forwarded"

/* What ended the mutation. */
struct recording_end {
    const char *outcome; /* "success", "failure", "unknown" */
    const char *reason;  /* a literal word, or NULL */
    unsigned status;     /* upstream's; 0: none */
};

struct recording {
    struct exchange *exchange; /* NULL: over; what is pending comes back to nobody */
    struct station *station;
    struct snapshot *snapshot; /* a reference: the operation's strings lie in it */
    enum recording_mode mode;
    enum recording_intent intent;
    enum recording_result result;
    char id[AUDIT_ID_HEX + 1];
    char method[16];
    struct text subject;
    const char *const *invalidated;
    size_t invalidated_count;
    int64_t started_us;
    struct deadline deadline; /* audit.timeout, while something is awaited */
    struct recording_end end;

    struct audit_entry *intent_entry; /* while pending; the trail's */
    struct audit_entry *result_entry; /* from before the intent is queued to the end */
    struct letter intent_letter, result_letter;
    struct audit_entry *returned_intent, *returned_result;
    enum audit_done intent_done;

    /* For exchange_record.c: the request's body, while it waits. */
    bool holds_body;
    struct text held_body; /* cleansed: it is a secret's */
    size_t held_bytes;     /* counted against limits.audited_bodies_total */
};

/* The held body has gone out, and will not again. */
void recording_drop_body(struct recording *recording);

/* Adds to the held body; leaves no copy of it behind. Failure shows in held_body. */
void recording_hold(struct recording *recording, struct span content);

/* What is to be recorded of the exchange's request. */
enum recording_mode recording_mode(const struct exchange *exchange);

/* For an admitted exchange. NULL when memory or randomness is out. */
struct recording *recording_new(struct exchange *exchange, enum recording_mode mode);

/*
 * Takes the memory that the result will need, whatever it is: once the intent is in the
 * trail none may be missing. After the subject was written. False when memory is out.
 */
bool recording_reserve_result(struct recording *recording) MUST_CHECK;

/*
 * Sends the intent; the result's memory has been reserved. False: it cannot be recorded
 * now. If awaited, exchange_on_intent follows.
 */
bool recording_begin(struct recording *recording);

/*
 * Sends the result, once; later calls are of no effect. Without a recorded intent nothing
 * is sent. If awaited, exchange_on_result follows.
 */
void recording_finish(struct recording *recording, struct recording_end end);

/* The result for a final answer's status. */
struct recording_end recording_end_of(unsigned status);

/*
 * The exchange is over: what is not durable yet is withdrawn or goes on alone, and an
 * intent without a result gets this one. The pointer is dead afterwards. NULL is fine.
 */
void recording_leave(struct recording *recording, struct recording_end end);

/* Records a refused attempt at an audited operation, without waiting. */
void recording_refuse(struct exchange *exchange, enum reason reason);

#endif
