/* Issuers' keys: loaded from files, taken over at a reload, fetched and read again. */
#include "access/jwks_internal.h"

#include <unistd.h>

#include "access/key_server.h"
#include "access/libcurl.h"
#include "access/signing.h"
#include "base/clock.h"
#include "support/folder.h"
#include "support/lines.h"

#define A "https://a.test"
#define B "https://b.test"

static struct folder folder;
static struct key_server server;
static struct text one, two; /* key sets of one key, "one" and "two" */
static const char *one_path;
static const char *const audience[] = {"psgate"};

/*
 * The clock of the thread stands still, but for being put forward. It is ahead of the
 * real one, by which the end of the thread is waited for.
 */

enum { AHEAD_MS = 3600000 };

static _Atomic int64_t now_ms;

int64_t __real_clock_monotonic_ms(void);
int64_t __wrap_clock_monotonic_ms(void);

int64_t __wrap_clock_monotonic_ms(void)
{
    return atomic_load(&now_ms);
}

static void put_forward(struct jwks *jwks, int64_t ms)
{
    atomic_fetch_add(&now_ms, ms);
    (void)libcurl.multi_wakeup(jwks->multi);
}

static void make_set(struct text *text, const char *kid)
{
    EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");

    text_clear(text);
    text_add(text, SPAN("{\"keys\":["));
    add_jwk(text, key, kid, "");
    text_add(text, SPAN("]}"));
    EVP_PKEY_free(key);
}

static struct span whole(const struct text *text)
{
    return span_make(text->bytes, text->len);
}

static void set_up(void)
{
    atomic_store(&now_ms, __real_clock_monotonic_ms() + AHEAD_MS);
    folder_make(&folder);
    make_set(&one, "one");
    make_set(&two, "two");
    one_path = folder_write(&folder, "one.json", whole(&one), 0644);
    key_server_start(&server);
    key_server_say(&server, "200 OK", whole(&one));
}

static void tear_down(void)
{
    key_server_stop(&server);
    text_fini(&one);
    text_fini(&two);
    folder_remove(&folder);
}

static struct config_jwt of_file(const char *issuer, const char *path)
{
    return (struct config_jwt){.issuer = issuer,
                               .audience = audience,
                               .audience_count = 1,
                               .jwks_file = path,
                               .refresh_ms = 3600000};
}

static struct config_jwt of_url(const char *issuer, const char *url)
{
    struct config_jwt jwt = of_file(issuer, NULL);

    jwt.jwks_url = url;
    return jwt;
}

static struct jwks *load(const struct config_jwt *issuers, size_t count,
                         struct jwks *previous, struct problems *problems)
{
    const struct config config = {.path = "a.json", .jwt = issuers, .jwt_count = count};

    return jwks_load(&config, previous, problems);
}

static struct jwks *must_load(const struct config_jwt *issuers, size_t count,
                              struct jwks *previous)
{
    struct problems problems = {0};
    struct jwks *jwks = load(issuers, count, previous, &problems);

    ck_assert_msg(jwks != NULL, "%s", problems.lines.bytes);
    return jwks;
}

static struct jwks *must_start(const struct config_jwt *issuers, size_t count)
{
    struct jwks *jwks = must_load(issuers, count, NULL);
    struct error error;

    ck_assert_msg(jwks_start(jwks, &error), "%s", error.text);
    return jwks;
}

/* Ends the thread for good, so that nothing of it is left when the test is over. */
static void end(struct jwks *jwks)
{
    jwks_stop(jwks, 20000);
    ck_assert(!jwks->has_thread);
    jwks_free(jwks);
}

/* Whether the issuer has just one key, of that kid. NULL: has none. */
static bool has(struct jwks *jwks, size_t index, const char *kid)
{
    struct jwks_issuers *issuers = jwks_take_issuers(jwks);
    const struct jwk_set *keys = issuers->issuers[index].keys;
    bool is_so = kid == NULL ? keys == NULL
                             : keys != NULL && keys->count == 1 &&
                                   strcmp(keys->keys[0].kid, kid) == 0;

    jwks_return_issuers(issuers);
    return is_so;
}

