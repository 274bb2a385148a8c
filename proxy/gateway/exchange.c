#include "gateway/exchange.h"

#include <stdlib.h>

#include "audit/trail.h"
#include "base/analyzer.h"
#include "base/clock.h"
#include "base/secret.h"
#include "cluster/cluster.h"
#include "gateway/access_log.h"
#include "gateway/exchange_internal.h"
#include "gateway/metrics.h"
#include "gateway/quota.h"
#include "gateway/renewal.h"
#include "gateway/reply.h"
#include "gateway/source.h"

enum { MOST_SPARES = 256 };

/* Memory: exchanges are kept for reuse, with what they have allocated */

static struct exchange *take_spare(struct station *station)
{
    struct exchange *exchange = station->spare_exchanges;

    if (exchange == NULL)
        return calloc(1, sizeof(*exchange));
    station->spare_exchanges = exchange->next_spare;
    station->spare_exchange_count--;
    return exchange;
}

static void destroy(struct exchange *exchange)
{
    http_head_fini(&exchange->head);
    text_fini(&exchange->request_head);
    text_fini(&exchange->response_head);
    text_fini(&exchange->trailers);
    text_fini(&exchange->caching.key);
    free(exchange);
}

/* Empties it but for its allocations; the texts hold nothing of worth to anyone. */
static void reset(struct exchange *exchange)
{
    struct http_head head = exchange->head;
    struct text request_head = exchange->request_head;
    struct text response_head = exchange->response_head;
    struct text trailers = exchange->trailers;
    struct text key = exchange->caching.key;

    *exchange = (struct exchange){.head = head,
                                  .request_head = request_head,
                                  .response_head = response_head,
                                  .trailers = trailers,
                                  .caching = {.key = key}};
    text_clear(&exchange->caching.key);
    text_clear(&exchange->request_head);
    text_clear(&exchange->response_head);
    text_clear(&exchange->trailers);
}

static void forget_withheld(struct withheld *withheld)
{
    if (withheld->body.bytes != NULL)
        secret_cleanse(withheld->body.bytes, withheld->body.capacity);
    text_fini(&withheld->body);
}

void exchange_free(struct exchange *exchange)
{
    struct station *station = exchange->station;

    metrics_end(station->metrics);
    rate_slot_release(&exchange->slot);
    upstream_call_cancel(exchange->call);
    change_end(exchange, false);
    recording_leave(exchange->recording, exchange_last_end(exchange));
    exchange->recording = NULL;
    fleet_leave(exchange);
    forget_withheld(&exchange->withheld);
    renewal_forget(exchange);
    caching_fini(exchange);
    http_body_fini(&exchange->body);
    snapshot_unref(exchange->snapshot);
    free(exchange->kept_input);
    text_fini(&exchange->packed);
    if (station->spare_exchange_count >= MOST_SPARES) {
        destroy(exchange);
        return;
    }
    reset(exchange);
    exchange->next_spare = station->spare_exchanges;
    station->spare_exchanges = exchange;
    station->spare_exchange_count++;
}

void exchange_free_spares(struct station *station)
{
    while (station->spare_exchanges != NULL) {
        struct exchange *exchange = station->spare_exchanges;

        station->spare_exchanges = exchange->next_spare;
        destroy(exchange);
    }
    station->spare_exchange_count = 0;
}

/* A spare one may have room for another number of fields. */
static bool prepare_head(struct exchange *exchange, uint16_t max_fields)
{
    if (exchange->head.max_fields != max_fields) {
        http_head_fini(&exchange->head);
        if (!http_head_init(&exchange->head, max_fields))
            return false;
    }
    http_head_reset(&exchange->head, HTTP_REQUEST);
    return true;
}

struct exchange *exchange_new(struct conn *conn)
{
    struct exchange *exchange = take_spare(conn->station);
    const struct snapshot *snapshot = conn->station->snapshot;

    if (exchange == NULL)
        return NULL;
    if (!prepare_head(exchange, (uint16_t)snapshot->config->limits.headers)) {
        destroy(exchange);
        return NULL;
    }
    exchange->station = conn->station;
    exchange->conn = conn;
    exchange->snapshot = snapshot_ref(conn->station->snapshot);
    exchange->started_us = clock_monotonic_us();
    metrics_begin(exchange->station->metrics);
    return exchange;
}

/* The end */

/* Counts a client's request; what the gateway fetches by itself is only logged. */
static void account_for(const struct exchange *exchange)
{
    const struct snapshot *snapshot = exchange->snapshot;
    const struct operation *operation = exchange->admission.operation;
    int64_t now_us = clock_monotonic_us();
    const struct exchange_times times = exchange_times(exchange, now_us);
    const struct metrics_request request = {
        .operation = operation != NULL ? snapshot->operation_numbers[operation->index]
                                       : METRICS_OTHER,
        .status = exchange->status,
        .outcome = exchange->caching.outcome,
        .client = exchange->admission.client,
        .is_refused =
            exchange->error != NULL && exchange->status >= 400 && exchange->status < 500,
        .now_us = now_us,
        .total_us = times.total,
        .upstream_us = times.upstream,
    };

    if (!exchange->is_background)
        metrics_count(exchange->station->metrics, &request);
    access_log_write(exchange);
}

