/*
 * What the cache did for one exchange, in the few words that the access log and the
 * metrics share. Cache-Status tells the client the same in the words of RFC 9211.
 */
#ifndef PSGATE_GATEWAY_OUTCOME_H
#define PSGATE_GATEWAY_OUTCOME_H

enum cache_outcome {
    CACHE_OUTCOME_NONE, /* no cache rule, or it was answered before the cache was asked */
    CACHE_OUTCOME_HIT,  /* answered from memory, fresh */
    CACHE_OUTCOME_STALE,   /* answered from memory, past its freshness */
    CACHE_OUTCOME_MISS,    /* nothing was stored that the request selects: upstream's */
    CACHE_OUTCOME_EXPIRED, /* something was, too old: upstream's answer */
    CACHE_OUTCOME_REVALIDATED, /* the same, and upstream confirmed it (304) */
    CACHE_OUTCOME_COLLAPSED,   /* got the answer that somebody else fetched */
    CACHE_OUTCOME_BYPASS, /* upstream's: the client asked for it, or only it can judge */
};

enum { CACHE_OUTCOMES = CACHE_OUTCOME_BYPASS + 1 };

/* "none", "hit", "stale", "miss", "expired", "revalidated", "collapsed", "bypass". */
const char *cache_outcome_word(enum cache_outcome outcome);

#endif
