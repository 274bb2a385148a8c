"""Orders the failures that the preloaded library (tests/faults) makes happen in the gateway."""

import itertools
import mmap
import os
import struct
import subprocess
from contextlib import contextmanager
from errno import ECONNRESET, EINTR, EIO, EMFILE, ENETUNREACH, ENOBUFS, ENOMEM, ENOSPC

import pytest
from support.stage import serial
from support.waiting import wait_until

# As tests/faults/faults.h has them.
NAMES = ["", "memory", "receive", "send", "read", "write", "sync", "open", "socket", "connect", "accept", "watch",
         "random"]
ORDER = struct.Struct("=iII")
COUNTS = struct.Struct("=QQq")
ORDER_AT, COUNTS_AT, SITE_AT, PAGE_BYTES = 4, 16, 40, 4096

ERRORS = {"memory": ENOMEM, "receive": ECONNRESET, "send": ENOBUFS, "read": EIO, "write": ENOSPC, "sync": EIO,
          "open": EMFILE, "socket": EMFILE, "connect": ENETUNREACH, "accept": EMFILE, "watch": ENOSPC,
          "random": EINTR}
CALLS = [name for name in NAMES if name not in ("", "memory")]


class Faults:
    """The page of one gateway."""

    def __init__(self, library, folder):
        path = folder / "faults"
        path.write_bytes(bytes(PAGE_BYTES))
        with open(path, "r+b") as file:
            self.page = mmap.mmap(file.fileno(), PAGE_BYTES)
        sanitizers = os.environ.get("ASAN_OPTIONS", "")
        loaders = folder / "suppressions"  # what the loader keeps; seen through our malloc it looks lost
        loaders.write_text("leak:ld-linux\n")
        self.environment = {**os.environ, "LD_PRELOAD": str(library), "PSGATE_FAULTS": str(path),
                            "ASAN_OPTIONS": f"{sanitizers}:verify_asan_link_order=0",
                            "LSAN_OPTIONS": f"suppressions={loaders}:print_suppressions=0"}

    def _set_kind(self, name):
        self.page[:ORDER_AT] = struct.pack("=I", NAMES.index(name))

    def order(self, name, nth, errnum=None, lasting=False):
        """From now on: the nth call of that kind fails, or all from it on."""
        self._set_kind("")
        self.page[ORDER_AT:COUNTS_AT] = ORDER.pack(ERRORS[name] if errnum is None else errnum, nth, lasting)
        self.page[COUNTS_AT : COUNTS_AT + 16] = bytes(16)
        self.page[SITE_AT : SITE_AT + 1] = b"\0"
        self._set_kind(name)

    def lift(self):
        self._set_kind("")

    @contextmanager
    def ordered(self, name, nth, **options):
        self.order(name, nth, **options)
        try:
            yield
        finally:
            self.lift()

    @property
    def counts(self):
        return COUNTS.unpack_from(self.page, COUNTS_AT)

    @property
    def seen(self):
        return self.counts[0]

    @property
    def failed(self):
        return self.counts[1]

    @property
    def blocks(self):
        """How many blocks of memory the gateway holds."""
        return self.counts[2]

    def site(self):
        """Who made the call that failed first."""
        text = bytes(self.page[SITE_AT:]).partition(b"\0")[0].decode()
        return [named(*line.split("+")) for line in text.splitlines()]


def named(file, offset):
    result = subprocess.run(["addr2line", "-fse", file, hex(int(offset, 16) - 1)], capture_output=True, text=True)
    function, _, place = result.stdout.strip().partition("\n")
    return f"{function} {place}" if function not in ("", "??") else f"{os.path.basename(file)}+{offset}"


@pytest.fixture(scope="session")
def faults_library(binary):
    path = binary.parent / "tests" / "libpsgate_faults.so"
    if not path.exists():
        pytest.skip("the program was built without the tests' libraries")
    return path


class Sweep:
    """Lets each call of one name fail in turn, each time under a request of its own."""

    MOST = 50_000

    def __init__(self, stage, faults, kind):
        self.stage, self.faults, self.kind = stage, faults, kind
        self.problems = []

    def run(self, name, errnum=None, step=1, lasting=False):
        """Over all calls of that name there are, or every step-th; how many attempts struck one."""
        for count, nth in enumerate(itertools.count(1, step)):
            assert nth < self.MOST, f"there is no end to the calls of {name}"
            if not self.fail_one(name, nth, errnum=errnum, lasting=lasting):
                return count

    def fail_one(self, name, nth, **options):
        """An attempt under which the nth call fails, and then one that succeeds; whether any call failed."""
        with self.kind.prepare(next(serial)) as client:
            try:
                with self.faults.ordered(name, nth, **options):
                    answer = self.kind.outcome(client)
                self.kind.check(answer)
                assert self.stage.gateway.is_running(), self.obituary()
                self.recover()
            except AssertionError as failure:
                self.note(name, nth, failure)
                assert self.stage.gateway.is_running(), f"{self.report()}\n{self.obituary()}"
        return self.faults.failed

    def obituary(self):
        gateway = self.stage.gateway
        return f"it died with {gateway.process.returncode}:\n{gateway.stderr()[-3000:]}"

    def recover(self):
        """Asks again until the answer is right, which is soon: a pause of the circuit or of the trail."""
        said = []

        def is_right():
            with self.kind.prepare(next(serial)) as client:
                answer = self.kind.outcome(client)
            said.append(getattr(answer, "head", answer))
            return answer is not None and self.kind.is_right(answer)

        try:
            wait_until(is_right, "the same request to succeed")
        except AssertionError as failure:
            raise AssertionError(f"{failure}; it says {said[-1:]}") from None

    def note(self, name, nth, failure):
        site = "\n".join("    " + line for line in self.faults.site())
        self.problems.append(f"{type(self.kind).__name__}, {name} {nth}: {failure}\n{site}")

    def report(self):
        return f"{len(self.problems)} problems\n" + "\n".join(self.problems)

    def check(self):
        assert not self.problems, self.report()
