#include "confine/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "confine/sanitized.h"
#include "support/suite.h"

/* What is given up is gone for the process: each attempt has one of its own. */

/* Its status: what the attempt returned, or 128 and the signal that ended it. */
static int in_a_child(int (*attempt)(void))
{
    pid_t child = fork();
    int status;

    ck_assert_int_ge(child, 0);
    if (child == 0)
        _exit(attempt());
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

enum { FINE = 0, NOT_CONFINED = 77 };

static bool confine_the_calls(void)
{
    struct error error;

    return confine_capabilities(false, &error) && confine_calls(&error) == CONFINE_DONE;
}

/* Calls */

static int run_a_program(void)
{
    char name[] = "/bin/true";
    char *const argv[] = {name, NULL}, *const envp[] = {NULL};

    if (!confine_the_calls())
        return NOT_CONFINED;
    (void)execve(argv[0], argv, envp);
    return FINE;
}

static int trace(void)
{
    if (!confine_the_calls())
        return NOT_CONFINED;
    (void)ptrace(PTRACE_TRACEME, 0, NULL, NULL);
    return FINE;
}

static int load_a_module(void)
{
    if (!confine_the_calls())
        return NOT_CONFINED;
    (void)syscall(SYS_finit_module, -1, "", 0);
    return FINE;
}

static int become_somebody(void)
{
    if (!confine_the_calls())
        return NOT_CONFINED;
    return setresuid(1, 1, 1) == 0 ? FINE : 1;
}

static int fork_once_more(void)
{
    if (!confine_the_calls())
        return NOT_CONFINED;
    return fork() == -1 && errno == ENOSYS ? FINE : 1;
}

static int make_code(void)
{
    if (!confine_the_calls())
        return NOT_CONFINED;
    return mmap(NULL, 4096, PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
                   MAP_FAILED
               ? FINE
               : 1;
}

static int turn_data_into_code(void)
{
    void *page;

    if (!confine_the_calls())
        return NOT_CONFINED;
    page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return page != MAP_FAILED && mprotect(page, 4096, PROT_READ | PROT_EXEC) != 0 ? FINE
                                                                                  : 1;
}

static int use_a_call_nobody_needs(void)
{
    if (!confine_the_calls())
        return NOT_CONFINED;
    return syscall(SYS_sysfs, 3) == -1 && errno == ENOSYS ? FINE : 1;
}

static void *end(void *arg)
{
    return arg;
}

static int serve_as_ever(void)
{
    pthread_t thread;
    int pair[2];
    char byte = 'x';

    if (!confine_the_calls() || pthread_create(&thread, NULL, end, NULL) != 0 ||
        pthread_join(thread, NULL) != 0 ||
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
        return 1;
    return send(pair[0], &byte, 1, 0) == 1 && recv(pair[1], &byte, 1, 0) == 1 ? FINE : 1;
}

/* Which of them ends the process; a sanitizer's build needs the first two itself. */
START_TEST(starting_a_program_ends_the_process)
{
    if (!CONFINE_SANITIZED)
        ck_assert_int_eq(in_a_child(run_a_program), 128 + SIGSYS);
}
END_TEST

START_TEST(tracing_ends_the_process)
{
    if (!CONFINE_SANITIZED)
        ck_assert_int_eq(in_a_child(trace), 128 + SIGSYS);
}
END_TEST

START_TEST(loading_a_module_ends_the_process)
{
    ck_assert_int_eq(in_a_child(load_a_module), 128 + SIGSYS);
}
END_TEST

START_TEST(becoming_another_user_ends_the_process)
{
    ck_assert_int_eq(in_a_child(become_somebody), 128 + SIGSYS);
}
END_TEST

START_TEST(there_are_no_more_processes)
{
    if (!CONFINE_SANITIZED)
        ck_assert_int_eq(in_a_child(fork_once_more), FINE);
}
END_TEST

START_TEST(memory_is_writable_or_executable_never_both)
{
    if (CONFINE_SANITIZED)
        return;
    ck_assert_int_eq(in_a_child(make_code), FINE);
    ck_assert_int_eq(in_a_child(turn_data_into_code), FINE);
}
END_TEST

START_TEST(a_call_that_is_not_listed_is_not_there)
{
    ck_assert_int_eq(in_a_child(use_a_call_nobody_needs), FINE);
}
END_TEST

START_TEST(threads_and_sockets_work_as_before)
{
    ck_assert_int_eq(in_a_child(serve_as_ever), FINE);
}
END_TEST

/* Capabilities */

static int look_for_capabilities(void)
{
    struct error error;
    char line[256];
    FILE *file;
    int status = 1;

    if (!confine_capabilities(false, &error))
        return NOT_CONFINED;
    file = fopen("/proc/self/status", "re");
    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        if (strncmp(line, "CapEff:", 7) == 0)
            status = strtoull(line + 7, NULL, 16) != 0;
    }
    if (file != NULL)
        (void)fclose(file);
    return status == 0 && prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 ? FINE : 1;
}

START_TEST(no_capability_is_left_and_none_comes_back)
{
    if (!CONFINE_SANITIZED)
        ck_assert_int_eq(in_a_child(look_for_capabilities), FINE);
}
END_TEST

/* Files: folders mine/, yours/ and sockets/ below a new one */

static char root[] = "/tmp/psgate-confine-XXXXXX";
static char mine[64], yours[64], sockets[64];

static void make_folders(void)
{
    char file[80];
    int fd;

    (void)snprintf(root, sizeof(root), "/tmp/psgate-confine-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(root));
    (void)snprintf(mine, sizeof(mine), "%s/mine", root);
    (void)snprintf(yours, sizeof(yours), "%s/yours", root);
    (void)snprintf(sockets, sizeof(sockets), "%s/sockets", root);
    ck_assert_int_eq(mkdir(mine, 0700) | mkdir(yours, 0700) | mkdir(sockets, 0700), 0);
    (void)snprintf(file, sizeof(file), "%s/file", yours);
    fd = open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    ck_assert_int_ge(fd, 0);
    (void)close(fd);
}

static void remove_folders(void)
{
    char command[96];

    (void)snprintf(command, sizeof(command), "rm -rf %s", root);
    ck_assert_int_eq(system(command), 0);
}

static bool keep_folders(enum confine_access access_to_yours)
{
    const struct confine_path paths[] = {
        {mine, CONFINE_WRITE},
        {yours, access_to_yours},
        {sockets, CONFINE_SOCKETS},
        {"/not/there/at/all", CONFINE_READ},
    };
    struct error error;

    return confine_capabilities(false, &error) &&
           confine_files(paths, sizeof(paths) / sizeof(paths[0]), &error) == CONFINE_DONE;
}

static bool can_open(const char *folder, const char *name, int flags)
{
    char path[128];
    int fd;

    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    fd = open(path, flags | O_CLOEXEC, 0600);
    if (fd >= 0)
        (void)close(fd);
    return fd >= 0;
}

static int stay_within(void)
{
    if (!keep_folders(CONFINE_READ))
        return NOT_CONFINED;
    return can_open(mine, "new", O_WRONLY | O_CREAT) && can_open(yours, "file", O_RDONLY)
               ? FINE
               : 1;
}

static int read_elsewhere(void)
{
    if (!keep_folders(CONFINE_READ))
        return NOT_CONFINED;
    return !can_open("/etc", "passwd", O_RDONLY) && errno == EACCES ? FINE : 1;
}

static int write_what_is_to_be_read(void)
{
    if (!keep_folders(CONFINE_READ))
        return NOT_CONFINED;
    return !can_open(yours, "file", O_WRONLY) &&
                   !can_open(yours, "new", O_WRONLY | O_CREAT)
               ? FINE
               : 1;
}

static int make_a_file_among_sockets(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (!keep_folders(CONFINE_READ))
        return NOT_CONFINED;
    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s/s", sockets);
    return bind(fd, (const struct sockaddr *)&address, sizeof(address)) == 0 &&
                   unlink(address.sun_path) == 0 &&
                   !can_open(sockets, "new", O_WRONLY | O_CREAT)
               ? FINE
               : 1;
}

START_TEST(files_that_are_named_stay_within_reach)
{
    ck_assert_int_eq(in_a_child(stay_within), FINE);
}
END_TEST

START_TEST(all_others_are_denied)
{
    ck_assert_int_eq(in_a_child(read_elsewhere), FINE);
}
END_TEST

START_TEST(what_is_to_be_read_cannot_be_written)
{
    ck_assert_int_eq(in_a_child(write_what_is_to_be_read), FINE);
}
END_TEST

START_TEST(a_folder_of_sockets_takes_sockets_alone)
{
    ck_assert_int_eq(in_a_child(make_a_file_among_sockets), FINE);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("confine/confine");
    TCase *calls = suite_case(suite, "calls");
    TCase *capabilities = suite_case(suite, "capabilities");
    TCase *files = suite_case(suite, "files");

    tcase_add_test(calls, starting_a_program_ends_the_process);
    tcase_add_test(calls, tracing_ends_the_process);
    tcase_add_test(calls, loading_a_module_ends_the_process);
    tcase_add_test(calls, becoming_another_user_ends_the_process);
    tcase_add_test(calls, there_are_no_more_processes);
    tcase_add_test(calls, memory_is_writable_or_executable_never_both);
    tcase_add_test(calls, a_call_that_is_not_listed_is_not_there);
    tcase_add_test(calls, threads_and_sockets_work_as_before);
    tcase_add_test(capabilities, no_capability_is_left_and_none_comes_back);
    tcase_add_checked_fixture(files, make_folders, remove_folders);
    tcase_add_test(files, files_that_are_named_stay_within_reach);
    tcase_add_test(files, all_others_are_denied);
    tcase_add_test(files, what_is_to_be_read_cannot_be_written);
    tcase_add_test(files, a_folder_of_sockets_takes_sockets_alone);
    return run_suite(suite);
}
