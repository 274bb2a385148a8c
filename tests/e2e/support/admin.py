"""The admin endpoint: its doors, and questions to it over raw bytes.

A gateway with `BOTH` has its endpoint on a free loopback port and metrics on another; one
from `make_on_socket` has it on the socket `admin.sock` in its folder.
"""

import json
import re
import socket
from collections import Counter
from contextlib import ExitStack

import pytest
from support import wire
from support.audited import AuditStage
from support.gateway import merged
from support.raw import Client
from support.waiting import DEADLINE, wait_until
from support.wire import Reader

OPERATIONS = [
    {"id": "lookup", "method": "GET", "path": "/v1/things/{name}", "cache": {"scope": "things", "ttl": "1h"}},
    {"id": "people", "method": "GET", "path": "/v1/people/{name}", "cache": {"scope": "people", "ttl": "1h"}},
    {"id": "peopleToo", "method": "GET", "path": "/v1/persons/{name}", "cache": {"scope": "people", "ttl": "1h"}},
    {"id": "plain", "method": "GET", "path": "/v1/plain/{name}"},
    {"id": "change", "method": "POST", "path": "/v1/things/{name}", "audit": {}},
]
BOTH = {"admin": {"address": "127.0.0.1:0", "metrics_address": "127.0.0.1:0"}}
POLICY = ("default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
          "base-uri 'none'; form-action 'none'; frame-ancestors 'none'").encode()
PAGE = [b"/", b"/page.js", b"/page.css", b"/chart.js", b"/chart.css", b"/favicon.svg"]
OPEN = [b"/healthz", b"/readyz", b"/metrics"]
DATA = [b"/api/status", b"/api/clients", b"/api/audit"]
SAMPLE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)\Z")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"(?:,|\Z)')


def unix(path):
    return {"admin": {"address": f"unix:{path}"}}


def make_on_socket(make_stage, start=True, **options):
    """A stage whose endpoint is on a unix socket, beside its configuration."""
    stage = make_stage(start=False, **options)
    gateway = stage.gateway
    gateway.write_config(merged(gateway.config, unix(gateway.folder / "admin.sock")))
    return stage.start() if start else stage


class UnixClient(Client):
    """A connection to a unix socket."""

    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(DEADLINE)
        self.sock.connect(str(path))
        self.reader = Reader(self.sock)


def logged_urls(gateway, what):
    """The addresses, the oldest first, that the log says are served as `endpoint` or `metrics`."""
    return re.findall(rf"admin: {what} on ([^\s\"]+)", gateway.stderr())


class Door:
    """One address of the endpoint; `where` is a port or a socket's path."""

    def __init__(self, where, token=None):
        self.where = where
        self.token = token
        self.is_unix = not isinstance(where, int)
        self.host = b"localhost" if self.is_unix else b"127.0.0.1:%d" % where

    def connect(self):
        return UnixClient(self.where) if self.is_unix else Client(self.where)

    def head(self, start, *lines, token=None):
        """A request's head with a Host and, where there is one, a token."""
        token = token or self.token
        bearer = [b"Authorization: Bearer " + token.encode()] if token else []
        return wire.head(start, b"Host: " + self.host, *bearer, *lines)

    def ask(self, target, *lines, method=b"GET", token=None):
        """Asks on a connection of its own; the answer has the fields that all have."""
        with self.connect() as client:
            return self.ask_on(client, target, *lines, method=method, token=token)

    def ask_on(self, client, target, *lines, method=b"GET", token=None):
        start = b"%b %b HTTP/1.1" % (method, target)
        return sound(client.ask(self.head(start, *lines, token=token), method.decode()))

    def json(self, target, status=200, **options):
        answer = self.ask(target, **options)
        assert answer.status == status, f"{answer.start!r} {answer.body[:300]!r}"
        return json.loads(answer.body)

    def raw(self, data, method="GET"):
        """Sends bytes as they are; the answer, after which the connection may close."""
        with self.connect() as client:
            client.send_unheeded(data)
            return sound(client.read_response(method))

    def metrics(self):
        return Metrics(self.ask(b"/metrics").body.decode())


def endpoint(gateway, token=None):
    """The endpoint's door, wherever it is."""
    url = wait_until(lambda: logged_urls(gateway, "endpoint"), "the admin endpoint")[-1]
    return Door(url.removeprefix("unix:") if url.startswith("unix:") else port_of(url), token)


