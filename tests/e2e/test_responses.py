"""What comes back arrives as upstream sent it, whole or visibly cut short, or is a plain 502."""

import threading

import pytest
from support import wire
from support.origin import by_target, closing, dropping, holding, piecewise, resetting
from support.stage import assert_gateway_error
from support.waiting import wait_event
from support.wire import DATE, Ended, chunked

CHUNKED = b"Transfer-Encoding: chunked"


def answer_head(*lines, start=b"HTTP/1.1 200 OK"):
    return wire.head(start, DATE, *lines)


# -- status and fields ---------------------------------------------------------------------------


@pytest.mark.parametrize("start",
                         [b"HTTP/1.1 200 OK", b"HTTP/1.1 200 ", b"HTTP/1.1 201 Created",
                          b"HTTP/1.1 202 Some  odd Reason",
                          b"HTTP/1.1 299 Caf\xc3\xa9", b"HTTP/1.1 301 Moved Permanently",
                          b"HTTP/1.1 400 Bad Request",
                          b"HTTP/1.1 403 Forbidden", b"HTTP/1.1 404 Not Found",
                          b"HTTP/1.1 429 Too Many Requests",
                          b"HTTP/1.1 500 Internal Server Error", b"HTTP/1.1 503 Service Unavailable",
                          b"HTTP/1.1 599 x"])
def test_a_status_and_its_body_go_through(stage, start):
    stage.origin.answer = wire.response(start, b"Retry-After: 7", body=b'{"code":"X","message":"y"}')
    answer = stage.get(b"/v1/a")
    assert answer.start == start and answer.body == b'{"code":"X","message":"y"}'
    assert answer.values("Retry-After") == [b"7"] and answer.values("Proxy-Status") == []


def test_order_case_repetition_and_values_of_fields_are_kept(stage):
    lines = [b"server: up", b"Set-Cookie: a=b; Path=/", b"X-TWICE: 1", b"set-cookie: c=d", b"x-twice: 2", b"X-Empty:",
             b"ETag: W/\"x\"",
             b"X-Inner: a  b \t c,, d", b"X-Latin: caf\xe9", b"content-type: text/plain; charset=utf-8",
             b"Via: 1.1 cdn", b"X-TWICE: 1",
             b"Vary: *", b"WWW-Authenticate: Basic realm=x", b"X-Odd!#$%&'*+.^_`|~: v", b"Location: http://x/../y?z#f"]
    stage.origin.answer = wire.response(b"HTTP/1.1 200 OK", *lines)
    answer = stage.get(b"/v1/a")
    own = (b"connection", b"keep-alive", b"content-length")
    assert [line for line in answer.lines if line.partition(b":")[0].lower() not in own] == [DATE, *lines]


def test_hop_by_hop_fields_and_those_that_connection_names_are_removed(stage):
    stage.origin.answer = wire.response(b"HTTP/1.1 200 OK", b"A: 1", b"Keep-Alive: timeout=99",
                                        b"Connection: keep-alive, X-Named", b"x-named: 1",
                                        b"Proxy-Connection: keep-alive", b"Upgrade: h2c", b"B: 2")
    answer = stage.get(b"/v1/a")
    assert answer.others("Connection", "Content-Length", "Date") == [(b"A", b"1"), (b"B", b"2")]
    assert b"x-named" not in b",".join(answer.values("Connection")).lower()


def test_upstreams_connection_close_does_not_close_the_clients_connection(stage):
    stage.origin.answer = closing(wire.response(b"HTTP/1.1 200 OK", b"Connection: close"))
    with stage.connect() as client:
        for _ in range(3):
            answer = client.ask(stage.request(b"GET /v1/a HTTP/1.1"))
            assert answer.status == 200 and b"close" not in answer.values("Connection")


# -- framing -----------------------------------------------------------------------------------

WITHOUT_BODY = {
    "head-with-length": ("HEAD", answer_head(b"Content-Length: 1000")),
    "head-chunked": ("HEAD", answer_head(CHUNKED)),
    "head-without-framing": ("HEAD", answer_head()),
    "204": ("GET", answer_head(b"X: y", start=b"HTTP/1.1 204 No Content")),
    "304": ("GET", answer_head(b"ETag: \"x\"", start=b"HTTP/1.1 304 Not Modified")),
    "304-with-length": ("GET", answer_head(b"Content-Length: 1000", start=b"HTTP/1.1 304 Not Modified")),
    "length-zero": ("GET", answer_head(b"Content-Length: 0")),
    "empty-chunked": ("GET", answer_head(CHUNKED) + b"0\r\n\r\n"),
    "delete-204": ("DELETE", answer_head(start=b"HTTP/1.1 204 No Content")),
}


