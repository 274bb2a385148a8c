/*
 * Redis's replies: any bytes are replies within the bounds, or bad; whole or byte by
 * byte, they are the same.
 */
#include "cluster/replies.h"
#include "fuzz/support.h"

enum { MOST_DEPTH = 16 };

/* Adds a reply as text, and counts its elements. */
static size_t add_reply(const redisReply *reply, struct text *out, int depth)
{
    size_t elements = 0;

    fuzz_require(depth < MOST_DEPTH, "a list of %d levels", depth);
    text_add_format(out, "%d:", reply->type);
    switch (reply->type) {
    case REDIS_REPLY_INTEGER:
        text_add_format(out, "%lld", reply->integer);
        break;
    case REDIS_REPLY_ARRAY:
        for (size_t i = 0; i < reply->elements; i++)
            elements += add_reply(reply->element[i], out, depth + 1);
        elements += reply->elements;
        break;
    case REDIS_REPLY_NIL:
        break;
    default:
        fuzz_require(reply->str[reply->len] == '\0', "a string without its end");
        text_add(out, span_make(reply->str, reply->len));
    }
    text_add_byte(out, ';');
    return elements;
}

/* All replies as text, and how it ended. */
static void read_all(struct span input, size_t step, struct text *out)
{
    struct replies *replies = replies_new();
    enum replies_result result = REPLIES_MORE;
    const char *why = NULL;
    redisReply *reply;

    fuzz_require(replies != NULL, "out of memory");
    while (input.len > 0 && result != REPLIES_BAD) {
        struct span piece = fuzz_copy(fuzz_take(&input, step));

        fuzz_require(replies_feed(replies, piece), "out of memory");
        fuzz_free(piece);
        while ((result = replies_next(replies, &reply, &why)) == REPLIES_ONE) {
            size_t elements = add_reply(reply, out, 0);

            fuzz_require(elements <= REPLIES_MOST_ELEMENTS, "%zu elements", elements);
            text_add_byte(out, '\n');
            freeReplyObject(reply);
        }
    }
    fuzz_require((why != NULL) == (result == REPLIES_BAD), "bad without a reason");
    text_add(out, why != NULL ? span_of(why) : SPAN("more"));
    replies_free(replies);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = fuzz_span(data, size);
    struct text whole = {0}, slow = {0};

    read_all(input, SIZE_MAX, &whole);
    read_all(input, 1, &slow);
    fuzz_require(span_equal(fuzz_text(&whole), fuzz_text(&slow)), "whole %s, slowly %s",
                 fuzz_shown(fuzz_text(&whole)), fuzz_shown(fuzz_text(&slow)));
    text_fini(&whole);
    text_fini(&slow);
    return 0;
}
