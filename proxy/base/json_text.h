/*
 * JSON read by jansson, whole or not at all. By itself it goes on when an allocation
 * fails within a string, which then lacks bytes: a name, a claim, a path that nobody has
 * written.
 */
#ifndef PSGATE_BASE_JSON_TEXT_H
#define PSGATE_BASE_JSON_TEXT_H

#include <jansson.h>

#include "base/span.h"

/*
 * Makes jansson cleanse all memory that it gives back, so that no secret value stays
 * behind in it, and tell us when there is none; seeds its hash tables. For the whole
 * process: call once at start, before other threads. What was allocated before may be
 * freed after.
 */
void json_text_init(void);

/*
 * What json_loadb gives, the caller's to json_decref; NULL also when memory was out for
 * any part of it: the fault (may be NULL) then has the code json_error_out_of_memory.
 * That is noticed only after json_text_init.
 */
json_t *json_text_read(struct span text, size_t flags, json_error_t *fault);

/*
 * Whether memory was out for jansson, on this thread, since this was last asked: a value
 * that was made of parts meanwhile may lack some.
 */
bool json_text_was_starved(void);

#endif
