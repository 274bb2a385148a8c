#include "cluster/replies.h"

#include <stdlib.h>

struct replies {
    redisReader *reader;
    redisReplyObjectFunctions makers;
    void *(*make_list)(const redisReadTask *task, int elements);
    size_t bytes, elements; /* of the reply that has begun */
};

/* A list is not made room for before it is known to be within the bound. */
static void *make_bounded_list(const redisReadTask *task, int elements)
{
    struct replies *replies = task->privdata;

    replies->elements += (size_t)elements;
    return replies->elements <= REPLIES_MOST_ELEMENTS ? replies->make_list(task, elements)
                                                      : NULL;
}

/* hiredis's own makers of replies, but for the one above. */
struct replies *replies_new(void)
{
    struct replies *replies = calloc(1, sizeof(*replies));

    if (replies == NULL)
        return NULL;
    replies->reader = redisReaderCreate();
    if (replies->reader == NULL) {
        free(replies);
        return NULL;
    }
    replies->makers = *replies->reader->fn;
    replies->make_list = replies->makers.createArray;
    replies->makers.createArray = make_bounded_list;
    replies->reader->fn = &replies->makers;
    replies->reader->privdata = replies;
    return replies;
}

void replies_free(struct replies *replies)
{
    if (replies == NULL)
        return;
    redisReaderFree(replies->reader);
    free(replies);
}

bool replies_feed(struct replies *replies, struct span bytes)
{
    replies->bytes += bytes.len;
    return redisReaderFeed(replies->reader, bytes.at, bytes.len) == REDIS_OK;
}

enum replies_result replies_next(struct replies *replies, redisReply **reply,
                                 const char **why)
{
    redisReader *reader = replies->reader;
    void *whole = NULL;

    if (redisReaderGetReply(reader, &whole) != REDIS_OK) {
        *why = replies->elements > REPLIES_MOST_ELEMENTS
                   ? "its answer is too large"
                   : "it does not speak the Redis protocol";
        return REPLIES_BAD;
    }
    if (whole == NULL && replies->bytes > REPLIES_MOST_BYTES) {
        *why = "its answer is too large";
        return REPLIES_BAD;
    }
    if (whole == NULL)
        return REPLIES_MORE;
    replies->bytes = reader->len - reader->pos;
    replies->elements = 0;
    *reply = whole;
    return REPLIES_ONE;
}
