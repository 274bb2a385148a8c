#include <inttypes.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/secret.h"
#include "support/suite.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define LOCKING_IS_REAL false /* the sanitizers' mlock() does nothing */
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define LOCKING_IS_REAL false
#endif
#endif
#ifndef LOCKING_IS_REAL
#define LOCKING_IS_REAL true
#endif

static struct secret *must_make(size_t len)
{
    struct error error = {{0}};
    struct secret *secret = secret_new(len, &error);

    ck_assert_msg(secret != NULL, "%s", error.text);
    return secret;
}

static const size_t sizes[] = {1, 57, 4095, 4096, 4097, 20000};

START_TEST(a_new_secret_is_all_zero_and_writable)
{
    struct secret *secret = must_make(sizes[_i]);
    struct span span = secret_span(secret);

    ck_assert_uint_eq(span.len, sizes[_i]);
    ck_assert_ptr_eq(span.at, secret_bytes(secret));
    for (size_t i = 0; i < span.len; i++)
        ck_assert_int_eq(span.at[i], 0);
    memset(secret_bytes(secret), 'k', sizes[_i]);
    ck_assert_int_eq(secret_span(secret).at[sizes[_i] - 1], 'k');
    secret_free(secret);
}
END_TEST

START_TEST(freeing_no_secret_is_fine)
{
    secret_free(NULL);
}
END_TEST

START_TEST(truncating_cleanses_the_rest)
{
    struct secret *secret = must_make(10);
    char *bytes = secret_bytes(secret);

    memcpy(bytes, "0123456789", 10);
    secret_truncate(secret, 10);
    assert_span_is(secret_span(secret), SPAN("0123456789"), "the secret");
    secret_truncate(secret, 4);
    assert_span_is(secret_span(secret), SPAN("0123"), "the secret");
    assert_span_is(span_make(bytes, 10), SPAN("0123\0\0\0\0\0\0"), "the memory");
    secret_truncate(secret, 0);
    ck_assert_uint_eq(secret_span(secret).len, 0);
    ck_assert_int_eq(bytes[0], 0);
    secret_free(secret);
}
END_TEST

START_TEST(cleansed_bytes_are_zero_and_their_neighbours_are_not)
{
    char bytes[] = "abcdef";

    secret_cleanse(bytes + 1, 4);
    assert_span_is(span_make(bytes, 6), SPAN("a\0\0\0\0f"), "the memory");
    secret_cleanse(bytes, 0);
    ck_assert_int_eq(bytes[0], 'a');
}
END_TEST

/* Copies the VmFlags of the mapping that holds address (proc(5)); false: no such file. */
static bool read_flags(const void *address, char *flags, size_t capacity)
{
    FILE *maps = fopen("/proc/self/smaps", "re");
    char line[512];
    bool is_inside = false;

    flags[0] = '\0';
    while (maps != NULL && flags[0] == '\0' && fgets(line, sizeof(line), maps) != NULL) {
        char *end;
        uintmax_t from = strtoumax(line, &end, 16);

        if (*end == '-')
            is_inside = (uintptr_t)address >= from &&
                        (uintptr_t)address < strtoumax(end + 1, NULL, 16);
        else if (is_inside && strncmp(line, "VmFlags:", 8) == 0)
            (void)snprintf(flags, capacity, "%.*s ", (int)strcspn(line, "\n"), line);
    }
    if (maps != NULL)
        (void)fclose(maps);
    return flags[0] != '\0';
}

START_TEST(a_secret_is_locked_and_left_out_of_core_files_and_children)
{
    struct secret *secret = must_make(5000);
    char flags[512];

    if (read_flags(secret_bytes(secret) + 4999, flags, sizeof(flags))) {
        ck_assert_msg(strstr(flags, " dd ") != NULL, "dumped: %s", flags);
        ck_assert_msg(strstr(flags, " wf ") != NULL, "kept over fork(): %s", flags);
        ck_assert_msg(!LOCKING_IS_REAL || strstr(flags, " lo ") != NULL, "swapped: %s",
                      flags);
    }
    secret_free(secret);
}
END_TEST

/* The status with which a child ends that runs the function. */
static int status_of_child(bool (*is_right)(void *), void *argument)
{
    pid_t child = fork();
    int status;

    ck_assert_int_ge(child, 0);
    if (child == 0)
        _exit(is_right(argument) ? 0 : 1);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    return status;
}

static bool is_empty(void *argument)
{
    struct span span = secret_span(argument);

    for (size_t i = 0; i < span.len; i++) {
        if (span.at[i] != 0)
            return false;
    }
    return true;
}

START_TEST(a_forked_child_has_no_secret)
{
    struct secret *secret = must_make(6);

    memcpy(secret_bytes(secret), "secret", 6);
    ck_assert_int_eq(status_of_child(is_empty, secret), 0);
    assert_span_is(secret_span(secret), SPAN("secret"), "the parent's secret");
    secret_free(secret);
}
END_TEST

static bool is_undumpable_once_protected(void *unused)
{
    struct error error;
    struct rlimit core;
    char filter[32] = "";
    FILE *file;

    (void)unused;
    if (!secret_protect_process(&error))
        return false;
    if (prctl(PR_GET_DUMPABLE) != 0 || getrlimit(RLIMIT_CORE, &core) != 0 ||
        core.rlim_cur != 0 || core.rlim_max != 0)
        return false;
    file = fopen("/proc/self/coredump_filter", "re");
    if (file == NULL)
        return true; /* undumpable processes may not read it, and not all have a /proc */
    if (fgets(filter, sizeof(filter), file) == NULL)
        filter[0] = '\0';
    (void)fclose(file);
    return strtoul(filter, NULL, 16) == 0;
}

START_TEST(a_protected_process_makes_no_core_file)
{
    ck_assert_int_eq(status_of_child(is_undumpable_once_protected, NULL), 0);
}
END_TEST

START_TEST(bytes_are_equal_only_when_all_are)
{
    unsigned char one[40], other[40];

    for (size_t len = 0; len <= sizeof(one); len++) {
        memset(one, 0x5a, sizeof(one));
        memset(other, 0x5a, sizeof(other));
        ck_assert(secret_equal(one, other, len));
        for (size_t bit = 0; bit < 8 * sizeof(one); bit++) {
            other[bit / 8] ^= (unsigned char)(1u << bit % 8);
            ck_assert_int_eq(secret_equal(one, other, len), bit / 8 >= len);
            other[bit / 8] = 0x5a;
        }
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("base/secret");
    TCase *memory = suite_case(suite, "memory");
    TCase *protection = suite_case(suite, "protection");

    tcase_add_loop_test(memory, a_new_secret_is_all_zero_and_writable, 0, ROWS(sizes));
    tcase_add_test(memory, freeing_no_secret_is_fine);
    tcase_add_test(memory, truncating_cleanses_the_rest);
    tcase_add_test(memory, bytes_are_equal_only_when_all_are);
    tcase_add_test(memory, cleansed_bytes_are_zero_and_their_neighbours_are_not);
    tcase_add_test(protection,
                   a_secret_is_locked_and_left_out_of_core_files_and_children);
    tcase_add_test(protection, a_forked_child_has_no_secret);
    tcase_add_test(protection, a_protected_process_makes_no_core_file);
    return run_suite(suite);
}
