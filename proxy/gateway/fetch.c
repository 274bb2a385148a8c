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
#include "http/date.h"

enum { HOLD_BYTES = 65536, MOST_FIELDS = 4096 };

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

static bool is_kept(const struct http_head *head, const struct http_field *field)
{
    return !field->is_hop_by_hop && field->id != HTTP_FIELD_CONTENT_LENGTH &&
           field->id != HTTP_FIELD_TRANSFER_ENCODING &&
           !is_computed(http_field_name(head, field));
}

/* Without what frames it: that depends on the length, which is known at the end. */
static void add_kept_fields(const struct http_head *head, struct text *out)
{
    for (unsigned i = 0; i < head->field_count; i++) {
        const struct http_field *field = &head->fields[i];

        if (is_kept(head, field))
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

        if (is_kept(fresh, field) && field->id != HTTP_FIELD_SET_COOKIE &&
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

/* Reads stored lines as a head again. The head is the caller's to end, and text's. */
static bool read_lines(struct span lines, struct span more, struct text *text,
                       struct http_head *head)
{
    text_add(text, lines);
    text_add(text, more);
    text_add(text, SPAN("\r\n"));
    if (text->failed || !http_head_init(head, MOST_FIELDS))
        return false;
    http_head_reset(head, HTTP_RESPONSE);
    return http_head_parse(head, text->bytes, text->len, text->len + 1) ==
           HTTP_PARSE_DONE;
}

/* The Age that the 304 came with: merged heads have none. */
static struct span age_line(const struct http_head *fresh)
{
    for (unsigned i = 0; i < fresh->field_count; i++) {
        const struct http_field *field = &fresh->fields[i];

        if (is_computed(http_field_name(fresh, field)))
            return span_make(fresh->bytes + field->line, field->line_len);
    }
    return SPAN("");
}

/* Judges the merged head as if it had come as a whole: it may be kept no more. */
static bool judge_merged(struct exchange *exchange, const struct http_head *fresh)
{
    struct caching *caching = &exchange->caching;
    struct text text = {0}, names = {0};
    struct http_head head = {0};
    bool may_store = read_lines(span_make(caching->head.bytes, caching->head.len),
                                age_line(fresh), &text, &head) &&
                     cache_may_store(caching->rule, &caching->asked, &head,
                                     &caching->times, &caching->policy) &&
                     (is_fixed(caching) || cache_vary_names(&head, &names));

    http_head_fini(&head);
    text_fini(&names);
    text_fini(&text);
    return may_store;
}

/* Whether a 304 speaks of what is stored: its validator, if it has one, is the same. */
static bool is_about_stored(const struct cache_entry *stored,
                            const struct http_head *fresh)
{
    struct span etag = cache_head_field(cache_entry_head(stored), SPAN("etag"));

    for (unsigned i = 0; i < fresh->field_count; i++) {
        if (span_equal_nocase(http_field_name(fresh, &fresh->fields[i]), SPAN("etag")))
            return cache_tags_match(http_field_value(fresh, &fresh->fields[i]), etag);
    }
    return true;
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
        .target = caching->target,
        .generation = caching->generation,
        .credential_generation = caching->credential_generation,
        .target_generation = caching->target_generation,
        .received_ms = caching->received_ms,
        .is_variant_list = is_list,
        .policy = &caching->policy,
    };

    return cache_entry_new(&parts);
}

/* The names in an entry's own Vary field, as cache_vary_names gives them. */
static bool vary_names_of(struct span head_lines, struct text *names)
{
    struct text text = {0};
    struct http_head head = {0};
    bool is_fine =
        read_lines(head_lines, SPAN(""), &text, &head) && cache_vary_names(&head, names);

    http_head_fini(&head);
    text_fini(&text);
    return is_fine;
}

/* The key that the answer belongs under: with what the request says in its Vary fields.
 */
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
    bool is_selected = answer_key(exchange, cache_entry_head(entry), &names, &key) &&
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
                                 caching->credential_generation, now_ms) &&
           generations_target_now(generations, caching->target) ==
               caching->target_generation;
}