struct exchange_times exchange_times(const struct exchange *exchange, int64_t now_us)
{
    return (struct exchange_times){
        .total = now_us - exchange->started_us,
        .upstream = stopwatch_read(&exchange->upstream_wait, now_us),
        .audit = stopwatch_read(&exchange->audit_wait, now_us),
    };
}

/* A flight's letter is under way to an exchange that is done: its memory waits for it. */
static void await_last_letter(struct exchange *exchange)
{
    rate_slot_release(&exchange->slot);
    upstream_call_cancel(exchange->call);
    exchange->call = NULL;
    exchange->conn = NULL;
    exchange->is_logged = true;
    if (exchange->orphan_link == NULL)
        station_add_orphan(exchange->station, exchange);
}

void exchange_end(struct exchange *exchange)
{
    struct conn *conn = exchange->conn;
    bool keep_alive = exchange->keep_alive;

    if (!exchange->is_logged)
        account_for(exchange);
    if (conn != NULL)
        conn->exchange = NULL;
    if (exchange->caching.awaits_letter) {
        await_last_letter(exchange);
    } else {
        station_remove_orphan(exchange->station, exchange);
        exchange_free(exchange);
    }
    if (conn != NULL)
        conn_end_exchange(conn, keep_alive);
}

void exchange_cut_short(struct exchange *exchange)
{
    exchange->keep_alive = false;
    exchange->response_state = RESPONSE_DONE;
    if (exchange->conn != NULL && exchange->response_body == FORWARD_UNTIL_CLOSE)
        exchange->conn->is_cut = true;
    exchange_end(exchange);
}

/* Answers of our own */

enum forward_connection exchange_connection(const struct exchange *exchange)
{
    if (!exchange->keep_alive)
        return FORWARD_SAY_CLOSE;
    return exchange->head.minor == 0 ? FORWARD_SAY_KEEP_ALIVE : FORWARD_KEEP;
}

static struct reply_options reply_options(const struct exchange *exchange)
{
    return (struct reply_options){
        .is_head_method = span_equal(exchange->head.method, SPAN("HEAD")),
        .connection = exchange_connection(exchange),
        .now_wall_ms = clock_wall_ms(),
    };
}

void exchange_send_whole(struct exchange *exchange, const struct iovec *vectors,
                         int count, bool is_made)
{
    exchange->response_state = RESPONSE_DONE;
    rate_slot_release(&exchange->slot); /* before the client can ask again */
    if (!is_made)
        exchange->keep_alive = false;
    if (exchange->conn != NULL && is_made && !conn_write(exchange->conn, vectors, count))
        return; /* the connection closed, and took the exchange along */
    exchange_end(exchange);
}

/* Sends the whole answer that lies in response_head, and ends. */
static void finish_reply(struct exchange *exchange, bool is_made)
{
    const struct iovec whole = {exchange->response_head.bytes,
                                exchange->response_head.len};

    exchange_send_whole(exchange, &whole, 1, is_made);
}

void exchange_reply_error(struct exchange *exchange, enum reason reason,
                          const char *detail)
{
    struct reply_options options = reply_options(exchange);
    struct text lines = {0}, quota_lines = {0};
    bool is_made;

    if (exchange_withhold_reply(exchange, reason, detail))
        return;
    if (exchange->recording == NULL || exchange->recording->intent == INTENT_NONE ||
        exchange->recording->intent == INTENT_FAILED)
        recording_refuse(exchange, reason);
    caching_add_lines(exchange, NULL, &lines);
    options.fields = lines.bytes;
    quota_add_lines(exchange, reason, &quota_lines);
    options.reason_fields = quota_lines.bytes;
    exchange->status = reason_row(reason)->status;
    exchange->error = reason_row(reason)->proxy_error;
    metrics_count_reason(exchange->station->metrics, reason);
    text_clear(&exchange->response_head);
    is_made = reply_error(&options, reason, detail, &exchange->response_head);
    text_fini(&lines);
    text_fini(&quota_lines);
    finish_reply(exchange, is_made);
}

void exchange_answer_error(struct exchange *exchange, enum reason reason,
                           const char *detail)
{
    exchange->keep_alive = exchange->keep_alive && exchange->body.is_done;
    exchange_reply_error(exchange, reason, detail);
}

