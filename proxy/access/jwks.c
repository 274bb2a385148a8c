#include "access/jwks.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#include <openssl/err.h>
#include <openssl/pem.h>

#include "access/jwks_fetch.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"

/* Where one issuer's keys come from. */
struct source {
    struct span authorities; /* PEM; empty: the system's */
    const char *name;        /* the issuer's */
    const char *url;         /* NULL: a file, read already */
    int64_t refresh_ms;
    atomic_bool is_wanted; /* newer keys are; until a fetch begins */

    /* The thread's own. */
    struct jwks_fetch fetch;
    int64_t begun_ms; /* the last fetch */
    int64_t next_ms;  /* when the next one is due */
    int64_t retry_ms; /* the pause after the next failure */
    bool has_begun, is_failing;
};

struct jwks {
    struct arena arena; /* every string and array */
    struct source *sources;
    size_t count;
    bool has_urls;
    bool has_thread;
    CURLM *multi; /* the thread's, but for wake-ups */
    atomic_bool is_stopping;

    pthread_mutex_t lock; /* over everything below */
    pthread_cond_t ended;
    struct jwks_issuers *issuers;
    bool has_ended;
    unsigned references; /* the owner's and the thread's */
};

/* Lists of issuers */

void jwks_return_issuers(struct jwks_issuers *issuers)
{
    if (issuers == NULL || atomic_fetch_sub(&issuers->references, 1) != 1)
        return;
    for (size_t i = 0; i < issuers->count; i++)
        jwk_set_unref(issuers->issuers[i].keys);
    free(issuers);
}

struct jwks_issuers *jwks_take_issuers(struct jwks *jwks)
{
    struct jwks_issuers *issuers;

    (void)pthread_mutex_lock(&jwks->lock);
    issuers = jwks->issuers;
    (void)atomic_fetch_add_explicit(&issuers->references, 1, memory_order_relaxed);
    (void)pthread_mutex_unlock(&jwks->lock);
    return issuers;
}

static struct jwks_issuers *new_issuers(size_t count)
{
    struct jwks_issuers *issuers =
        calloc(1, sizeof(*issuers) + count * sizeof(issuers->issuers[0]));

    if (issuers != NULL) {
        atomic_init(&issuers->references, 1);
        issuers->count = count;
    }
    return issuers;
}

/* Puts one issuer's new keys in force; they are taken. */
static bool replace_keys(struct jwks *jwks, size_t index, struct jwk_set *keys)
{
    struct jwks_issuers *fresh = new_issuers(jwks->count), *old;

    if (fresh == NULL) {
        jwk_set_unref(keys);
        return false;
    }
    old = jwks->issuers; /* only this thread replaces it */
    for (size_t i = 0; i < jwks->count; i++) {
        fresh->issuers[i] = old->issuers[i];
        if (i != index && fresh->issuers[i].keys != NULL)
            (void)jwk_set_ref(fresh->issuers[i].keys);
    }
    fresh->issuers[index].keys = keys;
    (void)pthread_mutex_lock(&jwks->lock);
    jwks->issuers = fresh;
    (void)pthread_mutex_unlock(&jwks->lock);
    jwks_return_issuers(old);
    return true;
}

/* The thread */

static void note_failure(struct jwks *jwks, struct source *source,
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
    log_warn("jwt: the keys of %s cannot be fetched: %s (%s; it is tried again until it "
             "goes well)",
             source->name, error->text,
             jwks->issuers->issuers[index].keys != NULL
                 ? "the old ones stay in force"
                 : "until they are, its tokens are refused");
}

static void note_success(struct source *source, const struct jwk_set *keys, bool is_first)
{
    source->next_ms = source->begun_ms + source->refresh_ms;
    source->retry_ms = JWKS_RETRY_MS;
    if (is_first || source->is_failing)
        log_info("jwt: the keys of %s are fetched: %zu, and %zu of no use here",
                 source->name, keys->count, keys->skipped);
    source->is_failing = false;
}

