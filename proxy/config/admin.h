/* The section "admin": where the admin endpoint listens, and where metrics alone are. */
#ifndef PSGATE_CONFIG_ADMIN_H
#define PSGATE_CONFIG_ADMIN_H

#include "config/config.h"
#include "config/document.h"

/* Reads the section into *admin, which is all zero; problems go to the document. */
void config_read_admin(struct document *document, const struct place *place,
                       json_t *value, struct config_admin *admin);

#endif