/*
 * The head without the fields that no-cache="..." or private="..." name: they were for
 * the one who asked (RFC 9111 5.2.2.4, 5.2.2.7). False when there are none of these. If
 * memory is out it is true, and out has failed.
 */
static bool strip_named(struct span lines, struct text *out)
{
    struct text text = {0};
    struct http_head head = {0};
    struct cache_directives answer = {0};

    if (read_lines(lines, SPAN(""), &text, &head)) {
        cache_directives_read(&head, &answer);
    } else { /* it was read before, so what is missing now is memory */
        answer.names_fields = out->failed = true;
    }
    if (answer.names_fields && !out->failed) {
        add_status_line(&head, out);
        for (unsigned i = 0; i < head.field_count; i++) {
            const struct http_field *field = &head.fields[i];

            if (!cache_names_field(&head, http_field_name(&head, field)))
                text_add(out, span_make(head.bytes + field->line, field->line_len));
        }
    }
    http_head_fini(&head);
    text_fini(&text);
    return answer.names_fields;
}

/* Stores the entry, or what of it may be stored. */
static void put(struct exchange *exchange, struct cache_entry *entry)
{
    struct text stripped = {0};
    struct cache_entry *lesser;

    if (is_fixed(&exchange->caching) ||
        !strip_named(cache_entry_head(entry), &stripped)) {
        store_put(cache_of(exchange)->store, entry);
        return;
    }
    lesser = make_entry(exchange, cache_entry_key(entry),
                        span_make(stripped.bytes, stripped.len), cache_entry_body(entry),
                        false);
    if (lesser != NULL && !stripped.failed)
        store_put(cache_of(exchange)->store, lesser);
    cache_entry_unref(lesser);
    text_fini(&stripped);
    exchange->caching.may_share = false; /* those who wait get the named fields neither */
}

/* An answer is too large to be kept: what was kept is older than what upstream has now.
 */
static void drop_older(struct exchange *exchange)
{
    const struct caching *caching = &exchange->caching;

    if (caching->stored != NULL && !cache_is_server_failure(caching->status))
        store_remove(cache_of(exchange)->store, cache_entry_key(caching->stored));
}

/* Puts the entry in the store, with the list of what it varies by under the plain key. */
static void keep(struct exchange *exchange, struct cache_entry *entry, struct span names)
{
    struct caching *caching = &exchange->caching;
    struct cache_entry *list;

    if (!is_still_storable(exchange))
        return;
    if (cache_entry_cost(entry) > store_entry_limit(cache_of(exchange)->store)) {
        drop_older(exchange);
        return;
    }
    if (names.len > 0) {
        list = make_entry(exchange, span_make(caching->key.bytes, caching->key.len),
                          SPAN(""), names, true);
        if (list == NULL)
            return;
        store_put(cache_of(exchange)->store, list);
        cache_entry_unref(list);
    }
    put(exchange, entry);
    caching->was_stored = true;
}

/* A null session, in plain or disguise: spaces, a byte order mark, 16 or 32 bits a letter
 */
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
    return matched == 4;
}

/* What only the whole body shows. An encoded session cannot be looked into: not kept. */
static bool body_may_be_stored(const struct exchange *exchange, struct span head)
{
    const struct caching *caching = &exchange->caching;
    struct span body = span_make(caching->body.bytes, caching->body.len);

    if (caching->status != 200)
        return true;
    if (has_line(head, SPAN("content-encoding")))
        return strcmp(caching->rule->scope, "session") != 0 && !is_fixed(caching);
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
    bool may_share;

    caching->is_collecting = false;
    if (!answer_key(exchange, head, &names, &key)) {
        text_clear(&key);
        text_add(&key, span_make(caching->key.bytes, caching->key.len));
        may_keep = caching->may_share = false; /* Vary: * now, by a 304 */
    }
    if (!caching->head.failed && !caching->body.failed && !key.failed)
        entry = make_entry(exchange, span_make(key.bytes, key.len), head,
                           span_make(caching->body.bytes, caching->body.len), false);
    caching->was_stored = false;
    if (entry != NULL && may_keep)
        keep(exchange, entry, span_make(names.bytes, names.len));
    may_share = caching->may_share && (caching->status != 200 || may_keep);
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
    else if (!cache_is_server_failure(caching->status) || !serve_stale_instead(exchange))
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
    exchange_start_stream(exchange, span_make(caching->head.bytes, caching->head.len),
                          span_make(caching->body.bytes, caching->body.len),
                          is_length_known, caching->status);
}

