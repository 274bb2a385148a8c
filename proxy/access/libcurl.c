#include "access/libcurl.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stddef.h>
#include <string.h>

#define CALL(name)                                                                       \
    {                                                                                    \
        "curl_" #name, offsetof(struct libcurl, name)                                    \
    }

struct libcurl libcurl;

static const struct call {
    const char *symbol;
    size_t offset;
} calls[] = {
    CALL(global_init),     CALL(easy_init),        CALL(easy_setopt),
    CALL(easy_getinfo),    CALL(easy_strerror),    CALL(easy_cleanup),
    CALL(multi_init),      CALL(multi_add_handle), CALL(multi_remove_handle),
    CALL(multi_perform),   CALL(multi_poll),       CALL(multi_wakeup),
    CALL(multi_info_read), CALL(multi_cleanup),
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct error fault; /* why it is not there; empty: it is */
static bool is_loaded;

/* A pointer to a function is copied, as POSIX has it for dlsym: C knows no such cast. */
static bool find_calls(void *library)
{
    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
        void *symbol = dlsym(library, calls[i].symbol);

        if (symbol == NULL)
            return error_set(&fault, "libcurl.so.4 has no %s: it is older than 7.88",
                             calls[i].symbol);
        memcpy((char *)&libcurl + calls[i].offset, &symbol, sizeof(symbol));
    }
    return true;
}

static void load(void)
{
    void *library = dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL);
    CURLcode code;

    if (library == NULL) {
        (void)error_set(&fault,
                        "cannot load libcurl, which fetches issuers' keys (Debian's "
                        "package libcurl4 has it): %s",
                        dlerror());
        return;
    }
    if (!find_calls(library))
        return;
    code = libcurl.global_init(CURL_GLOBAL_DEFAULT);
    is_loaded = code == CURLE_OK || error_set(&fault, "cannot set up libcurl: %s",
                                              libcurl.easy_strerror(code));
}

bool libcurl_load(struct error *error)
{
    (void)pthread_once(&once, load);
    return is_loaded || error_set(error, "%s", fault.text);
}
