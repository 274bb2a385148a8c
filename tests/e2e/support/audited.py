"""A gateway whose trail the test reads: what stands in it, and whether it is intact."""

import ctypes
import json
import os
import secrets
import socket
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.kernel import inode_of_other_end
from support.raw import Client
from support.stage import SharedStage, Stage, serial
from support.waiting import DEADLINE, wait_until
from support.wire import Reader

ROOT = Path(__file__).resolve().parents[3]
SHIPPED = json.loads((ROOT / "conf/operations.json").read_text())["operations"]
AUDITED = [row for row in SHIPPED if "audit" in row]
NAMED_ONLY = [row["id"] for row in SHIPPED if row.get("named_only")]

MEMBERS = set(
    "@timestamp ecs.version proxy.phase event.kind event.type event.id event.category event.action event.sequence"
    " event.outcome event.reason event.duration user.name client.auth source.ip user_agent.original organization.id"
    " user.target.id http.request.method http.request.id http.response.status_code trace.id proxy.route url.path"
    " proxy.resource.type proxy.resource.name proxy.body proxy.credential proxy.config_generation proxy.invalidated"
    " proxy.suppressed proxy.chain_id proxy.trail.oldest_open proxy.prev_hash".split())
OF_ONE_RECORD = set("@timestamp proxy.phase event.sequence proxy.chain_id proxy.trail.oldest_open proxy.prev_hash".split())
OF_RESULTS = set("event.outcome event.reason event.duration http.response.status_code proxy.invalidated".split())
CONSTANT = {"ecs.version", "event.kind", "event.id", "proxy.config_generation"}


def unique(pairs):
    members = dict(pairs)
    assert len(members) == len(pairs), f"a member is repeated: {pairs}"
    return members


def parsed(line):
    """A line of the trail as a record, with nothing in it but what its format has."""
    record = json.loads(line, object_pairs_hook=unique)
    for key, value in record.items():
        assert key in MEMBERS or key.startswith("proxy.recorded."), f"an unknown member: {key}"
        assert not isinstance(value, dict), f"not flat: {key}"
    return record


def essence(record):
    """What a record says of the request: without times, numbers and what all records have."""
    return {key: value for key, value in record.items() if key not in OF_ONE_RECORD | OF_RESULTS | CONSTANT}


class Trail:
    """The records in the folder since the last `forget`."""

    def __init__(self, folder):
        self.folder = folder
        self.forgotten = 0

    def bytes(self):
        try:
            return (self.folder / "audit.jsonl").read_bytes()
        except FileNotFoundError:
            return b""

    def lines(self):
        return self.bytes().rpartition(b"\n")[0].splitlines()

    def forget(self):
        self.forgotten = len(self.lines())

    def records(self):
        return [parsed(line) for line in self.lines()[self.forgotten:]]

    def phases(self):
        return [record["proxy.phase"] for record in self.records()]

    def wait(self, count):
        """The records, once there are so many: for those that nobody waits for."""
        wait_until(lambda: len(self.lines()) - self.forgotten >= count, f"{count} records")
        return self.records()

    def mutations(self):
        """The intents and their results, as pairs in the intents' order; there is nothing else."""
        records = self.records()
        results = {record["event.id"]: record for record in records if record["proxy.phase"] == "result"}
        pairs = [(record, results[record["event.id"]]) for record in records if record["proxy.phase"] == "intent"]
        assert 2 * len(pairs) == len(records), f"other records than pairs: {records}"
        for intent, result in pairs:
            assert_joined(intent, result)
        return pairs

    def mutation(self):
        pairs = self.mutations()
        assert len(pairs) == 1, f"{len(pairs)} mutations"
        return pairs[0]

    def refusal(self):
        """The one record there is, of a refusal."""
        records = self.wait(1)
        assert [record["proxy.phase"] for record in records] == ["refused"]
        record = records[0]
        assert record["event.type"] == ["denied"] and record["event.outcome"] == "failure"
        assert isinstance(record["event.reason"], str) and record["event.reason"]
        assert not {"event.duration", "proxy.invalidated"} & set(record)
        return record

    def count_open(self):
        records = [json.loads(line) for line in self.lines()]
        return sum({"intent": 1, "result": -1}.get(record["proxy.phase"], 0) for record in records)


