/* Which path of the endpoint gives what, and who may have it. */
#ifndef PSGATE_ADMIN_ROUTES_H
#define PSGATE_ADMIN_ROUTES_H

#include "admin/client.h"

/* See admin_service; its arg is the struct admin_context. */
bool routes_perform(struct admin_service *service, struct admin_client *client,
                    const struct admin_request *request, struct admin_answer *answer,
                    struct admin_later **later);

#endif
