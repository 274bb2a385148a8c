"""Disks that fill up, freeze and fail: real file systems where we may mount, a shim everywhere.

The shim is a library that is loaded before libc: it makes the calls on files of one folder fail or
hang while a file of that name exists in a folder of orders.
"""

import os
import shutil
import subprocess
from contextlib import contextmanager

import pytest
from support.waiting import wait_until


class Disk:
    """A small file system of our own, mounted at `path`."""

    def __init__(self, folder):
        self.path = folder / "disk"
        self.path.mkdir()
        self.trail = self.path / "audit"
        self.filler = self.path / "filler"

    def mount(self, *arguments):
        run("mount", *arguments, self.path)

    def unmount(self):
        if os.path.ismount(self.path):
            try:
                run("umount", self.path)
            except OSError:
                run("umount", "-l", self.path)

    def fill(self):
        """Takes all the space that is left."""
        with open(self.filler, "ab", buffering=0) as filler:
            for size in (65536, 4096, 512):
                try:
                    while True:
                        filler.write(bytes(size))
                except OSError:
                    pass
            os.fsync(filler.fileno())

    def free(self):
        self.filler.unlink()


class Tmpfs(Disk):
    def __init__(self, folder):
        super().__init__(folder)
        self.mount("-t", "tmpfs", "-o", "size=2m", "psgate-test")

    def make_read_only(self):
        run("mount", "-o", "remount,ro", self.path)

    def make_writable(self):
        run("mount", "-o", "remount,rw", self.path)


class Ext4(Disk):
    def __init__(self, folder):
        super().__init__(folder)
        self.image = folder / "image"
        with open(self.image, "wb") as image:
            image.truncate(8 << 20)
        run("mkfs.ext4", "-q", "-m", "0", "-E", "lazy_itable_init=0,lazy_journal_init=0", self.image)
        self.mount("-o", "loop", self.image)

    @contextmanager
    def frozen(self):
        """The disk answers no write until the block is left."""
        run("fsfreeze", "--freeze", self.path)
        try:
            yield
        finally:
            run("fsfreeze", "--unfreeze", self.path)

    def abort(self):
        """What ext4 does by itself after an error in its metadata: no byte is written any more."""
        run("mount", "-o", "remount,abort", self.path)

    def mend(self):
        """Checks the file system, which nothing may use any more, and mounts it again."""
        run("umount", self.path)
        subprocess.run(["e2fsck", "-fy", self.image], capture_output=True)
        self.mount("-o", "loop", self.image)


def run(*command):
    result = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    if result.returncode != 0:
        raise OSError(f"{command[0]}: {result.stderr.strip()}")


def make_disk(kind, folder):
    if os.geteuid() != 0:
        pytest.skip("only root may mount a file system")
    try:
        return kind(folder)
    except OSError as failure:
        pytest.skip(f"no {kind.__name__} can be mounted here: {failure}")


@pytest.fixture
def tmpfs(tmp_path):
    disk = make_disk(Tmpfs, tmp_path)
    yield disk
    disk.unmount()


@pytest.fixture
def ext4(tmp_path):
    disk = make_disk(Ext4, tmp_path)
    yield disk
    disk.unmount()


SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* Whether the descriptor's path lies in the folder in question. */
static int concerns(int fd)
{
    const char *folder = getenv("SHIM_FOLDER");
    char link[64], path[PATH_MAX];
    ssize_t len;

    (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    len = readlink(link, path, sizeof(path) - 1);
    if (len < 0)
        return 0;
    path[len] = '\0';
    return strncmp(path, folder, strlen(folder)) == 0;
}

static void order_path(char path[PATH_MAX], const char *order)
{
    (void)snprintf(path, PATH_MAX, "%s/%s", getenv("SHIM_ORDERS"), order);
}

/* The number in the order's file; -1: there is no such order. */
static int order(const char *name)
{
    char path[PATH_MAX], text[16] = "";
    FILE *file;

    order_path(path, name);
    file = fopen(path, "r");
    if (file == NULL)
        return -1;
    (void)!fgets(text, sizeof(text), file);
    (void)fclose(file);
    return atoi(text);
}

/* Orders that are for once are taken back when they are carried out. */
static void carried_out(const char *name)
{
    char path[PATH_MAX], done[PATH_MAX];
    FILE *file;

    order_path(path, "once");
    if (access(path, F_OK) == 0) {
        order_path(path, name);
        (void)unlink(path);
    }
    order_path(done, "done");
    file = fopen(done, "a");
    if (file != NULL) {
        (void)fprintf(file, "%s\n", name);
        (void)fclose(file);
    }
}

static int fails(const char *name)
{
    int errnum = order(name);

    if (errnum <= 0)
        return 0;
    carried_out(name);
    errno = errnum;
    return 1;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

ssize_t write(int fd, const void *bytes, size_t count)
{
    static __typeof__(&write) real;

    if (real == NULL)
        real = REAL(write);
    if (concerns(fd)) {
        int half = order("short");

        if (half > 0 && count > (size_t)half) {
            carried_out("short");
            return real(fd, bytes, (size_t)half);
        }
        if (fails("write"))
            return -1;
    }
    return real(fd, bytes, count);
}

int fdatasync(int fd)
{
    if (concerns(fd)) {
        const struct timespec moment = {.tv_nsec = 2000000};

        if (order("hang") >= 0)
            carried_out("hang");
        while (order("hang") >= 0)
            (void)nanosleep(&moment, NULL);
        const int slow = order("slow");

        if (slow > 0) {
            const struct timespec pause = {.tv_nsec = slow * 1000000L};

            carried_out("slow");
            (void)nanosleep(&pause, NULL);
        }
        if (fails("sync"))
            return -1;
    }
    return REAL(fdatasync)(fd);
}

/* Notes each look at the folder's name that finds nothing. */
int stat(const char *path, struct stat *status)
{
    int result = REAL(stat)(path, status);
    int errnum = errno;

    if (result != 0 && strcmp(path, getenv("SHIM_FOLDER")) == 0)
        carried_out("missed");
    errno = errnum;
    return result;
}

int fallocate(int fd, int mode, off_t offset, off_t len)
{
    return concerns(fd) && fails("allocate") ? -1 : REAL(fallocate)(fd, mode, offset, len);
}

int renameat2(int from, const char *old, int to, const char *new, unsigned flags)
{
    return concerns(from) && fails("rename") ? -1 : REAL(renameat2)(from, old, to, new, flags);
}

int openat(int at, const char *path, int flags, ...)
{
    mode_t mode = 0;

    if ((flags & O_CREAT) != 0) {
        va_list rest;

        va_start(rest, flags);
        mode = va_arg(rest, mode_t);
        va_end(rest);
    }
    if (at != AT_FDCWD && (flags & O_CREAT) != 0 && concerns(at) && fails("create"))
        return -1;
    return REAL(openat)(at, path, flags, mode);
}
"""


class Shim:
    """Gives the orders. Numbers are errno values, that of `short` a count of bytes, of `slow` milliseconds."""

    def __init__(self, library, folder, trail):
        self.orders = folder / "orders"
        self.orders.mkdir()
        sanitizers = os.environ.get("ASAN_OPTIONS", "")
        self.environment = {**os.environ, "LD_PRELOAD": str(library), "SHIM_FOLDER": str(trail),
                            "SHIM_ORDERS": str(self.orders),
                            "ASAN_OPTIONS": f"{sanitizers}:verify_asan_link_order=0"}

    def order(self, **orders):
        """Orders stay until they are lifted, or are for the first call each when `once` is one."""
        for name, value in orders.items():
            (self.orders / f".{name}").write_text(str(int(value)))
        for name in sorted(orders, key=lambda name: name != "once"):
            (self.orders / f".{name}").rename(self.orders / name)

    def lift(self):
        for path in self.orders.iterdir():
            if path.name not in ("done", "once"):
                path.unlink(missing_ok=True)
        (self.orders / "once").unlink(missing_ok=True)

    def done(self, name):
        """How often the order was carried out."""
        path = self.orders / "done"
        return path.read_text().split().count(name) if path.exists() else 0

    def wait_done(self, name, count=1):
        wait_until(lambda: self.done(name) >= count, f"{name} at the shim")

    @contextmanager
    def ordered(self, **orders):
        self.order(**orders)
        try:
            yield
        finally:
            self.lift()


@pytest.fixture(scope="session")
def shim_library(tmp_path_factory):
    compiler = shutil.which("cc") or pytest.skip("the shim needs a C compiler")
    folder = tmp_path_factory.mktemp("shim")
    (folder / "shim.c").write_text(SHIM)
    run(compiler, "-shared", "-fPIC", "-O1", "-o", folder / "shim.so", folder / "shim.c", "-ldl")
    return folder / "shim.so"


@pytest.fixture
def shim(shim_library, tmp_path):
    """For a gateway whose trail is in tmp_path/audit."""
    shim = Shim(shim_library, tmp_path, tmp_path / "audit")
    yield shim
    shim.lift()
