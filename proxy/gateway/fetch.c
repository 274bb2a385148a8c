/*
 * What comes from upstream for the cache: collected while it arrives, kept if it may be,
 * given to everyone who waited. A small answer is held back until it is complete, so that
 * Cache-Status can tell the truth about it; a large one streams to the client meanwhile.
 */
#include <stdlib.h>

#include "base/clock.h"
#include "cache/validators.h"
#include "cache/vary.h"
#include "gateway/caching.h"
#include "gateway/exchange.h"

enum { HOLD_BYTES = 65536, LEAST_ENCODED_BYTES = 256 };

static struct cache *cache_of(const struct exchange *exchange)
{
    return exchange->station->shared->cache;
}

static bool is_fixed(const struct caching *caching)
{
    return caching->rule->freshness == OPERATION_FRESHNESS_FIXED;
}

/* Everyone who waited is told, once. */
static void land(struct exchange *exchange, enum flight_outcome outcome,
                 struct cache_entry *entry, int failure)
{
    struct flight *flight = exchange->caching.flight;

    exchange->caching.flight = NULL;
    if (flight != NULL)
        flights_land(cache_of(exchange)->flights, flight, outcome, entry, failure);
}

/* Heads to keep */

/* The gateway computes these itself for every answer that it gives from the cache. */
static bool is_computed(struct span name)
{
    return span_equal_nocase(name, SPAN("age"));
}

static void add_status_line(const struct http_head *head, struct text *out)
{
    text_add_format(out, "HTTP/1.1 %u ", head->status);
    text_add(out, head->reason);
    text_add(out, SPAN("\r\n"));
}

static bool is_kept(const struct http_head *head, const struct http_field *field,
                    bool names_fields)
{
    struct span name = http_field_name(head, field);

    return !field->is_hop_by_hop && field->id != HTTP_FIELD_CONTENT_LENGTH &&
           field->id != HTTP_FIELD_TRANSFER_ENCODING && !is_computed(name) &&
           !(names_fields && cache_names_field(head, name));
}

/* Without what frames it: that depends on the length, which is known at the end. */
static void add_kept_fields(const struct http_head *head, struct text *out)
{
    struct cache_directives answer;

    cache_directives_read(head, &answer);
    for (unsigned i = 0; i < head->field_count; i++) {
        const struct http_field *field = &head->fields[i];

        if (is_kept(head, field, answer.names_fields))
            text_add(out, span_make(head->bytes + field->line, field->line_len));
    }
}

static bool may_have_body(unsigned status)
{
    return status >= 200 && status != 204 && status != 304;
}

static bool has_line(struct span head, struct span name)
{
    return cache_head_field(head, name).at != NULL;
}

static void add_length(struct text *head, unsigned status, size_t len)
{
    if (may_have_body(status))
        text_add_format(head, "Content-Length: %zu\r\n", len);
}

/* A 304: what is stored is good again, with the fields that the 304 brings */

static bool has_field(const struct http_head *head, struct span name)
{
    for (unsigned i = 0; i < head->field_count; i++) {
        if (span_equal_nocase(http_field_name(head, &head->fields[i]), name))
            return true;
    }
    return false;
}

/* RFC 9111 3.2: fields that a 304 must not change. */
static bool is_unchangeable(struct span name)
{
    return span_equal_nocase(name, SPAN("content-length")) ||
           span_equal_nocase(name, SPAN("content-encoding")) ||
           span_equal_nocase(name, SPAN("content-type")) ||
           span_equal_nocase(name, SPAN("content-range"));
}

static void add_stored_line(const struct http_head *fresh, struct span line,
                            struct text *out)
{
    const char *colon = memchr(line.at, ':', line.len);
    struct span name =
        span_make(line.at, colon != NULL ? (size_t)(colon - line.at) : line.len);

    if (colon == NULL || is_unchangeable(name) || !has_field(fresh, name))
        text_add(out, line);
}

static void add_fresh_fields(const struct http_head *fresh, struct text *out)
{
    for (unsigned i = 0; i < fresh->field_count; i++) {
        const struct http_field *field = &fresh->fields[i];

        if (is_kept(fresh, field, false) &&
            !is_unchangeable(http_field_name(fresh, field)))
            text_add(out, span_make(fresh->bytes + field->line, field->line_len));
    }
}

