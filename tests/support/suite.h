/*
 * What every suite needs: a case with room to breathe, a runner, and bytes in heap blocks
 * of exactly their size, so that a sanitizer sees the first byte that is read too far.
 *
 * Suites also run with CK_FORK=no: tests leave nothing behind in the process.
 */
#ifndef PSGATE_TESTS_SUPPORT_SUITE_H
#define PSGATE_TESTS_SUPPORT_SUITE_H

#include <check.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/span.h"

/* The rows of a table, as tcase_add_loop_test() wants them. */
#define ROWS(table) ((int)(sizeof(table) / sizeof((table)[0])))

/* Adds a case; its time limit only ends what hangs. */
static inline TCase *suite_case(Suite *suite, const char *name)
{
    TCase *tcase = tcase_create(name);

    tcase_set_timeout(tcase, 100);
    suite_add_tcase(suite, tcase);
    return tcase;
}

/* Runs the suite as the CK_ variables say, prints failures; main()'s exit status. */
static inline int run_suite(Suite *suite)
{
    SRunner *runner = srunner_create(suite);
    int failed;

    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* The bytes in a block of exactly their size; the caller frees it. */
static inline char *exact_copy(struct span bytes)
{
    char *copy = malloc(bytes.len);

    ck_assert(copy != NULL || bytes.len == 0);
    if (bytes.len > 0)
        memcpy(copy, bytes.at, bytes.len);
    return copy;
}

static inline struct span exact_span(struct span bytes)
{
    return span_make(exact_copy(bytes), bytes.len);
}

/*
 * A message that arrives little by little. Each step moves all that has arrived to a
 * fresh block of exactly its size and frees the one before: whoever kept a pointer into
 * it, or looks one byte ahead, is caught.
 */
struct feed {
    struct span whole;   /* borrowed */
    struct span arrived; /* in a block of its own */
};

static inline struct span feed_step(struct feed *feed, size_t more)
{
    char *before = (char *)(uintptr_t)feed->arrived.at;
    size_t left = feed->whole.len - feed->arrived.len;
    size_t len = feed->arrived.len + (more < left ? more : left);

    feed->arrived = exact_span(span_make(feed->whole.at, len));
    free(before);
    return feed->arrived;
}

static inline void feed_end(struct feed *feed)
{
    free((char *)(uintptr_t)feed->arrived.at);
    feed->arrived = (struct span){0};
}

/* Bytes made readable for a failure's message; good until the next call. */
static inline const char *shown(struct span bytes)
{
    static char buffer[1024];
    size_t used = 0;

    for (size_t i = 0; i < bytes.len && used < sizeof(buffer) - 8; i++) {
        unsigned char byte = (unsigned char)bytes.at[i];

        if (byte >= 0x20 && byte < 0x7f)
            buffer[used++] = bytes.at[i];
        else
            used += (size_t)snprintf(buffer + used, 8, "\\x%02x", byte);
    }
    buffer[used] = '\0';
    return buffer;
}

static inline void assert_span_is(struct span got, struct span wanted, const char *what)
{
    char expected[1024];

    (void)snprintf(expected, sizeof(expected), "%s", shown(wanted));
    ck_assert_msg(span_equal(got, wanted), "%s is '%s', not '%s'", what, shown(got),
                  expected);
}

#endif
