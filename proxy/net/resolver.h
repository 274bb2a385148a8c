/*
 * Names into addresses, off the workers: one thread asks the system's resolver again
 * every so often and keeps the last good answer. A literal address needs no thread.
 */
#ifndef PSGATE_NET_RESOLVER_H
#define PSGATE_NET_RESOLVER_H

#include <stdbool.h>
#include <stdint.h>

#include <sys/socket.h>

#include "base/error.h"
#include "net/mailbox.h"

/* An answer: immutable, reference-counted, at least one address. */
struct addresses {
    _Atomic unsigned references;
    unsigned count;
    struct {
        struct sockaddr_storage address;
        socklen_t len;
    } list[];
};

void addresses_unref(struct addresses *addresses);

struct resolver;

/* For host:port. Asks nobody before resolver_start. */
struct resolver *resolver_new(const char *host, uint16_t port, int64_t interval_ms,
                              struct error *error) MUST_CHECK;

/*
 * Starts asking, and asks again every interval_ms. Every user may say so: once is enough.
 * A failure is logged, and tried again by the next call.
 */
void resolver_start(struct resolver *resolver);

/*
 * None of the addresses was of use: asks again soon, for the host may have moved. However
 * many say so, it is asked once a second at most. From any thread.
 */
void resolver_ask_again(struct resolver *resolver);

/* Stops asking. A look-up under way is left to end on its own. */
void resolver_free(struct resolver *resolver);

/*
 * The last good answer, one reference of it; or NULL, with error saying why the last
 * attempt failed or that none has ended yet.
 */
struct addresses *resolver_addresses(struct resolver *resolver, struct error *error);

/* Someone who waits for an attempt to end, whatever it gives. */
struct resolver_waiter {
    struct letter letter; /* opened on the waiter's thread */
    struct mailbox *mailbox;
    struct resolver_waiter *next;
};

/*
 * Sends the waiter's letter when the present attempt has ended; starts one if none is
 * under way and there is no good answer. The waiter must live until then.
 */
void resolver_wait(struct resolver *resolver, struct resolver_waiter *waiter);

/* Waits no more. False: too late, the letter has been sent and will be opened. */
bool resolver_forget(struct resolver *resolver, struct resolver_waiter *waiter);

#endif
