"""Upstream connections: verified before a byte is sent, kept, retried only where that is safe."""

import socket
import threading

import pytest
from support import wire
from support.origin import closing, dropping
from support.stage import assert_gateway_error
from support.waiting import DEADLINE, Stillness, wait_event, wait_until

GET = b"GET /v1/a HTTP/1.1"


def stage_over_tls(make_stage, authority, leaf="right", trusts=True, host="localhost"):
    upstream = {"ca_file": str(authority.ca_file)} if trusts else {}
    return make_stage(config={"upstream": upstream}, tls=authority.server_context(leaf), upstream_host=host)


def error_of(answer):
    return answer.value("Proxy-Status").partition(b"error=")[2].partition(b";")[0]


# -- TLS -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_a_verified_upstream_is_used(make_stage, authority, host):
    stage = stage_over_tls(make_stage, authority, host=host)
    assert [stage.get(b"/v1/a").status for _ in range(3)] == [200] * 3
    seen = stage.origin.requests[0]
    assert seen.values("Host") == [f"{host}:{stage.origin.port}".encode()]
    assert seen.values("Authorization") == [stage.fill(b"Bearer @KEY@")]


@pytest.mark.parametrize("leaf, trusts",
                         [("wrong-name", True), ("expired", True), ("self-signed", True), ("right", False)],
                         ids=["wrong-name", "expired", "self-signed", "unknown-authority"])
@pytest.mark.parametrize("method", [b"GET", b"POST"])
def test_no_byte_of_a_request_goes_to_an_upstream_that_is_not_verified(make_stage, authority, leaf, trusts, method):
    stage = stage_over_tls(make_stage, authority, leaf, trusts)
    answer = stage.get(b"/v1/a", b"Content-Length: 0", method=method)
    assert_gateway_error(answer, 502)
    assert error_of(answer) in (b"tls_certificate_error", b"tls_protocol_error")
    wait_until(lambda: stage.origin.peers and all(peer.ended.is_set() for peer in stage.origin.peers),
               "the end of the handshake")
    assert stage.origin.received() == b"" and stage.origin.requests == []


def test_the_message_tells_certificate_troubles_apart(make_stage, authority):
    messages = {leaf: stage_over_tls(make_stage, authority, leaf).get(b"/v1/a").body
                for leaf in ("wrong-name", "expired", "self-signed")}
    assert len(set(messages.values())) == 3, messages


def test_an_upstream_that_speaks_no_tls_gets_no_request(make_stage):
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(DEADLINE)
        stage = make_stage(config={"upstream": {"url": f"https://localhost:{server.getsockname()[1]}"}})
        with stage.connect() as client:
            client.send(stage.request(GET))
            peer, _ = server.accept()
            with peer:
                peer.settimeout(DEADLINE)
                first = peer.recv(65536)
                peer.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                assert_gateway_error(client.read_response(), 502)
    assert first[:1] == b"\x16" and b"HTTP/1.1" not in first and stage.gateway.key.encode() not in first


def test_a_tls_answer_without_framing_that_ends_without_close_notify_is_cut_short(make_stage, authority):
    stage = stage_over_tls(make_stage, authority)
    stage.origin.answer = dropping(wire.head(b"HTTP/1.1 200 OK", wire.DATE) + b"hello")
    with stage.connect() as client:
        client.send(stage.request(GET))
        with pytest.raises(wire.Ended):
            client.read_response()


def test_a_tls_answer_without_framing_that_ends_properly_is_whole(make_stage, authority):
    stage = stage_over_tls(make_stage, authority)
    stage.origin.answer = closing(wire.head(b"HTTP/1.1 200 OK", wire.DATE) + b"hello")
    assert stage.get(b"/v1/a").body == b"hello"


def test_large_bodies_go_through_tls(make_stage, authority):
    stage = stage_over_tls(make_stage, authority)
    body = bytes(range(256)) * 32768
    stage.origin.answer = lambda peer, request: peer.send(wire.response(body=peer.read_body(request)))
    with stage.connect() as client:
        data = stage.request(b"POST /v1/a HTTP/1.1", b"Content-Length: %d" % len(body)) + body
        sender = threading.Thread(target=client.send, args=(data,), daemon=True)
        sender.start()
        assert client.read_response().body == body
        sender.join()


# -- failures --------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", [b"GET", b"POST"])
def test_a_refused_connection_becomes_a_502(make_stage, method):
    stage = make_stage()
    stage.origin.stop()
    answer = stage.get(b"/v1/a", b"Content-Length: 0", method=method)
    assert_gateway_error(answer, 502)
    assert error_of(answer) in (b"connection_refused", b"destination_unavailable")


