#include "gateway/caching.h"

#include <stdlib.h>

#include "base/clock.h"
#include "cache/validators.h"
#include "cache/vary.h"
#include "cluster/cluster.h"
#include "gateway/exchange.h"

static struct cache *cache_of(const struct exchange *exchange)
{
    return exchange->station->shared->cache;
}

static const struct config_cache *settings(const struct exchange *exchange)
{
    return &exchange->snapshot->config->cache;
}

static bool is_head_request(const struct exchange *exchange)
{
    return span_equal(exchange->head.method, SPAN("HEAD"));
}

/* Keys */

/* epoch LF credential LF operation LF target as spelled, the caller's token left out. */
static bool make_key(struct exchange *exchange)
{
    const struct admission *admission = &exchange->admission;
    struct text *key = &exchange->caching.key;
    size_t target_at;

    text_clear(key);
    text_add(key, span_of(exchange->snapshot->epoch_text));
    text_add(key, span_of(admission->client->credential));
    text_add_byte(key, '\n');
    text_add(key, span_of(admission->operation->id));
    text_add_byte(key, '\n');
    target_at = key->len;
    forward_add_target(admission, key);
    if (key->failed)
        return false;
    exchange->caching.target =
        generations_target(cache_of(exchange)->generations,
                           span_make(key->bytes + target_at, key->len - target_at));
    return true;
}

bool caching_variant_key(const struct exchange *exchange, struct span names,
                         struct text *key)
{
    const struct caching *caching = &exchange->caching;

    text_add(key, span_make(caching->key.bytes, caching->key.len));
    cache_vary_values(names, &exchange->head, key);
    return !key->failed;
}

/* Generations are read before anything is looked up or fetched. */
static void note_generations(struct exchange *exchange, int64_t now_ms)
{
    struct caching *caching = &exchange->caching;
    struct generations *generations = cache_of(exchange)->generations;

    caching->generation = generations_now(generations, caching->scope, now_ms);
    caching->credential_generation =
        generations_now(generations, caching->credential_scope, now_ms);
    caching->target_generation = generations_target_now(generations, caching->target);
}

void caching_note_generations(struct exchange *exchange)
{
    note_generations(exchange, clock_monotonic_ms());
}

static bool find_scopes(struct exchange *exchange)
{
    struct caching *caching = &exchange->caching;
    struct generations *generations = cache_of(exchange)->generations;

    caching->scope = generations_scope(generations, span_of(caching->rule->scope));
    caching->credential_scope = generations_scope(
        generations, span_of(exchange->admission.client->credential_scope));
    return caching->scope != GENERATIONS_NO_SCOPE &&
           caching->credential_scope != GENERATIONS_NO_SCOPE;
}

/* Looking up */

static bool is_current(const struct exchange *exchange, const struct cache_entry *entry)
{
    const struct caching *caching = &exchange->caching;

    return entry->scope == caching->scope && entry->generation == caching->generation &&
           entry->credential_generation == caching->credential_generation &&
           entry->target_generation == caching->target_generation;
}

bool caching_may_revalidate(const struct exchange *exchange)
{
    return exchange->caching.stored != NULL &&
           is_current(exchange, exchange->caching.stored);
}

/* The entry of that key if it is of the present generation; an older one goes. */
static struct cache_entry *find_current(struct exchange *exchange, struct span key)
{
    struct cache_entry *entry = store_find(cache_of(exchange)->store, key);

    if (entry == NULL || is_current(exchange, entry))
        return entry;
    cache_entry_unref(entry);
    return NULL;
}

/* Follows a variant list to the answer that this request selects. */
static struct cache_entry *look_up(struct exchange *exchange)
{
    struct caching *caching = &exchange->caching;
    struct cache_entry *entry =
        find_current(exchange, span_make(caching->key.bytes, caching->key.len));
    struct cache_entry *variant = NULL;
    struct text key = {0};

    caching->outcome = CACHE_OUTCOME_MISS;
    caching->forward_reason = "miss";
    if (entry == NULL || !entry->is_variant_list)
        return entry;
    if (caching_variant_key(exchange, cache_entry_body(entry), &key))
        variant = find_current(exchange, span_make(key.bytes, key.len));
    if (variant == NULL)
        caching->forward_reason = "vary-miss";
    text_fini(&key);
    cache_entry_unref(entry);
    return variant;
}

