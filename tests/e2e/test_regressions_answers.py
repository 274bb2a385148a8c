"""Answers that were lost, cut or given up although nobody was at fault, or kept although somebody was."""

import socket
import threading

import pytest
from support import wire
from support.kernel import ESTABLISHED, held_for, other_end, wait_taken
from support.origin import by_target
from support.raw import Client
from support.waiting import DEADLINE, wait_event, wait_until
from support.wire import CRLF, Reader

STEP = 8192  # much less than the gateway queues before it stops reading upstream
FILLED = b"/v1/filled"


class SmallClient(Client):
    """Its segments are so small that the kernel takes little of an answer that nobody reads."""

    def __init__(self, port):
        self.sock = socket.socket()
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 536)
        self.sock.settimeout(DEADLINE)
        self.sock.connect(("127.0.0.1", port))
        self.reader = Reader(self.sock)


class Filled:
    """An answer that has ended upstream while the gateway still has some of it in its queue.

    The client reads nothing; the origin sends step by step, each once the one before was
    read, until more has come than the kernel has taken.
    """

    def __init__(self, stage, start=b"GET " + FILLED + b" HTTP/1.1"):
        self.stage = stage
        self.sent = 0
        stage.origin.answer = by_target({FILLED: self.answer})
        self.client = SmallClient(stage.gateway.port)
        self.client.send(stage.request(start))

    def answer(self, peer, request):
        peer.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        peer.send(wire.head(b"HTTP/1.1 200 OK", wire.DATE, b"Transfer-Encoding: chunked"))
        passed_on = 0
        while self.sent == 0 or held_for(self.client.sock) >= passed_on:
            passed_on = self.sent
            peer.send(b"%x\r\n%b\r\n" % (STEP, b"x" * STEP))
            self.sent += STEP
            wait_taken(peer.sock)
        peer.send(b"0\r\n\r\n")

    def wait_ended(self):
        """Until the gateway has done with the exchange, which it says in its access log."""
        wait_until(lambda: FILLED.decode() in self.stage.gateway.stderr(), "the end of the exchange")
        return self

    def assert_arrives(self):
        with self.client:
            assert len(self.client.read_response().body) == self.sent


def single(make_stage, **limits):
    """One worker: what it did for one connection is done when it answers on another."""
    return make_stage(config={"workers": 1, "limits": limits})


def test_an_answer_whose_head_came_in_two_pieces_arrives_whole(stage):
    head, body = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n", b"A" * 50 + b"B" * 50

    def answer(peer, request):
        peer.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in (head[:25], head[25:] + body[:50], body[50:]):
            peer.send(piece)
            wait_taken(peer.sock)

    stage.origin.answer = answer
    answer = stage.get(b"/v1/a")
    assert answer.start == b"HTTP/1.1 200 OK" and answer.body == body


# -- an answer of which some is queued ----------------------------------------------------------


@pytest.mark.parametrize("version", [b"HTTP/1.1", b"HTTP/1.0"])
def test_a_half_closed_slow_reader_gets_all_that_is_queued(make_stage, version):
    stage = single(make_stage)
    filled = Filled(stage, b"GET %b %b" % (FILLED, version)).wait_ended()
    filled.client.half_close()
    wait_until(lambda: other_end(filled.client.sock).state != ESTABLISHED, "the half-close to arrive")
    assert stage.get(b"/v1/other").status == 200
    filled.assert_arrives()


def test_a_reader_that_was_half_closed_from_the_start_gets_all_that_is_queued(make_stage):
    stage = single(make_stage)
    filled = Filled(stage)
    filled.client.half_close()
    filled.wait_ended().assert_arrives()


def test_the_timeout_of_idle_connections_does_not_cut_what_is_queued(make_stage):
    stage = single(make_stage, keepalive_timeout="300ms")
    filled = Filled(stage).wait_ended()
    with stage.connect() as idle:
        assert idle.ask(stage.request(b"GET /v1/other HTTP/1.1")).status == 200
        idle.assert_closed()
    filled.assert_arrives()


def test_a_stop_waits_for_what_is_queued(make_stage):
    stage = single(make_stage, drain_timeout="60s")
    with stage.connect() as idle:
        assert idle.ask(stage.request(b"GET /v1/other HTTP/1.1")).status == 200
        filled = Filled(stage).wait_ended()
        stage.gateway.process.terminate()
        idle.assert_closed()
    filled.assert_arrives()
    assert stage.gateway.process.wait(DEADLINE) == 0


def test_an_answer_given_up_in_the_queue_does_not_look_whole(make_stage):
    stage = single(make_stage, send_timeout="500ms")
    for _ in range(20):
        filled = Filled(stage, b"GET " + FILLED + b" HTTP/1.0").wait_ended()
        closed = "client 127.0.0.1:%d: closed" % filled.client.sock.getsockname()[1]
        line = wait_until(lambda closed=closed: next((line for line in stage.gateway.stderr().splitlines()
                                                      if closed in line), None), "the connection to be given up")
        with filled.client as client:
            client.read_to_end()
            if ": done," not in line:  # else the kernel had found room for all that was left
                assert client.reader.end == "reset"
                return
    raise AssertionError("nothing was ever left in the gateway's own queue")


# -- stops -------------------------------------------------------------------------------------


