#include "net/resolver.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>

#include "support/suite.h"

/* The system's resolver is ours here: it answers with the last byte that a test sets. */
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
static _Atomic unsigned last_byte; /* 0: it fails */
static _Atomic unsigned asked;

int getaddrinfo(const char *host, const char *port, const struct addrinfo *hints,
                struct addrinfo **answer)
{
    struct addrinfo *entry;
    struct sockaddr_in *address;

    (void)host;
    (void)port;
    if ((hints->ai_flags & AI_NUMERICHOST) != 0)
        return EAI_NONAME;
    (void)pthread_mutex_lock(&gate);
    (void)pthread_mutex_unlock(&gate);
    asked++;
    if (last_byte == 0)
        return EAI_AGAIN;
    entry = calloc(1, sizeof(*entry));
    address = calloc(1, sizeof(*address));
    address->sin_family = AF_INET;
    address->sin_addr.s_addr = htonl(0x7f000000 + last_byte);
    entry->ai_addr = (struct sockaddr *)address;
    entry->ai_addrlen = sizeof(*address);
    *answer = entry;
    return 0;
}

void freeaddrinfo(struct addrinfo *answer)
{
    free(answer->ai_addr);
    free(answer);
}

static unsigned threads; /* that were started */

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*run)(void *), void *arg);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*run)(void *), void *arg);

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*run)(void *), void *arg)
{
    threads++;
    return __real_pthread_create(thread, attributes, run, arg);
}

/* The last byte of the present answer; 0 when there is none. */
static unsigned present(struct resolver *resolver)
{
    struct error error;
    struct addresses *addresses = resolver_addresses(resolver, &error);
    const struct sockaddr_in *address;
    unsigned byte = 0;

    if (addresses != NULL) {
        address = (const struct sockaddr_in *)(const void *)&addresses->list[0].address;
        byte = ntohl(address->sin_addr.s_addr) & 0xff;
        addresses_unref(addresses);
    }
    return byte;
}

static void await_present(struct resolver *resolver, unsigned byte)
{
    while (present(resolver) != byte)
        (void)sched_yield(); /* the case's time limit ends what never comes */
}

START_TEST(a_name_is_resolved_off_the_callers_thread_and_again_and_again)
{
    struct error error;
    struct resolver *resolver;
    unsigned before;

    last_byte = 1;
    (void)pthread_mutex_lock(&gate); /* the look-up hangs */
    resolver = resolver_new("up.test", 443, 1000, &error);
    ck_assert_ptr_nonnull(resolver);
    resolver_start(resolver);
    ck_assert_uint_eq(present(resolver), 0);
    (void)pthread_mutex_unlock(&gate);
    await_present(resolver, 1);
    last_byte = 2;
    await_present(resolver, 2);
    last_byte = 0; /* the DNS is gone: the last good answer stays */
    before = asked;
    while (asked < before + 2)
        (void)sched_yield();
    ck_assert_uint_eq(present(resolver), 2);
    resolver_free(resolver);
}
END_TEST

START_TEST(nothing_is_asked_before_the_start_and_one_thread_asks)
{
    struct error error;
    struct resolver *resolver = resolver_new("up.test", 443, 1000, &error);

    ck_assert_ptr_nonnull(resolver);
    ck_assert_uint_eq(threads, 0);
    ck_assert_uint_eq(present(resolver), 0);
    resolver_start(resolver);
    resolver_start(resolver);
    ck_assert_uint_eq(threads, 1);
    resolver_free(resolver);
}
END_TEST

START_TEST(an_answer_of_no_use_is_asked_for_again_at_once_but_once_a_second_at_most)
{
    struct error error;
    struct resolver *resolver = resolver_new("up.test", 443, 3600 * 1000, &error);
    struct timespec begin, end;

    last_byte = 1;
    ck_assert_ptr_nonnull(resolver);
    resolver_start(resolver);
    await_present(resolver, 1);
    (void)clock_gettime(CLOCK_MONOTONIC, &begin);
    for (unsigned byte = 2; byte <= 4; byte++) {
        last_byte = byte;
        while (present(resolver) != byte) {
            resolver_ask_again(resolver);
            (void)sched_yield();
        }
    }
    (void)clock_gettime(CLOCK_MONOTONIC, &end);
    ck_assert_uint_le(asked, 5 + (unsigned)(end.tv_sec - begin.tv_sec));
    resolver_free(resolver);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("net/resolver");

    tcase_add_test(suite_case(suite, "names"),
                   a_name_is_resolved_off_the_callers_thread_and_again_and_again);
    tcase_add_test(suite_case(suite, "start"),
                   nothing_is_asked_before_the_start_and_one_thread_asks);
    tcase_add_test(
        suite_case(suite, "of no use"),
        an_answer_of_no_use_is_asked_for_again_at_once_but_once_a_second_at_most);
    return run_suite(suite);
}