static void await(struct jwks *jwks, size_t index, const char *kid)
{
    for (unsigned i = 0; i < 20000 && !has(jwks, index, kid); i++)
        (void)usleep(1000);
    ck_assert(has(jwks, index, kid));
}

/* Gives the thread time to do what it must not do; nothing waits for this. */
static void linger(void)
{
    (void)usleep(50000);
}

/* Loading */

START_TEST(a_file_is_there_when_it_is_loaded)
{
    const char *other = folder_write(&folder, "two.json", whole(&two), 0644);
    const struct config_jwt issuers[] = {of_file(A, one_path), of_file(B, other)};
    struct jwks *jwks = must_load(issuers, 2, NULL);
    struct jwks_issuers *list = jwks_take_issuers(jwks);

    ck_assert_uint_eq(list->count, 2);
    ck_assert_str_eq(list->issuers[0].name, A);
    ck_assert_str_eq(list->issuers[1].name, B);
    ck_assert_uint_eq(list->issuers[0].audience_count, 1);
    ck_assert_str_eq(list->issuers[0].audience[0], "psgate");
    jwks_return_issuers(list);
    ck_assert(has(jwks, 0, "one"));
    ck_assert(has(jwks, 1, "two"));
    end(jwks);
}
END_TEST

static const struct {
    const char *content, *word;
} bad_files[] = {
    {NULL, "No such file"},
    {"", "JSON"},
    {"<html>", "JSON"},
    {"[]", "JSON"},
    {"{}", "keys"},
    {"{\"keys\":[]}", "empty"},
    {"{\"keys\":[{\"kty\":\"oct\",\"k\":\"AAAA\"}]}", "private or symmetric"},
};

START_TEST(a_file_without_a_key_of_use_is_a_problem)
{
    const char *path =
        bad_files[_i].content != NULL
            ? folder_write(&folder, "bad", span_of(bad_files[_i].content), 0644)
            : folder_entry(&folder, "missing");
    const struct config_jwt issuers[] = {of_file(A, path), of_file(B, one_path)};
    struct problems problems = {0};

    ck_assert_ptr_null(load(issuers, 2, NULL, &problems));
    ck_assert_uint_eq(problems.count, 1);
    ck_assert_ptr_nonnull(strstr(problems.lines.bytes, "jwt[0].jwks_file: "));
    ck_assert_msg(strstr(problems.lines.bytes, bad_files[_i].word) != NULL, "%s",
                  problems.lines.bytes);
    ck_assert_ptr_nonnull(strstr(problems.lines.bytes, path));
    problems_fini(&problems);
}
END_TEST

START_TEST(authorities_without_a_certificate_are_a_problem)
{
    struct config_jwt issuers[] = {of_url(A, "https://127.0.0.1:1/"),
                                   of_url(B, "https://127.0.0.1:1/")};
    struct problems problems = {0};

    issuers[0].ca_file = one_path;
    issuers[1].ca_file = folder_entry(&folder, "missing");
    ck_assert_ptr_null(load(issuers, 2, NULL, &problems));
    ck_assert_uint_eq(problems.count, 2);
    ck_assert_ptr_nonnull(strstr(problems.lines.bytes, "jwt[0].ca_file: "));
    ck_assert_ptr_nonnull(strstr(problems.lines.bytes, "no certificate"));
    ck_assert_ptr_nonnull(strstr(problems.lines.bytes, "jwt[1].ca_file: "));
    problems_fini(&problems);
}
END_TEST

/* Fetching */

START_TEST(a_url_is_fetched_once_the_thread_runs)
{
    const struct config_jwt issuers[] = {of_file(B, one_path), of_url(A, server.url)};
    struct jwks *jwks = must_load(issuers, 2, NULL);
    struct error error;

    linger();
    ck_assert(has(jwks, 1, NULL));
    ck_assert_uint_eq(atomic_load(&server.requests), 0);
    ck_assert(jwks_start(jwks, &error));
    await(jwks, 1, "one");
    ck_assert(has(jwks, 0, "one"));
    ck_assert_uint_eq(atomic_load(&server.requests), 1);
    end(jwks);
}
END_TEST

