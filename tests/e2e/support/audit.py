"""A gateway whose changes are recorded, and its trail as those see it who read it later."""

import gzip
import importlib.util
import json
import re
import subprocess
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest
from support import wire
from support.gateway import merged
from support.stage import Stage
from support.waiting import DEADLINE, wait_until

ROOT = Path(__file__).resolve().parents[3]
spec = importlib.util.spec_from_file_location("second", ROOT / "tests/audit/verify.py")
second = importlib.util.module_from_spec(spec)
spec.loader.exec_module(second)

SECRETS = b"/v1/teams/t1/secrets"
MEMBERS = b"/v1/teams/t1/users"  # cached
CREATED = wire.response(b"HTTP/1.1 201 Created", b"Content-Type: application/json", body=b'{"name":"x"}')
VERDICT = re.compile(r"(\d+) records, (\d+) mutations, (\d+) unfinished, chain intact\n")


# -- the trail -------------------------------------------------------------------------------------


def content(path):
    """A trail file's bytes, unpacked."""
    if path.suffix == ".zst":
        return subprocess.run(["zstd", "-dcq", path], capture_output=True, check=True).stdout
    data = path.read_bytes()
    return gzip.decompress(data) if path.suffix == ".gz" else data


class File:
    """One file of a trail: its whole lines, decoded, and what stands after the last of them."""

    def __init__(self, path):
        self.name = path.name
        *self.lines, self.torn = content(path).split(b"\n")
        self.records = [json.loads(line) for line in self.lines]

    @property
    def first(self):
        return self.records[0]["event.sequence"]


def read_files(folder):
    """The files that hold a record, in the order of the chain; taken again when one moves meanwhile."""
    def attempt():
        try:
            return [File(path) for path in Path(folder).iterdir()
                    if path.name.startswith("audit") and ".jsonl" in path.name]
        except FileNotFoundError:
            return None
    files = wait_until(attempt, "the files of the trail")
    return sorted((file for file in files if file.records),
                  key=lambda file: (file.first, file.records[0]["event.action"] == "trail.resumed"))


def read_records(folder):
    """The records that count, in order: superseded ones are left out."""
    counted = []
    for file in read_files(folder):
        counted = [record for record in counted if record["event.sequence"] < file.first] + file.records
    return counted


class Change:
    """One mutation: its intent and its results, of which there should be one."""

    def __init__(self, intent):
        self.intent = intent
        self.results = []

    @property
    def name(self):
        return self.intent.get("proxy.resource.name")

    @property
    def result(self):
        assert len(self.results) == 1, f"{self.name}: {len(self.results)} results"
        return self.results[0]

    @property
    def end(self):
        """How it ended, in short: (outcome, reason, status)."""
        return tuple(self.result.get(key) for key in ("event.outcome", "event.reason", "http.response.status_code"))


SUCCESS = ("success", None, 201)
GIVEN_UP = ("failure", "not_forwarded", None)


def read_changes(folder):
    """The changes of the trail, in the order of their intents."""
    changes = {}
    for record in read_records(folder):
        if record["proxy.phase"] == "intent":
            assert record["event.id"] not in changes, "an intent is there twice"
            changes[record["event.id"]] = Change(record)
        elif record["proxy.phase"] == "result":
            changes[record["event.id"]].results.append(record)
    return list(changes.values())


# -- the gateway -------------------------------------------------------------------------------------