def assert_joined(intent, result):
    """Two records of one mutation: the second repeats the first and says how it ended."""
    assert not OF_RESULTS & set(intent), f"an intent that knows its end: {intent}"
    assert {key: value for key, value in intent.items() if key not in OF_ONE_RECORD} == \
           {key: value for key, value in result.items() if key not in OF_ONE_RECORD | OF_RESULTS}
    assert len(intent["event.id"]) == 32 and set(intent["event.id"]) <= set("0123456789abcdef")
    assert result["@timestamp"] >= intent["@timestamp"] and result["event.sequence"] > intent["event.sequence"]
    assert result["event.outcome"] in ("success", "failure", "unknown")
    assert (result["event.outcome"] == "success") == ("event.reason" not in result)
    assert type(result["event.duration"]) is int and result["event.duration"] > 0


class SourceClient(Client):
    """A client that comes from a loopback address of its own."""

    def __init__(self, port, source):
        self.sock = socket.socket()
        self.sock.settimeout(DEADLINE)
        self.sock.bind((source, 0))
        self.sock.connect(("127.0.0.1", port))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.reader = Reader(self.sock)


def new_source():
    """An address that no test has come from: refusals are counted for each."""
    number = next(serial)
    return f"127.9.{number // 250}.{number % 250 + 1}"


class AuditStage(Stage):
    """A stage whose tester may do all that there is, and its trail."""

    def __init__(self, binary, folder, operations=None, **options):
        super().__init__(binary, folder, operations=operations, **options)
        if operations is None:
            self.gateway.change_client("tester", allow=["*", *NAMED_ONLY])
        self.trail = Trail(folder / "audit")

    def connect(self, source=None, **options):
        return SourceClient(self.gateway.port, source) if source else super().connect(**options)

    def secret(self, prefix="secret"):
        """A value that must show up nowhere."""
        value = f"{prefix}-{secrets.token_hex(12)}"
        self.gateway.secrets.append(value)
        return value

    def change(self, start, *lines, body=None, token=None, source=None):
        """Asks on a connection of its own; the body, if any, is framed by its length."""
        lines, body = ([*lines, b"Content-Length: %d" % len(body)], body) if body is not None else (lines, b"")
        with self.connect(source) as client:
            return client.ask(self.request(start + b" HTTP/1.1", *lines, body=body, token=token))

    def refuse(self, start, *lines, source=None, **options):
        """A change from a source of its own that is refused: the answer and its record."""
        self.trail.forget()
        before, source = len(self.origin.requests), source or new_source()
        answer = self.change(start, *lines, source=source, **options)
        record = self.trail.refusal()
        assert record["source.ip"] == source and record["http.response.status_code"] == answer.status
        assert len(self.origin.requests) == before, "a refused change was forwarded"
        return answer, record

    def check_trail(self):
        """What holds after every test: all is ended, the chain is intact, and no secret is in it."""
        if self.gateway.is_running():
            wait_until(lambda: self.trail.count_open() == 0, "the results of all mutations")
        found = self.gateway.command("audit", "verify", self.trail.folder)
        assert found.returncode == 0 and "chain intact" in found.stdout, found.stdout + found.stderr
        records = [parsed(line) for line in self.trail.lines()]
        if not self.gateway.is_running():
            intents = sum(record["proxy.phase"] == "intent" for record in records)
            assert found.stdout.startswith(f"{len(records)} records, {intents} mutations, 0 unfinished,"), found.stdout
        for secret in self.gateway.secrets:
            assert secret.encode() not in self.trail.bytes(), "a secret is in the trail"

    def check(self):
        super().check()
        self.check_trail()

    def stop(self):
        super().stop()
        if self.gateway.process is not None:
            self.check_trail()