/* RFC 9110 6.6.1: an answer without a Date gets that of its arrival when it is kept. */
static void add_date(const struct exchange *exchange, struct text *head)
{
    char date[HTTP_DATE_BYTES];

    http_date_format(exchange->caching.times.received_wall_ms, date);
    text_add_format(head, "Date: %s\r\n", date);
}

/* Upstream's answer, piece by piece */

static void stop_collecting(struct exchange *exchange)
{
    exchange->caching.is_collecting = false;
    drop_older(exchange);
    land(exchange, FLIGHT_UNSHARED, NULL, 0);
}

/* Makes the stored answer good again; the exchange ends when the 304 does. */
static void take_not_modified(struct exchange *exchange, const struct http_head *head)
{
    struct caching *caching = &exchange->caching;
    struct span body = cache_entry_body(caching->stored);

    caching->forward_status = 304;
    caching->outcome = CACHE_OUTCOME_REVALIDATED;
    caching->status = caching->stored->status;
    text_add(&caching->body, body);
    caching->is_collecting = true;
    if (!is_about_stored(caching->stored, head)) {
        /* It says nothing about what we have: that goes out once more, as stale as it is.
         */
        text_add(&caching->head, cache_entry_head(caching->stored));
        caching->policy = caching->stored->policy;
        return;
    }
    merge_heads(caching->stored, head, &caching->head);
    caching->may_store = judge_merged(exchange, head);
    caching->may_share = caching->may_store && !caching->policy.must_validate;
    if (!caching->may_store)
        store_remove(cache_of(exchange)->store, cache_entry_key(caching->stored));
}

static void start_collecting(struct exchange *exchange, const struct http_head *head)
{
    struct caching *caching = &exchange->caching;
    struct text names = {0};
    bool has_any_vary = !cache_vary_names(head, &names);

    caching->status = head->status;
    caching->may_store = cache_may_store(caching->rule, &caching->asked, head,
                                         &caching->times, &caching->policy) &&
                         (is_fixed(caching) || !has_any_vary);
    /* In fixed mode nothing of a client's is in the request: any answer is everyone's. */
    caching->may_share = (is_fixed(caching) &&
                          http_head_find(head, HTTP_FIELD_SET_COOKIE, NULL) == NULL) ||
                         (caching->may_store && !caching->policy.must_validate);
    caching->is_collecting =
        caching->may_store || (caching->may_share && is_fixed(caching)) ||
        (cache_is_server_failure(head->status) && caching->stored != NULL);
    text_fini(&names);
    if (!caching->is_collecting)
        return;
    add_status_line(head, &caching->head);
    add_kept_fields(head, &caching->head);
    if (!has_line(span_make(caching->head.bytes, caching->head.len), SPAN("date")))
        add_date(exchange, &caching->head);
}

static void note_arrival(struct exchange *exchange)
{
    struct caching *caching = &exchange->caching;

    caching->times.received_wall_ms = clock_wall_ms();
    caching->times.sent_wall_ms = caching->times.received_wall_ms -
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
    if (!caching->is_collecting) {
        land(exchange, FLIGHT_UNSHARED, NULL, 0);
        return false;
    }
    if (has_length && length > limit) {
        stop_collecting(exchange);
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
    if (is_too_large) {
        caching->may_store = false;
        stop_collecting(exchange);
    }
    if (!is_relayed &&
        (is_too_large || (caching->body.len > HOLD_BYTES && may_stream(exchange))))
        start_stream(exchange, false); /* may be the exchange's end */
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
