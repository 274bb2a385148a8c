"""While requests of all kinds run, no thread makes a system call with a lock of the program's in its hands."""

import mmap
import os
import struct
import subprocess

import pytest
from support.gateway import is_sanitized
from support.redis import Redis

HEAD = struct.Struct("=IIII")
PAGE_BYTES = 4096


class Locks:
    """The page that tests/locks/locks.c fills."""

    def __init__(self, library, folder):
        path = folder / "locks"
        path.write_bytes(bytes(PAGE_BYTES))
        with open(path, "r+b") as file:
            self.page = mmap.mmap(file.fileno(), PAGE_BYTES)
        self.environment = {**os.environ, "LD_PRELOAD": str(library), "PSGATE_LOCKS": str(path)}

    def arm(self, is_armed):
        self.page[:4] = struct.pack("=I", is_armed)

    @property
    def counts(self):
        """How many mutexes were locked, calls made, and calls made with one."""
        return HEAD.unpack_from(self.page)[1:]

    def first(self, binary):
        """The first that was found, with the places in the source."""
        text = bytes(self.page[HEAD.size:]).partition(b"\0")[0].decode()
        call, *offsets = text.split()
        places = [subprocess.run(["addr2line", "-fse", str(binary), offset], capture_output=True, text=True).stdout
                  for offset in offsets]
        return f"{call}: locked in {places[0]} called from {places[1]}"


@pytest.fixture
def locks(binary, tmp_path):
    if is_sanitized():
        pytest.skip("the sanitizers have locks and calls of their own")
    library = binary.parent / "tests" / "libpsgate_locks.so"
    if not library.exists():
        pytest.skip("the program was built without the tests' libraries")
    return Locks(library, tmp_path)


def run_requests(stage):
    """Hits, misses, what is passed on, changes with and without a body, refusals, and a new connection for each."""
    for _ in range(5):
        assert stage.get(b"/v1/auth/session").status == 200
        assert stage.get(b"/v1/machines").status == 200
        assert stage.get(b"/v1/teams/t1/secrets/S", method=b"DELETE").status in (200, 503)
        body = b'{"name":"S","value":"v"}'
        answer = stage.get(b"/v1/teams/t1/secrets", b"Content-Type: application/json",
                           b"Content-Length: %d" % len(body), method=b"POST", body=body)
        assert answer.status in (200, 503)
        assert stage.get(b"/v1/machines", token="nobody").status == 401


def assert_none_found(locks, stage):
    locks.arm(True)
    run_requests(stage)
    locks.arm(False)
    locked, calls, found = locks.counts
    assert locked > 0 and calls > 0, "nothing was seen: the test sees nothing"
    assert found == 0, locks.first(stage.gateway.binary)


@pytest.mark.parametrize("kind", ["plain", "limits", "tls"])
def test_no_lock_is_held_over_a_system_call(make_stage, locks, authority, kind):
    options = {"config": {"limits": {"upstream_rate": "1000/s"}} if kind == "limits" else {}}
    if kind == "tls":
        options = {"config": {"upstream": {"ca_file": str(authority.ca_file)}}, "upstream_host": "localhost",
                   "tls": authority.server_context("right")}
    stage = make_stage(start=False, **options)
    stage.gateway.environment = locks.environment
    stage.start()
    assert_none_found(locks, stage)


def test_no_lock_is_held_over_a_system_call_in_a_cluster(make_stage, locks, tmp_path):
    redis = Redis(tmp_path)
    try:
        redis.start()
        stage = make_stage(start=False, config={"cluster": {"redis": redis.url}})
        stage.gateway.environment = locks.environment
        stage.start()
        assert_none_found(locks, stage)
    finally:
        redis.stop()
