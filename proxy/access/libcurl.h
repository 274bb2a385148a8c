/*
 * libcurl, loaded when the first issuer of JWTs is configured and not before: it brings
 * some 40 libraries along, which most gateways never need.
 */
#ifndef PSGATE_ACCESS_LIBCURL_H
#define PSGATE_ACCESS_LIBCURL_H

#include <stdbool.h>

#include <curl/curl.h>

#include "base/error.h"

/* Its calls by their own names, without the curl_. */
struct libcurl {
    CURLcode (*global_init)(long flags);
    CURL *(*easy_init)(void);
    CURLcode (*easy_setopt)(CURL *easy, CURLoption option, ...);
    CURLcode (*easy_getinfo)(CURL *easy, CURLINFO what, ...);
    const char *(*easy_strerror)(CURLcode code);
    void (*easy_cleanup)(CURL *easy);
    CURLM *(*multi_init)(void);
    CURLMcode (*multi_add_handle)(CURLM *multi, CURL *easy);
    CURLMcode (*multi_remove_handle)(CURLM *multi, CURL *easy);
    CURLMcode (*multi_perform)(CURLM *multi, int *running);
    CURLMcode (*multi_poll)(CURLM *multi, struct curl_waitfd *also, unsigned count,
                            int wait_ms, int *ready);
    CURLMcode (*multi_wakeup)(CURLM *multi);
    CURLMsg *(*multi_info_read)(CURLM *multi, int *left);
    CURLMcode (*multi_cleanup)(CURLM *multi);
};

/* Only after libcurl_load. Written there, and never again. */
extern struct libcurl libcurl;

/*
 * Loads and sets up the library; it stays until the process ends. May be called again,
 * and says the same again.
 */
bool libcurl_load(struct error *error) MUST_CHECK;

#endif
