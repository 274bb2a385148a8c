#include "gateway/renewal.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/json_text.h"
#include "base/log.h"
#include "gateway/exchange.h"
#include "gateway/health.h"

enum { MOST_SESSION_BYTES = 65536, FAILED_FOR_MS = 1000 };

struct renewal {
    struct renewal *next, **link; /* in the station's list */
    struct station *station;
    struct snapshot *snapshot; /* a reference */
    const struct credential *credential;
    int slot;        /* the key that is tried */
    bool wants_next; /* also if the first is good */
    struct upstream_call *call;
    struct upstream_request request;
    struct text head, body;
    unsigned status;
    struct exchange *waiters;
};

static const struct upstream_call_events events;
static void start(struct renewal *renewal, int slot);

bool renewal_read_team(struct span session, char *team, size_t team_bytes)
{
    json_t *root = json_text_read(session, JSON_REJECT_DUPLICATES, NULL);
    const char *id =
        json_string_value(json_object_get(json_object_get(root, "team"), "id"));
    bool is_team = id != NULL && id[0] != '\0' && strlen(id) < team_bytes;

    if (is_team)
        memcpy(team, id, strlen(id) + 1);
    json_decref(root);
    return is_team;
}

/* One try's life */

static struct renewal *find(struct station *station, const struct credential *credential)
{
    struct renewal *renewal = station->renewals;

    while (renewal != NULL && renewal->credential != credential)
        renewal = renewal->next;
    return renewal;
}

static struct renewal *make(struct station *station, struct snapshot *snapshot,
                            const struct credential *credential)
{
    struct renewal *renewal = calloc(1, sizeof(*renewal));

    if (renewal == NULL)
        return NULL;
    renewal->station = station;
    renewal->snapshot = snapshot_ref(snapshot);
    renewal->credential = credential;
    renewal->next = station->renewals;
    renewal->link = &station->renewals;
    if (station->renewals != NULL)
        station->renewals->link = &renewal->next;
    station->renewals = renewal;
    return renewal;
}

/* Off the list, so that what the waiters do cannot find it; then they are told. */
static void finish(struct renewal *renewal, bool is_renewed)
{
    struct exchange *waiter = renewal->waiters;

    *renewal->link = renewal->next;
    if (renewal->next != NULL)
        renewal->next->link = renewal->link;
    renewal->waiters = NULL;
    while (waiter != NULL) {
        struct exchange *next = waiter->next_waiter;

        waiter->renewal = NULL;
        exchange_on_key(waiter, is_renewed);
        waiter = next;
    }
    snapshot_unref(renewal->snapshot);
    text_fini(&renewal->head);
    text_fini(&renewal->body);
    free(renewal);
}

/* What upstream said of a key */

/* NOLINTNEXTLINE(misc-no-recursion): once, from slot 0 to 1 */
static void fail(struct renewal *renewal, const char *why)
{
    const char *name = renewal->credential->name;

    if (renewal->slot == 0 && (renewal->wants_next || renewal->status == 401)) {
        log_warn("credential %s: the key that serves does not answer for a team: %s",
                 name, why);
        start(renewal, 1);
        return;
    }
    if (renewal->slot == 0) {
        finish(renewal, false); /* upstream may not be there yet */
        return;
    }
    atomic_store(&renewal->credential->state->probed_until_ms,
                 clock_monotonic_ms() + FAILED_FOR_MS);
    log_error("credential %s: the next key cannot take over: %s (put a good one into "
              "next_api_key_file and reload)",
              name, why);
    finish(renewal, false);
}

/* All that was fetched with the old key may look different to the new one. */
static void forget_answers(struct renewal *renewal)
{
    struct generations *generations = renewal->station->shared->cache->generations;
    struct text scope = {0};
    int number;

    text_add(&scope, SPAN(CREDENTIAL_SCOPE));
    text_add(&scope, span_of(renewal->credential->name));
    number = scope.failed
                 ? GENERATIONS_NO_SCOPE
                 : generations_scope(generations, span_make(scope.bytes, scope.len));
    if (number != GENERATIONS_NO_SCOPE)
        generations_raise(generations, number);
    text_fini(&scope);
}

static void take_over(struct renewal *renewal)
{
    const struct credential *credential = renewal->credential;

    atomic_store(&credential->state->slot, 1);
    forget_answers(renewal);
    log_info("credential %s: the next key has taken over (make it api_key_file, and "
             "remove next_api_key_file)",
             credential->name);
    finish(renewal, true);
}

static void judge(struct renewal *renewal)
{
    char team[CREDENTIAL_TEAM_BYTES], status[48];

    (void)snprintf(status, sizeof(status), "GET /v1/auth/session was answered with %u",
                   renewal->status);
    if (renewal->status != 200)
        fail(renewal, status);
    else if (!renewal_read_team(span_make(renewal->body.bytes, renewal->body.len), team,
                                sizeof(team)))
        fail(renewal, "upstream knows no session for it");
    else if (!credential_claim_team(renewal->credential, team))
        fail(renewal, "it is another team's");
    else if (renewal->slot == 1)
        take_over(renewal);
    else if (renewal->wants_next)
        start(renewal, 1);
    else
        finish(renewal, false); /* whose it is was all that was to be learnt */
}