@pytest.mark.parametrize("method, data", WITHOUT_BODY.values(), ids=WITHOUT_BODY.keys())
def test_an_answer_without_a_body_ends_with_its_head_and_the_connection_goes_on(stage, method, data):
    stage.origin.answer = by_target({b"/v1/bare": data})
    with stage.connect() as client:
        answer = client.ask(stage.request(b"%b /v1/bare HTTP/1.1" % method.encode()), method)
        assert answer.start == data.partition(b"\r\n")[0] and answer.body == b""
        assert client.ask(stage.request(b"GET /v1/next HTTP/1.1")).body == b"ok"


@pytest.mark.parametrize("framing", [b"Content-Length: 5", CHUNKED])
@pytest.mark.parametrize("start", [b"HTTP/1.1 103 Early Hints", b"HTTP/1.1 204 No Content"])
def test_an_answer_that_has_no_body_is_relayed_without_framing(stage, start, framing):
    bare = wire.head(start, framing, b"X: y")
    stage.origin.answer = bare if b"204" in start else bare + wire.response()
    answer = stage.get(b"/v1/a")
    shown = answer if b"204" in start else answer.interim[0]
    assert shown.start == start and shown.values("X") == [b"y"]
    assert shown.values("Content-Length") == shown.values("Transfer-Encoding") == []


def test_the_length_that_a_head_answer_announces_goes_through(stage):
    stage.origin.answer = answer_head(b"Content-Length: 1234")
    assert stage.get(b"/v1/a", method=b"HEAD").values("Content-Length") == [b"1234"]


BODY = bytes(range(256)) * 300
HELLO = answer_head(b"transfer-encoding: CHUNKED") + b'5;a;b="c d"\r\nhello\r\n0;x\r\n\r\n'
WITH_BODY = {
    "length": (wire.response(body=BODY), BODY),
    "chunked": (answer_head(CHUNKED) + chunked(BODY[:10], BODY[10:60000], BODY[60000:]), BODY),
    "chunked-with-extensions": (HELLO, b"hello"),
    "single-byte-chunks": (answer_head(CHUNKED) + chunked(*[b"%c" % byte for byte in BODY[:256]]), BODY[:256]),
}


@pytest.mark.parametrize("data, body", WITH_BODY.values(), ids=WITH_BODY.keys())
def test_a_framed_body_goes_through_and_the_connection_goes_on(stage, data, body):
    stage.origin.answer = by_target({b"/v1/body": data})
    with stage.connect() as client:
        assert client.ask(stage.request(b"GET /v1/body HTTP/1.1")).body == body
        assert client.ask(stage.request(b"GET /v1/next HTTP/1.1")).body == b"ok"


def test_a_body_until_close_goes_through(stage):
    stage.origin.answer = closing(answer_head(b"X: y") + BODY)
    assert stage.get(b"/v1/a").body == BODY


def test_an_http_1_0_answer_goes_through_as_http_1_1(stage):
    stage.origin.answer = closing(answer_head(b"X: y", start=b"HTTP/1.0 200 OK") + b"old")
    answer = stage.get(b"/v1/a")
    assert (answer.start, answer.value("X"), answer.body) == (b"HTTP/1.1 200 OK", b"y", b"old")


@pytest.mark.parametrize("data", [HELLO, wire.response(b"HTTP/1.1 200 OK", b"A: 1", body=b"hello")],
                         ids=["chunked", "length"])
def test_an_answer_that_comes_byte_by_byte_goes_through(stage, data):
    stage.origin.answer = piecewise(data)
    assert stage.get(b"/v1/a").body == b"hello"


def test_trailers_go_through(stage):
    body = chunked(b"hello", trailers=[b"X-Sum: a  b", b"x-more: 2"])
    stage.origin.answer = answer_head(CHUNKED, b"Trailer: X-Sum") + body
    answer = stage.get(b"/v1/a", b"Connection: TE", b"TE: trailers")
    assert (answer.body, answer.trailers) == (b"hello", [(b"X-Sum", b"a  b"), (b"x-more", b"2")])


