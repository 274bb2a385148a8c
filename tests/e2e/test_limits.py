"""Timeouts and limits of the configuration, and many connections at once."""

import resource
import threading

import pytest
from support import wire
from support.origin import by_target, holding
from support.stage import assert_gateway_error
from support.waiting import wait_event, wait_until
from support.wire import Ended

GET = b"GET /v1/a HTTP/1.1"


def limited(make_stage, **limits):
    return make_stage(config={"limits": limits})


@pytest.mark.parametrize("sent", [b"GET /v1", GET + b"\r\n", GET + b"\r\nHost: gateway.test\r\nX-Slow: y"],
                         ids=["in-the-request-line", "after-it", "in-a-field"])
def test_a_head_that_takes_too_long_is_answered_with_408(make_stage, sent):
    stage = limited(make_stage, header_timeout="300ms")
    with stage.connect() as client:
        client.send(sent)
        assert_gateway_error(client.read_response(), 408)
        client.assert_closed()
    stage.assert_only_forwarded()


def test_a_trickle_does_not_keep_a_slow_head_alive(make_stage):
    stage = limited(make_stage, header_timeout="500ms")
    with stage.connect() as client:
        client.send(GET + b"\r\nX-Slow: ")
        wait_until(lambda: client.send_unheeded(b"y") or client.is_readable(), "the refusal of the slow head")
        assert_gateway_error(client.read_response(), 408)
        client.assert_closed()


def test_a_connection_that_never_says_anything_is_closed(make_stage):
    stage = limited(make_stage, header_timeout="300ms", keepalive_timeout="300ms")
    with stage.connect() as client:
        left = client.read_to_end()
        assert left == b"" or left.startswith(b"HTTP/1.1 408 ")


def test_an_idle_connection_is_closed_without_a_word(make_stage):
    stage = limited(make_stage, keepalive_timeout="300ms")
    with stage.connect() as client:
        assert client.ask(stage.request(GET)).status == 200
        client.assert_closed()


@pytest.mark.parametrize("framing, body",
                         [(b"Content-Length: 10", b"hello"), (b"Transfer-Encoding: chunked", b"5\r\nhel")],
                         ids=["length", "chunked"])
def test_a_body_that_stops_coming_is_answered_with_408_and_never_completed(make_stage, framing, body):
    stage = limited(make_stage, body_timeout="300ms")
    with stage.connect() as client:
        client.send(stage.request(b"POST /v1/a HTTP/1.1", framing) + body)
        assert_gateway_error(client.read_response(), 408)
        client.assert_closed()
    for request in stage.origin.requests:
        wait_event(request.peer.ended, "the end of the abandoned upstream connection")
        assert not request.complete


def test_a_client_that_stops_reading_is_given_up_and_so_is_its_answer(make_stage):
    stage = limited(make_stage, send_timeout="500ms")

    def answer(peer, request):
        peer.send(wire.head(b"HTTP/1.1 200 OK", wire.DATE, b"Content-Length: 1000000000"))
        while True:  # until the gateway gives up, which ends this with an error that is expected
            peer.send(b"x" * 65536)

    stage.origin.answer = answer
    with stage.connect(receive_buffer=65536) as client:
        client.send(stage.request(GET))
        wait_event(stage.origin.wait_request().peer.ended, "the end of the upstream connection")
        with pytest.raises(Ended):
            client.read_response()


def test_an_upstream_that_is_slow_is_not_the_clients_fault(make_stage):
    stage = limited(make_stage, header_timeout="200ms", body_timeout="200ms", send_timeout="200ms",
                    keepalive_timeout="200ms")
    timer, leave = threading.Timer(1, lambda: leave.set()), threading.Event()
    stage.origin.answer = holding(leave)
    with stage.connect() as client:
        client.send(stage.request(b"POST /v1/a HTTP/1.1", b"Content-Length: 2") + b"ab")
        stage.origin.wait_complete()
        timer.start()
        assert client.read_response().status == 200


def test_connections_over_the_limit_wait_or_are_turned_away_and_the_others_are_served(make_stage):
    stage = limited(make_stage, connections=4)
    clients = [stage.connect() for _ in range(4)]
    assert [client.ask(stage.request(GET)).status for client in clients] == [200] * 4
    over = stage.connect()
    over.send_unheeded(stage.request(GET))
    assert [client.ask(stage.request(GET)).status for client in clients] == [200] * 4
    for client in clients:
        client.close()
    try:
        assert over.read_response().status in (200, 503)
    except Ended as ended:
        assert ended.partial == b""
    over.close()
    wait_until(lambda: is_served(stage), "a place for a new connection")


def is_served(stage):
    try:
        return stage.get(b"/v1/a").status == 200
    except Ended:
        return False


def test_a_thousand_connections_are_served_at_once(stage):
    clients = [stage.connect() for _ in range(1000)]
    for client in clients:
        client.send(stage.request(GET))
    assert [client.read_response().status for client in clients] == [200] * 1000
    for client in clients:
        client.close()


def test_idle_connections_do_not_keep_others_waiting(stage):
    leave = threading.Event()
    stage.origin.answer = by_target({b"/v1/slow": holding(leave)})
    idle = [stage.connect() for _ in range(200)]
    half = [stage.connect() for _ in range(200)]
    for client in half:
        client.send(b"GET /v1/a HTTP/1.1\r\nHost")
    assert all(stage.get(b"/v1/b").status == 200 for _ in range(20))
    for client in idle + half:
        client.close()
    leave.set()


def test_accepting_resumes_after_the_descriptors_ran_out(make_stage):
    stage = make_stage(config={"workers": 1})
    soft, hard = resource.prlimit(stage.gateway.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(stage.gateway.pid, resource.RLIMIT_NOFILE, (64, hard))
    crowd = [stage.connect() for _ in range(100)]
    first = crowd[0]
    first.send(stage.request(GET))
    assert first.read_response().status in (200, 502, 503)
    for client in crowd:
        client.close()
    wait_until(lambda: is_served(stage), "new connections to be accepted again")
    resource.prlimit(stage.gateway.pid, resource.RLIMIT_NOFILE, (soft, hard))
    assert len(stage.gateway.stderr()) < 1 << 20, "the log is flooded"