/* The call */

static void on_nothing(void *owner)
{
    (void)owner;
}

static void on_interim(void *owner, const struct http_head *head)
{
    (void)owner;
    (void)head;
}

static void on_head(void *owner, const struct http_head *head, enum http_framing framing,
                    uint64_t length)
{
    struct renewal *renewal = owner;

    (void)framing;
    (void)length;
    renewal->status = head->status;
    health_note_answer(renewal->station->shared->health, renewal->credential,
                       renewal->slot, head->status, clock_wall_ms());
}

static void on_content(void *owner, struct span content)
{
    struct renewal *renewal = owner;

    if (renewal->body.len + content.len <= MOST_SESSION_BYTES)
        text_add(&renewal->body, content);
}

static void on_end(void *owner, const struct http_head *trailers)
{
    struct renewal *renewal = owner;

    (void)trailers;
    renewal->call = NULL;
    judge(renewal);
}

static void on_failed(void *owner, enum upstream_failure failure, const char *detail)
{
    struct renewal *renewal = owner;

    (void)failure;
    renewal->call = NULL;
    fail(renewal, detail);
}

static const struct upstream_call_events events = {
    on_nothing, on_nothing, on_interim, on_head,
    on_content, on_nothing, on_end,     on_failed,
};

static void write_request(struct renewal *renewal)
{
    size_t key_at;

    text_clear(&renewal->head);
    text_clear(&renewal->body);
    (void)forward_session_head(renewal->snapshot->config->upstream.authority,
                               &renewal->head, &key_at);
    renewal->request = (struct upstream_request){
        .head_before = span_make(renewal->head.bytes, key_at),
        .api_key = secret_span(renewal->credential->api_keys[renewal->slot]),
        .head_after = span_make(renewal->head.bytes + key_at, renewal->head.len - key_at),
        .may_repeat = true,
    };
}

/* NOLINTNEXTLINE(misc-no-recursion): once, from slot 0 to 1 */
static void start(struct renewal *renewal, int slot)
{
    struct upstream_pool *pool = station_pool(renewal->station, renewal->snapshot);

    renewal->slot = slot;
    renewal->status = 0;
    write_request(renewal);
    if (pool != NULL && !renewal->head.failed)
        renewal->call = upstream_call_new(pool, &renewal->request, &events, renewal);
    if (renewal->call != NULL)
        upstream_call_start(renewal->call);
    else
        fail(renewal, "out of memory");
}

/* Who asks for it */

static bool may_try(const struct credential *credential)
{
    return credential->api_keys[1] != NULL && credential_slot(credential) == 0 &&
           clock_monotonic_ms() >= atomic_load(&credential->state->probed_until_ms);
}

static void add_waiter(struct renewal *renewal, struct exchange *exchange)
{
    exchange->renewal = renewal;
    exchange->next_waiter = renewal->waiters;
    renewal->waiters = exchange;
}

bool renewal_await(struct exchange *exchange)
{
    const struct credential *credential = exchange->credential;
    struct station *station = exchange->station;
    struct renewal *renewal = find(station, credential);

    if (credential_slot(credential) != exchange->key_slot) {
        exchange_on_key(exchange, true); /* somebody else's try went well */
        return true;
    }
    if (renewal != NULL) {
        add_waiter(renewal, exchange);
        return true;
    }
    if (!may_try(credential))
        return false;
    renewal = make(station, exchange->snapshot, credential);
    if (renewal == NULL)
        return false;
    add_waiter(renewal, exchange);
    start(renewal, 1);
    return true;
}

void renewal_forget(struct exchange *exchange)
{
    struct exchange **link;

    if (exchange->renewal == NULL)
        return;
    for (link = &exchange->renewal->waiters; *link != NULL;
         link = &(*link)->next_waiter) {
        if (*link == exchange) {
            *link = exchange->next_waiter;
            break;
        }
    }
    exchange->renewal = NULL;
}

void renewal_look(struct station *station, bool wants_next)
{
    const struct credential_set *set = station->snapshot->credentials;

    for (size_t i = 0; i < set->count; i++) {
        struct renewal *renewal;

        if (!may_try(&set->credentials[i]) || find(station, &set->credentials[i]) != NULL)
            continue;
        renewal = make(station, station->snapshot, &set->credentials[i]);
        if (renewal == NULL)
            continue;
        renewal->wants_next = wants_next;
        start(renewal, 0);
    }
}

void renewal_stop(struct station *station)
{
    while (station->renewals != NULL) {
        /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): finish takes it off the list */
        upstream_call_cancel(station->renewals->call);
        finish(station->renewals, false);
    }
}
