#include "access/jwks_internal.h"

#include "access/libcurl.h"
#include "base/clock.h"
#include "base/log.h"

/* How an attempt ended */

static void note_failure(struct jwks *jwks, struct jwks_source *source,
                         const struct error *error)
{
    size_t index = (size_t)(source - jwks->sources);

    source->next_ms = clock_monotonic_ms() + source->retry_ms;
    source->retry_ms *= 2;
    if (source->retry_ms > JWKS_MOST_RETRY_MS)
        source->retry_ms = JWKS_MOST_RETRY_MS;
    if (source->retry_ms > source->refresh_ms)
        source->retry_ms = source->refresh_ms;
    if (source->is_failing)
        return;
    source->is_failing = true;
    log_warn(
        "jwt: the keys of %s cannot be %s: %s (it is tried again until it goes well, "
        "and %s; if that does not pass, mend what this issuer's %s)",
        source->name, source->url != NULL ? "fetched" : "read again", error->text,
        jwks->issuers->issuers[index].keys != NULL ? "the old ones stay in force"
                                                   : "its tokens get 503 meanwhile",
        source->url != NULL ? "jwks_url and ca_file say, or the way there"
                            : "jwks_file says");
}

static void note_success(struct jwks_source *source, const struct jwk_set *keys,
                         bool is_first)
{
    source->next_ms = source->begun_ms + source->refresh_ms;
    source->retry_ms = JWKS_RETRY_MS;
    if (is_first || source->is_failing)
        log_info("jwt: the keys of %s are there: %zu, and %zu of no use here",
                 source->name, keys->count, keys->skipped);
    source->is_failing = false;
}

/* keys are taken; NULL: there are none, for this reason. */
static void take_in(struct jwks *jwks, struct jwks_source *source, struct jwk_set *keys,
                    const struct error *error)
{
    size_t index = (size_t)(source - jwks->sources);

    if (keys == NULL) {
        note_failure(jwks, source, error);
        return;
    }
    note_success(source, keys, jwks->issuers->issuers[index].keys == NULL);
    if (!jwks_replace_keys(jwks, index, keys))
        log_error("jwt: the keys of %s cannot be kept: memory is out", source->name);
}

/* Attempts */

static struct jwk_set *read_answer(struct jwks_source *source, CURLcode code,
                                   struct error *error)
{
    struct jwk_set *keys;
    struct error why;

    if (!jwks_fetch_judge(&source->fetch, code, error))
        return NULL;
    keys =
        jwk_set_parse(span_make(source->fetch.body.bytes, source->fetch.body.len), &why);
    if (keys == NULL)
        (void)error_set(error, "the answer %s", why.text);
    return keys;
}

static void finish_fetches(struct jwks *jwks)
{
    const CURLMsg *message;
    int left;

    while ((message = libcurl.multi_info_read(jwks->multi, &left)) != NULL) {
        CURLcode code = message->data.result;

        for (size_t i = 0; i < jwks->count; i++) {
            struct jwks_source *source = &jwks->sources[i];
            struct error error;

            if (source->fetch.easy != message->easy_handle)
                continue;
            take_in(jwks, source, read_answer(source, code, &error), &error);
            jwks_fetch_end(&source->fetch, jwks->multi);
            break;
        }
    }
}

/* When the next attempt may begin, by the clock that never jumps. */
static int64_t due_ms(const struct jwks_source *source)
{
    if (!source->has_begun)
        return 0;
    if (atomic_load(&source->is_wanted) &&
        source->begun_ms + JWKS_WANT_MS < source->next_ms)
        return source->begun_ms + JWKS_WANT_MS;
    return source->next_ms;
}

static void begin(struct jwks *jwks, struct jwks_source *source, int64_t now_ms)
{
    struct error error;

    atomic_store(&source->is_wanted, false);
    source->has_begun = true;
    source->begun_ms = now_ms;
    if (source->path != NULL)
        take_in(jwks, source, jwks_read_file(source->path, &error), &error);
    else if (!jwks_fetch_begin(&source->fetch, jwks->multi, source->url,
                               source->authorities, &error))
        note_failure(jwks, source, &error);
}

/* Begins what is due; how long there is nothing more to begin. */
static int begin_due(struct jwks *jwks)
{
    enum { LONGEST_MS = 60000 };
    int64_t now_ms = clock_monotonic_ms(), pause_ms = LONGEST_MS;

    for (size_t i = 0; i < jwks->count; i++) {
        struct jwks_source *source = &jwks->sources[i];
        int64_t left_ms;

        if (source->fetch.easy != NULL)
            continue;
        if (due_ms(source) <= now_ms)
            begin(jwks, source, now_ms);
        left_ms = due_ms(source) - now_ms;
        if (source->fetch.easy == NULL && left_ms < pause_ms)
            pause_ms = left_ms > 0 ? left_ms : 0;
    }
    return (int)pause_ms;
}

void *jwks_renew(void *arg)
{
    struct jwks *jwks = arg;
    int running;

    while (!atomic_load(&jwks->is_stopping)) {
        int pause_ms = begin_due(jwks);

        (void)libcurl.multi_perform(jwks->multi, &running);
        finish_fetches(jwks);
        /* What has just ended may be due again sooner than that. */
        if (running == 0)
            pause_ms = begin_due(jwks);
        (void)libcurl.multi_poll(jwks->multi, NULL, 0, pause_ms, NULL);
    }
    for (size_t i = 0; i < jwks->count; i++)
        jwks_fetch_end(&jwks->sources[i].fetch, jwks->multi);
    jwks_unref(jwks, true);
    return NULL;
}
