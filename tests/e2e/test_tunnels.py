"""WebSocket upgrades are tunnelled once upstream has agreed; no other upgrade is."""

import threading

import pytest
from support import wire
from support.stage import assert_gateway_error
from support.waiting import wait_event
from support.wire import Ended

ASKING = (b"Connection: Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
          b"Sec-WebSocket-Version: 13", b"Sec-WebSocket-Protocol: chat, superchat")
AGREEING = (b"Upgrade: websocket", b"Connection: Upgrade", b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
            b"Sec-WebSocket-Protocol: chat")
AGREED = wire.head(b"HTTP/1.1 101 Switching Protocols", *AGREEING)
START = b"GET /v1/socket HTTP/1.1"


def echoing(peer, request):
    """Agrees and sends back whatever comes until the other side has finished."""
    peer.send(AGREED)
    while peer.reader.buffer or peer.reader.fill():
        peer.send(peer.reader.take(len(peer.reader.buffer)))
    peer.finish()


def open_tunnel(stage, client, *lines):
    client.send(stage.request(START, *(lines or ASKING)))
    answer = client.read_head()
    assert answer.status == 101, answer.start
    return answer


def test_a_websocket_is_tunnelled_both_ways(stage):
    stage.origin.answer = echoing
    with stage.connect() as client:
        open_tunnel(stage, client)
        for message in (b"hello", bytes(range(256)), b"GET / HTTP/1.1\r\n\r\n", b"\0"):
            client.send(message)
            assert client.reader.exactly(len(message)) == message


