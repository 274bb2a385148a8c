/* One of the endpoint's doors: a listening socket with libevhtp behind it. */
#ifndef PSGATE_ADMIN_SERVER_H
#define PSGATE_ADMIN_SERVER_H

#include <event2/event.h>

#include "admin/client.h"
#include "net/listener.h"

struct admin_server;

/*
 * Accepts on the listener, whose descriptor it duplicates, until it is freed. On the
 * thread of the base. perform and arg: see admin_service.
 */
struct admin_server *admin_server_new(struct event_base *base,
                                      const struct listener *listener,
                                      const struct admin_service *model,
                                      struct error *error) MUST_CHECK;

/* Closes its connections too. NULL is fine. */
void admin_server_free(struct admin_server *server);

#endif
