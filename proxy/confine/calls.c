#include <errno.h>
#include <sched.h>
#include <seccomp.h>
#include <string.h>
#include <sys/mman.h>

#include "confine/confine.h"
#include "confine/sanitized.h"

enum { MOST_NAME_BYTES = 32 };

/* By purpose; what an architecture does not have is passed over. */
static const char *const allowed[] = {
    /* files */
    "open openat close read readv pread64 write writev pwrite64 lseek stat fstat lstat "
    "newfstatat statx statfs fstatfs access faccessat faccessat2 readlink readlinkat "
    "getdents64 getcwd umask",
    /* the trail, logs and sockets' files */
    "fsync fdatasync fallocate ftruncate flock rename renameat renameat2 unlink unlinkat "
    "mkdir mkdirat chmod fchmod fchmodat",
    /* sockets */
    "socket socketpair bind listen accept accept4 connect shutdown getsockname "
    "getpeername setsockopt getsockopt recvfrom recvmsg recvmmsg sendto sendmsg sendmmsg",
    /* events */
    "epoll_create epoll_create1 epoll_ctl epoll_wait epoll_pwait epoll_pwait2 poll ppoll "
    "select pselect6 eventfd2 timerfd_create timerfd_settime inotify_init1 "
    "inotify_add_watch inotify_rm_watch pipe pipe2 dup dup2 dup3 fcntl ioctl",
    /* memory */
    "munmap mremap madvise brk mlock mlock2 munlock membarrier mincore",
    /* threads and signals */
    "set_robust_list rseq futex sched_yield sched_getaffinity gettid rt_sigaction "
    "rt_sigprocmask rt_sigreturn rt_sigpending sigaltstack tgkill restart_syscall exit "
    "exit_group",
    /* time, chance, and who and where we are */
    "clock_gettime clock_getres clock_nanosleep nanosleep gettimeofday time getrandom "
    "getpid getppid getuid geteuid getgid getegid uname sysinfo getrusage getrlimit "
    "prlimit64 getcpu",
#if CONFINE_SANITIZED
    "clone clone3 mmap mprotect ptrace process_vm_readv prctl execve wait4 kill getdents "
    "arch_prctl personality setrlimit",
#endif
};

/* What no bug of ours asks for: whoever does has taken the process over. */
static const char *const deadly[] = {
#if !CONFINE_SANITIZED
    "execve ptrace process_vm_readv",
#endif
    "execveat fork vfork process_vm_writev open_by_handle_at userfaultfd memfd_create",
    "mount umount2 pivot_root chroot unshare setns bpf perf_event_open io_uring_setup",
    "init_module finit_module kexec_load kexec_file_load reboot swapon modify_ldt",
    "setuid setgid setreuid setregid setresuid setresgid setgroups capset keyctl",
    "add_key request_key settimeofday clock_settime",
};

/* Takes the next word off *rest, into word. False at the end. */
static bool take_word(const char **rest, char word[MOST_NAME_BYTES])
{
    size_t len = strcspn(*rest, " ");

    if (len == 0 || len >= MOST_NAME_BYTES)
        return false;
    memcpy(word, *rest, len);
    word[len] = '\0';
    *rest += len;
    *rest += strspn(*rest, " ");
    return true;
}

static int add_all(scmp_filter_ctx filter, uint32_t action, const char *const *lists,
                   size_t count)
{
    char name[MOST_NAME_BYTES];
    int problem = 0;

    for (size_t i = 0; i < count; i++) {
        const char *rest = lists[i];

        while (problem == 0 && take_word(&rest, name)) {
            int call = seccomp_syscall_resolve_name(name);

            if (call != __NR_SCMP_ERROR)
                problem = seccomp_rule_add(filter, action, call, 0);
        }
    }
    return problem;
}

/*
 * Some are fine in one way only: memory that is writable or executable, never both;
 * threads, not processes. clone3 hides its flags from the filter: without it glibc takes
 * clone.
 */
static int add_partly_allowed(scmp_filter_ctx filter)
{
#if CONFINE_SANITIZED
    (void)filter;
    return 0;
#else
    const struct {
        int call;
        struct scmp_arg_cmp when;
    } rows[] = {
        {SCMP_SYS(mmap), SCMP_A2_64(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0)},
        {SCMP_SYS(mmap), SCMP_A2_64(SCMP_CMP_MASKED_EQ, PROT_WRITE, 0)},
        {SCMP_SYS(mprotect), SCMP_A2_64(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0)},
        {SCMP_SYS(clone), SCMP_A0_64(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD)},
    };
    int problem = 0;

    for (size_t i = 0; problem == 0 && i < sizeof(rows) / sizeof(rows[0]); i++)
        problem = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, rows[i].call, 1,
                                         &rows[i].when);
    return problem;
#endif
}

enum confine_result confine_calls(struct error *error)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
    int problem;

    if (filter == NULL) {
        (void)error_set(error, "out of memory");
        return CONFINE_FAILED;
    }
    (void)seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2); /* a tree, not a list */
    problem =
        add_all(filter, SCMP_ACT_ALLOW, allowed, sizeof(allowed) / sizeof(allowed[0]));
    if (problem == 0)
        problem = add_all(filter, SCMP_ACT_KILL_PROCESS, deadly,
                          sizeof(deadly) / sizeof(deadly[0]));
    if (problem == 0)
        problem = add_partly_allowed(filter);
    if (problem == 0)
        problem = seccomp_load(filter);
    seccomp_release(filter);
    if (problem == 0)
        return CONFINE_DONE;
    if (problem == -EINVAL || problem == -ECANCELED)
        return CONFINE_NOT_THERE;
    (void)error_set_errno(error, -problem, "cannot put a seccomp filter in force");
    return CONFINE_FAILED;
}
