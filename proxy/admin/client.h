/*
 * A connection to the admin endpoint. Our strict parser stands before libevhtp's: it sees
 * whole heads that the guard has let through, one at a time, and never a body.
 */
#ifndef PSGATE_ADMIN_CLIENT_H
#define PSGATE_ADMIN_CLIENT_H

#include <stdbool.h>
#include <sys/queue.h>

#include <evhtp/evhtp.h>

#include "admin/answer.h"
#include "admin/guard.h"

struct admin_client;

/* Embedded in whatever answers later than at once. */
struct admin_later {
    struct admin_client *client; /* NULL once it has left */
};

LIST_HEAD(admin_clients, admin_client);

/* What all connections of one door share; it outlives them. */
struct admin_service {
    enum admin_door door;
    struct admin_clients clients;
    unsigned count;

    /*
     * Makes the answer. False: it will come by admin_client_answer(later), where *later
     * is then not NULL; the callee's memory.
     */
    bool (*perform)(struct admin_service *service, struct admin_client *client,
                    const struct admin_request *request, struct admin_answer *answer,
                    struct admin_later **later);
    void *arg;
};

/* libevhtp's post-accept callback, with the service as its argument. */
evhtp_res admin_client_accept(evhtp_connection_t *conn, void *arg);

/* Sends what was promised, unless the client has left. Takes what *answer holds. */
void admin_client_answer(struct admin_later *later, struct admin_answer *answer);

/* Closes every connection; what their ends leave to do is done in turns of the loop. */
void admin_client_close_all(struct admin_service *service);

#endif
