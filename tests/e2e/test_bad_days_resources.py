"""Descriptors and memory run out: what has room goes on, the rest is told the truth, and all comes back."""

import json
import resource
import threading
from contextlib import ExitStack

import pytest
from support import wire
from support.gateway import is_sanitized
from support.stage import assert_gateway_error
from support.waiting import wait_until
from support.wire import Ended

pytest_plugins = ["support.admin"]

OPEN_FILES = 200
CHANGE = b"POST /v1/things/a"


def limited(make_admin, **config):
    """A gateway that may open OPEN_FILES files, whatever it asks for."""
    stage = make_admin(start=False, config={"workers": 2, "upstream": {"max_connections": 16}, **config})
    stage.gateway.launcher = ["prlimit", f"--nofile={OPEN_FILES}:{OPEN_FILES}"]
    return stage.start()


def test_a_crowd_that_takes_all_descriptors_for_clients_leaves_upstream_trail_and_admin_theirs(make_admin):
    stage = limited(make_admin)
    door = stage.door
    limit = int(stage.metrics().value("psgate_connections_limit"))
    assert OPEN_FILES // 2 <= limit < OPEN_FILES
    assert "raise LimitNOFILE" in stage.gateway.stderr()
    with ExitStack() as crowd:
        clients = [crowd.enter_context(stage.connect()) for _ in range(OPEN_FILES * 2)]
        wait_until(lambda: stage.metrics().value("psgate_connections") >= limit, "as many connections as may be")
        assert door.ask(b"/readyz").status == 200
        for number in range(8):  # new connections upstream, a new file of the trail
            assert clients[number].ask(stage.request(b"GET /v1/plain/%d HTTP/1.1" % number)).status == 200
            assert clients[number].ask(stage.request(CHANGE + b" HTTP/1.1", b"Content-Length: 0")).status == 200
        stage.gateway.process.send_signal(10)
        wait_until(lambda: list((stage.gateway.folder / "audit").glob("audit-*")), "the rotation")
        assert clients[0].ask(stage.request(CHANGE + b" HTTP/1.1", b"Content-Length: 0")).status == 200
    wait_until(lambda: stage.metrics().value("psgate_connections") == 0, "the crowd to be gone")
    assert stage.get(b"/v1/plain/after").status == 200
    assert len(stage.gateway.stderr()) < 1 << 20, "the log is flooded"
    stage.has_own_trail = False


def test_without_a_descriptor_for_upstream_the_answer_says_so_and_all_comes_back_at_once(make_admin):
    stage = make_admin()
    pid = stage.gateway.pid
    with stage.connect() as client, stage.door.connect() as admin:
        assert client.ask(stage.request(b"GET /.psgate/whoami HTTP/1.1")).status == 200
        assert stage.door.ask_on(admin, b"/readyz").status == 200
        soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, hard))
        for _ in range(4):
            for start in (b"GET /v1/plain/a", b"GET /v1/things/a", CHANGE):
                answer = client.ask(stage.request(start + b" HTTP/1.1", b"Content-Length: 0"))
                assert_gateway_error(answer, 503)
                assert b"LimitNOFILE" in answer.body
        assert stage.door.ask_on(admin, b"/readyz").status == 200
        assert stage.door.ask_on(admin, b"/metrics").status == 200
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, hard))
        assert client.ask(stage.request(b"GET /v1/plain/a HTTP/1.1")).status == 200  # no circuit has opened
        assert client.ask(stage.request(CHANGE + b" HTTP/1.1", b"Content-Length: 0")).status == 200
    assert "no more files may be opened (raise LimitNOFILE" in stage.gateway.stderr()
    results = [record for record in stage.trail.records() if record["proxy.phase"] == "result"]
    assert [(record["event.outcome"], record.get("event.reason")) for record in results] == \
           [("failure", "not_forwarded")] * 4 + [("success", None)]


# -- memory --------------------------------------------------------------------------------------------


class Memory:
    """The memory of a running gateway: as much as it has, and a little."""

    def __init__(self, gateway, spare):
        self.pid = gateway.pid
        self.before = resource.prlimit(self.pid, resource.RLIMIT_DATA)
        size = gateway.resident_kib("VmData") * 1024 + spare
        resource.prlimit(self.pid, resource.RLIMIT_DATA, (size, self.before[1]))

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        resource.prlimit(self.pid, resource.RLIMIT_DATA, self.before)


class Hungry:
    """Clients that all at once want what takes memory; what became of each."""

    def __init__(self, stage, count):
        self.stage = stage
        self.told = []
        self.threads = [threading.Thread(target=self.run, args=(number,)) for number in range(count)]
        for thread in self.threads:
            thread.start()
        for thread in self.threads:
            thread.join()

    def run(self, number):
        body = json.dumps({"name": str(number), "filler": "x" * 900000}).encode()
        requests = [(b"POST /v1/things/%d", [b"Content-Length: %d" % len(body)], body),
                    (b"GET /v1/things/%d", [b"X-Long: " + b"x" * 30000], b""), (b"GET /v1/plain/%d", [], b"")]
        for start, lines, data in requests:
            self.told.append((start[:4].strip(), self.ask(start % number, lines, data)))

    def ask(self, start, lines, data):
        """The status, or None where the connection ended without an answer, or within one."""
        try:
            with self.stage.connect() as client:
                client.send_unheeded(self.stage.request(start + b" HTTP/1.1", *lines) + data)
                return client.read_response().status
        except (Ended, OSError):
            return None


@pytest.mark.skipif(is_sanitized(), reason="under sanitizers memory has no bounds")
@pytest.mark.parametrize("spare", [0, 64 << 10, 1 << 20, 8 << 20], ids=["nothing", "64-KiB", "1-MiB", "8-MiB"])
def test_without_memory_the_gateway_lives_tells_no_lies_and_recovers(make_admin, spare):
    stage = make_admin(config={"log": {"level": "info"}})
    made = []

    def answer(peer, request):
        peer.read_body(request)
        if request.method == b"POST":
            made.append(request.target)
        peer.send(wire.response(body=b"y" * 300000))

    stage.origin.answer = answer
    assert stage.get(b"/v1/plain/before").status == 200
    with Memory(stage.gateway, spare):
        told = Hungry(stage, 40).told
        assert stage.gateway.is_running(), stage.gateway.stderr()[-2000:]
    statuses = {status for _, status in told}
    assert statuses & {503, None}, "there was memory enough"
    assert statuses <= {200, 500, 502, 503, None}
    assert len(made) == len(set(made)), "a change was made twice"
    wait_until(lambda: stage.get(b"/v1/plain/after").status == 200, "the gateway to be well again")
    stage.origin.answer = wire.response()
    wait_until(lambda: stage.change(CHANGE, body=b"{}").status == 200, "changes to be taken again")
    wait_until(lambda: stage.trail.count_open() == 0, "all results")
    changes = [status for method, status in told if method == b"POST"]
    recorded = sum(record.get("event.outcome") == "success" for record in stage.trail.records()) - 1
    assert changes.count(200) <= recorded <= min(len(made), changes.count(200) + changes.count(None))
    stage.has_own_trail = False
    verdict = stage.gateway.command("audit", "verify", stage.trail.folder)
    assert verdict.returncode == 0, verdict.stderr
