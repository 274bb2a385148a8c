#include "access/jwks_fetch.h"

#include "access/jwk.h"
#include "access/libcurl.h"

static size_t on_body(char *bytes, size_t size, size_t count, void *arg)
{
    struct jwks_fetch *fetch = arg;
    size_t len = size * count;

    fetch->is_too_large |= len > JWK_MOST_TEXT_BYTES - fetch->body.len;
    if (fetch->is_too_large)
        return 0;
    text_add(&fetch->body, span_make(bytes, len));
    return fetch->body.failed ? 0 : len;
}

/* A head is dropped, but not taken without end. */
static size_t on_head(char *bytes, size_t size, size_t count, void *arg)
{
    struct jwks_fetch *fetch = arg;
    size_t len = size * count;

    (void)bytes;
    fetch->head_bytes += len;
    fetch->is_too_large |= fetch->head_bytes > JWKS_FETCH_MOST_HEAD_BYTES;
    return fetch->is_too_large ? 0 : len;
}

static bool set_number(CURL *easy, CURLoption option, long value)
{
    return libcurl.easy_setopt(easy, option, value) == CURLE_OK;
}

static bool set_text(CURL *easy, CURLoption option, const char *value)
{
    return libcurl.easy_setopt(easy, option, value) == CURLE_OK;
}

/* Whom to trust: only these authorities, or the system's. */
static bool set_trust(CURL *easy, struct span authorities)
{
    struct curl_blob blob = {.data = (char *)(uintptr_t)authorities.at,
                             .len = authorities.len,
                             .flags = CURL_BLOB_NOCOPY};

    if (!set_number(easy, CURLOPT_SSL_VERIFYPEER, 1) ||
        !set_number(easy, CURLOPT_SSL_VERIFYHOST, 2) ||
        !set_number(easy, CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2))
        return false;
    return authorities.len == 0 ||
           (set_text(easy, CURLOPT_CAPATH, NULL) &&
            libcurl.easy_setopt(easy, CURLOPT_CAINFO_BLOB, &blob) == CURLE_OK);
}

static bool set_bounds(CURL *easy)
{
    return set_number(easy, CURLOPT_CONNECTTIMEOUT_MS, JWKS_FETCH_CONNECT_MS) &&
           set_number(easy, CURLOPT_TIMEOUT_MS, JWKS_FETCH_WHOLE_MS) &&
           set_number(easy, CURLOPT_MAXFILESIZE, JWK_MOST_TEXT_BYTES) &&
           set_number(easy, CURLOPT_FOLLOWLOCATION, 0) &&
           set_number(easy, CURLOPT_NOSIGNAL, 1) &&
           set_number(easy, CURLOPT_QUICK_EXIT, 1) &&
           set_number(easy, CURLOPT_FRESH_CONNECT, 1) &&
           set_number(easy, CURLOPT_FORBID_REUSE, 1) &&
           set_number(easy, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
}

/* Nothing of the environment: no proxy, no .netrc; and no scheme but the URL's own. */
static bool set_request(CURL *easy, const char *url)
{
    bool is_tls = span_starts_with(span_of(url), SPAN("https://"));

    return set_text(easy, CURLOPT_URL, url) && set_text(easy, CURLOPT_PROXY, "") &&
           set_text(easy, CURLOPT_PROTOCOLS_STR, is_tls ? "https" : "http") &&
           set_number(easy, CURLOPT_NETRC, CURL_NETRC_IGNORED) &&
           set_text(easy, CURLOPT_USERAGENT, "psgate/" PSGATE_VERSION);
}

static bool set_callbacks(CURL *easy, struct jwks_fetch *fetch)
{
    return libcurl.easy_setopt(easy, CURLOPT_PRIVATE, fetch) == CURLE_OK &&
           libcurl.easy_setopt(easy, CURLOPT_ERRORBUFFER, fetch->fault) == CURLE_OK &&
           libcurl.easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body) == CURLE_OK &&
           libcurl.easy_setopt(easy, CURLOPT_WRITEDATA, fetch) == CURLE_OK &&
           libcurl.easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_head) == CURLE_OK &&
           libcurl.easy_setopt(easy, CURLOPT_HEADERDATA, fetch) == CURLE_OK;
}

bool jwks_fetch_begin(struct jwks_fetch *fetch, CURLM *multi, const char *url,
                      struct span authorities, struct error *error)
{
    CURL *easy = libcurl.easy_init();

    *fetch = (struct jwks_fetch){.easy = easy};
    if (easy != NULL && set_callbacks(easy, fetch) && set_trust(easy, authorities) &&
        set_bounds(easy) && set_request(easy, url) &&
        libcurl.multi_add_handle(multi, easy) == CURLM_OK)
        return true;
    libcurl.easy_cleanup(easy);
    fetch->easy = NULL;
    return error_set(error, "libcurl cannot do what is asked of it (is it the one that "
                            "psgate was built for, and is memory out?)");
}

bool jwks_fetch_judge(struct jwks_fetch *fetch, CURLcode code, struct error *error)
{
    long status = 0;

    if (fetch->is_too_large || code == CURLE_FILESIZE_EXCEEDED)
        return error_set(error, "the answer is larger than a key set may be (256 KiB)");
    if (code != CURLE_OK)
        return error_set(error, "%s",
                         fetch->fault[0] != '\0' ? fetch->fault
                                                 : libcurl.easy_strerror(code));
    (void)libcurl.easy_getinfo(fetch->easy, CURLINFO_RESPONSE_CODE, &status);
    if (status >= 300 && status < 400)
        return error_set(error,
                         "the answer is %ld, a redirect, which is not followed (put the "
                         "final address into jwks_url)",
                         status);
    return status == 200 || error_set(error, "the answer is %ld, not 200", status);
}

void jwks_fetch_end(struct jwks_fetch *fetch, CURLM *multi)
{
    if (fetch->easy == NULL)
        return;
    (void)libcurl.multi_remove_handle(multi, fetch->easy);
    libcurl.easy_cleanup(fetch->easy);
    text_fini(&fetch->body);
    fetch->easy = NULL;
}
