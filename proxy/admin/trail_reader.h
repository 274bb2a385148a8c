/*
 * Reads the audit trail for the status page, on a thread of its own, so that nothing
 * waits for a disk. It follows the trail and keeps its newest lines in memory, which
 * answers most questions; what they do not have is looked for in the files. Now and then
 * it verifies the chain.
 */
#ifndef PSGATE_ADMIN_TRAIL_READER_H
#define PSGATE_ADMIN_TRAIL_READER_H

#include "admin/client.h"
#include "admin/trail_query.h"
#include "base/error.h"
#include "net/mailbox.h"

enum {
    TRAIL_READER_MOST_JOBS = 16,
    TRAIL_READER_LINES_BYTES = 4 * 1024 * 1024, /* of newest lines, at most */
    TRAIL_READER_VERIFY_MS = 300000,            /* how old a verdict may be */
};

struct trail_reader;

/* mailbox: where answers go to; its thread calls everything here. */
struct trail_reader *trail_reader_new(struct mailbox *mailbox,
                                      struct error *error) MUST_CHECK;

/* The thread stops reading; questions not answered yet stay so. */
void trail_reader_free(struct trail_reader *reader);

/*
 * Asks; the query is the reader's from then on. NULL: too many wait already, or memory
 * is out, and the query is still the caller's. Else *later: see admin_service.
 */
struct admin_later *trail_reader_ask(struct trail_reader *reader, const char *folder,
                                     const struct trail_query *query);

#endif