/* The stored head with the 304's fields in place of its own of the same name. */
static void merge_heads(const struct cache_entry *stored, const struct http_head *fresh,
                        struct text *out)
{
    struct span rest = cache_entry_head(stored);

    while (rest.len > 0) {
        const char *end = memchr(rest.at, '\n', rest.len);
        size_t len = end != NULL ? (size_t)(end - rest.at) + 1 : rest.len;

        add_stored_line(fresh, span_make(rest.at, len), out);
        rest = span_make(rest.at + len, rest.len - len);
    }
    add_fresh_fields(fresh, out);
}

/* Works the policy out again, from the merged head read as a response. */
static bool refresh_policy(struct exchange *exchange, const struct text *merged)
{
    struct caching *caching = &exchange->caching;
    struct text whole = {0};
    struct http_head head;
    bool is_read = false;

    if (!http_head_init(&head, 4096))
        return false;
    http_head_reset(&head, HTTP_RESPONSE);
    text_add(&whole, span_make(merged->bytes, merged->len));
    text_add(&whole, SPAN("\r\n"));
    if (!whole.failed &&
        http_head_parse(&head, whole.bytes, whole.len, whole.len + 1) == HTTP_PARSE_DONE) {
        cache_refresh_policy(caching->rule, &head, &caching->times, &caching->policy);
        is_read = true;
    }
    text_fini(&whole);
    http_head_fini(&head);
    return is_read;
}

/* Entries */

static struct cache_entry *make_entry(const struct exchange *exchange, struct span key,
                                      struct span head, struct span body, bool is_list)
{
    const struct caching *caching = &exchange->caching;
    const struct cache_entry_parts parts = {
        .key = key,
        .head = head,
        .body = body,
        .status = caching->status,
        .scope = caching->scope,
        .credential_scope = caching->credential_scope,
        .generation = caching->generation,
        .credential_generation = caching->credential_generation,
        .received_ms = caching->received_ms,
        .is_variant_list = is_list,
        .policy = &caching->policy,
    };

    return cache_entry_new(&parts);
}

/* The names in an entry's own Vary field, as cache_vary_names gives them. */
static bool vary_names_of(struct span head_lines, struct text *names)
{
    struct text whole = {0};
    struct http_head head;
    bool is_fine = false;

    if (!http_head_init(&head, 4096))
        return false;
    http_head_reset(&head, HTTP_RESPONSE);
    text_add(&whole, head_lines);
    text_add(&whole, SPAN("\r\n"));
    if (!whole.failed &&
        http_head_parse(&head, whole.bytes, whole.len, whole.len + 1) == HTTP_PARSE_DONE)
        is_fine = cache_vary_names(&head, names);
    text_fini(&whole);
    http_head_fini(&head);
    return is_fine;
}

/* The key that the answer belongs under: with what the request says in its Vary fields. */
static bool answer_key(const struct exchange *exchange, struct span head,
                       struct text *names, struct text *key)
{
    const struct caching *caching = &exchange->caching;

    if (!is_fixed(caching) && !vary_names_of(head, names))
        return false;
    if (names->len > 0)
        return caching_variant_key(exchange, span_make(names->bytes, names->len), key);
    text_add(key, span_make(caching->key.bytes, caching->key.len));
    return !key->failed;
}

bool fetch_is_selected(const struct exchange *exchange, const struct cache_entry *entry)
{
    struct text names = {0}, key = {0};
    bool is_selected =
        answer_key(exchange, cache_entry_head(entry), &names, &key) &&
        span_equal(span_make(key.bytes, key.len), cache_entry_key(entry));

    text_fini(&names);
    text_fini(&key);
    return is_selected;
}

static bool is_still_storable(const struct exchange *exchange)
{
    const struct caching *caching = &exchange->caching;
    struct generations *generations = cache_of(exchange)->generations;
    int64_t now_ms = clock_monotonic_ms();

    return generations_may_store(generations, caching->scope, caching->generation,
                                 now_ms) &&
           generations_may_store(generations, caching->credential_scope,
                                 caching->credential_generation, now_ms);
}

