#include "gateway/outcome.h"

const char *cache_outcome_word(enum cache_outcome outcome)
{
    static const char *const words[CACHE_OUTCOMES] = {
        [CACHE_OUTCOME_NONE] = "none",
        [CACHE_OUTCOME_HIT] = "hit",
        [CACHE_OUTCOME_STALE] = "stale",
        [CACHE_OUTCOME_MISS] = "miss",
        [CACHE_OUTCOME_EXPIRED] = "expired",
        [CACHE_OUTCOME_REVALIDATED] = "revalidated",
        [CACHE_OUTCOME_COLLAPSED] = "collapsed",
        [CACHE_OUTCOME_BYPASS] = "bypass",
    };

    return words[outcome];
}