@pytest.mark.parametrize("by_signal", [False, True], ids=["timeout", "second-signal"])
def test_a_forced_stop_never_completes_a_half_answer(make_stage, by_signal):
    stage = single(make_stage, drain_timeout="60s" if by_signal else "300ms")
    stage.origin.answer = lambda peer, request: (
        peer.send(wire.head(b"HTTP/1.1 200 OK", wire.DATE, b"Transfer-Encoding: chunked"), b"5\r\nhello\r\n"),
        peer.wait_end())
    with stage.connect() as idle, stage.connect() as client:
        assert idle.ask(b"GET /.psgate/healthz HTTP/1.1\r\nHost: gateway.test\r\n\r\n").status == 200
        client.send(stage.request(b"GET /v1/a HTTP/1.0"))
        assert client.read_head().framing() == "close"
        assert client.reader.exactly(5) == b"hello"
        stage.gateway.process.terminate()
        idle.assert_closed()  # so the first signal was seen
        if by_signal:
            stage.gateway.process.terminate()
        assert client.read_to_end() == b""
        assert client.reader.end == "reset"
    assert stage.gateway.process.wait(DEADLINE) == 0


def test_a_stop_does_not_wait_for_a_connection_that_became_idle(make_stage):
    stage = single(make_stage, drain_timeout="90s", keepalive_timeout="90s")
    leave = threading.Event()

    def answer(peer, request):
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345")
        wait_event(leave, "the stop")
        peer.send(b"67890")

    with stage.connect() as idle, stage.connect() as client:
        assert idle.ask(stage.request(b"GET /v1/a HTTP/1.1")).status == 200
        stage.origin.answer = answer
        client.send(stage.request(b"GET /v1/a HTTP/1.1"))
        pieces = client.body_pieces(client.read_head())
        stage.gateway.process.terminate()
        idle.assert_closed()
        leave.set()
        assert b"".join(pieces) == b"1234567890"
        assert stage.gateway.process.wait(DEADLINE) == 0


# -- whose slowness it is ------------------------------------------------------------------------


def test_a_reader_that_stops_reading_but_keeps_sending_is_given_up(make_stage):
    stage = single(make_stage, send_timeout="500ms", body_timeout="500ms")

    def answer(peer, request):
        peer.send(wire.head(b"HTTP/1.1 200 OK", wire.DATE, b"Content-Length: 1000000000"))
        while True:  # until the gateway gives up, which ends this with an error that is expected
            peer.send(b"x" * 65536)

    stage.origin.answer = answer
    with stage.connect(receive_buffer=4096) as client:
        client.send(stage.request(b"GET /v1/a HTTP/1.1"))
        peer = stage.origin.wait_request().peer
        client.send(b"GET /")
        wait_until(lambda: client.send_unheeded(b"x" * 16) or peer.ended.is_set(), "the reader to be given up")


def test_waiting_for_a_100_is_not_the_clients_slowness(make_stage):
    stage = single(make_stage, body_timeout="300ms")
    leave = threading.Event()

    def answer(peer, request):
        wait_event(leave, "somebody else's timeout")
        peer.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        peer.read_body(request)
        peer.send(wire.response())

    stage.origin.answer = by_target({b"/v1/a": answer})
    expecting = stage.request(b"POST /v1/a HTTP/1.1", b"Content-Length: 2", b"Expect: 100-continue")
    with stage.connect() as client, stage.connect() as slow:
        client.send(expecting)
        stage.origin.wait_request()
        slow.send(stage.request(b"POST /v1/slow HTTP/1.1", b"Content-Length: 2"))
        assert slow.read_response().status == 408
        leave.set()
        assert client.read_head().status == 100
        assert client.ask(b"ab").status == 200
    assert stage.origin.requests[0].body == b"ab"


def wait_for_a_slow_head(stage):
    """Until header_timeout has passed for a head that began now, and so for whatever began before."""
    with stage.connect() as slow:
        slow.send(b"GET /v1/slow")
        assert slow.read_response().status == 408


@pytest.mark.parametrize("lines", [CRLF, CRLF * 3], ids=["one", "three"])
def test_empty_lines_between_requests_mean_nothing(make_stage, lines):
    stage = single(make_stage, header_timeout="300ms")
    asking = stage.request(b"POST /v1/a HTTP/1.1", b"Content-Length: 2", body=b"ok" + lines)
    with stage.connect() as client:
        assert client.ask(asking).status == 200
        wait_taken(client.sock)
        wait_for_a_slow_head(stage)
        assert not client.is_readable()
        assert client.ask(asking).status == 200
        client.half_close()
        client.assert_closed()


def test_half_an_empty_line_between_requests_begins_none(make_stage):
    stage = single(make_stage, header_timeout="300ms")
    with stage.connect() as client:
        assert client.ask(stage.request(b"GET /v1/a HTTP/1.1")).status == 200
        client.send(b"\r")
        wait_taken(client.sock)
        wait_for_a_slow_head(stage)
        assert not client.is_readable()
        assert client.ask(b"\n" + stage.request(b"GET /v1/a HTTP/1.1")).status == 200


# -- what a request may not do ---------------------------------------------------------------------


@pytest.mark.parametrize("lines", [1, 3])
def test_more_than_32_connection_options_are_refused(stage, lines):
    def asking(count):
        options = [b"option-%d" % number for number in range(count)]
        fields = [b"Connection: " + b", ".join(options[at::lines]) for at in range(lines)]
        return stage.request(b"GET /v1/a HTTP/1.1", *fields)

    stage.refused(asking(33), 400)
    stage.origin.forget()
    stage.forward(asking(32))


def test_a_trailer_that_connection_names_is_not_forwarded(stage):
    lines = (b"Transfer-Encoding: chunked", b"Connection: X-Hop", b"Trailer: X-Hop, X-Sum")
    body = wire.chunked(b"data", trailers=(b"X-Hop: 1", b"X-Sum: 2"))
    request = stage.forward(stage.request(b"POST /v1/a HTTP/1.1", *lines, body=body))
    assert request.body == b"data"
    assert b"X-Hop" not in [name for name, _ in request.trailers]