# -- when the gateway has noticed ---------------------------------------------------------------------


def holds(pid, inode):
    """Whether the process has a descriptor of that socket."""
    for path in Path(f"/proc/{pid}/fd").iterdir():
        try:
            if path.readlink().name == f"socket:[{inode}]":
                return True
        except FileNotFoundError:
            pass
    return False


@contextmanager
def noticed_leaving(stage, client):
    """Waits, at the end of the block, until the gateway has closed its end of the connection."""
    inode, pid = inode_of_other_end(client.sock), stage.gateway.pid
    try:
        assert holds(pid, inode)
    except PermissionError:
        pytest.skip("only root reads /proc/PID/fd of a process that is not dumpable")
    yield
    wait_until(lambda: not holds(pid, inode), "the gateway to notice that the client has left")


# -- the trail's writer, held still -------------------------------------------------------------------

SEIZE, INTERRUPT, DETACH, WALL = 0x4206, 0x4207, 17, 0x40000000


def written_by(pid):
    """How many bytes each thread of the process has written."""
    written = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            fields = dict(line.split(": ") for line in (task / "io").read_text().splitlines())
        except PermissionError:
            pytest.skip("only root reads /proc/PID/io of a process that is not dumpable")
        written[int(task.name)] = int(fields["wchar"])
    return written


def find_writer(stage):
    """The thread that writes the trail: it has written as much as the trail has grown, and eventfds of 8 bytes."""
    before, size = written_by(stage.gateway.pid), len(stage.trail.bytes())
    assert stage.change(b"DELETE /v1/teams/t/secrets/to-find-the-writer").status == 200
    growth = len(stage.trail.bytes()) - size
    after = written_by(stage.gateway.pid)
    found = [thread for thread in before if after[thread] - before[thread] - growth in range(0, 65, 8)]
    assert len(found) == 1, f"no thread has written {growth} bytes: {before} {after}"
    stage.trail.forget()
    return found[0]


def ptrace(request, thread):
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    libc.ptrace.restype = ctypes.c_long
    if libc.ptrace(request, thread, None, None) == 0:
        return
    if request == SEIZE and ctypes.get_errno() == 1:
        pytest.skip("only root may hold a thread of the gateway")
    raise OSError(ctypes.get_errno(), "ptrace")


@contextmanager
def held_still(thread):
    """The thread does nothing within this block: nothing becomes durable.

    It is taken in its sleep, when it has nothing to do and so no lock that others wait for.
    """
    stat = Path(f"/proc/{thread}/stat")
    wait_until(lambda: stat.read_text().rpartition(") ")[2].startswith("S"), "the writer to sleep")
    ptrace(SEIZE, thread)
    try:
        ptrace(INTERRUPT, thread)
        os.waitpid(thread, WALL)
        yield
    finally:
        ptrace(DETACH, thread)


# -- fixtures, for the modules that name this one in pytest_plugins -----------------------------------


@pytest.fixture(scope="session")
def shared_audited(binary, tmp_path_factory):
    shared = SharedStage(lambda: AuditStage(binary, tmp_path_factory.mktemp("audited")))
    yield shared
    shared.stop()


@pytest.fixture
def audited(shared_audited):
    """A gateway with the shipped operations, shared by the tests of a process, and its trail."""
    stage = shared_audited.take()
    stage.trail.forget()
    yield stage
    shared_audited.give_back()


@pytest.fixture
def make_recorded(binary, tmp_path_factory):
    """Makes gateways with settings of their own; each is stopped and checked after the test."""
    stages = []

    def make(start=True, **options):
        stage = AuditStage(binary, tmp_path_factory.mktemp("audited"), **options)
        stages.append(stage)
        return stage.start() if start else stage

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