/* Serving */

void caching_add_lines(const struct exchange *exchange, const struct cache_entry *entry,
                       struct text *out)
{
    const struct caching *caching = &exchange->caching;
    int64_t age_ms = entry != NULL ? cache_entry_age_ms(entry, clock_monotonic_ms()) : 0;

    if (caching->role == CACHING_OFF)
        return;
    if (entry != NULL) {
        text_add(out, SPAN("Age: "));
        text_add_number(out, age_ms / 1000);
        text_add(out, SPAN("\r\n"));
    }
    if (caching->forward_reason == NULL) {
        int64_t left_ms = entry->policy.lifetime_ms - age_ms;

        text_add(out, SPAN("Cache-Status: psgate; hit; ttl="));
        text_add_number(out, left_ms >= 0 ? left_ms / 1000 : -((-left_ms + 999) / 1000));
        text_add(out, SPAN("\r\n"));
        return;
    }
    text_add_format(out, "Cache-Status: psgate; fwd=%s", caching->forward_reason);
    if (caching->forward_status != 0)
        text_add_format(out, "; fwd-status=%u", caching->forward_status);
    text_add(out, caching->was_stored ? SPAN("; stored") : SPAN(""));
    text_add(out, caching->was_collapsed ? SPAN("; collapsed\r\n") : SPAN("\r\n"));
}

static struct span connection_line(const struct exchange *exchange)
{
    if (!exchange->keep_alive)
        return SPAN("Connection: close\r\n\r\n");
    return exchange->head.minor == 0 ? SPAN("Connection: keep-alive\r\n\r\n")
                                     : SPAN("\r\n");
}

static bool is_about_content(struct span line)
{
    return line.len > 8 && span_equal_nocase(span_make(line.at, 8), SPAN("content-")) &&
           !(line.len > 17 &&
             span_equal_nocase(span_make(line.at, 17), SPAN("content-location:")));
}

/* RFC 9110 15.4.5: the stored fields without those that describe a body. */
static void add_not_modified_head(const struct cache_entry *entry, struct text *out)
{
    struct span rest = cache_entry_head(entry);
    bool is_first = true;

    text_add(out, SPAN("HTTP/1.1 304 Not Modified\r\n"));
    while (rest.len > 0) {
        const char *end = memchr(rest.at, '\n', rest.len);
        size_t len = end != NULL ? (size_t)(end - rest.at) + 1 : rest.len;

        if (!is_first && !is_about_content(span_make(rest.at, len)))
            text_add(out, span_make(rest.at, len));
        is_first = false;
        rest = span_make(rest.at + len, rest.len - len);
    }
}

static struct iovec vector_of(struct span span)
{
    return (struct iovec){(void *)(uintptr_t)span.at, span.len};
}

static bool client_has_it(const struct exchange *exchange, struct span head)
{
    struct span modified;

    if (!cache_has_own_condition(&exchange->head))
        return false;
    modified = cache_head_field(head, SPAN("last-modified"));
    if (modified.at == NULL) /* RFC 9111 4.3.2: then the Date counts */
        modified = cache_head_field(head, SPAN("date"));
    return cache_client_has_it(&exchange->head, cache_head_field(head, SPAN("etag")),
                               modified, clock_wall_ms());
}

void caching_serve(struct exchange *exchange, const struct cache_entry *entry)
{
    struct text *lines = &exchange->response_head;
    struct span head = cache_entry_head(entry), body = cache_entry_body(entry);
    struct iovec vectors[3];

    text_clear(lines);
    exchange->status = entry->status;
    if (entry->status == 200 && client_has_it(exchange, head)) {
        exchange->status = 304;
        add_not_modified_head(entry, lines);
        head.len = body.len = 0;
    }
    caching_add_lines(exchange, entry, lines);
    text_add(lines, connection_line(exchange));
    if (is_head_request(exchange))
        body.len = 0;
    exchange->response_body_bytes = body.len;
    vectors[0] = vector_of(head);
    vectors[1] = (struct iovec){lines->bytes, lines->len};
    vectors[2] = vector_of(body);
    exchange_send_whole(exchange, vectors, 3, !lines->failed);
}

