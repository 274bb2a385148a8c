"""A gateway with cached operations, and an origin whose answers are numbered.

So a test sees whether an answer was stored or fetched: the n-th answer to a target has the
body `body n` and the field `X-Number: n`. Times are written into the fields, never slept:
`@-30@` in a line becomes the date of 30 seconds ago at the moment it is sent.
"""

import itertools
import re
import threading
import time
from email.utils import formatdate

import pytest
from support import wire
from support.stage import SharedStage, Stage
from support.waiting import wait_event, wait_until

FRESH = b"Cache-Control: max-age=3600"
STALE = (FRESH, b"Age: 7200")  # stale on arrival, by an hour
OPERATIONS = [
    {"id": "lookup", "method": "GET", "path": "/v1/cached/{name}", "cache": {"scope": "things", "freshness": "upstream"}},
    {"id": "lookupKept", "method": "GET", "path": "/v1/kept/{name}",
     "cache": {"scope": "things", "freshness": "upstream", "ttl": "1h"}},
    {"id": "plainChange", "method": "POST", "path": "/v1/cached/{name}"},
    {"id": "otherChange", "method": "POST", "path": "/v1/changes/{name}"},
    {"id": "fixed", "method": "GET", "path": "/v1/fixed/{name}", "cache": {"scope": "fixed", "ttl": "1h"}},
]
serial = itertools.count(1)


def dated(line):
    """The line with each @SECONDS@ replaced by the date so many seconds from now."""
    return re.sub(rb"@([+-]?\d+)@",
                  lambda match: formatdate(time.time() + int(match[1]), usegmt=True).encode(), line)


class Answer:
    """What the origin says once: a status, field lines, a body, and what it waits for before."""

    def __init__(self, *lines, status=b"200 OK", body=None, date=True, after=None, framing="length"):
        self.lines = lines
        self.status = status
        self.body = body
        self.has_date = date and not any(line.lower().startswith(b"date:") for line in lines)
        self.after = after
        self.framing = framing

    def has_body(self, method):
        return method != b"HEAD" and self.status[:3] not in (b"204", b"304")

    def data(self, number, method):
        body = b"body %d" % number if self.body is None else self.body
        lines = [b"Date: @0@"] * self.has_date + [*self.lines, b"X-Number: %d" % number]
        if self.framing == "chunked" and self.has_body(method):
            lines.append(b"Transfer-Encoding: chunked")
            body = wire.chunked(body)
        elif self.status[:3] not in (b"204", b"304"):
            lines.append(b"Content-Length: %d" % len(body))
        head = wire.head(b"HTTP/1.1 " + self.status, *map(dated, lines))
        return head + (body if self.has_body(method) else b"")

    def give(self, peer, request, number):
        peer.read_body(request)
        if self.after:
            wait_event(self.after, "the test's leave to answer")
        peer.send(self.data(number, request.method))


def not_modified(*lines):
    return Answer(*lines, status=b"304 Not Modified")


class Dropped(Answer):
    """The origin closes the connection after these bytes of the answer."""

    def __init__(self, *lines, count=0, **options):
        super().__init__(*lines, **options)
        self.count = count

    def give(self, peer, request, number):
        peer.read_body(request)
        if self.after:
            wait_event(self.after, "the test's leave to go")
        data = self.data(number, request.method)
        peer.send(data[: self.count] if self.count >= 0 else data[: len(data) + self.count])
        peer.close()


class Silent(Answer):
    """The origin says nothing until the gateway has given up."""

    def give(self, peer, request, number):
        peer.read_body(request)
        peer.wait_end()


class Script:
    """What the origin answers to each target, in turn; the last answer goes on for ever."""

    def __init__(self):
        self.lock = threading.Lock()
        self.answers = {}
        self.seen = {}

    def __call__(self, peer, request):
        with self.lock:
            seen = self.seen.setdefault(request.target, [])
            seen.append(request)
            number = len(seen)
            answers = self.answers.get(request.target) or [Answer(FRESH)]
            answer = answers[min(number, len(answers)) - 1]
        answer.give(peer, request, number)