def test_a_body_is_streamed_before_it_is_complete(stage):
    leave = threading.Event()

    def answer(peer, request):
        peer.send(answer_head(CHUNKED) + b"5\r\nfirst\r\n")
        wait_event(leave, "the client to have the first chunk")
        peer.send(b"5\r\nother\r\n0\r\n\r\n")

    stage.origin.answer = answer
    with stage.connect() as client:
        client.send(stage.request(b"GET /v1/a HTTP/1.1"))
        pieces = client.body_pieces(client.read_head())
        assert next(pieces) == b"first"
        leave.set()
        assert b"".join(pieces) == b"other"


# -- interim answers ------------------------------------------------------------------------------


@pytest.mark.parametrize("start",
                         [b"HTTP/1.1 103 Early Hints", b"HTTP/1.1 102 Processing", b"HTTP/1.1 100 Continue",
                          b"HTTP/1.1 199 Odd"])
def test_an_interim_answer_is_relayed_before_the_final_one(stage, start):
    leave = threading.Event()

    def answer(peer, request):
        peer.send(wire.head(start, b"Link: </a>", b"link: </b>"))
        wait_event(leave, "the client to have the interim answer")
        peer.send(wire.response())

    stage.origin.answer = answer
    with stage.connect() as client:
        client.send(stage.request(b"GET /v1/a HTTP/1.1"))
        interim = client.read_head()
        assert interim.start == start and interim.others("Date") == [(b"Link", b"</a>"), (b"link", b"</b>")]
        leave.set()
        assert client.read_response().body == b"ok"


def test_several_interim_answers_are_relayed_in_order(stage):
    hints = [wire.head(b"HTTP/1.1 103 Early Hints", b"N: %d" % number) for number in range(5)]
    stage.origin.answer = b"".join(hints) + wire.response()
    assert [interim.value("N") for interim in stage.get(b"/v1/a").interim] == [b"%d" % number for number in range(5)]


# -- answers cut short ------------------------------------------------------------------------------

CUT_SHORT = {
    "length": answer_head(b"Content-Length: 10") + b"hello",
    "length-nothing": answer_head(b"Content-Length: 10"),
    "in-a-chunk": answer_head(CHUNKED) + b"a\r\nhello",
    "after-a-chunk": answer_head(CHUNKED) + b"5\r\nhello\r\n",
    "in-a-chunk-size": answer_head(CHUNKED) + b"5\r\nhello\r\n5",
    "before-the-final-line": answer_head(CHUNKED) + b"5\r\nhello\r\n0\r\n",
    "in-a-trailer": answer_head(CHUNKED) + b"5\r\nhello\r\n0\r\nX-Sum: 1",
    "chunked-nothing": answer_head(CHUNKED),
    "bad-chunk-size": answer_head(CHUNKED) + b"5\r\nhello\r\nzz\r\n" + b"x" * 100,
    "bad-chunk-end": answer_head(CHUNKED) + b"5\r\nhelloXX0\r\n\r\n",
    "overflowing-chunk": answer_head(CHUNKED) + b"5\r\nhello\r\n10000000000000005\r\nhello\r\n0\r\n\r\n",
    "bare-lf-chunk": answer_head(CHUNKED) + b"5\nhello\n0\n\n",
}


def assert_cut_short(stage):
    """A client never takes the answer for a complete one: it is cut short, or a 502 instead."""
    with stage.connect() as client:
        client.send(stage.request(b"GET /v1/a HTTP/1.1"))
        try:
            answer = client.read_response()
        except Ended:
            return
        assert_gateway_error(answer, 502)


@pytest.mark.parametrize("data", CUT_SHORT.values(), ids=CUT_SHORT.keys())
def test_an_answer_cut_short_is_cut_short_for_the_client(stage, data):
    stage.origin.answer = dropping(data)
    assert_cut_short(stage)


@pytest.mark.parametrize("framing", [(b"Content-Length: 10",), (CHUNKED,), ()],
                         ids=["length", "chunked", "until-close"])