/* The reference is taken over: serving may end the exchange, which would drop it. */
static void serve_stored(struct exchange *exchange, enum cache_outcome outcome)
{
    struct cache_entry *entry = exchange->caching.stored;

    exchange->caching.outcome = outcome;
    exchange->caching.stored = NULL;
    caching_serve(exchange, entry);
    cache_entry_unref(entry);
}

/* Whether all is known that other gateways have made old. */
static bool is_trusted(const struct exchange *exchange)
{
    const struct cluster *cluster = exchange->station->shared->cluster;

    return cluster == NULL || cluster_is_current(cluster, clock_monotonic_ms());
}

bool caching_serve_on_error(struct exchange *exchange)
{
    struct caching *caching = &exchange->caching;

    if (caching->stored == NULL || exchange->conn == NULL || !is_trusted(exchange) ||
        !cache_may_serve_on_error(
            &caching->stored->policy,
            cache_entry_age_ms(caching->stored, clock_monotonic_ms()), &caching->asked))
        return false;
    /* A change since the look-up: then even an error is better than the old answer. */
    caching_note_generations(exchange);
    if (!is_current(exchange, caching->stored))
        return false;
    serve_stored(exchange, CACHE_OUTCOME_STALE);
    return true;
}

/* Waiting */

static void forget_patience(struct caching *caching)
{
    deadline_fini(&caching->patience);
}

/* The wait is over without an answer to share: everyone for himself, side by side. */
static void go_alone(struct exchange *exchange)
{
    exchange->caching.role = CACHING_FETCH;
    caching_note_generations(exchange);
    exchange_call_upstream(exchange);
}

static void take_answer(struct exchange *exchange, struct cache_entry *entry)
{
    if (cache_is_server_failure(entry->status) && caching_serve_on_error(exchange))
        return;
    if (!fetch_is_selected(exchange, entry)) {
        go_alone(exchange);
        return;
    }
    exchange->caching.was_collapsed = true;
    exchange->caching.outcome = CACHE_OUTCOME_COLLAPSED;
    caching_serve(exchange, entry);
}

static void on_landed(struct letter *letter)
{
    struct exchange *exchange =
        (struct exchange *)(void *)((char *)letter -
                                    offsetof(struct exchange, caching.letter));
    struct caching *caching = &exchange->caching;
    struct cache_entry *entry = caching->waiter.entry;

    caching->awaits_letter = false;
    forget_patience(caching);
    stopwatch_stop(&exchange->upstream_wait, clock_monotonic_us());
    if (exchange->conn == NULL || caching->role != CACHING_WAIT) {
        exchange_end_orphan(exchange);
    } else if (caching->waiter.outcome == FLIGHT_ANSWERED) {
        take_answer(exchange, entry);
    } else if (caching->waiter.outcome == FLIGHT_UNSHARED) {
        go_alone(exchange);
    } else if (!caching_serve_on_error(exchange)) {
        exchange_answer_error(exchange, (enum reason)caching->waiter.failure, NULL);
    }
    cache_entry_unref(entry);
}

/* On the thread where the flight lands. */
static void tell(struct flight_waiter *waiter)
{
    struct exchange *exchange =
        (struct exchange *)(void *)((char *)waiter -
                                    offsetof(struct exchange, caching.waiter));

    mailbox_send(exchange->station->worker->mailbox, &exchange->caching.letter);
}

/* stale_after is over: what is stored goes out, the flight goes on without us. */
static void on_patience_lost(void *owner)
{
    struct exchange *exchange = owner;
    struct caching *caching = &exchange->caching;

    if (!flights_leave(cache_of(exchange)->flights, &caching->waiter))
        return; /* it has just landed: the letter is under way */
    caching->awaits_letter = false;
    forget_patience(caching);
    if (!caching_serve_on_error(exchange))
        go_alone(exchange);
}

/* Joins the flight for our key, or leads a new one: then it is in caching->flight. */
static bool join(struct exchange *exchange)
{
    struct caching *caching = &exchange->caching;
    bool is_out_of_memory;

    caching->waiter.tell = tell;
    caching->letter.open = on_landed;
    caching->flight = flights_join(
        cache_of(exchange)->flights, span_make(caching->key.bytes, caching->key.len),
        caching->generation + caching->credential_generation + caching->target_generation,
        &caching->waiter, &is_out_of_memory);
    caching->awaits_letter = caching->flight == NULL && !is_out_of_memory;
    return !is_out_of_memory;
}