void exchange_refuse(struct exchange *exchange, enum reason reason, const char *detail)
{
    upstream_call_cancel(exchange->call);
    exchange->call = NULL;
    exchange->keep_alive = false;
    if (exchange->response_state == RESPONSE_WAITING)
        exchange_reply_error(exchange, reason, detail);
    else
        exchange_cut_short(exchange);
}

/* Without Redis the gateway goes on: that makes it no less ready, but is said. */
static const char *cluster_word(const struct exchange *exchange)
{
    const struct cluster *cluster = exchange->station->shared->cluster;

    if (cluster == NULL)
        return NULL;
    return cluster_is_current(cluster, clock_monotonic_ms()) ? "ok" : "away";
}

static void reply_own(struct exchange *exchange)
{
    const struct admission *admission = &exchange->admission;
    struct reply_options options = reply_options(exchange);
    struct error why;
    bool is_ready = !exchange->station->is_draining &&
                    audit_trail_is_writable(exchange->station->shared->trail, &why);
    bool is_alive = span_equal_nocase(admission->own_name, SPAN("healthz"));

    exchange->status = 200;
    if (!admission->needs_no_client)
        finish_reply(exchange,
                     reply_whoami(&options, admission->client, &exchange->response_head));
    else
        finish_reply(exchange, reply_health(&options, is_alive || is_ready,
                                            is_alive ? NULL : cluster_word(exchange),
                                            &exchange->status, &exchange->response_head));
}

/* The beginning */

static bool wants_keep_alive(const struct exchange *exchange)
{
    const struct http_head *head = &exchange->head;

    if (exchange->station->is_draining || head->wants_close)
        return false;
    return head->minor > 0 || head->wants_keep_alive;
}

/* The head may have begun before a reload: what holds now decides. */
static void use_present_snapshot(struct exchange *exchange)
{
    struct snapshot *present = exchange->station->snapshot;

    if (exchange->snapshot == present)
        return;
    snapshot_unref(exchange->snapshot);
    exchange->snapshot = snapshot_ref(present);
}

/* It is to go upstream; the rate's word comes before an intent is recorded. */
static void serve_from_upstream(struct exchange *exchange)
{
    switch (quota_admit_upstream(exchange)) {
    case QUOTA_ADMITTED:
        exchange_record_request(exchange);
        break;
    case QUOTA_REFUSED:
        exchange_answer_error(exchange, REASON_UPSTREAM_RATE, NULL);
        break;
    case QUOTA_ASKED:
        break;
    }
}

/* Its answer comes from the cache or from upstream, within what the client may. */
static void serve_admitted(struct exchange *exchange)
{
    const struct operation *operation = exchange->admission.operation;

    if (operation != NULL && operation->cache != NULL && !exchange->is_mutating)
        caching_begin(exchange);
    else
        serve_from_upstream(exchange);
}

static void serve(struct exchange *exchange)
{
    enum reason reason;

    exchange->is_mutating = operation_method_is_mutating(exchange->head.method);
    switch (quota_admit(exchange, &reason)) {
    case QUOTA_ADMITTED:
        serve_admitted(exchange);
        break;
    case QUOTA_REFUSED:
        exchange_answer_error(exchange, reason, NULL);
        break;
    case QUOTA_ASKED:
        break;
    }
}

/* The fleet's word on a rate; who has waited for it goes on where it stopped. */
void exchange_on_token(struct exchange *exchange, enum fleet_bucket which,
                       bool is_admitted)
{
    if (which == FLEET_CLIENT && is_admitted) {
        serve_admitted(exchange);
    } else if (which == FLEET_CLIENT) {
        exchange_answer_error(exchange, REASON_CLIENT_RATE, NULL);
    } else {
        exchange->upstream_token = is_admitted ? TOKEN_TAKEN : TOKEN_REFUSED;
        if (exchange->caching.role == CACHING_OFF && exchange->recording == NULL)
            serve_from_upstream(exchange);
        else
            exchange_call_upstream(exchange);
    }
}

void exchange_begin(struct exchange *exchange)
{
    const struct config_limits *limits;
    struct admission *admission = &exchange->admission;
    struct station *station = exchange->station;
    bool is_admitted;

    use_present_snapshot(exchange);
    source_learn(exchange);
    limits = &exchange->snapshot->config->limits;
    is_admitted = admission_judge(admission, &exchange->head,
                                  caller_identify(&exchange->conn->caller),
                                  exchange->snapshot, station->hasher, station->memo,
                                  clock_wall_ms(), station->path_scratch);
    if (admission->wants_keys)
        jwks_want(exchange->snapshot->jwks, admission->issuer);

    http_body_init(&exchange->body, admission->framing, admission->length,
                   (uint32_t)limits->header_bytes, (uint16_t)limits->headers);
    exchange->keep_alive = wants_keep_alive(exchange);
    if (!is_admitted) {
        /* Only what is sound and without a body can be followed by another request. */
        exchange->keep_alive = exchange->keep_alive && exchange->body.is_done &&
                               reason_row(admission->reason)->status != 400 &&
                               reason_row(admission->reason)->status < 500;
        if (admission->reason == REASON_METHOD_REFUSED ||
            admission->reason == REASON_CERTIFICATE_REFUSED ||
            admission->reason == REASON_CERTIFICATE_EXPIRED)
            exchange->keep_alive = false;
        exchange_reply_error(exchange, admission->reason, admission->detail);
    } else if (admission->is_own) {
        exchange->keep_alive = exchange->keep_alive && exchange->body.is_done;
        reply_own(exchange);
    } else {
        serve(exchange);
    }
}