def test_an_answer_ended_by_a_reset_is_cut_short_for_the_client(stage, framing):
    leave = threading.Event()
    body = b"5\r\nhello\r\n" if CHUNKED in framing else b"hello"
    stage.origin.answer = resetting(answer_head(*framing) + body, leave)
    with stage.connect() as client:
        client.send(stage.request(b"GET /v1/a HTTP/1.1"))
        pieces = client.body_pieces(client.read_head())
        assert next(pieces) == b"hello"
        leave.set()
        with pytest.raises(Ended):
            list(pieces)


# -- answers that are refused --------------------------------------------------------------------------

BAD_ANSWERS = {
    "nothing": b"", "text": b"hello, I am no web server\r\n\r\n", "half-a-status-line": b"HTTP/1.1 20",
    "half-a-head": b"HTTP/1.1 200 OK\r\nA: b\r\n",
    "ssh": b"SSH-2.0-OpenSSH_9.2\r\n", "binary": bytes(range(256)), "request": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "version-2": wire.response(b"HTTP/2.0 200 OK"),
    "version-0.9": b"<html>old</html>", "status-letters": wire.response(b"HTTP/1.1 abc OK"),
    "status-two-digits": wire.response(b"HTTP/1.1 99 OK"),
    "status-four-digits": wire.response(b"HTTP/1.1 2000 OK"), "status-000": wire.response(b"HTTP/1.1 000 OK"),
    "no-status": wire.response(b"HTTP/1.1"),
    "lower-case-version": wire.response(b"http/1.1 200 OK"), "other-protocol": wire.response(b"ICY 200 OK"),
    "no-colon": wire.response(b"HTTP/1.1 200 OK", b"Foo bar"),
    "space-before-colon": wire.response(b"HTTP/1.1 200 OK", b"Foo : bar"),
    "bad-name": wire.response(b"HTTP/1.1 200 OK", b"F(o: bar"),
    "empty-name": wire.response(b"HTTP/1.1 200 OK", b": bar"),
    "nul-in-value": wire.response(b"HTTP/1.1 200 OK", b"Foo: a\0b"),
    "cr-in-value": wire.response(b"HTTP/1.1 200 OK", b"Foo: a\rb"),
    "nul-in-reason": wire.response(b"HTTP/1.1 200 O\0K"),
    "length-and-coding": wire.response(b"HTTP/1.1 200 OK", CHUNKED),
    "coding-and-length": answer_head(CHUNKED, b"Content-Length: 15") + chunked(b"hello"),
    "two-lengths": wire.response(b"HTTP/1.1 200 OK", b"Content-Length: 3"),
    "listed-lengths": answer_head(b"Content-Length: 2, 3") + b"ok",
    "length-negative": answer_head(b"Content-Length: -1") + b"ok",
    "length-plus": answer_head(b"Content-Length: +2") + b"ok",
    "length-word": answer_head(b"Content-Length: two") + b"ok",
    "length-hex": answer_head(b"Content-Length: 0x2") + b"ok",
    "length-overflow": answer_head(b"Content-Length: 18446744073709551618") + b"ok",
    "length-empty": answer_head(b"Content-Length:") + b"ok",
    "coding-unknown": answer_head(b"Transfer-Encoding: cow") + b"ok",
    "coding-twice": answer_head(CHUNKED, CHUNKED) + chunked(b"hello"),
    "coding-chunked-not-last": answer_head(b"Transfer-Encoding: chunked, gzip") + b"ok",
    "coding-listed-twice": answer_head(b"Transfer-Encoding: chunked, chunked") + chunked(b"hello"),
    "oversized-field": wire.response(b"HTTP/1.1 200 OK", b"Foo: " + b"x" * (2 << 20)),
    "too-many-fields": wire.response(b"HTTP/1.1 200 OK", *[b"Foo: bar"] * 200000),
    "endless-reason": b"HTTP/1.1 200 " + b"x" * (2 << 20),
    "interim-then-nothing": wire.head(b"HTTP/1.1 103 Early Hints"),
    "interim-then-garbage": wire.head(b"HTTP/1.1 103 Early Hints") + b"garbage\r\n\r\n",
}


@pytest.mark.parametrize("data", BAD_ANSWERS.values(), ids=BAD_ANSWERS.keys())
def test_a_bad_answer_becomes_a_502_of_the_gateway(stage, data):
    stage.origin.answer = dropping(data)
    assert_gateway_error(stage.get(b"/v1/a"), 502)