START_TEST(a_url_is_fetched_again_every_refresh)
{
    const struct config_jwt issuers[] = {of_url(A, server.url)};
    struct jwks *jwks = must_start(issuers, 1);

    await(jwks, 0, "one");
    key_server_say(&server, "200 OK", whole(&two));
    put_forward(jwks, 3500000);
    linger();
    ck_assert_uint_eq(atomic_load(&server.requests), 1);
    put_forward(jwks, 100000);
    await(jwks, 0, "two");
    ck_assert_uint_eq(atomic_load(&server.requests), 2);
    end(jwks);
}
END_TEST

START_TEST(however_often_keys_are_wanted_they_are_fetched_once_in_ten_seconds)
{
    const struct config_jwt issuers[] = {of_url(A, server.url)};
    struct jwks *jwks = must_start(issuers, 1);

    await(jwks, 0, "one");
    key_server_say(&server, "200 OK", whole(&two));
    for (unsigned i = 0; i < 1000; i++)
        jwks_want(jwks, 0);
    linger();
    ck_assert_uint_eq(atomic_load(&server.requests), 1);
    put_forward(jwks, JWKS_WANT_MS);
    await(jwks, 0, "two");
    for (unsigned i = 0; i < 1000; i++)
        jwks_want(jwks, 0);
    linger();
    ck_assert_uint_eq(atomic_load(&server.requests), 2);
    end(jwks);
}
END_TEST

START_TEST(what_nobody_wants_is_not_fetched_before_its_time)
{
    const struct config_jwt issuers[] = {of_url(A, server.url)};
    struct jwks *jwks = must_start(issuers, 1);

    await(jwks, 0, "one");
    put_forward(jwks, 3 * JWKS_WANT_MS);
    linger();
    ck_assert_uint_eq(atomic_load(&server.requests), 1);
    jwks_want(jwks, 0); /* long after the last: at once */
    key_server_await(&server, 2);
    end(jwks);
}
END_TEST

static const struct {
    const char *status, *body; /* NULL: good keys */
} lies[] = {
    {"500 Internal Server Error", NULL},
    {"302 Found\r\nLocation: http://127.0.0.1:1/", NULL},
    {"203 Non-Authoritative Information", NULL},
    {"204 No Content", ""},
    {"404 Not Found", "not here"},
    {"200 OK", ""},
    {"200 OK", "<!DOCTYPE html><html></html>"},
    {"200 OK", "{\"keys\":[]}"},
    {"200 OK", "{\"keys\":[{\"kty\":\"oct\",\"k\":\"AAAA\",\"alg\":\"HS256\"}]}"},
    {"200 OK\r\nContent-Length: 99", "{"},
};

/* Puts the clock forward, little by little, until that many requests came; by how much.
 */
static int64_t forward_until(struct jwks *jwks, unsigned requests)
{
    enum { STEP_MS = 100, MOST_STEPS = 10000 };
    int64_t forward_ms = 0;

    while (atomic_load(&server.requests) < requests &&
           forward_ms < (int64_t)MOST_STEPS * STEP_MS) {
        put_forward(jwks, STEP_MS);
        forward_ms += STEP_MS;
        (void)usleep(2000);
    }
    ck_assert_uint_eq(atomic_load(&server.requests), requests);
    return forward_ms;
}

START_TEST(a_failed_fetch_leaves_the_keys_and_is_repeated_ever_more_slowly)
{
    const struct config_jwt issuers[] = {of_url(A, server.url)};
    struct jwks *jwks = must_start(issuers, 1);
    unsigned requests = 2;

    await(jwks, 0, "one");
    key_server_say(&server, lies[_i].status,
                   lies[_i].body != NULL ? span_of(lies[_i].body) : whole(&two));
    put_forward(jwks, 3600000);
    key_server_await(&server, requests);
    for (int64_t pause_ms = JWKS_RETRY_MS; pause_ms <= 4000; pause_ms *= 2) {
        ck_assert_int_ge(forward_until(jwks, ++requests), pause_ms);
        ck_assert(has(jwks, 0, "one"));
    }
    key_server_say(&server, "200 OK", whole(&two));
    (void)forward_until(jwks, requests + 1);
    await(jwks, 0, "two");
    end(jwks);
}
END_TEST

