"""What a cache hit does not do, once warm: allocate, or hold a lock while it is in the kernel."""

import socket
import struct
import subprocess
from pathlib import Path

import pytest
from support import wire
from support.stage import Stage

HITS = 10_000
WARM = 500
OPERATIONS = [{"id": "getThing", "method": "GET", "path": "/v1/thing", "cache": {"scope": "things", "ttl": "1h"}}]
FIELDS = ("allocations", "received", "locked", "locks")
SLOT = struct.Struct("=QQQQ")  # these, as counting.c has them


@pytest.fixture(scope="module")
def counting(tmp_path_factory):
    library = tmp_path_factory.mktemp("counting") / "counting.so"
    source = Path(__file__).with_name("counting.c")
    subprocess.run(["cc", "-std=c11", "-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC",
                    "-o", library, source, "-ldl", "-lpthread"], check=True)
    return library


@pytest.fixture
def stage(binary, counting, tmp_path):
    config = {"workers": 1, "admin": {"address": f"unix:{tmp_path}/admin.sock"},
              "log": {"level": "warn", "access": False}}
    stage = Stage(binary, tmp_path, config, OPERATIONS)
    stage.gateway.environment = {"LD_PRELOAD": str(counting), "PSGATE_COUNTS": str(tmp_path / "counts")}
    stage.start()
    yield stage
    stage.stop()


def read_counts(stage):
    """A tuple of FIELDS for each thread."""
    return list(SLOT.iter_unpack((stage.gateway.folder / "counts").read_bytes()))


def hit(connection, request):
    """The answer comes in one piece, and has no more than that: the gateway writes it at once."""
    connection.sendall(request)
    answer = connection.recv(65536)
    assert b"Cache-Status: psgate; hit" in answer, answer


def worker_counts(stage, *lines, status=b"200"):
    """What the worker did during HITS hits on one connection."""
    stage.origin.answer = wire.response(b"HTTP/1.1 200 OK", b'ETag: "one"', b"Content-Type: application/json")
    request = stage.request(b"GET /v1/thing HTTP/1.1", *lines)
    stage.get(b"/v1/thing")
    with socket.create_connection(("127.0.0.1", stage.gateway.ports[0])) as connection:
        connection.sendall(request)
        answer = connection.recv(65536)
        assert answer.startswith(b"HTTP/1.1 " + status) and b"Cache-Status: psgate; hit" in answer, answer
        for _ in range(WARM):
            hit(connection, request)
        before = read_counts(stage)
        for _ in range(HITS):
            hit(connection, request)
        after = read_counts(stage)
    changes = [[new - old for new, old in zip(*pair)] for pair in zip(after, before)]
    workers = [change for change in changes if change[FIELDS.index("received")] >= HITS]
    assert len(workers) == 1, changes
    return dict(zip(FIELDS, workers[0]))


CASES = pytest.mark.parametrize("lines, status", [
    pytest.param((), b"200", id="200"),
    pytest.param((b'If-None-Match: "one"',), b"304", id="304"),
    pytest.param(tuple(b"X-Field-%d: value" % number for number in range(100)), b"200", id="100 fields")])


@CASES
def test_a_warm_hit_allocates_nothing_and_locks_nothing_over_a_system_call(stage, lines, status):
    counts = worker_counts(stage, *lines, status=status)
    assert counts["allocations"] == 0, counts
    assert counts["locked"] == 0 < counts["locks"], counts


def test_the_counts_see_a_worker_that_allocates(stage):
    """Each of these requests goes upstream: the counts are no zeros for want of counting."""
    stage.origin.answer = wire.response()
    stage.get(b"/v1/warm")
    before = read_counts(stage)
    for number in range(50):
        stage.get(b"/v1/other/%d" % number)
    changes = [[new - old for new, old in zip(*pair)] for pair in zip(read_counts(stage), before)]
    assert max(change[FIELDS.index("allocations")] for change in changes) > 50, changes
