"""A bad network between gateway and upstream: late, in pieces, in lumps, cut, reset, silent.

Whatever it does, a client is told the truth: an answer is upstream's, whole, or it is an error of
the gateway or a visible cut; a change is made once at most, and the trail says how it ended.
"""

import hashlib
import random
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
from support import wire
from support.admin import AdminStage
from support.audited import parsed
from support.gateway import merged
from support.relay import PLAIN, Course, Relay
from support.stage import assert_gateway_error
from support.waiting import wait_until
from support.wire import Ended

OPERATIONS = [
    {"id": "lookup", "method": "GET", "path": "/v1/things/{name}", "cache": {"scope": "things", "ttl": "1h"}},
    {"id": "change", "method": "POST", "path": "/v1/changes/{name}", "audit": {},
     "resource": {"type": "change", "name": "name"}, "invalidates": ["none"]},
]
CHUNKED = b"Transfer-Encoding: chunked"
SIZES = (0, 1, 5000)


def filler(name, size):
    """Bytes that belong to one request alone."""
    block = hashlib.sha256(name).hexdigest().encode()
    return (block * (size // len(block) + 1))[:size]


class Upstream:
    """Answers each request with a body that is its own, and keeps what was asked of it, whole."""

    def __init__(self):
        self.closes = False  # after each answer, and says so
        self.made = []
        self.broken = []

    def __call__(self, peer, request):
        body = peer.read_body(request)
        _, _, kind, name = request.target.split(b"/")
        size = int(name.rpartition(b"-")[2])
        if request.method == b"POST":
            self.made.append(name)
            if body != filler(name, size):
                self.broken.append(name)
        answer = filler(b"answer to " + name, size)
        framed = [CHUNKED] if kind == b"pieces" else [b"Content-Length: %d" % size]
        framed += [b"Connection: close"] * self.closes
        head = wire.head(b"HTTP/1.1 200 OK", b"X-Name: " + name, *framed)
        parts = [answer[at : at + 700] for at in range(0, size, 700)]
        body = b"" if request.method == b"HEAD" else wire.chunked(*parts) if kind == b"pieces" else answer
        peer.send(head + body)
        if self.closes:
            peer.finish()


# (method, kind of target, whether the body is sent in chunks)
REQUESTS = [(b"GET", b"pieces", False), (b"GET", b"things", False), (b"HEAD", b"plain", False), (b"POST", b"changes", False),
            (b"POST", b"changes", True), (b"POST", b"pieces", True), (b"POST", b"plain", False)]


class Asked:
    """One request and what the client was told."""

    def __init__(self, number):
        self.method, self.kind, self.is_chunked = REQUESTS[number % len(REQUESTS)]
        self.size = SIZES[number // len(REQUESTS) % len(SIZES)]
        self.name = b"%d-%d" % (number, self.size)
        self.answer = None
        self.is_cut = False

    def ask(self, stage):
        body = filler(self.name, self.size) if self.method == b"POST" else b""
        framing = [CHUNKED] if self.is_chunked else [b"Content-Length: %d" % len(body)] if self.method == b"POST" else []
        data = wire.chunked(*filter(None, (body[:100], body[100:]))) if self.is_chunked else body
        with stage.connect() as client:
            try:
                client.send_unheeded(stage.request(b"%b /v1/%b/%b HTTP/1.1" % (self.method, self.kind, self.name), *framing,
                                                   body=data))
                self.answer = client.read_head()
                while self.answer.status < 200:
                    self.answer = client.read_head()
                for piece in client.body_pieces(self.answer, self.method.decode()):
                    self.answer.body += piece
            except Ended:
                self.is_cut = True
        return self

    @property
    def is_right(self):
        return not self.is_cut and self.answer.status == 200

    def judge(self, is_harmless):
        if self.is_right:
            wanted = b"" if self.method == b"HEAD" else filler(b"answer to " + self.name, self.size)
            assert self.answer.value("X-Name") == self.name and self.answer.body == wanted, self.name
            return
        assert not is_harmless, f"{self.method} {self.kind} {self.name}: {self.answer and self.answer.head} cut: {self.is_cut}"
        if not self.is_cut and self.method == b"HEAD":
            assert self.answer.status in (502, 504) and self.answer.value("Proxy-Status")
        elif not self.is_cut:
            assert_gateway_error(self.answer, 502, 504)
        elif self.answer is not None:
            assert self.answer.status == 200 and self.answer.value("X-Name") == self.name
            assert filler(b"answer to " + self.name, self.size).startswith(self.answer.body)


class RelayedStage(AdminStage):
    """A gateway, a relay, an origin."""

    def __init__(self, binary, folder, choose, tls=None, ca_file=None):
        upstream = {"max_connections": 64, "response_timeout": "2s", **({"ca_file": str(ca_file)} if tls else {})}
        super().__init__(binary, folder, operations=OPERATIONS, tls=tls,
                         config={"upstream": upstream, "limits": {"send_timeout": "2s"}, "cache": {"unknown_hold": "1ms"},
                                 "log": {"level": "info", "access": False}})
        self.relay = Relay(self.origin.port, choose)
        self.origin.answer = self.upstream = Upstream()
        url = f"{'https' if tls else 'http'}://127.0.0.1:{self.relay.port}"
        self.gateway.write_config(merged(self.gateway.config, {"upstream": {"url": url}}))

    def run(self, count, is_harmless):
        with ThreadPoolExecutor(16) as crowd:
            asked = list(crowd.map(lambda number: Asked(number).ask(self), range(count)))
        for one in asked:
            one.judge(is_harmless)
        assert self.upstream.broken == [], "a body came to upstream complete, but not as it was sent"
        assert len(self.upstream.made) == len(set(self.upstream.made)), "a change was made twice"
        self.judge_trail(asked)
        return asked

    def judge_trail(self, asked):
        wait_until(lambda: self.trail.count_open() == 0, "the results of all changes")
        results = {}
        for record in map(parsed, self.trail.lines()):
            if record["proxy.phase"] == "result" and record["event.action"] == "change":
                assert record["proxy.resource.name"] not in results, "two results"
                results[record["proxy.resource.name"]] = record
        for one in asked:
            if one.kind == b"changes":
                self.judge_result(one, results[one.name.decode()])

    def judge_result(self, one, result):
        made = one.name in self.upstream.made
        end = result["event.outcome"], result.get("http.response.status_code")
        if end == ("success", 200):
            assert made and (one.is_cut or one.is_right), (one.name, end)
        else:
            assert end[1] is None and not one.is_right, (one.name, result)
            assert end[0] == "unknown" or not made, f"{one.name} was made, and the trail says {result}"

    def assert_healthy(self):
        """Over a sound network all is well, and no connection is left in use."""
        self.relay.choose = lambda number: (PLAIN, PLAIN)
        for link in list(self.relay.links):
            link.stop()
        all_kinds = range(1000000, 1000000 + len(REQUESTS) * len(SIZES))
        wait_until(lambda: all(Asked(number).ask(self).is_right for number in all_kinds),
                   "all requests to reach upstream again")  # each worker learns for itself that it can
        wait_until(lambda: self.metrics().value("psgate_upstream_connections", state="active") == 0,
                   "all connections to be idle")

    def stop(self):
        super().stop()
        self.relay.stop()


@pytest.fixture
def make_relayed(binary, tmp_path_factory, authority):
    with ExitStack() as stages:

        def make(choose, is_secure):
            tls = {"tls": authority.server_context("right"), "ca_file": authority.ca_file} if is_secure else {}
            stage = RelayedStage(binary, tmp_path_factory.mktemp("relayed"), choose, **tls)
            stages.callback(stage.origin.check)
            stages.callback(stage.stop)
            return stage.start()

        yield make


SECURE = pytest.mark.parametrize("is_secure", [False, True], ids=["http", "https"])
HARMLESS = {
    "single-bytes": Course(size=1),
    "small-pieces-late": Course(size=100, pause=0.002),
    "in-lumps": Course(gather=0.03),
    "ends-late": Course(end="late"),
}


@SECURE
@pytest.mark.parametrize("course", HARMLESS.values(), ids=HARMLESS.keys())
def test_a_network_that_only_delays_splits_and_joins_changes_nothing(make_relayed, is_secure, course):
    stage = make_relayed(lambda number: (course, course), is_secure)
    stage.run(5 * len(REQUESTS) * len(SIZES) if course.size != 1 else 3 * len(REQUESTS) * len(SIZES), is_harmless=True)


HARMFUL = {"reset": ("reset",), "fin": ("fin",), "stall": ("stall",), "all": ("reset", "fin", "stall")}


@SECURE
@pytest.mark.parametrize("then", HARMFUL.values(), ids=HARMFUL.keys())
def test_a_network_that_loses_connections_anywhere_makes_nobody_believe_what_is_not_so(make_relayed, is_secure, then):
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")

    def choose(number):
        chance = random.Random(f"{seed} {number}")
        lost = Course(size=chance.choice((None, 1000)), limit=int(10 ** (chance.random() * 4)), then=chance.choice(then))
        late = Course(pause=0.002, end=chance.choice(("fin", "close", "reset", "late")))
        return chance.choice(((lost, late), (late, lost), (late, late)))

    stage = make_relayed(choose, is_secure)
    asked = stage.run(6 * len(REQUESTS) * len(SIZES), is_harmless=False)
    assert 0 < sum(one.is_right for one in asked) < len(asked)  # both kinds of ends were seen
    stage.assert_healthy()


@SECURE
@pytest.mark.parametrize("end", ["fin", "close", "reset", "late"])
def test_an_end_that_comes_with_or_after_the_last_byte_takes_nothing_away(make_relayed, is_secure, end):
    """Upstream closes after each answer; the network makes of that what it likes."""
    stage = make_relayed(lambda number: (PLAIN, Course(gather=0.01 * (number % 2), end=end)), is_secure)
    stage.upstream.closes = True
    stage.run(3 * len(REQUESTS) * len(SIZES), is_harmless=end != "reset" or not is_secure)