class AuditStage(Stage):
    """A gateway with a trail in `trail`, whose origin says 201 to each change."""

    def __init__(self, binary, folder, trail=None, audit=None, environment=None, config=None):
        self.trail = Path(trail or folder / "audit")
        settings = {"directory": str(self.trail), **(audit or {})}
        super().__init__(binary, folder, config=merged({"audit": settings}, config or {}))
        self.gateway.environment = environment
        self.origin.answer = self.answer
        self.held = {}  # secret name -> the event that lets its answer go
        self.arrived = []  # names of the secrets whose creation has come to the origin, in order

    # -- upstream --

    def answer(self, peer, request):
        body = peer.read_body(request)
        if request.method != b"POST":
            return peer.send(wire.response())
        name = json.loads(body)["name"]
        self.arrived.append(name)
        if name in self.held and not self.held[name].wait(DEADLINE):
            raise AssertionError(f"nobody let the answer about {name} go")
        return peer.send(CREATED)

    def hold(self, name):
        self.held[name] = threading.Event()
        return self.held[name]

    # -- requests --

    def creation(self, name):
        body = json.dumps({"name": name, "value": "unspeakable"}).encode()
        return self.request(b"POST %b HTTP/1.1" % SECRETS, b"Content-Type: application/json",
                            b"Content-Length: %d" % len(body), body=body)

    def create(self, name):
        """Creates a secret on a connection of its own; the answer."""
        with self.connect() as client:
            return client.ask(self.creation(name), "POST")

    def send_creation(self, name):
        """Sends it and leaves the answer to be read; the connection."""
        client = self.connect()
        client.send(self.creation(name))
        return client

    @contextmanager
    def under_way(self, name):
        """A creation that has come to the origin, whose answer is held; gives the connection."""
        leave = self.hold(name)
        with self.send_creation(name) as client:
            try:
                self.wait_arrived(name)
                yield client
            finally:
                leave.set()

    def wait_arrived(self, name):
        wait_until(lambda: name in self.arrived, f"the creation of {name} at the origin")

    def own(self, name):
        with self.connect() as client:
            return client.ask(wire.head(b"GET /.psgate/%b HTTP/1.1" % name, b"Host: gateway.test")).status

    def wait_ready(self):
        wait_until(lambda: self.own(b"readyz") == 200, "the gateway to be ready again")

    def wait_unready(self):
        wait_until(lambda: self.own(b"readyz") == 503, "the gateway to say that it is not ready")

    # -- assertions --

    def assert_created(self, name):
        answer = self.create(name)
        assert answer.status == 201, f"{answer.start!r} {answer.body!r}"

    def assert_refuses_changes(self, name="refused"):
        """A change gets the 503 that says why, and nothing of it is forwarded."""
        assert_unavailable(self.create(name))
        assert name not in self.arrived

    def assert_goes_on(self):
        """Reads, cached lookups and changes that are not audited are answered; it says how it is."""
        assert self.get(SECRETS).status == 200
        lookups = [self.get(MEMBERS) for _ in range(2)]
        assert [answer.status for answer in lookups] == [200, 200]
        assert b"hit" in lookups[1].value("Cache-Status")
        assert self.get(b"/v1/machines", method=b"PUT").status == 200
        assert self.own(b"healthz") == 200

    def verify(self, *options):
        """Both verifiers say that the trail is intact; (records, mutations, unfinished)."""
        verdict = self.gateway.command("audit", "verify", self.trail, *options)
        assert verdict.returncode == 0, verdict.stderr
        counts = tuple(int(number) for number in VERDICT.match(verdict.stdout).groups())
        assert counts[0] == len(read_records(self.trail))
        if not list(self.trail.glob("*.zst")):
            assert second.verify(self.trail) == counts
        return counts

    def broken(self, *options):
        """The verifier's message about a trail that is not whole."""
        verdict = self.gateway.command("audit", "verify", self.trail, *options)
        assert verdict.returncode == 1, verdict.stdout
        return verdict.stderr

    def changes(self):
        """The trail's changes to secrets by their names."""
        return {change.name: change for change in read_changes(self.trail) if change.name}

    def wait_finished(self, *names):
        """Until each of these has its result."""
        wait_until(lambda: all(name in (changes := self.changes()) and changes[name].results for name in names),
                   f"the results of {names}")
        return self.changes()

    def files(self):
        """The trail's files in the order of the chain."""
        return read_files(self.trail)

    def wait_files(self, count):
        wait_until(lambda: len(self.files()) >= count, f"{count} files of the trail")
        return self.files()

    def rotate(self):
        """Asks for a new file and waits until the current one has got its name."""
        before = len(list(self.trail.glob("audit-*")))
        self.gateway.process.send_signal(10)
        wait_until(lambda: len(list(self.trail.glob("audit-*"))) > before, "the rotation")

    def kill(self):
        self.gateway.process.kill()
        self.gateway.process.wait()

    def restart(self):
        """After an end: starts it again, once the recovered trail can be written."""
        self.gateway.start()
        self.wait_ready()
        return self


def assert_unavailable(answer):
    message = json.loads(answer.body)["message"]
    assert answer.status == 503 and message.startswith("psgate: "), f"{answer.start!r} {message}"
    assert "audit trail" in message and "nothing was forwarded" in message


@pytest.fixture
def make_audited(binary, tmp_path_factory):
    """Makes stages with a trail; each is stopped and checked after the test."""
    stages = []

    def make(start=True, **options):
        stage = AuditStage(binary, tmp_path_factory.mktemp("audited"), **options)
        stages.append(stage)
        if start:
            stage.start().wait_ready()
        return stage

    yield make
    failures = []
    for stage in stages:
        for step in (stage.stop, stage.origin.check):
            try:
                step()
            except Exception as failure:
                failures.append(failure)
    if failures:
        raise failures[0]
