/*
 * The admin endpoint: health, metrics, the status page and what is behind it, served by
 * libevhtp on a thread and event base of its own (INTERFACES, "Admin endpoint").
 *
 * All calls are made on the main thread.
 */
#ifndef PSGATE_ADMIN_ADMIN_H
#define PSGATE_ADMIN_ADMIN_H

#include "base/error.h"
#include "gateway/gateway.h"

struct admin;

/*
 * Serves what the gateway's configuration says, and follows its reloads; no address is
 * fine. NULL with error set when an address cannot be had. The gateway must outlive it.
 */
struct admin *admin_start(struct gateway *gateway, struct error *error) MUST_CHECK;

/* Closes every connection, ends the thread and frees all; NULL is fine. */
void admin_stop(struct admin *admin);

#endif