static void wait_for_flight(struct exchange *exchange)
{
    exchange->caching.role = CACHING_WAIT;
    stopwatch_start(&exchange->upstream_wait, clock_monotonic_us());
}

/* What is stored may bridge a slow or failing upstream: the fetch goes on behind it. */
static void wait_with_stale(struct exchange *exchange)
{
    struct caching *caching = &exchange->caching;
    int64_t stale_after_ms = settings(exchange)->stale_after_ms;

    if (caching->flight != NULL) {
        struct flight *flight = caching->flight;

        caching->flight = NULL;
        (void)join(exchange); /* as one who waits: the flight is there */
        exchange_fetch_behind(exchange, flight);
    }
    if (!caching->awaits_letter) {
        go_alone(exchange);
        return;
    }
    wait_for_flight(exchange);
    deadline_init(&caching->patience, exchange->station->worker, on_patience_lost,
                  exchange);
    deadline_set(&caching->patience, stale_after_ms);
}

static bool may_bridge(const struct exchange *exchange)
{
    const struct caching *caching = &exchange->caching;

    return caching->stored != NULL && is_trusted(exchange) &&
           cache_may_serve_on_error(
               &caching->stored->policy,
               cache_entry_age_ms(caching->stored, clock_monotonic_ms()),
               &caching->asked);
}

static void fetch_together(struct exchange *exchange)
{
    struct caching *caching = &exchange->caching;

    if (!join(exchange)) {
        exchange_answer_error(exchange, REASON_NO_MEMORY, NULL);
        return;
    }
    if (may_bridge(exchange)) {
        wait_with_stale(exchange);
    } else if (caching->flight != NULL) {
        caching->role = CACHING_FETCH;
        exchange_call_upstream(exchange);
    } else {
        wait_for_flight(exchange);
    }
}

/* Deciding */

/* What may be answered only by upstream itself, or must leave no trace here. */
static bool must_pass(const struct exchange *exchange)
{
    const struct http_head *head = &exchange->head;

    return !exchange->body.is_done || exchange->is_upgrade ||
           !exchange->admission.is_exact || http_head_has(head, HTTP_FIELD_COOKIE) ||
           http_head_has(head, HTTP_FIELD_RANGE) || cache_has_foreign_condition(head);
}

static void pass(struct exchange *exchange, const char *reason)
{
    exchange->caching.role = CACHING_PASS;
    exchange->caching.forward_reason = reason;
    exchange_call_upstream(exchange);
}

/* Stale within stale-while-revalidate: serve now, and let one fetch go on behind. */
static void serve_and_revalidate(struct exchange *exchange)
{
    struct caching *caching = &exchange->caching;

    if (is_head_request(exchange) &&
        caching->rule->freshness != OPERATION_FRESHNESS_FIXED) {
        caching->forward_reason = NULL;
        serve_stored(exchange, CACHE_OUTCOME_STALE);
        return; /* a GET must fetch: this request is none */
    }
    if (join(exchange) && caching->flight != NULL) {
        struct flight *flight = caching->flight;

        caching->flight = NULL;
        exchange_fetch_behind(exchange, flight);
    } else if (caching->awaits_letter &&
               flights_leave(cache_of(exchange)->flights, &caching->waiter)) {
        caching->awaits_letter = false;
    }
    caching->forward_reason = NULL;
    serve_stored(exchange, CACHE_OUTCOME_STALE);
}

/* The client wants more than the rule gives: its own fetch, which joins nobody's. */
static bool demands_own_fetch(const struct exchange *exchange)
{
    const struct caching *caching = &exchange->caching;
    int64_t age_ms;

    if (caching->asked.no_cache)
        return true;
    if (caching->stored == NULL)
        return false;
    age_ms = cache_entry_age_ms(caching->stored, clock_monotonic_ms());
    return age_ms < caching->stored->policy.lifetime_ms &&
           !caching->stored->policy.must_validate;
}

/* By itself: no flight is joined, and none is led. */
static void go_upstream(struct exchange *exchange)
{
    exchange->caching.role = is_head_request(exchange) ? CACHING_PASS : CACHING_FETCH;
    exchange_call_upstream(exchange);
}