static void take_in(struct jwks *jwks, struct source *source, CURLcode code)
{
    size_t index = (size_t)(source - jwks->sources);
    bool is_first = jwks->issuers->issuers[index].keys == NULL;
    struct jwk_set *keys = NULL;
    struct error error, why;

    if (!jwks_fetch_judge(&source->fetch, code, &error)) {
        note_failure(jwks, source, &error);
        return;
    }
    keys =
        jwk_set_parse(span_make(source->fetch.body.bytes, source->fetch.body.len), &why);
    if (keys == NULL) {
        (void)error_set(&error, "the answer %s", why.text);
        note_failure(jwks, source, &error);
        return;
    }
    note_success(source, keys, is_first);
    if (!replace_keys(jwks, index, keys))
        log_error("jwt: the keys of %s cannot be kept: memory is out", source->name);
}

static void finish_fetches(struct jwks *jwks)
{
    const CURLMsg *message;
    int left;

    while ((message = curl_multi_info_read(jwks->multi, &left)) != NULL) {
        CURLcode code = message->data.result;

        for (size_t i = 0; i < jwks->count; i++) {
            struct source *source = &jwks->sources[i];

            if (source->fetch.easy != message->easy_handle)
                continue;
            take_in(jwks, source, code);
            jwks_fetch_end(&source->fetch, jwks->multi);
            break;
        }
    }
}

/* When the next fetch may begin, by the clock that never jumps. */
static int64_t due_ms(const struct source *source)
{
    if (!source->has_begun)
        return 0;
    if (atomic_load(&source->is_wanted) &&
        source->begun_ms + JWKS_WANT_MS < source->next_ms)
        return source->begun_ms + JWKS_WANT_MS;
    return source->next_ms;
}

static void begin_fetch(struct jwks *jwks, struct source *source, int64_t now_ms)
{
    struct error error;

    atomic_store(&source->is_wanted, false);
    source->has_begun = true;
    source->begun_ms = now_ms;
    if (!jwks_fetch_begin(&source->fetch, jwks->multi, source->url, source->authorities,
                          &error))
        note_failure(jwks, source, &error);
}

/* Begins what is due; how long there is nothing more to begin. */
static int begin_fetches(struct jwks *jwks)
{
    enum { LONGEST_MS = 60000 };
    int64_t now_ms = clock_monotonic_ms(), pause_ms = LONGEST_MS;

    for (size_t i = 0; i < jwks->count; i++) {
        struct source *source = &jwks->sources[i];
        int64_t left_ms;

        if (source->url == NULL || source->fetch.easy != NULL)
            continue;
        if (due_ms(source) <= now_ms)
            begin_fetch(jwks, source, now_ms);
        left_ms = due_ms(source) - now_ms;
        if (source->fetch.easy == NULL && left_ms < pause_ms)
            pause_ms = left_ms > 0 ? left_ms : 0;
    }
    return (int)pause_ms;
}

static void destroy(struct jwks *jwks)
{
    for (size_t i = 0; i < jwks->count; i++)
        jwks_fetch_end(&jwks->sources[i].fetch, jwks->multi);
    if (jwks->multi != NULL)
        (void)curl_multi_cleanup(jwks->multi);
    jwks_return_issuers(jwks->issuers);
    (void)pthread_cond_destroy(&jwks->ended);
    (void)pthread_mutex_destroy(&jwks->lock);
    arena_fini(&jwks->arena);
    free(jwks);
}

static void unref(struct jwks *jwks)
{
    bool is_last;

    (void)pthread_mutex_lock(&jwks->lock);
    is_last = --jwks->references == 0;
    (void)pthread_mutex_unlock(&jwks->lock);
    if (is_last)
        destroy(jwks);
}

static void *run(void *argument)
{
    struct jwks *jwks = argument;
    int running;

    while (!atomic_load(&jwks->is_stopping)) {
        int pause_ms = begin_fetches(jwks);

        (void)curl_multi_perform(jwks->multi, &running);
        finish_fetches(jwks);
        /* What has just ended may be due again sooner than that. */
        if (running == 0)
            pause_ms = begin_fetches(jwks);
        (void)curl_multi_poll(jwks->multi, NULL, 0, pause_ms, NULL);
    }
    for (size_t i = 0; i < jwks->count; i++)
        jwks_fetch_end(&jwks->sources[i].fetch, jwks->multi);
    (void)pthread_mutex_lock(&jwks->lock);
    jwks->has_ended = true;
    (void)pthread_cond_signal(&jwks->ended);
    (void)pthread_mutex_unlock(&jwks->lock);
    unref(jwks);
    return NULL;
}

