/* The parameters of a query string: NAME=VALUE, joined by '&'. */
#ifndef PSGATE_ADMIN_PARAMS_H
#define PSGATE_ADMIN_PARAMS_H

#include <stdbool.h>

#include "base/span.h"
#include "base/text.h"

/*
 * Adds the decoded value of a parameter to *value: percent-escapes and '+' are undone.
 * The guard has refused encoded NULs: the text is a whole C string.
 * False: it is not there, or has no value. Of several the first counts.
 */
bool params_find(struct span query, struct span name, struct text *value);

#endif