def metrics_door(gateway):
    return Door(port_of(wait_until(lambda: logged_urls(gateway, "metrics"), "the metrics")[-1]))


def port_of(url):
    return int(url.rpartition(":")[2])


def sound(answer):
    """The answer, once it has what every answer must have."""
    assert answer.value("Content-Security-Policy") == POLICY, answer.fields
    assert answer.value("X-Content-Type-Options") == b"nosniff", answer.fields
    assert answer.value("Referrer-Policy") == b"no-referrer", answer.fields
    assert answer.value("X-Frame-Options") == b"DENY", answer.fields
    assert answer.value("Cache-Control") == (b"no-cache" if answer.value("ETag") else b"no-store"), answer.fields
    assert answer.value("Server") is None, answer.fields
    if answer.status >= 400 and answer.body:
        assert answer.value("Content-Type") == b"application/json; charset=utf-8", answer.fields
    return answer


def assert_problem(answer, status):
    """The endpoint's own error, in the shape that it promises."""
    assert answer.status == status, f"{answer.start!r} {answer.body[:300]!r}"
    body = json.loads(answer.body)
    assert set(body) == {"status", "message"} and body["status"] == status, body
    assert body["message"].startswith("psgate: ") and len(body["message"]) > len("psgate: "), body
    return body["message"]


class Metrics:
    """Prometheus' text format, read strictly: families in one piece, each with help and type."""

    def __init__(self, text):
        assert text.endswith("\n")
        self.text = text
        self.types, self.samples, helped, family = {}, {}, set(), None
        for line in text.splitlines():
            if line.startswith("# HELP "):
                family = line.split(" ")[2]
                assert family not in helped, f"{family} comes twice"
                assert len(line.split(" ", 3)[3]) > 3, line
                helped.add(family)
            elif line.startswith("# TYPE "):
                name, kind = line.split(" ")[2:]
                assert name == family, line
                self.types[name] = kind
            else:
                self._read_sample(family, line)
        assert helped == set(self.types)

    def _read_sample(self, family, line):
        match = SAMPLE.match(line)
        assert match, line
        name, labels, value = match.groups()
        ends = ("_bucket", "_sum", "_count") if self.types[family] == "histogram" else ("",)
        assert name in {family + end for end in ends}, f"{name} stands under {family}"
        pairs = LABEL.findall(labels or "")
        assert LABEL.sub("", labels or "") == "", line
        key = (name, tuple(sorted(pairs)))
        assert key not in self.samples, f"{line} comes twice"
        self.samples[key] = float(value)

    def value(self, name, **labels):
        return self.samples[name, tuple(sorted(labels.items()))]

    def of(self, name, **labels):
        """The samples of that name that have all these labels: labels -> value."""
        return {pairs: value for (sample, pairs), value in self.samples.items()
                if sample == name and labels.items() <= dict(pairs).items()}

    def sum(self, name, **labels):
        return sum(self.of(name, **labels).values())

    def by(self, name, label):
        """Sums by the values of one label."""
        sums = Counter()
        for pairs, value in self.of(name).items():
            sums[dict(pairs)[label]] += value
        return dict(sums)


class AdminStage(AuditStage):
    """A gateway with both doors, an admin client named `operator`, and a trail."""

    has_own_trail = True  # written by it alone, in one file, and whole

    def __init__(self, binary, folder, config=None, operations=OPERATIONS, **options):
        super().__init__(binary, folder, operations=operations, config=merged(BOTH, config or {}), **options)
        self.gateway.add_client("operator", admin=True)

    @property
    def door(self):
        return endpoint(self.gateway, self.gateway.tokens["operator"])

    def status(self):
        return self.door.json(b"/api/status")

    def operation(self, name):
        return next(row for row in self.status()["operations"] if row["id"] == name)

    def client(self, name):
        return next(row for row in self.door.json(b"/api/clients")["clients"] if row["name"] == name)

    def metrics(self):
        return self.door.metrics()

    def check_trail(self):
        if self.has_own_trail:
            super().check_trail()


@pytest.fixture
def make_admin(binary, tmp_path_factory):
    """Makes stages with settings of their own; each is stopped and checked after the test."""
    with ExitStack() as stages:

        def make(start=True, **options):
            stage = AdminStage(binary, tmp_path_factory.mktemp("admin"), **options)
            stages.callback(stage.origin.check)
            stages.callback(stage.stop)
            return stage.start() if start else stage

        yield make