def test_the_fields_of_the_handshake_go_through(stage):
    stage.origin.answer = echoing
    with stage.connect() as client:
        answer = open_tunnel(stage, client)
    seen = stage.origin.requests[0]
    assert seen.start == START
    assert [value.lower() for value in seen.values("Upgrade")] == [b"websocket"]
    assert [value.lower() for value in seen.values("Connection")] == [b"upgrade"]
    assert [seen.value(name) for name in ("Sec-WebSocket-Key", "Sec-WebSocket-Version", "Sec-WebSocket-Protocol")] == [
        b"dGhlIHNhbXBsZSBub25jZQ==", b"13", b"chat, superchat"]
    assert seen.values("Authorization") == [stage.fill(b"Bearer @KEY@")]
    assert [answer.value(name) for name in ("Sec-WebSocket-Accept", "Sec-WebSocket-Protocol")] == [
        b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", b"chat"]
    assert [answer.value(name).lower() for name in ("Upgrade", "Connection")] == [b"websocket", b"upgrade"]


@pytest.mark.parametrize("lines",
                         [(b"upgrade: WebSocket", b"connection: keep-alive, upgrade"),
                          (b"Connection: keep-alive", b"Connection: UPGRADE", b"Upgrade: WEBSOCKET")])
def test_the_handshake_is_known_in_any_case(stage, lines):
    stage.origin.answer = echoing
    with stage.connect() as client:
        open_tunnel(stage, client, *lines, *ASKING[2:])
        client.send(b"hello")
        assert client.reader.exactly(5) == b"hello"


def test_bytes_sent_early_wait_for_the_101_and_then_come_first(make_stage):
    stage = make_stage(config={"workers": 1})
    leave = threading.Event()

    def answer(peer, request):
        if request.method == b"GET" and request.target == b"/v1/socket":
            wait_event(leave, "leave to agree")
            assert peer.is_quiet(), "bytes for the tunnel came before the 101"
            return echoing(peer, request)
        peer.send(wire.response())

    stage.origin.answer = answer
    with stage.connect() as client:
        client.send(stage.request(START, *ASKING) + b"early")
        stage.origin.wait_request()
        client.send(b" and more")
        for _ in range(3):  # the one worker has had every chance to forward them
            assert stage.get(b"/v1/other").status == 200
        leave.set()
        assert client.read_head().status == 101
        assert client.reader.exactly(14) == b"early and more"


def test_bytes_sent_right_behind_the_101_reach_the_client(stage):
    stage.origin.answer = lambda peer, request: (peer.send(AGREED + b"first words"), echoing_on(peer))
    with stage.connect() as client:
        open_tunnel(stage, client)
        assert client.reader.exactly(11) == b"first words"
        client.send(b"answer")
        assert client.reader.exactly(6) == b"answer"


def echoing_on(peer):
    while peer.reader.fill():
        peer.send(peer.reader.take(len(peer.reader.buffer)))
    peer.close()


def test_large_amounts_go_both_ways_at_once(stage):
    stage.origin.answer = echoing
    data = bytes(range(256)) * 65536
    with stage.connect() as client:
        open_tunnel(stage, client)
        sender = threading.Thread(target=client.send, args=(data,), daemon=True)
        sender.start()
        assert client.reader.exactly(len(data)) == data
        sender.join()


def test_the_end_of_the_client_ends_the_tunnel_upstream(stage):
    stage.origin.answer = echoing
    client = stage.connect()
    open_tunnel(stage, client)
    client.close()
    wait_event(stage.origin.requests[0].peer.ended, "the end of the tunnel upstream")


def test_the_end_of_upstream_ends_the_tunnel_after_its_last_bytes(stage):
    stage.origin.answer = lambda peer, request: (peer.send(AGREED + b"x" * 300000), peer.finish())
    with stage.connect() as client:
        open_tunnel(stage, client)
        assert client.read_to_end() == b"x" * 300000


def test_a_half_closed_client_still_gets_what_upstream_sends(stage):
    stage.origin.answer = echoing
    with stage.connect() as client:
        open_tunnel(stage, client)
        client.send(b"last words")
        client.half_close()
        assert client.read_to_end() == b"last words"


@pytest.mark.parametrize("status", [b"200 OK", b"400 Bad Request", b"403 Forbidden", b"426 Upgrade Required"])
def test_an_upgrade_that_upstream_does_not_take_up_is_answered_as_usual(stage, status):
    stage.origin.answer = wire.response(b"HTTP/1.1 " + status)
    with stage.connect() as client:
        answer = client.ask(stage.request(START, *ASKING))
        assert (answer.start, answer.body) == (b"HTTP/1.1 " + status, b"ok")


NOT_TUNNELLED = {
    "h2c": (START, (b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAAQAAP__")),
    "tls": (START, (b"Connection: Upgrade", b"Upgrade: TLS/1.2")),
    "websocket-not-named-by-connection": (START, ASKING[1:]),
    "post": (b"POST /v1/socket HTTP/1.1", (*ASKING, b"Content-Length: 0")),
    "put": (b"PUT /v1/socket HTTP/1.1", (*ASKING, b"Content-Length: 0")),
    "http-1.0": (b"GET /v1/socket HTTP/1.0", ASKING),
}


@pytest.mark.parametrize("start, lines", NOT_TUNNELLED.values(), ids=NOT_TUNNELLED.keys())
def test_any_other_upgrade_is_dropped_and_the_request_goes_on(stage, start, lines):
    with stage.connect() as client:
        assert client.ask(stage.request(start, *lines)).status == 200
    seen = stage.origin.requests[0]
    assert seen.values("Upgrade") == [] and b"upgrade" not in b",".join(seen.values("Connection")).lower()


@pytest.mark.parametrize("start, lines", NOT_TUNNELLED.values(), ids=NOT_TUNNELLED.keys())
def test_a_101_to_an_upgrade_that_was_dropped_becomes_a_502(stage, start, lines):
    stage.origin.answer = lambda peer, request: (peer.send(AGREED + b"surprise"), peer.wait_end())
    with stage.connect() as client:
        assert_gateway_error(client.ask(stage.request(start, *lines)), 502)


@pytest.mark.parametrize("lines",
                         [(b"Connection: Upgrade", b"Upgrade: h2c"), (b"Connection: Upgrade",),
                          (b"Upgrade: websocketx", b"Connection: Upgrade")])
def test_a_101_to_something_else_becomes_a_502(stage, lines):
    stage.origin.answer = lambda peer, request: (peer.send(wire.head(b"HTTP/1.1 101 Switching Protocols", *lines)),
                                                 peer.wait_end())
    with stage.connect() as client:
        assert_gateway_error(client.ask(stage.request(START, *ASKING)), 502)


def test_a_refused_upgrade_gives_the_early_bytes_to_nobody(stage):
    stage.origin.answer = wire.response(b"HTTP/1.1 403 Forbidden")
    with stage.connect() as client:
        client.send(stage.request(START, *ASKING) + b"\x81\x85early bytes that are no request\r\n\r\n")
        assert client.read_response().status == 403
        try:
            assert_gateway_error(client.read_response(), 400)
        except Ended:
            pass  # closing without another word is as good
    stage.assert_only_forwarded(1)


def test_a_tunnel_needs_a_token(stage):
    with stage.connect() as client:
        assert_gateway_error(client.ask(wire.head(START, b"Host: gateway.test", *ASKING)), 401)
    stage.assert_only_forwarded()