START_TEST(a_set_of_exactly_the_most_bytes_is_taken_and_one_more_is_not)
{
    const struct config_jwt issuers[] = {of_url(A, server.url)};
    struct jwks *jwks = must_start(issuers, 1);
    struct text padded = {0};

    await(jwks, 0, "one");
    text_add(&padded, whole(&two));
    while (padded.len < JWK_MOST_TEXT_BYTES)
        text_add_byte(&padded, ' ');
    key_server_say(&server, "200 OK", whole(&padded));
    put_forward(jwks, 3600000);
    await(jwks, 0, "two");
    text_clear(&padded);
    text_add(&padded, whole(&one));
    while (padded.len < JWK_MOST_TEXT_BYTES + 1)
        text_add_byte(&padded, ' ');
    key_server_say(&server, "200 OK", whole(&padded));
    put_forward(jwks, 3600000);
    key_server_await(&server, 3);
    linger();
    ck_assert(has(jwks, 0, "two"));
    text_fini(&padded);
    end(jwks);
}
END_TEST

/* Files, while the thread runs */

START_TEST(a_file_that_has_changed_is_read_when_it_is_wanted)
{
    const struct config_jwt issuers[] = {of_file(A, one_path)};
    struct jwks *jwks = must_start(issuers, 1);

    (void)folder_write(&folder, "one.json", whole(&two), 0644);
    jwks_want(jwks, 0);
    linger();
    ck_assert(has(jwks, 0, "one")); /* it was read less than ten seconds ago */
    put_forward(jwks, JWKS_WANT_MS);
    await(jwks, 0, "two");
    (void)folder_write(&folder, "one.json", SPAN("{\"keys\":"), 0644);
    put_forward(jwks, 3600000);
    linger();
    ck_assert(has(jwks, 0, "two"));
    (void)folder_write(&folder, "one.json", whole(&one), 0644);
    put_forward(jwks, JWKS_MOST_RETRY_MS);
    await(jwks, 0, "one");
    end(jwks);
}
END_TEST

/* Reloading */

START_TEST(a_reload_takes_over_what_was_fetched_in_the_same_way)
{
    const struct config_jwt before[] = {of_url(A, server.url)};
    const struct config_jwt after[] = {of_file(B, one_path), of_url(A, server.url)};
    struct jwks *old = must_start(before, 1), *fresh;

    await(old, 0, "one");
    fresh = must_load(after, 2, old);
    end(old);
    ck_assert(has(fresh, 1, "one"));
    end(fresh);
}
END_TEST

START_TEST(a_reload_takes_nothing_over_from_another_issuer_or_address)
{
    const struct config_jwt before[] = {of_url(A, server.url)};
    const struct config_jwt after[] = {of_url(B, server.url),
                                       of_url(A, "http://127.0.0.1:1/keys")};
    struct jwks *old = must_start(before, 1), *fresh;

    await(old, 0, "one");
    fresh = must_load(after, 2, old);
    ck_assert(has(fresh, 0, NULL));
    ck_assert(has(fresh, 1, NULL));
    end(old);
    end(fresh);
}
END_TEST

START_TEST(a_file_is_never_taken_over)
{
    const struct config_jwt issuers[] = {of_file(A, one_path)};
    struct jwks *old = must_load(issuers, 1, NULL), *fresh;

    (void)folder_write(&folder, "one.json", whole(&two), 0644);
    fresh = must_load(issuers, 1, old);
    ck_assert(has(old, 0, "one"));
    ck_assert(has(fresh, 0, "two"));
    end(old);
    end(fresh);
}
END_TEST

/* The end */

START_TEST(a_server_that_says_nothing_does_not_hold_up_the_end)
{
    const struct config_jwt issuers[] = {of_url(A, server.url)};
    struct jwks *jwks;
    int64_t begun_ms;

    key_server_keep_silent(&server);
    jwks = must_start(issuers, 1);
    key_server_await(&server, 1);
    begun_ms = __real_clock_monotonic_ms();
    jwks_stop(jwks, 9000);
    ck_assert(!jwks->has_thread);
    ck_assert_int_lt(__real_clock_monotonic_ms() - begun_ms, JWKS_FETCH_WHOLE_MS - 1000);
    jwks_stop(jwks, 0);
    jwks_want(jwks, 0); /* too late, and harmless */
    ck_assert(has(jwks, 0, NULL));
    jwks_free(jwks);
}
END_TEST

