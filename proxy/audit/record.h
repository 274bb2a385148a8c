/*
 * A record's body: the line without its tail (audit/chain.h), made where a request is
 * handled, from what may be recorded of it and nothing else. ECS names, INTERFACES "Audit
 * trail".
 */
#ifndef PSGATE_AUDIT_RECORD_H
#define PSGATE_AUDIT_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"
#include "base/text.h"

enum { AUDIT_ID_HEX = 32 };

/* What a mutation's two records have in common, and a refusal's too. Spans with at NULL
 * (and NULLs) are left out. All borrowed. */
struct audit_subject {
    const char *id;       /* AUDIT_ID_HEX digits: joins intent and result */
    const char *category; /* "iam", "configuration" or "web" */
    struct span action;   /* the operation's id, or "other" */
    struct span client;   /* its name */
    const char *client_auth;
    struct span source_ip, user_agent, team, target_user, method, request_id, trace_id;
    struct span route; /* the operation's template */
    struct span path;  /* of what matches no operation; route-less */
    struct span resource_type, resource_name;
    struct span recorded; /* members, as audit_body_read gives them */
    bool has_unreadable_body;
    struct span credential; /* its name */
    uint64_t config_generation;
};

/* The end of a mutation. */
struct audit_outcome {
    const char *outcome; /* "success", "failure" or "unknown" */
    const char *reason;  /* a word, or NULL */
    unsigned status;     /* what upstream answered; 0: nothing */
    int64_t duration_ns;
    const char *const *invalidated; /* scopes */
    size_t invalidated_count;
};

/*
 * Adds the common members, with commas between: both records of a mutation are made of
 * the same text. Failure of memory shows in out.
 */
void audit_record_subject(const struct audit_subject *subject, struct text *out);

/*
 * Write a body each: from "{" on, without the closing brace. subject is what
 * audit_record_subject wrote; the time is the calendar's, in milliseconds. method decides
 * whether that was a creation, a change or a deletion.
 */
void audit_record_intent(struct span subject, struct span method, int64_t wall_ms,
                         struct text *out);
void audit_record_result(struct span subject, struct span method, int64_t wall_ms,
                         const struct audit_outcome *outcome, struct text *out);

/* A refused attempt; status and reason are the gateway's own answer. */
void audit_record_refused(struct span subject, int64_t wall_ms, unsigned status,
                          const char *reason, struct text *out);

/* How many more refusals of a source there were than records of them. */
void audit_record_suppressed(struct span source, uint64_t count, int64_t wall_ms,
                             struct text *out);

/*
 * The result, unknown, of an intent that an earlier process left open; intent_body is as
 * its line has it. False when that is no intent of ours or memory is out.
 */
bool audit_record_orphaned(struct span intent_body, int64_t wall_ms, struct text *out);

/* The trail's own records: see the trail's format in the README. */
void audit_record_resumed(const char *suspect_file, struct span last_hash,
                          uint64_t repeated, int64_t wall_ms, struct text *out);
void audit_record_repaired(const char *set_aside, uint64_t bytes, int64_t wall_ms,
                           struct text *out);
void audit_record_checkpoint(const char *statement, const char *signature,
                             const char *key_id, int64_t wall_ms, struct text *out);

#endif