class CacheStage(Stage):
    """A stage with cached operations and a scripted origin."""

    def __init__(self, binary, folder, operations=None, **options):
        super().__init__(binary, folder, operations=operations or OPERATIONS, **options)
        self.renew()

    def renew(self):
        self.script = self.origin.answer = Script()

    def answers(self, *answers, target=None, under=b"cached"):
        """Scripts a target, a new one if none is given, and returns it."""
        target = target or b"/v1/%b/thing-%d" % (under, next(serial))
        with self.script.lock:
            self.script.answers[target] = list(answers)
        return target

    def seen(self, target):
        """The requests for the target that have reached the origin, in order."""
        with self.script.lock:
            return list(self.script.seen.get(target, []))

    def wait_seen(self, target, number):
        """The request of that number for the target, once it is at the origin."""
        wait_until(lambda: len(self.seen(target)) >= number, f"request {number} for {target}")
        return self.seen(target)[number - 1]

    def ask(self, target, *lines, **options):
        return self.get(target, *lines, **options)

    def send(self, target, *lines, **options):
        """Asks on a connection of its own and leaves the answer to be read."""
        client = self.connect()
        client.send(self.request(b"GET %b HTTP/1.1" % target, *lines, **options))
        return client

    def asked_twice(self, first, *lines, again=None, lines_again=None):
        """Asks a new target twice; the target and both answers."""
        target = self.answers(first, *([again] if again else []))
        return target, self.ask(target, *lines), self.ask(target, *(lines if lines_again is None else lines_again))


# -- what an answer says about itself ---------------------------------------------------------------

PARAMETER = re.compile(rb"; ?([a-z*][a-z0-9_.*-]*)(?:=(-?\d{1,15}|[A-Za-z*][!#$%&'*+.^_`|~:/0-9A-Za-z-]*|\"[^\"]*\"))?")


def cache_status(answer):
    """The parameters of the gateway's own member, the last, of Cache-Status (RFC 9211)."""
    value = b", ".join(answer.values("Cache-Status"))
    member = value.rpartition(b", ")[2]
    assert member.startswith(b"psgate"), f"no Cache-Status of the gateway: {answer.fields}"
    rest, found = member.removeprefix(b"psgate"), {}
    while rest:
        match = PARAMETER.match(rest)
        assert match, f"not a Cache-Status: {value}"
        assert match[1].decode() not in found, f"a parameter is repeated: {value}"
        found[match[1].decode()] = typed(match[2])
        rest = rest[match.end():]
    assert ("hit" in found) != ("fwd" in found) or not {"hit", "fwd"} & set(found), value
    return found


def typed(value):
    if value is None:
        return True
    return int(value) if re.fullmatch(rb"-?\d+", value) else value.decode()


def age_of(answer):
    value = answer.value("Age")
    assert value is not None and re.fullmatch(rb"\d+", value), f"no proper Age: {answer.fields}"
    return int(value)


def number_of(answer):
    """Which of the origin's answers the body is from."""
    match = re.fullmatch(rb"body (\d+)", answer.body)
    assert match, f"{answer.start!r} {answer.fields} {answer.body[:200]!r}"
    return int(match[1])


def assert_hit(answer, number=1, ttl=None, margin=60):
    """Answered from what was stored, with a ttl that has become smaller by at most the margin."""
    status = cache_status(answer)
    assert status.get("hit") is True and set(status) <= {"hit", "ttl", "detail", "key"}, f"no hit: {status}"
    assert number_of(answer) == number
    assert age_of(answer) >= 0 and type(status["ttl"]) is int
    if ttl is not None:
        assert ttl - margin <= status["ttl"] <= ttl, status


def assert_forwarded(answer, reason, number=None, stored=None):
    """Fetched for this request, for that reason; not served out of the cache."""
    status = cache_status(answer)
    assert status.get("fwd") == reason, f"expected fwd={reason}: {status}"
    if number is not None:
        assert number_of(answer) == number
    if stored is not None:
        assert status.get("stored", False) is stored, status


# -- fixtures, for the modules that name this one in pytest_plugins -----------------------------------


@pytest.fixture(scope="session")
def shared_cache(binary, tmp_path_factory):
    shared = SharedStage(lambda: CacheStage(binary, tmp_path_factory.mktemp("cache"), config=SHARED_CONFIG))
    yield shared
    shared.stop()


SHARED_CONFIG = {"cache": {"other_invalidates": []}}


@pytest.fixture
def cache(shared_cache):
    """A caching gateway shared by the tests of a process; targets are new in each test."""
    stage = shared_cache.take()
    stage.renew()
    yield stage
    shared_cache.give_back()


@pytest.fixture
def make_cache(binary, tmp_path_factory):
    """Makes caching gateways with settings of their own; each is stopped and checked after the test."""
    stages = []

    def make(start=True, **options):
        stage = CacheStage(binary, tmp_path_factory.mktemp("cache"), **options)
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
