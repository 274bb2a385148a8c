#include "access/jwt_memo.h"

#include <stdlib.h>
#include <string.h>

#include "base/secret.h"

/* A token has its set by its digest, and in that any of some places. */
enum { WAYS = 4, SETS = JWT_MEMO_MOST / WAYS };

struct remembered {
    struct jwt_memo_key key;
    int64_t from_ms, until_ms;
    const struct client *client; /* NULL: nothing is here */
};

struct jwt_memo {
    struct remembered sets[SETS][WAYS];
};

struct jwt_memo *jwt_memo_new(void)
{
    return calloc(1, sizeof(struct jwt_memo));
}

void jwt_memo_free(struct jwt_memo *memo)
{
    if (memo != NULL)
        secret_cleanse(memo, sizeof(*memo));
    free(memo);
}

static size_t set_of(const struct jwt_memo_key *key)
{
    return key->digest[0] % SETS;
}

static bool is_same(const struct jwt_memo_key *one, const struct jwt_memo_key *other)
{
    return one->generation == other->generation && one->list == other->list &&
           secret_equal(one->digest, other->digest, sizeof(one->digest));
}

const struct client *jwt_memo_find(const struct jwt_memo *memo,
                                   const struct jwt_memo_key *key, int64_t now_wall_ms)
{
    const struct remembered *set = memo->sets[set_of(key)];

    for (size_t i = 0; i < WAYS; i++) {
        if (set[i].client != NULL && is_same(&set[i].key, key))
            return now_wall_ms >= set[i].from_ms && now_wall_ms < set[i].until_ms
                       ? set[i].client
                       : NULL;
    }
    return NULL;
}

/* Of the same list before: no request that is to come will ask for it. */
static bool is_stale(const struct remembered *remembered, const struct jwt_memo_key *key)
{
    return remembered->client == NULL || remembered->key.generation != key->generation ||
           remembered->key.list != key->list ||
           secret_equal(remembered->key.digest, key->digest, sizeof(key->digest));
}

void jwt_memo_add(struct jwt_memo *memo, const struct jwt_memo_key *key, int64_t from_ms,
                  int64_t until_ms, const struct client *client)
{
    struct remembered *set = memo->sets[set_of(key)];
    size_t place = key->digest[1] % WAYS;

    for (size_t i = 0; i < WAYS; i++) {
        if (is_stale(&set[i], key)) {
            place = i;
            break;
        }
    }
    set[place] = (struct remembered){
        .key = *key, .from_ms = from_ms, .until_ms = until_ms, .client = client};
}