static void ask_upstream(struct exchange *exchange)
{
    struct caching *caching = &exchange->caching;

    if (caching->asked.only_if_cached) {
        exchange_answer_error(exchange, REASON_NOT_CACHED, NULL);
        return;
    }
    if (caching->stored != NULL) {
        caching->outcome = CACHE_OUTCOME_EXPIRED;
        caching->forward_reason = "stale";
    }
    if (!caching->is_trusted) {
        go_upstream(exchange); /* what others wait for may have begun before a change */
    } else if (demands_own_fetch(exchange)) {
        caching->outcome = CACHE_OUTCOME_BYPASS;
        caching->forward_reason = "request";
        go_upstream(exchange);
    } else if (is_head_request(exchange)) {
        pass(exchange, caching->forward_reason);
    } else {
        fetch_together(exchange);
    }
}

void caching_begin(struct exchange *exchange)
{
    struct caching *caching = &exchange->caching;
    int64_t now_ms = clock_monotonic_ms(), age_ms;

    caching->rule = exchange->admission.operation->cache;
    cache_directives_read(&exchange->head, &caching->asked);
    if (must_pass(exchange) || !find_scopes(exchange) || !make_key(exchange)) {
        caching->outcome = CACHE_OUTCOME_BYPASS;
        pass(exchange, "bypass");
        return;
    }
    if (caching->asked.no_store) {
        caching->outcome = CACHE_OUTCOME_BYPASS;
        pass(exchange, "request");
        return;
    }
    caching->role = CACHING_FETCH;
    caching->is_trusted =
        is_trusted(exchange); /* first: coming back raises, then trusts */
    note_generations(exchange, now_ms);
    caching->stored = look_up(exchange);
    if (caching->stored == NULL || !caching->is_trusted) {
        ask_upstream(exchange);
        return;
    }
    age_ms = cache_entry_age_ms(caching->stored, now_ms);
    switch (cache_judge_use(&caching->stored->policy, age_ms, &caching->asked)) {
    case CACHE_USE_NOW:
        caching->forward_reason = NULL;
        serve_stored(exchange, age_ms < caching->stored->policy.lifetime_ms
                                   ? CACHE_OUTCOME_HIT
                                   : CACHE_OUTCOME_STALE);
        break;
    case CACHE_USE_AND_REVALIDATE:
        serve_and_revalidate(exchange);
        break;
    case CACHE_USE_AFTER_ASKING:
        ask_upstream(exchange);
        break;
    }
}

static bool is_other(const struct http_head *answer, struct span head, struct span name)
{
    struct span stored = cache_head_field(head, name);

    for (unsigned i = 0; i < answer->field_count; i++) {
        if (span_equal_nocase(http_field_name(answer, &answer->fields[i]), name))
            return !span_equal(http_field_value(answer, &answer->fields[i]), stored);
    }
    return false;
}

bool caching_is_outdated_by(const struct exchange *exchange,
                            const struct http_head *answer)
{
    const struct caching *caching = &exchange->caching;
    struct span head;

    if (caching->role != CACHING_PASS || caching->stored == NULL ||
        !is_head_request(exchange) || answer->status != 200)
        return false;
    head = cache_entry_head(caching->stored);
    return is_other(answer, head, SPAN("etag")) ||
           is_other(answer, head, SPAN("last-modified")) ||
           is_other(answer, head, SPAN("content-length"));
}

/* The end */

bool caching_client_left(struct exchange *exchange)
{
    struct caching *caching = &exchange->caching;

    forget_patience(caching);
    if (caching->awaits_letter)
        caching->awaits_letter =
            !flights_leave(cache_of(exchange)->flights, &caching->waiter);
    return caching->awaits_letter || (caching->flight != NULL && exchange->call != NULL);
}

void caching_fini(struct exchange *exchange)
{
    struct caching *caching = &exchange->caching;

    if (caching->patience.owner != NULL)
        forget_patience(caching);
    if (caching->flight != NULL)
        flights_land(cache_of(exchange)->flights, caching->flight, FLIGHT_UNSHARED, NULL,
                     0);
    caching->flight = NULL;
    cache_entry_unref(caching->stored);
    caching->stored = NULL;
    text_fini(&caching->head);
    text_fini(&caching->body);
}
