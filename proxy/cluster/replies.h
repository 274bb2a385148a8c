/*
 * What a Redis server says (RESP2), taken apart by hiredis within bounds: the bytes and
 * the lists of one reply are counted, so that no server, however it lies, takes more
 * memory than that.
 */
#ifndef PSGATE_CLUSTER_REPLIES_H
#define PSGATE_CLUSTER_REPLIES_H

#include <stdbool.h>
#include <stddef.h>

#include <hiredis/hiredis.h>

#include "base/error.h"
#include "base/span.h"

enum {
    REPLIES_MOST_ELEMENTS = 32768, /* of all lists of a reply */
    REPLIES_MOST_BYTES = 4 * 1024 * 1024,
};

struct replies;

/* NULL: out of memory. */
struct replies *replies_new(void);
void replies_free(struct replies *replies);

/* What has come; it is copied. False: out of memory, and no more can be fed. */
bool replies_feed(struct replies *replies, struct span bytes) MUST_CHECK;

enum replies_result {
    REPLIES_MORE, /* no whole one is left */
    REPLIES_ONE,
    REPLIES_BAD, /* and so is all that follows */
};

/* The next whole reply, for freeReplyObject; BAD: why says what is wrong, a constant. */
enum replies_result replies_next(struct replies *replies, redisReply **reply,
                                 const char **why);

#endif