def test_an_upstream_name_that_does_not_resolve_becomes_a_502(make_stage):
    stage = make_stage(config={"upstream": {"url": "https://no-such-host.invalid"}})
    assert_gateway_error(stage.get(b"/v1/a"), 502, 504)
    assert stage.origin.received() == b""


def test_an_upstream_that_does_not_answer_in_time_becomes_a_504(make_stage):
    stage = make_stage(config={"upstream": {"response_timeout": "300ms"}})
    stage.origin.answer = lambda peer, request: peer.wait_end()
    with stage.connect() as client:
        answer = client.ask(stage.request(GET))
    assert_gateway_error(answer, 504)
    wait_event(stage.origin.requests[0].peer.ended, "the end of the upstream connection")
    assert len(stage.origin.requests) == 1


def test_the_gateway_recovers_once_upstream_is_back(make_stage):
    stage = make_stage()
    stage.origin.stop()
    assert stage.get(b"/v1/a").status == 502
    stage.origin.open()
    wait_until(lambda: stage.get(b"/v1/a").status == 200, "an answer from upstream")


# -- the pool ----------------------------------------------------------------------------------------


def test_an_upstream_connection_is_used_again(make_stage):
    stage = make_stage(config={"workers": 1})
    for _ in range(10):
        assert stage.get(b"/v1/a").status == 200
    assert len({request.peer for request in stage.origin.requests}) == 1


def test_a_connection_that_upstream_has_closed_is_not_used(make_stage):
    stage = make_stage(config={"workers": 1})
    stage.origin.answer = closing(wire.response())
    for number in range(10):
        assert stage.get(b"/v1/a", b"Content-Length: 0", method=b"POST").status == 200
        wait_event(stage.origin.requests[number].peer.ended, "the origin to close")
    assert len({request.peer for request in stage.origin.requests}) == 10


def dying_when_used_again(peer, request):
    """Answers the first request of a connection and drops the connection on the second."""
    first = next(seen for seen in peer.origin.requests if seen.peer is peer)
    peer.read_body(request)
    peer.send(wire.response()) if first is request else peer.close()


@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"OPTIONS"])
def test_a_safe_request_is_sent_again_when_a_kept_connection_died(make_stage, method):
    stage = make_stage(config={"workers": 1})
    stage.origin.answer = dying_when_used_again
    assert stage.get(b"/v1/first").status == 200
    assert stage.get(b"/v1/again", method=method).status == 200
    assert [request.target for request in stage.origin.requests] == [b"/v1/first", b"/v1/again", b"/v1/again"]


@pytest.mark.parametrize("method", [b"POST", b"PUT", b"DELETE", b"PATCH", b"BREW"])
def test_a_change_is_never_sent_twice(make_stage, method):
    stage = make_stage(config={"workers": 1})
    stage.origin.answer = dying_when_used_again
    assert stage.get(b"/v1/first").status == 200
    answer = stage.get(b"/v1/change", b"Content-Length: 0", method=method)
    sent = [request.target for request in stage.origin.requests].count(b"/v1/change")
    assert sent == 1 and answer.status in (200, 502)


def test_a_get_with_a_body_is_never_sent_twice(make_stage):
    stage = make_stage(config={"workers": 1})
    stage.origin.answer = dying_when_used_again
    assert stage.get(b"/v1/first").status == 200
    with stage.connect() as client:
        client.ask(stage.request(b"GET /v1/body HTTP/1.1", b"Content-Length: 2") + b"ab")
    assert [request.target for request in stage.origin.requests].count(b"/v1/body") == 1


def test_a_request_that_died_on_a_new_connection_is_not_sent_again(stage):
    stage.origin.answer = dropping(b"HTTP/1.1 20")
    assert_gateway_error(stage.get(b"/v1/a"), 502)
    assert len(stage.origin.requests) == 1


def test_no_more_upstream_connections_are_open_than_configured(make_stage):
    stage = make_stage(config={"upstream": {"max_connections": 2}})
    leave, most, lock, open_now = threading.Event(), [0], threading.Lock(), [0]

    def answer(peer, request):
        with lock:
            open_now[0] += 1
            most[0] = max(most[0], open_now[0])
        wait_event(leave, "leave to answer")
        with lock:
            open_now[0] -= 1
        peer.send(wire.response())

    stage.origin.answer = answer
    clients = [stage.connect() for _ in range(10)]
    for client in clients:
        client.send(stage.request(GET))
    wait_until(Stillness(lambda: len(stage.origin.requests)), "requests at the origin, as many as it gets")
    leave.set()
    assert {client.read_response().status for client in clients} <= {200, 503}
    assert most[0] <= 2
    for client in clients:
        client.close()