void jwks_want(struct jwks *jwks, size_t issuer)
{
    struct source *source = &jwks->sources[issuer];

    if (source->url != NULL && !atomic_exchange(&source->is_wanted, true))
        (void)curl_multi_wakeup(jwks->multi);
}

/* Loading */

static void report(const struct config *config, size_t index, const char *key,
                   const char *what, struct problems *problems)
{
    const struct place root = {0};
    const struct place jwt = {.parent = &root, .key = "jwt"};
    const struct place element = {.parent = &jwt, .index = index};
    const struct place member = {.parent = &element, .key = key};

    config_problem(config, problems, &member, "%s", what);
}

static struct jwk_set *read_file(const char *path, struct error *error)
{
    struct text text = {0};
    struct jwk_set *keys = NULL;
    struct error why;

    if (file_read(path, FILE_PUBLIC, &text, error)) {
        keys = jwk_set_parse(span_make(text.bytes, text.len), &why);
        if (keys == NULL)
            (void)error_set(error, "%s %s", path, why.text);
    }
    text_fini(&text);
    return keys;
}

static bool has_certificate(struct span pem)
{
    BIO *bio = BIO_new_mem_buf(pem.at, (int)pem.len);
    X509 *certificate;

    (void)ERR_set_mark();
    certificate = bio != NULL ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
    (void)ERR_pop_to_mark();
    X509_free(certificate);
    BIO_free(bio);
    return certificate != NULL;
}

static bool read_authorities(struct arena *arena, const char *path,
                             struct span *authorities, struct error *error)
{
    struct text text = {0};
    bool is_good = file_read(path, FILE_PUBLIC, &text, error);
    struct span pem = span_make(text.bytes, text.len);

    if (is_good && !has_certificate(pem))
        is_good = error_set(error, "%s holds no certificate in PEM", path);
    if (is_good) {
        *authorities = span_make(arena_copy(arena, pem), pem.len);
        is_good = authorities->at != NULL || error_set(error, "out of memory");
    }
    text_fini(&text);
    return is_good;
}

static bool copy_issuer(struct arena *arena, const struct config_jwt *from,
                        struct jwt_issuer *issuer, struct source *source)
{
    const char **audience =
        arena_alloc(arena, (from->audience_count + 1) * sizeof(*audience));
    bool is_whole = audience != NULL;

    for (size_t i = 0; is_whole && i < from->audience_count; i++) {
        audience[i] = arena_copy(arena, span_of(from->audience[i]));
        is_whole = audience[i] != NULL;
    }
    *issuer = (struct jwt_issuer){.name = arena_copy(arena, span_of(from->issuer)),
                                  .audience = audience,
                                  .audience_count = from->audience_count,
                                  .leeway_ms = from->leeway_ms};
    source->name = issuer->name;
    source->refresh_ms = from->refresh_ms;
    source->retry_ms =
        JWKS_RETRY_MS < from->refresh_ms ? JWKS_RETRY_MS : from->refresh_ms;
    if (from->jwks_url != NULL)
        source->url = arena_copy(arena, span_of(from->jwks_url));
    return is_whole && issuer->name != NULL &&
           (from->jwks_url == NULL || source->url != NULL);
}

/* Keys that were fetched already for the same issuer in the same way; or NULL. */
static struct jwk_set *find_fetched(struct jwks *previous, const struct source *wanted)
{
    struct jwks_issuers *issuers;
    struct jwk_set *keys = NULL;

    if (previous == NULL)
        return NULL;
    issuers = jwks_take_issuers(previous);
    for (size_t i = 0; i < previous->count; i++) {
        const struct source *source = &previous->sources[i];

        if (source->url != NULL && strcmp(source->url, wanted->url) == 0 &&
            strcmp(source->name, wanted->name) == 0 &&
            span_equal(source->authorities, wanted->authorities) &&
            issuers->issuers[i].keys != NULL)
            keys = jwk_set_ref(issuers->issuers[i].keys);
    }
    jwks_return_issuers(issuers);
    return keys;
}

static void load_issuer(struct jwks *jwks, const struct config *config, size_t index,
                        struct jwks *previous, struct problems *problems)
{
    const struct config_jwt *from = &config->jwt[index];
    struct jwt_issuer *issuer = &jwks->issuers->issuers[index];
    struct source *source = &jwks->sources[index];
    struct error error;

