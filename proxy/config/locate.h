/* Finds where a place stands in the text of a JSON document that parsed without error. */
#ifndef PSGATE_CONFIG_LOCATE_H
#define PSGATE_CONFIG_LOCATE_H

#include "base/span.h"
#include "config/document.h"

/* *line and *column count from 1, columns in bytes. Points at a member's key. */
void locate_place(struct span text, const struct place *place, unsigned *line,
                  unsigned *column);

#endif
