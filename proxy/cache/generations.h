/*
 * Generations: what keeps reads from going back before a change (DESIGN, "Generations").
 * A scope is a name whose answers a change may make old; it has one generation, over all
 * credentials and workers. Entries and fetches carry the generation at which their fetch
 * began, and count only while it is the present one.
 *
 * Safe from every thread. Time is monotonic milliseconds.
 */
#ifndef PSGATE_CACHE_GENERATIONS_H
#define PSGATE_CACHE_GENERATIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"

enum { GENERATIONS_SCOPES = 256, GENERATIONS_NO_SCOPE = -1 };

struct generations;

struct generations *generations_new(void);
void generations_free(struct generations *generations);

/* The scope's number; made when it is new. NO_SCOPE when there are too many. */
int generations_scope(struct generations *generations, struct span name);

/* How many scopes there are: their numbers are below it. A scope's name stays. */
int generations_count(struct generations *generations);
struct span generations_name(const struct generations *generations, int scope);

/* The present generation of the scope of that number. */
uint64_t generations_now(struct generations *generations, int number, int64_t now_ms);

/*
 * Whether what was fetched since that generation may be stored: it is the present one, no
 * change is in flight, here or at another gateway, and none has ended unknown within the
 * hold.
 */
bool generations_may_store(struct generations *generations, int number,
                           uint64_t generation, int64_t now_ms);

/* A change's first byte is about to go out: in flight, and raised. */
void generations_begin_change(struct generations *generations, int number);

/*
 * The change's answer is there, or it has failed: raised, and no longer in flight.
 * Unknown (is_known false): nothing is stored for hold_ms, and then it is raised once
 * more, because the change may land after we gave up.
 */
void generations_end_change(struct generations *generations, int number, bool is_known,
                            int64_t now_ms, int64_t hold_ms);

/*
 * Single targets have generations too, for changes that by RFC 9111 4.4 make old just
 * what they name. They are kept by hash: now and then one is raised along with another.
 */
enum { GENERATIONS_TARGETS = 16384 };

int generations_target(const struct generations *generations, struct span target);
uint64_t generations_target_now(struct generations *generations, int target);
void generations_raise_target(struct generations *generations, int target);

/* Whether a change by another gateway is under way: nothing is stored meanwhile. */
void generations_mark(struct generations *generations, int scope, bool is_marked);

/* Makes everything of a scope old. */
void generations_raise(struct generations *generations, int number);

#endif
