/*
 * The exchange's dealings with the cache: may the answer come from it, must it be fetched
 * and by whom, may what was fetched be kept, and what Cache-Status says of all that.
 *
 * caching.c decides and serves; fetch.c collects what upstream answers and lands flights;
 * change.c keeps the generations over requests that change things.
 */
#ifndef PSGATE_GATEWAY_CACHING_H
#define PSGATE_GATEWAY_CACHING_H

#include <stdbool.h>
#include <stdint.h>

#include "base/text.h"
#include "cache/cache.h"
#include "cache/directives.h"
#include "gateway/outcome.h"
#include "http/head.h"
#include "net/deadline.h"
#include "net/mailbox.h"

struct exchange;

enum caching_role {
    CACHING_OFF,   /* the operation has no cache rule */
    CACHING_PASS,  /* goes through to upstream; nothing is kept */
    CACHING_FETCH, /* goes to upstream; what comes may be kept. Leads if there is a flight
                    */
    CACHING_WAIT,  /* waits for a flight that somebody else leads */
};

struct caching {
    enum caching_role role;
    enum cache_outcome outcome; /* for the access log and the metrics */
    const struct operation_cache *rule;
    struct cache_directives asked; /* the request's Cache-Control */
    struct text key;               /* without what Vary adds */
    int scope, credential_scope, target;
    uint64_t generation, credential_generation,
        target_generation; /* when the fetch, or the wait, began */
    struct cache_entry
        *stored;     /* what was found and will not do without asking, or NULL */
    bool is_trusted; /* all was known that others had raised, before generations were read
                      */

    struct flight *flight; /* led by this exchange, or NULL */
    struct flight_waiter waiter;
    struct letter letter;     /* brings the flight's outcome to our thread */
    bool awaits_letter;       /* it may still come: the exchange must live */
    struct deadline patience; /* stale_after */

    /* The fetch. */
    bool asks_conditionally; /* with stored's validators */
    bool is_collecting;
    bool is_streaming; /* too large to hold back: the client gets it as it comes */
    bool may_store;    /* by its head */
    bool may_share;    /* with those who wait, this once */
    struct cache_policy policy;
    struct cache_times times;
    int64_t received_ms;
    uint16_t status;
    struct text head, body; /* collected */

    /* For Cache-Status. */
    const char *forward_reason; /* RFC 9211 2.2, or NULL: a hit */
    uint16_t forward_status;    /* 0: as the answer's */
    bool was_stored, was_collapsed;
};

enum { CHANGE_SCOPE_WORDS = GENERATIONS_SCOPES / 64 };

/* The scopes that a change has put in flight. */
struct change {
    bool has_begun; /* and has not ended */
    uint64_t scopes[CHANGE_SCOPE_WORDS];
};

/* caching.c */

/*
 * The request was admitted: answers it from the cache, lets it wait for a flight, or
 * sends it upstream. Only for operations with a cache rule.
 */
void caching_begin(struct exchange *exchange);

/* Sends an entry as the answer, or 304 or its head alone, and ends the exchange. */
void caching_serve(struct exchange *exchange, const struct cache_entry *entry);

/* Serves what is stored because upstream failed, if that is allowed. */
bool caching_serve_on_error(struct exchange *exchange);

/* Adds the Age and Cache-Status lines; entry is NULL for an answer that was not kept. */
void caching_add_lines(const struct exchange *exchange, const struct cache_entry *entry,
                       struct text *out);

/* Reads the generations that what is fetched from now on will carry. */
void caching_note_generations(struct exchange *exchange);

/* Whether what is stored may be asked about: it is of the present generations. */
bool caching_may_revalidate(const struct exchange *exchange);

/* Whether the answer to a HEAD shows that what is stored is old (RFC 9111 4.3.5). */
bool caching_is_outdated_by(const struct exchange *exchange,
                            const struct http_head *answer);

/* The client has left. True: the exchange must live on. */
bool caching_client_left(struct exchange *exchange);

/* Before the exchange's memory is reused. Lands a flight that still flies. */
void caching_fini(struct exchange *exchange);

/* The key's text under which an answer with these Vary names is kept. */
bool caching_variant_key(const struct exchange *exchange, struct span names,
                         struct text *key);

/* fetch.c */

/* Upstream's head came. True: the fetch deals with the answer from here on. */
bool fetch_on_head(struct exchange *exchange, const struct http_head *head,
                   uint64_t length, bool has_length);
/* False: the exchange relays the content itself, as it streams. */
bool fetch_on_content(struct exchange *exchange, struct span content);
void fetch_on_end(struct exchange *exchange);

/* The answer failed. True: the client was served from the cache, or had nothing to get.
 */
bool fetch_on_failed(struct exchange *exchange, int failure);

/* Whether the request would have selected this answer, which another one fetched. */
bool fetch_is_selected(const struct exchange *exchange, const struct cache_entry *entry);

/* change.c */

/* Adds, a bit each, the scopes whose answers the request makes old. */
void change_scopes(const struct exchange *exchange, uint64_t scopes[CHANGE_SCOPE_WORDS]);

/* The request's first byte is about to go out; its answer is known, or will never be. */
void change_begin(struct exchange *exchange);
void change_end(struct exchange *exchange, bool is_known);

/* What an answer's head means for the cache beyond the change's own scopes. */
void change_note_answer(struct exchange *exchange, const struct http_head *head);

#endif
