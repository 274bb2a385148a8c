"""One request of each kind, for the tests in which something fails while it is served.

A kind prepares a connection, while nothing fails yet, and then exchanges one request and its
answer over it. Each attempt has a number, and names of its own where it needs them.
"""

import hashlib
import os
import ssl
from contextlib import nullcontext

import pytest
from support import wire
from support.audit import read_changes
from support.faults import Faults
from support.gateway import merged
from support.origin import closing, shut
from support.stage import Stage, assert_gateway_error
from support.waiting import Stillness, wait_until
from support.wire import Ended

CONFIG = {"workers": 1, "audit": {"timeout": "2s"}}

OPERATIONS = [
    {"id": "lookup", "method": "GET", "path": "/v1/things/{name}", "cache": {"scope": "things", "ttl": "1h"}},
    {"id": "validated", "method": "GET", "path": "/v1/validated/{name}",
     "cache": {"scope": "others", "freshness": "upstream"}},
    {"id": "makeThing", "method": "POST", "path": "/v1/things", "audit": {"record": ["name"]},
     "resource": {"type": "secret", "name": "body.name"}},
    {"id": "dropThing", "method": "DELETE", "path": "/v1/things/{name}", "audit": {},
     "resource": {"type": "secret", "name": "name"}},
    {"id": "changeThing", "method": "PUT", "path": "/v1/things/{name}", "audit": {"record": ["size"]},
     "resource": {"type": "secret", "name": "name"}, "invalidates": ["things"]},
]
BIG = hashlib.shake_128(b"a body").digest(300_000)
SMALL = b'{"answer": 42}'
ASKING = (b"Connection: Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
          b"Sec-WebSocket-Version: 13")
AGREED = wire.head(b"HTTP/1.1 101 Switching Protocols", b"Upgrade: websocket", b"Connection: Upgrade")
CHUNKED = wire.head(b"HTTP/1.1 200 OK", b"Transfer-Encoding: chunked") + wire.chunked(
    SMALL, BIG[:50_000], trailers=[b"X-Trailer: yes"])


def sized(body):
    return b"Content-Length: %d" % len(body)


def echo_tunnel(peer, request):
    peer.send(AGREED)
    while peer.reader.buffer or peer.reader.fill():
        peer.send(peer.reader.take(len(peer.reader.buffer)))
    peer.finish()


class Kind:
    """A plain request that is answered by upstream."""

    method, target, lines, body = b"GET", b"/v1/plain", (), b""
    upstream_answer = wire.response(body=SMALL)
    status, expected = 200, SMALL
    sparsity = 1  # by so much larger are the steps where not every allocation is tried

    def __init__(self, stage):
        self.stage = stage

    def prepare(self, number):
        """A connection on which a request was answered already."""
        self.number = number
        self.stage.origin.answer = self.upstream_answer
        client = self.stage.connect()
        assert client.ask(wire.head(b"GET /.psgate/healthz HTTP/1.1", b"Host: gateway.test")).status == 200
        return client

    def name(self):
        return b"%b-%d" % (type(self).__name__.encode(), self.number)

    def request(self):
        return self.stage.request(b"%b %b HTTP/1.1" % (self.method, self.target), *self.lines, body=self.body)

    def exchange(self, client):
        client.send_unheeded(self.request())
        return client.read_response(self.method.decode())

    def outcome(self, client):
        """The answer; None when the connection was closed without a whole one."""
        try:
            return self.exchange(client)
        except (Ended, ConnectionError, ssl.SSLError):
            return None

    def is_right(self, answer):
        return answer.status == self.status and answer.body == self.expected

    def check(self, answer):
        """After an attempt in which something failed: right, or a clear error, or nothing at all."""
        if answer is not None and not self.is_right(answer):
            assert_gateway_error(answer, 500, 502, 503, 504)


class Hit(Kind):
    target = b"/v1/things/hit"

    def prepare(self, number):
        client = super().prepare(number)
        assert client.ask(self.request()).status == 200
        return client


class NotModified(Hit):
    """304 from the gateway, to a client that has what is stored."""

    status, expected = 304, b""
    target = b"/v1/things/known"
    upstream_answer = wire.response(b"HTTP/1.1 200 OK", b'ETag: "one"', body=SMALL)

    def prepare(self, number):
        self.lines = ()
        client = super().prepare(number)
        self.lines = (b'If-None-Match: "one"',)
        return client


class Miss(Kind):
    @property
    def target(self):
        return b"/v1/things/" + self.name()


