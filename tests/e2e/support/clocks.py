"""A wall clock that jumps: a library loaded before libc adds what a test says to the time of day.

CLOCK_MONOTONIC stays as it is, as it does when somebody sets the clock. The offset is in a file
that the library maps before the gateway confines itself.
"""

import mmap
import os
import shutil
import struct

import pytest
from support.disks import run

SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *offset; /* in seconds */

__attribute__((constructor)) static void map_offset(void)
{
    int fd = open(getenv("SHIM_CLOCK"), O_RDONLY | O_CLOEXEC);
    void *map = mmap(NULL, sizeof(*offset), PROT_READ, MAP_SHARED, fd, 0);

    if (map == MAP_FAILED)
        abort();
    offset = map;
    (void)close(fd);
}

int clock_gettime(clockid_t id, struct timespec *now)
{
    static int (*real)(clockid_t, struct timespec *);
    int result;

    if (real == NULL)
        real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    result = real(id, now);
    if (offset != NULL && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE))
        now->tv_sec += *offset;
    return result;
}

time_t time(time_t *when)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    if (when != NULL)
        *when = now.tv_sec;
    return now.tv_sec;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    struct timespec precise;

    (void)zone;
    (void)clock_gettime(CLOCK_REALTIME, &precise);
    now->tv_sec = precise.tv_sec;
    now->tv_usec = precise.tv_nsec / 1000;
    return 0;
}
"""


class Clock:
    """The offset of a gateway's wall clock, in seconds."""

    def __init__(self, library, folder):
        path = folder / "clock"
        path.write_bytes(bytes(mmap.PAGESIZE))
        with open(path, "r+b") as file:
            self.map = mmap.mmap(file.fileno(), mmap.PAGESIZE)
        sanitizers = os.environ.get("ASAN_OPTIONS", "")
        self.environment = {**os.environ, "LD_PRELOAD": str(library), "SHIM_CLOCK": str(path),
                            "ASAN_OPTIONS": f"{sanitizers}:verify_asan_link_order=0"}

    def set(self, seconds):
        self.map[:8] = struct.pack("q", int(seconds))


@pytest.fixture(scope="session")
def clock_library(tmp_path_factory):
    compiler = shutil.which("cc") or pytest.skip("the shim needs a C compiler")
    folder = tmp_path_factory.mktemp("clock")
    (folder / "clock.c").write_text(SHIM)
    run(compiler, "-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-o", folder / "clock.so", folder / "clock.c", "-ldl")
    return folder / "clock.so"


@pytest.fixture
def clock(clock_library, tmp_path):
    return Clock(clock_library, tmp_path)