    if (!copy_issuer(&jwks->arena, from, issuer, source)) {
        report(config, index, "issuer", "out of memory", problems);
        return;
    }
    if (from->ca_file != NULL &&
        !read_authorities(&jwks->arena, from->ca_file, &source->authorities, &error)) {
        report(config, index, "ca_file", error.text, problems);
        return;
    }
    if (source->url != NULL) {
        jwks->has_urls = true;
        issuer->keys = find_fetched(previous, source);
        return;
    }
    issuer->keys = read_file(from->jwks_file, &error);
    if (issuer->keys == NULL)
        report(config, index, "jwks_file", error.text, problems);
}

static void init_locks(struct jwks *jwks)
{
    pthread_condattr_t monotonic;

    (void)pthread_mutex_init(&jwks->lock, NULL);
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&jwks->ended, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
}

static struct jwks *new_jwks(size_t count)
{
    struct jwks *jwks = calloc(1, sizeof(*jwks));

    if (jwks == NULL)
        return NULL;
    init_locks(jwks);
    jwks->references = 1;
    jwks->sources = arena_alloc(&jwks->arena, (count + 1) * sizeof(*jwks->sources));
    jwks->issuers = new_issuers(count);
    if (jwks->sources != NULL && jwks->issuers != NULL) {
        jwks->count = count;
        return jwks;
    }
    destroy(jwks);
    return NULL;
}

static bool prepare_fetching(struct jwks *jwks, struct error *error)
{
    if (!jwks->has_urls)
        return true;
    if (!jwks_fetch_init_library(error))
        return false;
    jwks->multi = curl_multi_init();
    return jwks->multi != NULL || error_set(error, "out of memory");
}

struct jwks *jwks_load(const struct config *config, struct jwks *previous,
                       struct problems *problems)
{
    struct jwks *jwks = new_jwks(config->jwt_count);
    unsigned before = problems->count;
    struct error error;

    if (jwks == NULL) {
        problems_add(problems, config->path, "out of memory");
        return NULL;
    }
    for (size_t i = 0; i < config->jwt_count; i++)
        load_issuer(jwks, config, i, previous, problems);
    if (problems->count == before && !prepare_fetching(jwks, &error))
        problems_add(problems, config->path, "%s", error.text);
    if (problems->count == before)
        return jwks;
    destroy(jwks);
    return NULL;
}

/* Beginning and end of the thread */

/* Signals are other threads' business; a broken connection must raise none. */
bool jwks_start(struct jwks *jwks, struct error *error)
{
    sigset_t all, before;
    pthread_t thread;
    int problem;

    if (!jwks->has_urls)
        return true;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    jwks->references++;
    problem = pthread_create(&thread, NULL, run, jwks);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (problem != 0) {
        jwks->references--;
        return error_set_errno(error, problem,
                               "cannot start the thread that fetches "
                               "issuers' keys");
    }
    jwks->has_thread = true;
    (void)pthread_detach(thread); /* it ends by itself, when its owner has gone perhaps */
    return true;
}

static void wait_for_end(struct jwks *jwks, int64_t wait_ms)
{
    int64_t until_ms = clock_monotonic_ms() + wait_ms;
    struct timespec patience = {.tv_sec = until_ms / 1000,
                                .tv_nsec = until_ms % 1000 * 1000000};
    int result = 0;

    (void)pthread_mutex_lock(&jwks->lock);
    while (!jwks->has_ended && result == 0)
        result = pthread_cond_timedwait(&jwks->ended, &jwks->lock, &patience);
    (void)pthread_mutex_unlock(&jwks->lock);
}

void jwks_stop(struct jwks *jwks, int64_t wait_ms)
{
    if (jwks == NULL || !jwks->has_thread)
        return;
    if (!atomic_exchange(&jwks->is_stopping, true))
        (void)curl_multi_wakeup(jwks->multi);
    if (wait_ms > 0)
        wait_for_end(jwks, wait_ms);
}

void jwks_free(struct jwks *jwks)
{
    if (jwks == NULL)
        return;
    jwks_stop(jwks, 0);
    unref(jwks);
}