class Validated(Hit):
    """A stored answer that upstream validates with its 304."""

    target = b"/v1/validated/one"
    freshness = b"Cache-Control: max-age=0"

    def upstream_answer(self, peer, request):
        peer.read_body(request)
        if request.values("If-None-Match"):
            peer.send(wire.head(b"HTTP/1.1 304 Not Modified", wire.DATE, b'ETag: "one"', self.freshness))
        else:
            peer.send(wire.response(b"HTTP/1.1 200 OK", b'ETag: "one"', self.freshness, body=SMALL))


class BodyBothWays(Kind):
    method, target, lines, body = b"POST", b"/v1/plain", (sized(BIG),), BIG
    upstream_answer = wire.response(body=BIG)
    expected = BIG


class ChunkedBothWays(Kind):
    method, target, lines = b"POST", b"/v1/plain", (b"Transfer-Encoding: chunked",)
    body = wire.chunked(SMALL, BIG[:20_000], trailers=[b"X-Trailer: yes"])
    upstream_answer = CHUNKED
    expected = SMALL + BIG[:50_000]

    def is_right(self, answer):
        return super().is_right(answer) and answer.trailers == [(b"X-Trailer", b"yes")]

    def check(self, answer):
        """What upstream got as a whole request has its trailers too."""
        super().check(answer)
        for request in self.stage.origin.requests:
            if request.method == b"POST" and request.complete:
                assert request.body == SMALL + BIG[:20_000] and request.trailers == [(b"X-Trailer", b"yes")]


class UntilClose(Kind):
    upstream_answer = staticmethod(closing(wire.head(b"HTTP/1.1 200 OK", wire.DATE) + BIG[:50_000]))
    expected = BIG[:50_000]


class BigMiss(Miss):
    """Streamed to the client while it is collected for the cache."""

    upstream_answer = wire.response(body=BIG)
    expected = BIG


class BigChunkedMiss(Miss):
    upstream_answer = wire.head(b"HTTP/1.1 200 OK", b"Transfer-Encoding: chunked") + wire.chunked(BIG)
    expected = BIG


class Behind(Validated):
    """A stale answer goes out at once, and is renewed behind it."""

    target = b"/v1/validated/behind"
    freshness = b"Cache-Control: max-age=0, stale-while-revalidate=60"


class PrivateFields(Hit):
    """An answer with a field that is only for the one who asks."""

    upstream_answer = wire.response(b"HTTP/1.1 200 OK", b'ETag: "one"', b"X-Own: mine",
                                    b'Cache-Control: max-age=60, private="X-Own"', body=SMALL)

    @property
    def target(self):
        return b"/v1/validated/" + self.name()

    def prepare(self, number):
        return Kind.prepare(self, number)

    def check(self, answer):
        super().check(answer)
        again = self.stage.get(self.target)
        if b"hit" in again.value("Cache-Status"):
            assert not again.values("X-Own"), "a private field was stored"


class Expecting(Kind):
    """The client sends its body once it was told to."""

    method, target, lines = b"POST", b"/v1/plain", (sized(SMALL), b"Expect: 100-continue")

    @staticmethod
    def upstream_answer(peer, request):
        peer.send(wire.head(b"HTTP/1.1 100 Continue"))
        peer.read_body(request)
        peer.send(wire.response(body=SMALL))

    def exchange(self, client):
        client.send_unheeded(self.request())
        answer = client.read_head()
        if answer.status == 100:
            client.send_unheeded(SMALL)
            return client.read_response()
        answer.body = b"".join(client.body_pieces(answer))
        return answer


class Tunnel(Kind):
    target, lines = b"/v1/socket", ASKING
    upstream_answer = staticmethod(echo_tunnel)
    status, expected = 101, BIG[:5000]

    def exchange(self, client):
        client.send_unheeded(self.request())
        answer = client.read_head()
        if answer.status == 101:
            client.send_unheeded(self.expected)
            answer.body = client.reader.exactly(len(self.expected))
        else:
            answer.body = b"".join(client.body_pieces(answer))
        return answer


class Change(Kind):
    """An audited change; its name is in the trail."""

    method = b"DELETE"

    @property
    def target(self):
        return b"/v1/things/" + self.name()

    @property
    def lines(self):
        return (b"X-Name: " + self.name(),)

    def check(self, answer):
        super().check(answer)
        name = self.name()
        change = self.stage.changes().get(name.decode())
        requests = [request for request in self.stage.origin.requests if request.values("X-Name") == [name]]
        assert len(requests) <= 1, "a change was sent twice"
        assert change or not requests, "a change without an intent was forwarded"
        if answer is not None and answer.status < 300:
            assert change.end == ("success", None, answer.status)


class ChangeWithBody(Change):
    method, target = b"POST", b"/v1/things"

    @property
    def body(self):
        return b'{"name": "%b", "value": "v"}' % self.name()

    @property
    def lines(self):
        return *super().lines, sized(self.body), b"Content-Type: application/json"


