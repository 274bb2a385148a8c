/*
 * One key set on its way here: a GET with libcurl, held to what a key set may be. TLS is
 * verified, a redirect is not followed, no proxy or cookie or file of the user's counts,
 * and neither the size nor the time is the server's to choose.
 */
#ifndef PSGATE_ACCESS_JWKS_FETCH_H
#define PSGATE_ACCESS_JWKS_FETCH_H

#include <stdbool.h>
#include <stddef.h>

#include <curl/curl.h>

#include "base/error.h"
#include "base/span.h"
#include "base/text.h"

enum {
    JWKS_FETCH_CONNECT_MS = 5000,
    JWKS_FETCH_WHOLE_MS = 10000,
    JWKS_FETCH_MOST_HEAD_BYTES = 64 * 1024,
};

struct jwks_fetch {
    CURL *easy; /* non-NULL iff under way */
    struct text body;
    size_t head_bytes;
    bool is_too_large;
    char fault[CURL_ERROR_SIZE];
};

/*
 * Begins: the handle is the multi's until jwks_fetch_end. authorities are the PEM
 * certificates that are trusted, borrowed until then; empty: the system's. fetch must not
 * move, and is found again as the handle's CURLOPT_PRIVATE.
 */
bool jwks_fetch_begin(struct jwks_fetch *fetch, CURLM *multi, const char *url,
                      struct span authorities, struct error *error) MUST_CHECK;

/*
 * Judges what a fetch came to, once the multi says that it is done: its answer is then in
 * body, until jwks_fetch_end.
 */
bool jwks_fetch_judge(struct jwks_fetch *fetch, CURLcode code,
                      struct error *error) MUST_CHECK;

/* Takes the handle back, whether done or not, and forgets the answer. */
void jwks_fetch_end(struct jwks_fetch *fetch, CURLM *multi);

#endif
