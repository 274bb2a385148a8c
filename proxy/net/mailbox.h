/*
 * A way into another thread: letters are put in a queue, an eventfd wakes the reader, and
 * each letter is opened on the reader's own event loop.
 */
#ifndef PSGATE_NET_MAILBOX_H
#define PSGATE_NET_MAILBOX_H

#include <stdbool.h>

#include <event2/event.h>

#include "base/error.h"

/* Embedded in whatever is sent. open is called on the reader's thread and then owns it.
 */
struct letter {
    struct letter *next; /* the mailbox's, while the letter is under way */
    void (*open)(struct letter *letter);
};

struct mailbox;

struct mailbox *mailbox_new(struct event_base *base, struct error *error) MUST_CHECK;

/* Opens what is still unread, then frees. On the reader's thread. */
void mailbox_free(struct mailbox *mailbox);

/* From any thread. Never fails and never blocks for long. */
void mailbox_send(struct mailbox *mailbox, struct letter *letter);

#endif