/*
 * A change that was sent whole may have its effect: its answer is waited for. And others
 * may wait for what was fetched.
 */
static bool outlives_client(struct exchange *exchange)
{
    bool is_needed = caching_client_left(exchange);

    if (exchange->caching.awaits_letter)
        return true;
    if (exchange->response_state == RESPONSE_DONE)
        return false;
    return is_needed || (exchange->is_mutating && exchange->call != NULL &&
                         exchange->request_state == REQUEST_SENT);
}

void exchange_on_client_left(struct exchange *exchange)
{
    if (!outlives_client(exchange)) {
        exchange->conn->exchange = NULL;
        if (exchange->status == 0)
            exchange->error = "client left";
        account_for(exchange);
        exchange_free(exchange);
        return;
    }
    exchange->kept_input = conn_take_input(exchange->conn);
    exchange->conn = NULL;
    if (exchange->call != NULL)
        upstream_call_resume(exchange->call);
    station_add_orphan(exchange->station, exchange);
}

void exchange_end_orphan(struct exchange *exchange)
{
    exchange_end(exchange);
}

void exchange_give_up(struct exchange *exchange)
{
    exchange->error = "shutting down";
    if (caching_client_left(exchange) && exchange->caching.awaits_letter) {
        station_remove_orphan(exchange->station, exchange); /* its letter ends it */
        return;
    }
    exchange_end(exchange);
}

/* A request of our own for what the source asked for: its head, read again from a copy.
 */
LEAK_IS_NONE /* the exchange owns the copy */
static struct exchange *copy_for_fetch(const struct exchange *source)
{
    struct exchange *fetch = take_spare(source->station);
    struct station *station = source->station;
    /* Whoever asked has been told apart by the same snapshot, and may be gone by now. */
    const struct identity identity = {.vouched = source->admission.client,
                                      .vouched_auth = source->admission.auth};

    if (fetch == NULL)
        return NULL;
    fetch->station = station;
    fetch->snapshot = snapshot_ref(source->snapshot);
    fetch->started_us = clock_monotonic_us();
    metrics_begin(station->metrics);
    fetch->body.is_done = true;
    fetch->kept_input = malloc(source->head.len);
    if (fetch->kept_input == NULL || !prepare_head(fetch, source->head.max_fields)) {
        exchange_free(fetch);
        return NULL;
    }
    memcpy(fetch->kept_input, source->head.bytes, source->head.len);
    if (http_head_parse(&fetch->head, fetch->kept_input, source->head.len,
                        source->head.len + 1) != HTTP_PARSE_DONE ||
        !admission_judge(&fetch->admission, &fetch->head, &identity, fetch->snapshot,
                         station->hasher, station->memo, clock_wall_ms(),
                         station->path_scratch)) {
        exchange_free(fetch);
        return NULL;
    }
    return fetch;
}
LEAK_LOOK_AGAIN

void exchange_fetch_behind(struct exchange *source, struct flight *flight)
{
    struct exchange *fetch = copy_for_fetch(source);
    const struct caching *model = &source->caching;
    struct caching *caching;

    if (fetch != NULL) {
        text_add(&fetch->caching.key, span_make(model->key.bytes, model->key.len));
        if (fetch->caching.key.failed) {
            exchange_free(fetch);
            fetch = NULL;
        }
    }
    if (fetch == NULL) {
        flights_land(source->station->shared->cache->flights, flight, FLIGHT_UNSHARED,
                     NULL, 0);
        return;
    }
    fetch->is_background = true;
    caching = &fetch->caching;
    caching->role = CACHING_FETCH;
    caching->outcome = CACHE_OUTCOME_EXPIRED;
    caching->rule = model->rule;
    caching->scope = model->scope;
    caching->credential_scope = model->credential_scope;
    caching->flight = flight;
    caching->forward_reason = "stale";
    caching->stored = model->stored != NULL ? cache_entry_ref(model->stored) : NULL;
    cache_directives_clear(&caching->asked);
    caching_note_generations(fetch);
    station_add_orphan(fetch->station, fetch);
    exchange_call_upstream(fetch);
}
