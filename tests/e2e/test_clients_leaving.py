"""Half-closed, closed and reset client connections, and bodies that end early."""

import threading

import pytest
from support import wire
from support.stage import assert_gateway_error
from support.waiting import wait_event, wait_until


def test_a_half_closed_client_still_gets_its_answer(stage):
    leave = threading.Event()

    def answer(peer, request):
        peer.read_body(request)
        wait_event(leave, "the half-close")
        peer.send(wire.response(body=b"x" * 200000))

    stage.origin.answer = answer
    with stage.connect() as client:
        client.send(stage.request(b"POST /v1/a HTTP/1.1", b"Content-Length: 2") + b"ab")
        stage.origin.wait_complete()
        client.half_close()
        leave.set()
        assert client.read_response().body == b"x" * 200000
        client.assert_closed()


def test_every_pipelined_request_before_a_half_close_is_answered(stage):
    with stage.connect() as client:
        client.send(stage.request(b"GET /v1/a HTTP/1.1") * 5)
        client.half_close()
        assert [client.read_response().status for _ in range(5)] == [200] * 5
        client.assert_closed()


def test_a_reset_client_cancels_a_get_upstream(stage):
    stage.origin.answer = lambda peer, request: peer.wait_end()
    client = stage.connect()
    client.send(stage.request(b"GET /v1/slow HTTP/1.1"))
    peer = stage.origin.wait_request().peer
    client.reset()
    wait_event(peer.ended, "the end of the upstream connection")


def test_a_reset_client_cancels_a_get_in_the_middle_of_its_answer(stage):
    def answer(peer, request):
        peer.send(wire.head(b"HTTP/1.1 200 OK", b"Content-Length: 1000000000"))
        while True:  # until the gateway goes away, which ends this with an error that is expected
            peer.send(b"x" * 65536)

    stage.origin.answer = answer
    client = stage.connect()
    client.send(stage.request(b"GET /v1/endless HTTP/1.1"))
    client.read_head()
    client.reset()
    wait_event(stage.origin.wait_request().peer.ended, "the end of the upstream connection")


@pytest.mark.parametrize("framing, body",
                         [(b"Content-Length: 2", b"ab"), (b"Transfer-Encoding: chunked", b"2\r\nab\r\n0\r\n\r\n")])
def test_a_reset_client_does_not_cancel_a_change_that_was_sent(make_stage, framing, body):
    stage = make_stage(config={"workers": 1})
    leave, finished = threading.Event(), threading.Event()

    def answer(peer, request):
        peer.read_body(request)
        if request.method == b"GET":
            return peer.wait_end()
        wait_event(leave, "leave to answer the change")
        assert peer.is_quiet(), "the gateway gave the change up"
        peer.send(wire.response())
        finished.set()

    stage.origin.answer = answer
    changing, reading = stage.connect(), stage.connect()
    changing.send(stage.request(b"POST /v1/change HTTP/1.1", framing) + body)
    stage.origin.wait_complete(1)
    reading.send(stage.request(b"GET /v1/slow HTTP/1.1"))
    cancelled = stage.origin.wait_request(2).peer
    changing.reset()
    reading.reset()
    wait_event(cancelled.ended, "the end of the reading exchange, which shows that the resets were seen")
    leave.set()
    wait_event(finished, "the answer to the change")


EARLY_ENDS = {
    "method": b"GE", "request-line": b"GET /v1/a HTTP/1.1", "start-of-fields": b"GET /v1/a HTTP/1.1\r\n",
    "field": b"GET /v1/a HTTP/1.1\r\nHost: gateway.test\r\nAuthoriz",
    "last-line": b"GET /v1/a HTTP/1.1\r\nHost: gateway.test\r\nAuthorization: Bearer @TOKEN@\r\n",
}


@pytest.mark.parametrize("sent", EARLY_ENDS.values(), ids=EARLY_ENDS.keys())
def test_a_head_that_ends_early_is_refused_and_nothing_is_forwarded(stage, sent):
    with stage.connect() as client:
        client.send(stage.fill(sent))
        client.half_close()
        assert_gateway_error(client.read_response(), 400)
        client.assert_closed()
    stage.assert_only_forwarded()


SHORT_BODIES = {
    "length": (b"Content-Length: 10", b"hello"), "length-nothing": (b"Content-Length: 10", b""),
    "chunk": (b"Transfer-Encoding: chunked", b"a\r\nhello"), "chunk-size": (b"Transfer-Encoding: chunked", b"a"),
    "chunk-end": (b"Transfer-Encoding: chunked", b"5\r\nhello"),
    "no-last-chunk": (b"Transfer-Encoding: chunked", b"5\r\nhello\r\n"),
    "no-final-line": (b"Transfer-Encoding: chunked", b"5\r\nhello\r\n0\r\n"),
    "in-a-trailer": (b"Transfer-Encoding: chunked", b"5\r\nhello\r\n0\r\nX-Sum: 1"),
    "after-a-trailer": (b"Transfer-Encoding: chunked", b"5\r\nhello\r\n0\r\nX-Sum: 1\r\n"),
}


def assert_never_completed(stage):
    """The one request that may have been begun upstream was abandoned with its connection."""
    for request in stage.origin.requests:
        wait_event(request.peer.ended, "the end of the abandoned upstream connection")
        assert not request.complete
    assert len(stage.origin.requests) <= 1


@pytest.mark.parametrize("framing, body", SHORT_BODIES.values(), ids=SHORT_BODIES.keys())
def test_a_body_that_ends_early_is_refused_and_never_completed_upstream(stage, framing, body):
    with stage.connect() as client:
        client.send(stage.request(b"POST /v1/a HTTP/1.1", framing) + body)
        client.half_close()
        assert_gateway_error(client.read_response(), 400)
        client.assert_closed()
    assert_never_completed(stage)


@pytest.mark.parametrize("framing, body", SHORT_BODIES.values(), ids=SHORT_BODIES.keys())
def test_a_client_reset_within_a_body_never_completes_it_upstream(stage, framing, body):
    client = stage.connect()
    client.send(stage.request(b"POST /v1/a HTTP/1.1", framing) + body)
    stage.origin.wait_request()
    client.reset()
    wait_until(lambda: all(request.peer.ended.is_set() for request in stage.origin.requests),
               "the abandoned connection's end")
    assert_never_completed(stage)


def test_an_early_final_answer_reaches_a_client_that_is_still_sending(stage):
    stage.origin.answer = lambda peer, request: (
        peer.send(wire.response(b"HTTP/1.1 413 Payload Too Large", b"Connection: close")), peer.close())
    with stage.connect() as client:
        client.send(stage.request(b"POST /v1/a HTTP/1.1", b"Content-Length: 1000000") + b"some")
        assert client.read_response().status == 413
        client.half_close()
        client.assert_closed()