START_TEST(nothing_is_fetched_after_a_stop)
{
    const struct config_jwt issuers[] = {of_url(A, server.url)};
    struct jwks *jwks = must_start(issuers, 1);

    await(jwks, 0, "one");
    jwks_stop(jwks, 20000);
    jwks_want(jwks, 0);
    put_forward(jwks, 3600000);
    linger();
    ck_assert_uint_eq(atomic_load(&server.requests), 1);
    ck_assert(has(jwks, 0, "one")); /* for those who still have it */
    jwks_free(jwks);
    jwks_free(NULL);
    jwks_stop(NULL, 1);
}
END_TEST

START_TEST(a_list_outlives_its_replacement)
{
    const struct config_jwt issuers[] = {of_file(A, one_path)};
    struct jwks *jwks = must_start(issuers, 1);
    struct jwks_issuers *before = jwks_take_issuers(jwks);

    (void)folder_write(&folder, "one.json", whole(&two), 0644);
    put_forward(jwks, 3600000);
    await(jwks, 0, "two");
    ck_assert_str_eq(before->issuers[0].keys->keys[0].kid, "one");
    jwks_return_issuers(before);
    end(jwks);
}
END_TEST

/* What it has seen without keys. */
static void *read_all_the_time(void *arg)
{
    struct jwks *jwks = arg, *without = NULL;

    while (!atomic_load(&jwks->is_stopping)) {
        if (has(jwks, 0, NULL))
            without = jwks;
        jwks_want(jwks, 0);
    }
    return without;
}

START_TEST(readers_always_have_keys_while_these_are_replaced)
{
    const struct config_jwt issuers[] = {of_file(A, one_path)};
    struct jwks *jwks = must_start(issuers, 1);
    pthread_t readers[3];

    for (unsigned i = 0; i < 3; i++)
        ck_assert_int_eq(pthread_create(&readers[i], NULL, read_all_the_time, jwks), 0);
    for (unsigned i = 0; i < 100; i++) {
        (void)folder_write(&folder, "one.json", whole(i % 2 == 0 ? &two : &one), 0644);
        put_forward(jwks, 3600000);
        (void)usleep(500);
    }
    jwks_stop(jwks, 20000);
    for (unsigned i = 0; i < 3; i++) {
        void *without;

        ck_assert_int_eq(pthread_join(readers[i], &without), 0);
        ck_assert_ptr_null(without);
    }
    end(jwks);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("access/jwks");
    TCase *tcase = suite_case(suite, "loading");

    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, a_file_is_there_when_it_is_loaded);
    tcase_add_loop_test(tcase, a_file_without_a_key_of_use_is_a_problem, 0,
                        ROWS(bad_files));
    tcase_add_test(tcase, authorities_without_a_certificate_are_a_problem);

    tcase = suite_case(suite, "renewing");
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, a_url_is_fetched_once_the_thread_runs);
    tcase_add_test(tcase, a_url_is_fetched_again_every_refresh);
    tcase_add_test(tcase,
                   however_often_keys_are_wanted_they_are_fetched_once_in_ten_seconds);
    tcase_add_test(tcase, what_nobody_wants_is_not_fetched_before_its_time);
    tcase_add_loop_test(tcase,
                        a_failed_fetch_leaves_the_keys_and_is_repeated_ever_more_slowly,
                        0, ROWS(lies));
    tcase_add_test(tcase, a_set_of_exactly_the_most_bytes_is_taken_and_one_more_is_not);
    tcase_add_test(tcase, a_file_that_has_changed_is_read_when_it_is_wanted);

    tcase = suite_case(suite, "life");
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, a_reload_takes_over_what_was_fetched_in_the_same_way);
    tcase_add_test(tcase, a_reload_takes_nothing_over_from_another_issuer_or_address);
    tcase_add_test(tcase, a_file_is_never_taken_over);
    tcase_add_test(tcase, a_server_that_says_nothing_does_not_hold_up_the_end);
    tcase_add_test(tcase, nothing_is_fetched_after_a_stop);
    tcase_add_test(tcase, a_list_outlives_its_replacement);
    tcase_add_test(tcase, readers_always_have_keys_while_these_are_replaced);
    return run_suite_in_folder(suite);
}