class InvalidatingChange(ChangeWithBody):
    method = b"PUT"
    target = Change.target
    body = b'{"size": 7}'


class ChangeWithBigAnswer(Change):
    upstream_answer = CHUNKED
    expected = SMALL + BIG[:50_000]


class Refused(Kind):
    """No such client."""

    status = 401

    def request(self):
        return wire.head(b"GET /v1/plain HTTP/1.1", b"Host: gateway.test", b"Authorization: Bearer nonsense")

    def is_right(self, answer):
        return answer.status == self.status


class RefusedChange(Refused):
    def request(self):
        return wire.head(b"DELETE /v1/things/x HTTP/1.1", b"Host: gateway.test", b"Authorization: Bearer nonsense")


class OverTheRate(Refused):
    status = 429

    def request(self):
        return self.stage.request(b"GET /v1/plain HTTP/1.1", token=self.stage.gateway.tokens["slow"])


class Whoami(Refused):
    status = 200

    def request(self):
        return self.stage.request(b"GET /.psgate/whoami HTTP/1.1")


class Pipelined(Kind):
    """Two requests in one piece; the second answer is what counts."""

    def exchange(self, client):
        client.send_unheeded(self.request() * 2)
        first = client.read_response()
        return client.read_response() if self.is_right(first) else first


class NewConnection(Kind):
    """From its beginning, which fails along with the rest."""

    def prepare(self, number):
        self.number = number
        self.stage.origin.answer = self.upstream_answer
        return nullcontext()

    def exchange(self, client):
        with self.stage.connect() as client:
            return super().exchange(client)


KINDS = [Kind, Hit, NotModified, Miss, BigMiss, BigChunkedMiss, Validated, Behind, PrivateFields, BodyBothWays, ChunkedBothWays, UntilClose, Expecting, Tunnel, Change,
         ChangeWithBody, InvalidatingChange, ChangeWithBigAnswer, Refused, RefusedChange, OverTheRate, Whoami, Pipelined,
         NewConnection]
CHANGES = [Change, ChangeWithBody, InvalidatingChange, ChangeWithBigAnswer]


class FaultStage(Stage):
    """A gateway into which the library is loaded, and its trail."""

    def __init__(self, binary, folder, library, config=None, **options):
        super().__init__(binary, folder, config=merged(CONFIG, config or {}), operations=OPERATIONS, **options)
        self.gateway.add_client("slow", rate="1/h", burst=1)
        self.trail = folder / "audit"
        self.faults = Faults(library, folder)
        self.gateway.environment = self.faults.environment
        self.forwarded = set()  # the names of the changes that have reached the origin

    def start(self):
        super().start()
        self.get(b"/v1/plain", token=self.gateway.tokens["slow"])  # all that it may ask in an hour
        wait_until(lambda: self.get(b"/v1/things/first", b"X-Name: first", method=b"DELETE").status == 200, "the trail")
        self.note_descriptors()
        return self

    def note_descriptors(self):
        """How many there are now is how many there should be."""
        self.leave_upstream()
        wait_until(Stillness(self.count_descriptors), "the descriptors of idle connections to go")
        self.descriptors = self.count_descriptors()

    def changes(self):
        """The trail's changes to things by the things' names."""
        return {change.name: change for change in read_changes(self.trail)}

    def count_descriptors(self):
        try:
            return len(os.listdir(f"/proc/{self.gateway.pid}/fd"))
        except PermissionError:
            pytest.skip("only root reads /proc/PID/fd of a process that is not dumpable")

    def leave_upstream(self):
        """Ends the connections from the gateway."""
        for peer in self.origin.peers:
            shut(peer.sock)

    def forget(self):
        """Begins a new record at the origin."""
        self.forwarded |= {name for request in self.origin.requests for name in request.values("X-Name")}
        self.origin.forget()

    def check(self):
        """After a test, failed or not: it has told nothing secret, and no descriptor is left over."""
        self.origin.check()
        self.gateway.check_output()
        self.leave_upstream()
        wait_until(lambda: self.count_descriptors() <= self.descriptors, "all descriptors to be closed")
        self.forget()

    def stop(self):
        """Ends it. Every change has one result then, a true one, and the trail is intact."""
        super().stop()
        self.forget()
        for name, change in self.changes().items():
            if name is None:
                continue  # recorded without anybody waiting
            was_forwarded = name.encode() in self.forwarded
            assert was_forwarded or change.end[0] != "success", change.end
            assert not was_forwarded or change.end[1] != "not_forwarded", change.end
        verdict = self.gateway.command("audit", "verify", self.trail)
        assert verdict.returncode == 0 and ", 0 unfinished, chain intact" in verdict.stdout, verdict
