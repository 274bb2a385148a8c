"""What upstream says to an audited change, or does not: recorded, and relayed as it came."""

import hashlib
import socket
import threading

import pytest
from support import wire
from support.gateway import is_sanitized
from support.origin import closing, dropping, holding, piecewise
from support.stage import assert_gateway_error
from support.waiting import Stillness, wait_event, wait_until
from support.wire import Ended, chunked

pytest_plugins = ["support.audited"]

CREATE = b"POST /v1/teams/t/secrets"
MEMBER = b"PUT /v1/teams/t/users/u"
DELETE = b"DELETE /v1/teams/t/secrets/DB_PASSWORD"
BODY = b'{"name": "KEY", "value": "a value"}'
LENGTH = b"Content-Length: %d" % len(BODY)
MIB = 1 << 20
BLOCK = hashlib.shake_256(b"a block of bytes without any pattern").digest(MIB)


def ended(stage):
    """How the one mutation ended: outcome, reason, status."""
    _, result = stage.trail.mutation()
    return tuple(result.get(key) for key in ("event.outcome", "event.reason", "http.response.status_code"))


# -- sound answers --------------------------------------------------------------------------------------


RELAYED = {
    "length": wire.response(b"HTTP/1.1 201 Made", b"X-A: 1", b"x-a: 2", b"ETag: \"e\"", body=b"made"),
    "empty": wire.response(body=b""),
    "no-content": wire.head(b"HTTP/1.1 204 Gone", wire.DATE),
    "chunked": wire.head(b"HTTP/1.1 200 OK", wire.DATE, b"Transfer-Encoding: chunked") + chunked(b"one", b"two" * 999),
    "tiny-chunks": wire.head(b"HTTP/1.1 200 OK", wire.DATE, b"Transfer-Encoding: chunked") + chunked(*[b"x"] * 5000),
    "trailers": wire.head(b"HTTP/1.1 200 OK", wire.DATE, b"Transfer-Encoding: chunked", b"Trailer: X-Sum")
    + chunked(b"one", trailers=[b"X-Sum: 1", b"X-More: 2"]),
    "redirect": wire.response(b"HTTP/1.1 307 There", b"Location: /v1/there", body=b""),
    "odd-status": wire.response(b"HTTP/1.1 299 Odd", body=b"odd"),
    "error": wire.response(b"HTTP/1.1 503 Busy", b"Retry-After: 7", body=b"{}"),
    "cookie": wire.response(b"HTTP/1.1 200 OK", b"Set-Cookie: a=b", b"Set-Cookie: c=d"),
}
SENDINGS = {"at-once": lambda data: data, "slowly": lambda data: piecewise(data, max(1, len(data) // 500))}


@pytest.mark.parametrize("sending", SENDINGS.values(), ids=SENDINGS.keys())
@pytest.mark.parametrize("data", RELAYED.values(), ids=RELAYED.keys())
def test_an_answer_is_relayed_as_it_came(audited, data, sending):
    audited.origin.answer = sending(data)
    with audited.connect() as client:
        answer = client.ask(audited.request(CREATE + b" HTTP/1.1", LENGTH) + BODY)
        assert client.ask(audited.request(DELETE + b" HTTP/1.1")).status == answer.status
    reader = FakeReader(data)
    expected = wire.Message(reader.until(b"\r\n\r\n"))
    assert answer.start == expected.start
    assert answer.others("Via", "Transfer-Encoding") == expected.others("Transfer-Encoding")
    trailers = []
    body = b"".join(wire.chunk_pieces(reader, trailers)) if expected.is_chunked else bytes(reader.buffer)
    assert (answer.body, answer.trailers) == (body, trailers)
    assert {result["http.response.status_code"] for _, result in audited.trail.mutations()} == {answer.status}


class FakeReader(wire.Reader):
    """A reader of bytes that are all there."""

    def __init__(self, data):
        super().__init__(None)
        self.buffer += data
        self.end = "eof"


@pytest.mark.parametrize("sending", ["at-once", "after-the-head"])
def test_an_answer_that_ends_with_its_connection_is_relayed_whole(audited, sending):
    head, body = wire.head(b"HTTP/1.1 200 OK", wire.DATE), b"until the end" * 1000
    audited.origin.answer = closing(head + body) if sending == "at-once" else piecewise_and_close(head, body)
    answer = audited.change(CREATE, body=BODY)
    assert (answer.status, answer.body) == (200, body)
    assert ended(audited) == ("success", None, 200)


def piecewise_and_close(*pieces):
    def answer(peer, request):
        peer.read_body(request)
        peer.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        peer.send(*pieces)
        peer.finish()

    return answer


def test_interim_answers_come_before_the_final_one_in_order(audited):
    interim = [wire.head(b"HTTP/1.1 %d Interim" % status, b"X-Number: %d" % status) for status in (102, 103, 199)]
    audited.origin.answer = piecewise(b"".join(interim) + wire.response(body=b"done"), 40)
    answer = audited.change(CREATE, body=BODY)
    assert [(head.status, head.value("X-Number")) for head in answer.interim] == [(102, b"102"), (103, b"103"), (199, b"199")]
    assert (answer.status, answer.body) == (200, b"done")
    assert ended(audited) == ("success", None, 200)


def test_a_body_that_comes_long_after_its_head_is_streamed(audited):
    leave = threading.Event()

    def answer(peer, request):
        peer.read_body(request)
        peer.send(wire.head(b"HTTP/1.1 200 OK", wire.DATE, b"Content-Length: 8"), b"half")
        wait_event(leave, "the client to have the first half")
        peer.send(b"more")

    audited.origin.answer = answer
    with audited.connect() as client:
        client.send(audited.request(CREATE + b" HTTP/1.1", LENGTH) + BODY)
        head = client.read_head()
        assert client.reader.exactly(4) == b"half" and ended(audited) == ("success", None, 200)
        leave.set()
        assert head.status == 200 and client.reader.exactly(4) == b"more"


@pytest.mark.parametrize("chunks", [False, True], ids=["length", "chunked"])
def test_a_large_answer_arrives_whole_and_no_faster_than_it_is_read(audited, chunks):
    count = 40

    def answer(peer, request):
        peer.read_body(request)
        framing = b"Transfer-Encoding: chunked" if chunks else b"Content-Length: %d" % (count * MIB)
        peer.send(wire.head(b"HTTP/1.1 200 OK", wire.DATE, framing))
        for _ in range(count):
            peer.send(*((b"%x\r\n" % MIB, BLOCK, b"\r\n") if chunks else (BLOCK,)))
        peer.send(b"0\r\n\r\n" if chunks else b"")

    audited.origin.answer = answer
    with audited.connect(receive_buffer=65536) as client:
        client.send(audited.request(CREATE + b" HTTP/1.1", LENGTH) + BODY)
        head = client.read_head()
        peer = audited.origin.wait_request().peer
        wait_until(Stillness(lambda: peer.sent), "the origin to be held back")
        assert peer.sent < count * MIB
        total = hashlib.sha256()
        for piece in client.body_pieces(head):
            total.update(piece)
    expected = hashlib.sha256()
    for _ in range(count):
        expected.update(BLOCK)
    assert total.digest() == expected.digest()
    assert ended(audited) == ("success", None, 200)


@pytest.mark.skipif(is_sanitized(), reason="memory figures mean nothing under sanitizers")
def test_what_waits_for_a_result_is_bounded(make_recorded):
    """Interim answers are held back with the rest: an upstream that sends them for ever fills no memory."""
    stage = make_recorded(config={"workers": 1})
    stage.origin.answer = piecewise(wire.head(b"HTTP/1.1 103 Hints", b"X-A: " + b"a" * 4000) * 5000 + wire.response(), 65536)
    stage.gateway.reset_peak()
    before = stage.gateway.peak_kib()
    stage.change(CREATE, body=BODY)
    assert stage.gateway.peak_kib() - before < 8 * 1024


# -- upstream refuses the key -----------------------------------------------------------------------------


@pytest.mark.parametrize("data", [wire.response(b"HTTP/1.1 401 Who", b"WWW-Authenticate: Bearer", body=b"no"),
                                  wire.head(b"HTTP/1.1 401 Who", b"Transfer-Encoding: chunked") + chunked(b"no")],
                         ids=["length", "chunked"])
def test_upstreams_401_is_a_failure_and_a_502(audited, data):
    audited.origin.answer = data
    answer = audited.change(CREATE, body=BODY)
    assert_gateway_error(answer, 502)
    assert answer.value("Proxy-Status") == \
        b'psgate; error=proxy_configuration_error; details="upstream refused the credential"'
    outcome, reason, status = ended(audited)
    assert (outcome, status) == ("failure", 401) and reason


# -- no answer --------------------------------------------------------------------------------------------


def assert_not_forwarded(stage):
    _, result = stage.trail.mutation()
    assert (result["event.outcome"], result["event.reason"]) == ("failure", "not_forwarded")
    assert "http.response.status_code" not in result
    assert "proxy.invalidated" not in result, "what was not sent has made nothing old"


def test_a_refused_connection_is_a_failure_that_was_not_forwarded(make_recorded):
    stage = make_recorded()
    stage.origin.stop()
    assert_gateway_error(stage.change(MEMBER, body=b'{"isAdmin": true}'), 502)
    assert_not_forwarded(stage)


def test_a_change_that_the_open_circuit_fails_was_not_forwarded(make_recorded):
    stage = make_recorded(config={"workers": 1})
    stage.origin.stop()
    for _ in range(20):
        assert_gateway_error(stage.change(MEMBER, body=b'{"isAdmin": true}'), 502, 503)
    assert {result["event.reason"] for _, result in stage.trail.mutations()} == {"not_forwarded"}


@pytest.mark.parametrize("certificate", ["wrong-name", "self-signed", "expired"])
def test_a_failed_tls_handshake_is_a_failure_that_was_not_forwarded(make_recorded, authority, certificate):
    stage = make_recorded(config={"upstream": {"ca_file": str(authority.ca_file)}}, upstream_host="localhost",
                         tls=authority.server_context(certificate))
    assert_gateway_error(stage.change(MEMBER, body=b'{"isAdmin": true}'), 502)
    assert_not_forwarded(stage)
    assert stage.origin.requests == []


CLOSED = {"no-byte": b"", "part-of-a-head": b"HTTP/1.1 200 OK\r\nContent-", "interim-only": b"HTTP/1.1 103 Hints\r\n\r\n",
          "no-http": b"SSH-2.0-OpenSSH\r\n\r\n", "unasked-upgrade": wire.head(
              b"HTTP/1.1 101 Switch", b"Upgrade: websocket", b"Connection: upgrade"),
          "ambiguous": wire.head(b"HTTP/1.1 200 OK", b"Content-Length: 1", b"Content-Length: 2")}


@pytest.mark.parametrize("data", CLOSED.values(), ids=CLOSED.keys())
def test_a_change_without_a_sound_answer_ends_unknown(audited, data):
    audited.origin.answer = closing(data)
    answer = audited.change(MEMBER, body=b'{"isAdmin": true}')
    assert_gateway_error(answer, 502)
    assert answer.interim == []
    outcome, reason, status = ended(audited)
    assert outcome == "unknown" and reason and status is None
    assert audited.trail.mutation()[1]["proxy.invalidated"] == ["session", "members"]
    assert len(audited.origin.requests) == 1, "a change was sent again"


def test_a_change_whose_connection_closes_before_it_is_read_ends_unknown(audited):
    audited.origin.answer = dropping(b"")
    assert_gateway_error(audited.change(CREATE, body=b'{"name": "K", "value": "%b"}' % (b"x" * 500000)), 502)
    assert ended(audited)[0] == "unknown"
    assert len(audited.origin.requests) == 1


def test_a_change_on_a_kept_connection_that_dies_is_not_sent_again(make_recorded):
    stage = make_recorded(config={"workers": 1})
    assert stage.change(DELETE).status == 200
    stage.trail.forget()
    stage.origin.answer = closing(b"")
    assert_gateway_error(stage.change(DELETE), 502)
    assert ended(stage)[0] == "unknown" and len(stage.origin.requests) == 2


@pytest.mark.parametrize("data", [b"", wire.head(b"HTTP/1.1 103 Hints"), b"HTTP/1.1 200"],
                         ids=["silent", "after-an-interim", "within-the-head"])
def test_a_change_that_is_not_answered_in_time_ends_unknown(make_recorded, data):
    stage = make_recorded(config={"upstream": {"response_timeout": "300ms"}})

    def answer(peer, request):
        peer.read_body(request)
        peer.send(data)
        peer.wait_end()

    stage.origin.answer = answer
    answer = stage.change(CREATE, body=BODY)
    assert_gateway_error(answer, 504)
    assert answer.interim == [] and ended(stage)[0] == "unknown"
    assert "http.response.status_code" not in stage.trail.mutation()[1]


CUT = {"length": wire.head(b"HTTP/1.1 201 Made", wire.DATE, b"Content-Length: 100") + b"half",
       "chunked": wire.head(b"HTTP/1.1 201 Made", wire.DATE, b"Transfer-Encoding: chunked") + b"5\r\nhello\r\n",
       "no-body": wire.head(b"HTTP/1.1 201 Made", wire.DATE, b"Content-Length: 100"),
       "bad-chunk": wire.head(b"HTTP/1.1 201 Made", wire.DATE, b"Transfer-Encoding: chunked") + b"zz\r\n"}


@pytest.mark.parametrize("data", CUT.values(), ids=CUT.keys())
def test_an_answer_that_is_cut_short_behind_its_head_has_its_status_recorded(audited, data):
    audited.origin.answer = closing(data)
    with audited.connect() as client:
        client.send(audited.request(CREATE + b" HTTP/1.1", LENGTH) + BODY)
        with pytest.raises(Ended):
            client.read_response()
    assert ended(audited) == ("success", None, 201)


def test_an_early_answer_is_recorded_once_and_relayed(audited):
    def answer(peer, request):
        peer.send(wire.response(b"HTTP/1.1 413 Much", b"Connection: close", body=b"too much"))
        peer.read_body(request)
        peer.finish()

    audited.origin.answer = answer
    answer = audited.change(CREATE, body=b'{"name": "K", "value": "%b"}' % (b"x" * 900000))
    assert (answer.status, answer.body) == (413, b"too much")
    outcome, reason, status = ended(audited)
    assert (outcome, status) == ("failure", 413) and reason


# -- the gateway's stop -------------------------------------------------------------------------------------


def test_a_stop_waits_for_a_change_that_was_sent(make_recorded):
    stage, leave = make_recorded(), threading.Event()
    stage.origin.answer = holding(leave, wire.response(body=b"done"))
    with stage.connect() as client:
        client.send(stage.request(CREATE + b" HTTP/1.1", LENGTH) + BODY)
        stage.origin.wait_complete()
        stage.gateway.process.terminate()
        wait_until(lambda: not accepts(stage.gateway.port), "the gateway to stop listening")
        leave.set()
        answer = client.read_response()
    assert (answer.status, answer.body) == (200, b"done")
    stage.gateway.stop()
    assert ended(stage) == ("success", None, 200)


def accepts(port):
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


@pytest.mark.parametrize("start", [CREATE, b"POST /v1/elsewhere"], ids=["audited", "other"])
def test_a_change_that_outlasts_the_stop_ends_unknown(make_recorded, start):
    stage = make_recorded(config={"limits": {"drain_timeout": "300ms"}})
    stage.origin.answer = lambda peer, request: (peer.read_body(request), peer.wait_end())
    with stage.connect() as client:
        client.send(stage.request(start + b" HTTP/1.1", LENGTH) + BODY)
        stage.origin.wait_complete()
        stage.gateway.stop()
    outcome, reason, status = ended(stage)
    assert outcome == "unknown" and reason and status is None


def test_a_change_whose_body_is_held_at_the_stop_was_never_begun(make_recorded):
    stage = make_recorded(config={"limits": {"drain_timeout": "300ms"}})
    with stage.connect() as client:
        client.send(stage.request(CREATE + b" HTTP/1.1", b"Expect: 100-continue", LENGTH))
        assert client.read_head().status == 100
        stage.gateway.stop()
    assert stage.origin.requests == [] and "intent" not in stage.trail.phases()