/* Puts the entry in the store, with the list of what it varies by under the plain key. */
static void keep(struct exchange *exchange, struct cache_entry *entry, struct span names)
{
    struct caching *caching = &exchange->caching;
    struct cache_entry *list;

    if (!is_still_storable(exchange) ||
        cache_entry_cost(entry) > store_entry_limit(cache_of(exchange)->store))
        return;
    if (names.len > 0) {
        list = make_entry(exchange, span_make(caching->key.bytes, caching->key.len),
                          SPAN(""), names, true);
        if (list == NULL)
            return;
        store_put(cache_of(exchange)->store, list);
        cache_entry_unref(list);
    }
    store_put(cache_of(exchange)->store, entry);
    caching->was_stored = true;
}

/* A null session, in plain or disguise: spaces, a byte order mark, 16 or 32 bits a letter */
static bool is_null(struct span body)
{
    static const char word[] = "null";
    size_t matched = 0;

    for (size_t i = 0; i < body.len; i++) {
        unsigned char byte = (unsigned char)body.at[i];

        if (byte == 0 || byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n' ||
            byte >= 0x80)
            continue;
        if (matched == 4 || ascii_lower((char)byte) != word[matched])
            return false;
        matched++;
    }
    return matched == 4 || body.len == 0;
}

/* What only the whole body shows. An encoded session cannot be looked into: not kept. */
static bool body_may_be_stored(const struct exchange *exchange, struct span head)
{
    const struct caching *caching = &exchange->caching;
    struct span body = span_make(caching->body.bytes, caching->body.len);

    if (caching->status != 200)
        return true;
    if (has_line(head, SPAN("content-encoding")))
        return strcmp(caching->rule->scope, "session") != 0 &&
               body.len >= LEAST_ENCODED_BYTES && !is_fixed(caching);
    return !is_null(body);
}

/* An error from upstream, where what is stored may still serve (RFC 5861 4). */
static bool serve_stale_instead(struct exchange *exchange)
{
    exchange->caching.forward_status = exchange->caching.status;
    if (caching_serve_on_error(exchange))
        return true;
    exchange->caching.forward_status = 0;
    return false;
}

/* The whole answer is here: keep it, share it, and answer the own client with it. */
static void finish(struct exchange *exchange)
{
    struct caching *caching = &exchange->caching;
    struct span head = span_make(caching->head.bytes, caching->head.len);
    struct text names = {0}, key = {0};
    struct cache_entry *entry = NULL;
    bool may_keep = caching->may_store && body_may_be_stored(exchange, head);
    bool may_share = caching->may_share && (caching->status != 200 || may_keep);

    caching->is_collecting = false;
    if (!caching->head.failed && !caching->body.failed &&
        answer_key(exchange, head, &names, &key))
        entry = make_entry(exchange, span_make(key.bytes, key.len), head,
                           span_make(caching->body.bytes, caching->body.len), false);
    caching->was_stored = false;
    if (entry != NULL && may_keep)
        keep(exchange, entry, span_make(names.bytes, names.len));
    if (entry != NULL && may_share)
        land(exchange, FLIGHT_ANSWERED, entry, 0);
    else
        land(exchange, FLIGHT_UNSHARED, NULL, 0);
    text_fini(&names);
    text_fini(&key);
    if (caching->is_streaming)
        exchange_end_stream(exchange);
    else if (entry == NULL)
        exchange_answer_error(exchange, REASON_NO_MEMORY, NULL);
    else if (caching->status < 500 || !serve_stale_instead(exchange))
        caching_serve(exchange, entry);
    cache_entry_unref(entry);
}

/* Streaming: the client gets what was collected so far, and then what comes */

/* A condition of the client's is judged on the whole answer, so that one is held back. */
static bool may_stream(const struct exchange *exchange)
{
    for (unsigned i = 0; i < exchange->head.field_count; i++) {
        if (cache_is_condition(
                http_field_name(&exchange->head, &exchange->head.fields[i])))
            return false;
    }
    return true;
}

static void start_stream(struct exchange *exchange, bool is_length_known)
{
    struct caching *caching = &exchange->caching;

    caching->is_streaming = true;
    caching->was_stored =
        is_length_known && caching->may_store && is_still_storable(exchange);
    exchange_start_stream(exchange,
                          span_make(caching->head.bytes, caching->head.len),
                          span_make(caching->body.bytes, caching->body.len),
                          is_length_known, caching->status);
}

/* Upstream's answer, piece by piece */

