/* The members of one client in the clients file, each judged by itself. */
#ifndef PSGATE_ACCESS_CLIENT_MEMBERS_H
#define PSGATE_ACCESS_CLIENT_MEMBERS_H

#include "access/client.h"
#include "config/document.h"

/*
 * Reads an object's members over the defaults that *client has; strings live in the
 * document's arena. Problems go to the document: what is missing or wrong, where, and
 * what would be right. How members go together is judged by the caller.
 */
void client_read_members(struct document *document, const struct place *place,
                         json_t *value, struct client *client);

#endif
