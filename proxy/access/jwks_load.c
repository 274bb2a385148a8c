#include "access/jwks_internal.h"

#include <stdlib.h>

#include <openssl/err.h>
#include <openssl/pem.h>

#include "access/libcurl.h"
#include "base/clock.h"
#include "base/file.h"

static void report(const struct config *config, size_t index, const char *key,
                   const char *what, struct problems *problems)
{
    const struct place root = {0};
    const struct place jwt = {.parent = &root, .key = "jwt"};
    const struct place element = {.parent = &jwt, .index = index};
    const struct place member = {.parent = &element, .key = key};

    config_problem(config, problems, &member, "%s", what);
}

struct jwk_set *jwks_read_file(const char *path, struct error *error)
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
                        struct jwt_issuer *issuer, struct jwks_source *source)
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
    else
        source->path = arena_copy(arena, span_of(from->jwks_file));
    return is_whole && issuer->name != NULL &&
           (source->url != NULL || source->path != NULL);
}

/* Keys that were fetched already for the same issuer in the same way; or NULL. */
static struct jwk_set *find_fetched(struct jwks *previous,
                                    const struct jwks_source *wanted)
{
    struct jwks_issuers *issuers;
    struct jwk_set *keys = NULL;

    if (previous == NULL)
        return NULL;
    issuers = jwks_take_issuers(previous);
    for (size_t i = 0; i < previous->count; i++) {
        const struct jwks_source *source = &previous->sources[i];

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
    struct jwks_source *source = &jwks->sources[index];
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
        issuer->keys = find_fetched(previous, source);
        return;
    }
    source->begun_ms = clock_monotonic_ms();
    source->next_ms = source->begun_ms + source->refresh_ms;
    source->has_begun = true;
    issuer->keys = jwks_read_file(source->path, &error);
    if (issuer->keys == NULL)
        report(config, index, "jwks_file", error.text, problems);
}

static bool prepare_fetching(struct jwks *jwks, struct error *error)
{
    if (!libcurl_load(error))
        return false;
    jwks->multi = libcurl.multi_init();
    return jwks->multi != NULL || error_set(error, "out of memory");
}

struct jwks *jwks_load(const struct config *config, struct jwks *previous,
                       struct problems *problems)
{
    struct jwks *jwks = jwks_new(config->jwt_count);
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
    jwks_unref(jwks, false);
    return NULL;
}