static void stop_collecting(struct exchange *exchange)
{
    exchange->caching.is_collecting = false;
    land(exchange, FLIGHT_UNSHARED, NULL, 0);
}

/* Makes the stored answer good again; the exchange ends when the 304 does. */
static void take_not_modified(struct exchange *exchange, const struct http_head *head)
{
    struct caching *caching = &exchange->caching;
    struct span body = cache_entry_body(caching->stored);

    caching->forward_status = 304;
    caching->status = caching->stored->status;
    merge_heads(caching->stored, head, &caching->head);
    text_add(&caching->body, body);
    caching->is_collecting = true;
    caching->may_store = refresh_policy(exchange, &caching->head);
    caching->may_share = true;
}

static void start_collecting(struct exchange *exchange, const struct http_head *head)
{
    struct caching *caching = &exchange->caching;
    struct text names = {0};
    bool has_any_vary = !cache_vary_names(head, &names);

    caching->status = head->status;
    caching->may_store =
        cache_may_store(caching->rule, &caching->asked, head, &caching->times,
                        &caching->policy) &&
        (is_fixed(caching) || !has_any_vary);
    /* In fixed mode nothing of a client's is in the request: any answer is everyone's. */
    caching->may_share =
        (is_fixed(caching) && http_head_find(head, HTTP_FIELD_SET_COOKIE, NULL) == NULL) ||
        (caching->may_store && !caching->policy.must_validate);
    caching->is_collecting = caching->may_store || (caching->may_share && is_fixed(caching));
    text_fini(&names);
    if (!caching->is_collecting)
        return;
    add_status_line(head, &caching->head);
    add_kept_fields(head, &caching->head);
}

static void note_arrival(struct exchange *exchange)
{
    struct caching *caching = &exchange->caching;

    caching->times.received_wall_ms = clock_wall_ms();
    caching->times.sent_wall_ms =
        caching->times.received_wall_ms -
        (clock_monotonic_us() - exchange->sent_us) / 1000;
    caching->received_ms = clock_monotonic_ms();
}

bool fetch_on_head(struct exchange *exchange, const struct http_head *head,
                   uint64_t length, bool has_length)
{
    struct caching *caching = &exchange->caching;
    size_t limit = store_entry_limit(cache_of(exchange)->store);

    if (caching->role != CACHING_FETCH)
        return false;
    note_arrival(exchange);
    if (head->status == 304 && caching->asks_conditionally) {
        take_not_modified(exchange, head);
        return true;
    }
    start_collecting(exchange, head);
    if (caching->is_collecting && has_length && length > limit)
        caching->is_collecting = false;
    if (!caching->is_collecting) {
        land(exchange, FLIGHT_UNSHARED, NULL, 0);
        return false;
    }
    if (has_length)
        add_length(&caching->head, head->status, (size_t)length);
    if (has_length && length > HOLD_BYTES && may_stream(exchange))
        start_stream(exchange, true);
    return true;
}

bool fetch_on_content(struct exchange *exchange, struct span content)
{
    struct caching *caching = &exchange->caching;
    bool is_relayed = caching->is_streaming;
    bool is_too_large;

    text_add(&caching->body, content);
    is_too_large = caching->body.len > store_entry_limit(cache_of(exchange)->store);
    if (!is_relayed &&
        (is_too_large || (caching->body.len > HOLD_BYTES && may_stream(exchange)))) {
        caching->may_store = caching->may_store && !is_too_large;
        start_stream(exchange, false);
    }
    if (is_too_large)
        stop_collecting(exchange);
    return !is_relayed;
}

void fetch_on_end(struct exchange *exchange)
{
    struct caching *caching = &exchange->caching;

    if (caching->forward_status != 304 &&
        !has_line(span_make(caching->head.bytes, caching->head.len),
                  SPAN("content-length")))
        add_length(&caching->head, caching->status, caching->body.len);
    finish(exchange);
}

bool fetch_on_failed(struct exchange *exchange, int failure)
{
    struct caching *caching = &exchange->caching;

    if (caching->role != CACHING_FETCH)
        return false;
    caching->is_collecting = false;
    land(exchange, FLIGHT_FAILED, NULL, failure);
    if (caching->is_streaming || exchange->response_state != RESPONSE_WAITING)
        return false;
    return caching_serve_on_error(exchange);
}
