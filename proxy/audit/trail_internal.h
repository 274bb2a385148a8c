/*
 * What the two halves of the trail share: trail.c has the queue and the life of it all,
 * trail_thread.c is the thread that writes.
 */
#ifndef PSGATE_AUDIT_TRAIL_INTERNAL_H
#define PSGATE_AUDIT_TRAIL_INTERNAL_H

#include <pthread.h>

#include "audit/pace.h"
#include "audit/refusals.h"
#include "audit/syslog.h"
#include "audit/trail.h"
#include "audit/writer.h"

enum state {
    STATE_OPENING, /* entries wait: the folder is not ours yet */
    STATE_WRITABLE,
    STATE_UNWRITABLE,
};

struct audit_trail {
    pthread_t thread;
    bool has_thread;
    char *directory;
    struct refusals *refusals;

    pthread_mutex_t lock;
    pthread_cond_t wakeup, idle;
    /* Under the lock: */
    struct audit_entry *first, **last;
    size_t loose_count, queued_bytes;
    size_t queued_count; /* from first on */
    enum state state;
    struct error trouble; /* why it is not writable */
    int64_t timeout_ms, rotate_bytes;
    struct audit_key *new_key;
    struct audit_syslog *new_syslog;
    bool has_new_settings, wants_rotation, is_stopping, is_working;
    bool is_mute, is_telling; /* nobody is told any more; somebody is, just now */
    int64_t working_since_ms;
    struct audit_numbers numbers;

    struct histogram sync_times; /* the thread adds, anybody reads */

    /* The thread's own: */
    struct audit_writer writer;
    struct audit_syslog *syslog;     /* NULL: no copies. Changed under the lock. */
    struct audit_syslog *old_syslog; /* to be freed, which takes time */
    struct audit_entry *pending;     /* taken off the queue, not durable yet */
    struct pace pace;
    int64_t owed_since_ms; /* the oldest record that no checkpoint covers; 0: none */
};

/* The thread, until is_stopping. */
void *audit_trail_run(void *trail);

/* The writer's: these lines are in the file. */
void audit_trail_on_written(void *trail, struct span lines);

/* NULL is fine. */
void audit_trail_drop_key(struct audit_key *key);

#endif
