"""10,000 clients that are as slow as they can be, while honest ones are answered as ever."""

import resource
import shutil
import subprocess
import threading
import time

import pytest
from support import wire
from support.origin import by_target
from support.raw import Client
from support.waiting import wait_until

pytest_plugins = ["support.admin"]

OTHERS = 2000  # descriptors that gateway and tests need beside the crowd's
ROOM = resource.getrlimit(resource.RLIMIT_NOFILE)[0] - OTHERS
EACH = 2000  # of one slowhttptest, which looks at all of its connections again and again
BIG = wire.response(b"HTTP/1.1 200 OK", body=b"b" * 200000)
HONEST = [(b"GET /v1/things/a", b""), (b"GET /v1/plain/a", b""), (b"POST /v1/things/a", b"{}")]
AT_ONCE = 100  # what the clients file allows a slow client

HEADS = (["-H"], "/v1/plain/slow", False)
BODIES = (["-B", "-s", "100000"], "/v1/plain/slow", True)
RECORDED = (["-B", "-s", "100000"], "/v1/things/slow", True)
READERS = (["-X", "-w", "512", "-y", "1024", "-n", "2", "-z", "32"], "/v1/things/big", False)
KINDS = {"heads": HEADS, "bodies": BODIES, "recorded-bodies": RECORDED, "readers": READERS}


class Crowd:
    """So many connections of slowhttptest, as long as the block lasts."""

    def __init__(self, stage, folder, count, options, target, client):
        # the credential stands in another field's value, as there is no option for it
        field = f"*/*\r\nAuthorization: Bearer {stage.gateway.tokens[client]}"
        self.command = ["slowhttptest", *options, "-c", str(EACH), "-r", "2000", "-i", "1", "-l", "600", "-p", "3", "-v", "0",
                        "-x", "8", "-m", field, "-u", f"http://127.0.0.1:{stage.gateway.port}{target}"]
        self.output, self.count = folder / "crowd", count

    def __enter__(self):
        with open(self.output, "w") as output:
            self.processes = [subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
                              for _ in range(self.count // EACH)]
        return self

    def __exit__(self, *failure):
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.wait()


class Honest:
    """Clients that ask one thing after the other, half of them on new connections."""

    def __init__(self, stage, count, requests):
        self.stage, self.requests = stage, requests
        self.took, self.failures = [], []
        self.threads = [threading.Thread(target=self.run, args=(number % 2 == 0,)) for number in range(count)]
        for thread in self.threads:
            thread.start()
        for thread in self.threads:
            thread.join()

    def run(self, keeps):
        try:
            left = self.requests
            while left:
                with Client(self.stage.gateway.port) as client:
                    for _ in range(left if keeps else 1):
                        self.ask(client, *HONEST[left % len(HONEST)])
                        left -= 1
        except Exception as failure:  # the test's thread must see it
            self.failures.append(failure)

    def ask(self, client, start, body):
        request = self.stage.request(start + b" HTTP/1.1", b"Content-Length: %d" % len(body), body=body)
        began = time.monotonic()
        answer = client.ask(request)
        self.took.append(time.monotonic() - began)
        if answer.status != 200:
            self.failures.append((start, answer.head, answer.body))

    def quantile(self, share):
        return 1000 * sorted(self.took)[int(len(self.took) * share)]


def has_come(stage, count, is_limited):
    """Whether the crowd is there: connected, or turned away but for those who may be."""
    metrics = stage.metrics()
    if is_limited:
        return metrics.value("psgate_clients_rejected_total", reason="client_busy") > 0.9 * count - AT_ONCE
    return metrics.value("psgate_connections") > 0.9 * count


@pytest.mark.skipif(shutil.which("slowhttptest") is None, reason="needs slowhttptest")
@pytest.mark.parametrize("count", [EACH, pytest.param(5 * EACH, marks=pytest.mark.long)])
@pytest.mark.parametrize("options, target, is_limited", KINDS.values(), ids=KINDS.keys())
def test_a_slow_crowd_keeps_no_honest_client_from_its_answers(make_admin, tmp_path, count, options, target, is_limited):
    if count > ROOM:
        pytest.skip(f"needs a limit of {count + OTHERS} open files")
    stage = make_admin(start=False, config={
        "limits": {"connections": count + 500, "header_timeout": "10m", "body_timeout": "10m", "send_timeout": "10m"},
        "log": {"level": "info", "access": False}, "audit": {"timeout": "30s"}})
    stage.gateway.add_client("slow", **({"concurrency": AT_ONCE} if is_limited else {}))
    stage.origin.answer = by_target({b"/v1/things/big": BIG})
    stage.start()
    quiet = Honest(stage, 4, 100)
    with Crowd(stage, tmp_path, count, options, target, "slow"):
        wait_until(lambda: has_come(stage, count, is_limited), "the crowd", 60)
        crowded = Honest(stage, 4, 500)
        assert has_come(stage, count, is_limited)
        print(f"{count} slow: p50 {crowded.quantile(0.5):.1f} ms, p99 {crowded.quantile(0.99):.1f} ms; without them "
              f"{quiet.quantile(0.5):.1f} and {quiet.quantile(0.99):.1f} ms; {stage.gateway.resident_kib() // 1024} MiB")
    assert quiet.failures == crowded.failures == []
    assert len(crowded.took) == 4 * 500
    wait_until(lambda: stage.metrics().value("psgate_connections") < 10, "the crowd to be gone")