@pytest.mark.parametrize("method", [b"GET", b"POST"])
def test_a_reset_instead_of_an_answer_becomes_a_502(stage, method):
    leave = threading.Event()
    leave.set()
    stage.origin.answer = resetting(b"", leave)
    assert_gateway_error(stage.get(b"/v1/a", b"Content-Length: 0", method=method), 502)


def test_an_unasked_101_becomes_a_502(stage):
    switch = wire.head(b"HTTP/1.1 101 Switching Protocols", b"Upgrade: websocket", b"Connection: Upgrade")
    stage.origin.answer = dropping(switch + b"surprise")
    answer = stage.get(b"/v1/a")
    assert_gateway_error(answer, 502)
    assert b"surprise" not in answer.body


@pytest.mark.parametrize("body", [b'{"code":"UNAUTHORIZED","message":"secret-detail"}', b""])
def test_an_upstream_401_becomes_a_502_that_says_so(stage, body):
    stage.origin.answer = wire.response(b"HTTP/1.1 401 Unauthorized", b'WWW-Authenticate: Bearer realm="up"', body=body)
    with stage.connect() as client:
        answer = client.ask(stage.request(b"GET /v1/a HTTP/1.1"))
        assert_gateway_error(answer, 502)
        assert answer.value("Proxy-Status") == b'psgate; error=proxy_configuration_error; details="upstream refused the credential"'
        assert b"secret-detail" not in answer.body and answer.values("WWW-Authenticate") == []


# -- what follows an answer ------------------------------------------------------------------------------

EVIL = wire.response(b"HTTP/1.1 200 OK", b"X-Evil: 1", body=b"evil")
FOLLOWED = {
    "after-a-length": ("GET", wire.response()), "after-chunks": ("GET", answer_head(CHUNKED) + chunked(b"ok")),
    "after-204": ("GET", answer_head(start=b"HTTP/1.1 204 No Content")),
    "after-304": ("GET", answer_head(start=b"HTTP/1.1 304 Not Modified")),
    "after-head": ("HEAD", answer_head(b"Content-Length: 5")),
}


@pytest.mark.parametrize("method, data", FOLLOWED.values(), ids=FOLLOWED.keys())
def test_bytes_after_an_answer_are_never_given_to_another_request(stage, method, data):
    stage.origin.answer = by_target({b"/v1/followed": data + EVIL})
    with stage.connect() as client:
        answer = client.ask(stage.request(b"%b /v1/followed HTTP/1.1" % method.encode()), method)
        assert b"evil" not in answer.body
        for _ in range(5):
            answer = client.ask(stage.request(b"GET /v1/next HTTP/1.1"))
            assert (answer.values("X-Evil"), answer.body) == ([], b"ok")


def test_bytes_that_upstream_sends_while_idle_are_never_given_to_another_request(make_stage):
    stage = make_stage(config={"workers": 1})
    assert stage.get(b"/v1/first").status == 200
    peer = stage.origin.requests[0].peer
    peer.send(EVIL)
    wait_event(peer.ended, "the gateway to drop the talkative connection")
    assert stage.get(b"/v1/next").body == b"ok"


def test_an_answer_before_the_request_is_complete_does_not_unframe_the_next(stage):
    stage.origin.answer = by_target({b"/v1/early": lambda peer, request: peer.send(wire.response(body=b"early"))})
    body = stage.request(b"GET /v1/evil HTTP/1.1")
    with stage.connect() as client:
        client.send(stage.request(b"POST /v1/early HTTP/1.1", b"Content-Length: %d" % len(body)))
        assert client.read_response().body == b"early"
        client.send_unheeded(body)
        client.half_close()
        client.read_to_end()
    stage.assert_only_known({b"/v1/early"})


def test_a_slow_answer_does_not_hold_up_other_connections(stage):
    leave = threading.Event()
    stage.origin.answer = by_target({b"/v1/slow": holding(leave)})
    slow = [stage.connect() for _ in range(8)]
    for client in slow:
        client.send(stage.request(b"GET /v1/slow HTTP/1.1"))
    stage.origin.wait_request(8)
    assert all(stage.get(b"/v1/fast").body == b"ok" for _ in range(8))
    leave.set()
    assert [client.read_response().body for client in slow] == [b"ok"] * 8
    for client in slow:
        client.close()
