"""The tools of these tests, checked against one another without a gateway."""

import ssl
import socket
import threading

import pytest
from support import wire
from support.origin import Origin, closing, dropping, piecewise, resetting
from support.raw import Client
from support.wire import Ended

GET = wire.head(b"GET /a HTTP/1.1", b"Host: x")


def test_the_origin_records_every_byte_and_parses_the_request(direct, lone_origin):
    sent = wire.head(b"POST /a?b HTTP/1.1", b"Host: x", b"X-A:  1 ", b"Content-Length: 3") + b"abc"
    assert direct.ask(sent).body == b"ok"
    request = lone_origin.wait_complete()
    assert (request.method, request.target, request.body) == (b"POST", b"/a?b", b"abc")
    assert request.lines[1] == b"X-A:  1 " and request.value("x-a") == b"1"
    assert lone_origin.received() == sent


def test_the_origin_reads_chunks_and_trailers(direct, lone_origin):
    direct.ask(wire.head(b"POST /a HTTP/1.1", b"Transfer-Encoding: chunked")
               + wire.chunked(b"abc", b"defg", trailers=[b"X-Sum: 7"]))
    request = lone_origin.wait_complete()
    assert request.body == b"abcdefg"
    assert request.trailers == [(b"X-Sum", b"7")]


def test_the_client_reads_pipelined_answers_of_every_framing(direct, lone_origin):
    answers = [wire.response(body=b"one"),
               wire.head(b"HTTP/1.1 103 Early Hints", b"Link: x") + wire.response(body=b"two"),
               wire.head(b"HTTP/1.1 200 OK", b"Transfer-Encoding: chunked")
               + wire.chunked(b"th", b"ree", trailers=[b"T: 1"]),
               wire.head(b"HTTP/1.1 204 No Content"),
               wire.head(b"HTTP/1.1 200 OK") + b"until the end"]
    script = iter(answers)
    lone_origin.answer = lambda peer, request: (closing if len(lone_origin.requests) == 5 else piecewise)(
        next(script))(peer, request)
    direct.send(GET * 5)
    seen = [direct.read_response() for _ in answers]
    assert [answer.body for answer in seen] == [b"one", b"two", b"three", b"", b"until the end"]
    assert [interim.status for interim in seen[1].interim] == [103]
    assert seen[2].trailers == [(b"T", b"1")]


@pytest.mark.parametrize("answer", [wire.head(b"HTTP/1.1 200 OK", b"Content-Length: 9") + b"short",
                                    wire.head(b"HTTP/1.1 200 OK", b"Transfer-Encoding: chunked") + b"5\r\nhello\r\n"])
def test_the_client_notices_an_answer_cut_short(direct, lone_origin, answer):
    lone_origin.answer = closing(answer)
    with pytest.raises(Ended):
        direct.ask(GET)


def test_the_client_notices_a_reset_before_the_end(direct, lone_origin):
    leave = threading.Event()
    lone_origin.answer = resetting(wire.head(b"HTTP/1.1 200 OK"), leave)
    direct.send(GET)
    answer = direct.read_head()
    leave.set()
    with pytest.raises(Ended) as ended:
        list(direct.body_pieces(answer))
    assert ended.value.was_reset


def test_the_client_refuses_ambiguous_framing(direct, lone_origin):
    lone_origin.answer = dropping(wire.response(b"HTTP/1.1 200 OK", b"Transfer-Encoding: chunked"))
    with pytest.raises(AssertionError, match="ambiguous"):
        direct.ask(GET)


def test_a_reset_of_the_client_is_seen_by_the_origin(direct, lone_origin):
    lone_origin.answer = lambda peer, request: peer.wait_end()
    direct.send(GET)
    peer = lone_origin.wait_request().peer
    direct.reset()
    assert peer.ended.wait(20) and peer.reader.end == "reset"


def test_the_origin_answers_over_tls_and_records_nothing_of_a_failed_handshake(authority):
    origin = Origin(authority.server_context("right"))
    trusting = ssl.create_default_context(cafile=authority.ca_file)
    with Client(origin.port) as client:
        client.sock = trusting.wrap_socket(client.sock, server_hostname="localhost")
        client.reader = wire.Reader(client.sock)
        assert client.ask(GET).body == b"ok"
    with socket.create_connection(("127.0.0.1", origin.port)) as sock:
        with pytest.raises(ssl.SSLCertVerificationError):
            ssl.create_default_context().wrap_socket(sock, server_hostname="localhost")
    origin.stop()
    assert origin.received() == GET


@pytest.mark.parametrize("leaf, reason", [("wrong-name", "mismatch"), ("expired", "expired"),
                                          ("self-signed", "self-signed")])
def test_each_bad_certificate_fails_for_its_own_reason(authority, leaf, reason):
    origin = Origin(authority.server_context(leaf))
    trusting = ssl.create_default_context(cafile=authority.ca_file)
    with socket.create_connection(("127.0.0.1", origin.port)) as sock:
        with pytest.raises(ssl.SSLCertVerificationError, match=reason):
            trusting.wrap_socket(sock, server_hostname="localhost")
    origin.stop()
