"""What is forwarded arrives as it was sent: method, target, fields and body, byte for byte."""

import threading

import pytest
from support import wire
from support.waiting import wait_until
from support.wire import chunked

HOST = b"Host: gateway.test"
BEARER = b"Authorization: Bearer @TOKEN@"
TO_HOST = b"Host: @HOST@"
TO_KEY = b"Authorization: Bearer @KEY@"


def renamed(lines):
    """The lines with the names of the two fields that the gateway rewrites in their usual case."""
    usual = {b"host": b"Host", b"authorization": b"Authorization"}
    split = (line.partition(b":") for line in lines)
    return [usual.get(name.lower(), name) + colon + value for name, colon, value in split]


def assert_forwarded(stage, lines, expected, start=b"GET /v1/things HTTP/1.1"):
    seen = stage.forward(wire.head(start, *lines))
    assert renamed(seen.forwarded_lines()) == [stage.fill(line) for line in expected]
    return seen


# -- request lines -------------------------------------------------------------------------


@pytest.mark.parametrize("method", [b"GET", b"POST", b"PUT", b"DELETE", b"OPTIONS", b"PATCH", b"BREW",
                                    b"M-SEARCH", b"get", b"!#$%&'*+-.^_`|~0aZ"])
def test_a_method_goes_through_as_it_is(stage, method):
    seen = stage.forward(wire.head(method + b" /v1/things HTTP/1.1", HOST, BEARER))
    assert seen.start == method + b" /v1/things HTTP/1.1"


def test_head_goes_through_and_its_answer_has_no_body(stage):
    seen = stage.forward(wire.head(b"HEAD /v1/things HTTP/1.1", HOST, BEARER), "HEAD")
    assert seen.start == b"HEAD /v1/things HTTP/1.1"


TARGETS = {
    "root": b"/",
    "trailing-slash": b"/v1/things/",
    "encoded-letters": b"/v1/%74hings/%41",
    "lower-case-hex": b"/v1/caf%c3%a9",
    "upper-case-hex": b"/v1/CAF%C3%89",
    "encoded-space": b"/v1/a%20b",
    "encoded-percent": b"/v1/a%25b",
    "doubly-encoded-dots": b"/v1/%252e%252e/a",
    "doubly-encoded-slash": b"/v1/a%252fb",
    "dots-within-names": b"/v1/a..b/.hidden/...",
    "four-byte-utf8": b"/v1/%f0%9f%a6%86",
    "sub-delims": b"/v1/a;b=c,d/!$&'()*+@:~_-.",
    "encoded-delims": b"/v1/%3f%23%5b%5d%40",
    "empty-query": b"/v1/things?",
    "query-of-everything": b"/v1/things?a=1&a=2&&=&b=../..//&c=%zz%&d=[]{}|^`\"<>'&e=?/?&F=%2f%2F%00",
    "query-with-backslash": b"/v1/things?path=C:\\x\\..\\y",
    "query-with-colon-slash-slash": b"/v1/things?u=http://other.test/",
    "long": b"/v1/" + b"a" * 4000 + b"?" + b"b" * 4000,
}


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS.keys())
def test_a_target_goes_through_as_spelled(stage, target):
    seen = stage.forward(wire.head(b"GET " + target + b" HTTP/1.1", HOST, BEARER))
    assert seen.target == target


def test_bytes_above_ascii_in_a_query_go_through_or_are_refused_but_are_never_changed(stage):
    target = b"/v1/things?q=\xc3\xa9"
    answer = stage.get(target)
    assert answer.status in (200, 400)
    assert [request.target for request in stage.origin.requests] == [target] * (answer.status == 200)


@pytest.mark.parametrize("absolute, origin_form", [
    (b"http://gateway.test/v1/a?b=c", b"/v1/a?b=c"),
    (b"HTTP://gateway.test/v1/%41/", b"/v1/%41/"),
    (b"http://gateway.test", b"/"),
    (b"http://gateway.test?b=c", b"/?b=c"),
    (b"http://gateway.test/?u=http://x/", b"/?u=http://x/"),
])
def test_absolute_form_becomes_origin_form(stage, absolute, origin_form):
    seen = stage.forward(wire.head(b"GET " + absolute + b" HTTP/1.1", HOST, BEARER))
    assert seen.start == b"GET " + origin_form + b" HTTP/1.1"
    assert seen.values("Host") == [stage.origin.authority]


@pytest.mark.parametrize("target", [b"*", b"http://gateway.test"])
def test_options_of_the_server_as_a_whole_is_forwarded_in_asterisk_form(stage, target):
    seen = stage.forward(wire.head(b"OPTIONS " + target + b" HTTP/1.1", HOST, BEARER))
    assert seen.start == b"OPTIONS * HTTP/1.1"


# -- fields --------------------------------------------------------------------------------

PLAIN_FIELDS = [
    b"accept: */*", b"Accept-Language: de", b"ACCEPT-ENCODING: gzip,br", b"X-Twice: 1", b"cookie: a=b; c=d",
    b"x-twice: 2", b"X-Twice: 1", b"X-Empty:", b"X-Inner: a  b \t c,  d ,,e", b"X-Latin: caf\xe9 \xff",
    b"X-Odd-Name!#$%&'*+.^_`|~09: v", b"content-type: application/json", b"X-Colons: a:b::c",
    b"User-Agent: test (x; y) \"q\\\"\"", b"If-None-Match: W/\"1\", \"2\"", b"Range: bytes=0-1",
    b"Cache-Control: no-cache", b"Cookie: e=f", b"Forwarded: for=192.0.2.1", b"X-Forwarded-For: 192.0.2.1",
]


def test_order_case_repetition_and_values_of_fields_are_kept(stage):
    lines = PLAIN_FIELDS[:5] + [BEARER] + PLAIN_FIELDS[5:] + [HOST]
    assert_forwarded(stage, lines, PLAIN_FIELDS[:5] + [TO_KEY] + PLAIN_FIELDS[5:] + [TO_HOST])


def test_white_space_around_values_is_kept(stage):
    odd = [b"X-None:a", b"X-Three:   a", b"X-Tab:\ta", b"X-After: a \t ", b"X-Only:   "]
    assert_forwarded(stage, [HOST, BEARER, *odd], [TO_HOST, TO_KEY, *odd])


@pytest.mark.parametrize("lines, expected", [
    ([HOST, b"A: 1", BEARER, b"B: 2"], [TO_HOST, b"A: 1", TO_KEY, b"B: 2"]),
    ([BEARER, b"A: 1", b"B: 2", HOST], [TO_KEY, b"A: 1", b"B: 2", TO_HOST]),
    ([b"A: 1", b"aUtHoRiZaTiOn: bEaReR @TOKEN@", b"hOsT: other.test:81"], [b"A: 1", TO_KEY, TO_HOST]),
])
def test_host_and_authorization_are_replaced_in_place(stage, lines, expected):
    assert_forwarded(stage, lines, expected)


@pytest.mark.parametrize("name", [b"X-Api-Key", b"x-api-key", b"X-API-KEY"])
def test_x_api_key_is_removed_and_the_key_is_sent_as_authorization(stage, name):
    seen = stage.forward(wire.head(b"GET /v1/a HTTP/1.1", HOST, b"A: 1", name + b": @TOKEN@", b"B: 2"))
    lines = renamed(seen.forwarded_lines())
    assert [line for line in lines if not line.startswith(b"Authorization")] == [
        stage.fill(TO_HOST), b"A: 1", b"B: 2"]
    assert seen.values("Authorization") == [stage.fill(b"Bearer @KEY@")]


def test_another_authorization_beside_x_api_key_is_replaced(stage):
    lines = [HOST, b"Authorization: Basic dXNlcjpwYXNz", b"X-Api-Key: @TOKEN@", b"A: 1"]
    assert_forwarded(stage, lines, [TO_HOST, TO_KEY, b"A: 1"])


@pytest.mark.parametrize("lines", [
    [b"Connection: keep-alive"], [b"Keep-Alive: timeout=5"], [b"Proxy-Connection: keep-alive"],
    [b"TE: trailers"], [b"Connection: te", b"TE: trailers"], [b"Proxy-Authorization: Basic eDp5"],
    [b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAAQAAP__"],
    [b"Upgrade: TLS/1.3", b"connection: upgrade"], [b"Upgrade: websocket"],
    [b"Connection: close, x-named ,X-Also", b"X-Named: 1", b"x-named: 2", b"x-ALSO: 3"],
    [b"X-Named: 1", b"Connection: a", b"Connection: ,x-named,"],
])
def test_hop_by_hop_fields_and_those_that_connection_names_are_removed(stage, lines):
    around = [b"Before: 1", *lines, b"After: 2"]
    assert_forwarded(stage, [HOST, BEARER, *around], [TO_HOST, TO_KEY, b"Before: 1", b"After: 2"])


def test_connection_cannot_remove_authorization_or_host(stage):
    lines = [HOST, b"Connection: authorization, HOST, close, Authorization", BEARER, b"A: 1"]
    assert_forwarded(stage, lines, [TO_HOST, TO_KEY, b"A: 1"])


@pytest.mark.parametrize("named", [b"content-length", b"transfer-encoding, content-length"])
def test_connection_cannot_unframe_a_body(stage, named):
    seen = stage.forward(wire.head(b"POST /v1/a HTTP/1.1", HOST, BEARER, b"Connection: " + named,
                                   b"Content-Length: 5") + b"hello")
    assert seen.complete and seen.body == b"hello"


def test_an_earlier_via_is_kept_and_ours_follows_it(stage):
    seen = stage.forward(wire.head(b"GET /v1/a HTTP/1.1", HOST, BEARER, b"Via: 1.0 fred, 1.1 p.test"))
    assert seen.values("Via") == [b"1.0 fred, 1.1 p.test", b"1.1 psgate"]


@pytest.mark.parametrize("query, expected", [
    (b"api-key=@TOKEN@", b"api-key="), (b"a=1&api-key=@TOKEN@&b=%zz", b"a=1&api-key=&b=%zz"),
    (b"x=@TOKEN@&y=@TOKEN@", b"x=&y="), (b"a=%2f&K=@ENCODED@", b"a=%2f&K="),
])
def test_a_query_value_that_is_the_callers_token_is_blanked(stage, query, expected):
    encoded = b"".join(b"%%%02x" % byte for byte in stage.token)
    seen = stage.forward(wire.head(b"GET /v1/a?" + query.replace(b"@ENCODED@", encoded) + b" HTTP/1.1", HOST, BEARER))
    assert seen.target == b"/v1/a?" + expected


# -- bodies --------------------------------------------------------------------------------

BODIES = {"empty": b"", "short": b'{"a":1}', "every-byte": bytes(range(256)),
          "like-a-request": b"GET /v1/evil HTTP/1.1\r\nHost: x\r\n\r\n", "like-a-chunk": b"0\r\n\r\n",
          "large": b"0123456789abcdef" * 40000}


@pytest.mark.parametrize("method", [b"POST", b"GET", b"DELETE", b"BREW"])
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
def test_a_body_with_a_length_goes_through(stage, method, body):
    seen = stage.forward(wire.head(method + b" /v1/a HTTP/1.1", HOST, BEARER, b"Content-Length: %d" % len(body)) + body)
    assert seen.values("Transfer-Encoding") == [] and seen.body == body
    assert seen.values("Content-Length") == [b"%d" % len(body)] or not body
    stage.assert_only_forwarded(1)


CHUNKED_BODIES = {
    "empty": (b"0\r\n\r\n", b""),
    "one-chunk": (chunked(b"hello"), b"hello"),
    "many-chunks": (chunked(*[b"%d" % n for n in range(500)]), b"".join(b"%d" % n for n in range(500))),
    "extensions": (b'5;a;b=c;d="q; \\" x"\r\nhello\r\n0;last\r\n\r\n', b"hello"),
    "upper-case-size": (b"A\r\n0123456789\r\n0\r\n\r\n", b"0123456789"),
    "zeros-before-size": (b"005\r\nhello\r\n000\r\n\r\n", b"hello"),
    "like-framing": (chunked(b"\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n"), b"\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n"),
    "large": (chunked(b"x" * 300000, b"y" * 70000), b"x" * 300000 + b"y" * 70000),
}


@pytest.mark.parametrize("coding", [b"chunked", b"Chunked", b"CHUNKED"])
@pytest.mark.parametrize("sent, body", CHUNKED_BODIES.values(), ids=CHUNKED_BODIES.keys())
def test_a_chunked_body_goes_through(stage, coding, sent, body):
    seen = stage.forward(wire.head(b"POST /v1/a HTTP/1.1", HOST, BEARER, b"Transfer-Encoding: " + coding) + sent)
    assert seen.values("Transfer-Encoding") == [b"chunked"] and seen.values("Content-Length") == []
    assert seen.complete and seen.body == body


def test_a_request_sent_byte_by_byte_arrives_whole(stage):
    data = stage.fill(wire.head(b"POST /v1/a?b HTTP/1.1", HOST, BEARER, b"A: 1", b"Transfer-Encoding: chunked")
                      + b"5;x=y\r\nhello\r\n0\r\nT: 1\r\n\r\n")
    with stage.connect() as client:
        client.send_byte_by_byte(data)
        assert client.read_response().status == 200
    seen = stage.origin.requests[0]
    assert (seen.target, seen.body, seen.trailers) == (b"/v1/a?b", b"hello", [(b"T", b"1")])


DROPPED_TRAILERS = [
    b"Authorization: Bearer x", b"x-api-key: y", b"Proxy-Authorization: z", b"Content-Length: 3",
    b"Transfer-Encoding: chunked", b"Connection: close", b"Keep-Alive: 1", b"TE: trailers", b"Upgrade: h2c",
    b"Proxy-Connection: close", b"Host: evil.test", b"X-HTTP-Method-Override: DELETE", b"X-HTTP-Method: PUT",
    b"x-method-override: PUT", b"X-Original-URL: /evil", b"X-Rewrite-URL: /evil",
]


@pytest.mark.parametrize("dropped", DROPPED_TRAILERS, ids=lambda line: line.partition(b":")[0].decode())
def test_a_dangerous_trailer_is_dropped_and_the_others_are_kept(stage, dropped):
    trailers = [b"X-Checksum: a  b", dropped, b"x-other: 2"]
    seen = stage.forward(wire.head(b"POST /v1/a HTTP/1.1", HOST, BEARER, b"Transfer-Encoding: chunked")
                         + chunked(b"hello", trailers=trailers))
    assert seen.body == b"hello"
    assert seen.trailers == [(b"X-Checksum", b"a  b"), (b"x-other", b"2")]


def test_a_body_is_streamed_before_it_is_complete(stage):
    with stage.connect() as client:
        client.send(stage.request(b"POST /v1/a HTTP/1.1", b"Content-Length: 10") + b"first")
        request = stage.origin.wait_request()
        wait_until(lambda: bytes(request.peer.received).endswith(b"first"), "the first half at the origin")
        assert not request.complete
        client.send(b"other")
        assert client.read_response().status == 200
    assert request.body == b"firstother"


# -- many requests on a connection -----------------------------------------------------------


def test_a_connection_is_kept_for_more_requests(stage):
    with stage.connect() as client:
        for number in range(20):
            assert client.ask(stage.request(b"GET /v1/%d HTTP/1.1" % number)).status == 200
    assert [request.target for request in stage.origin.requests] == [b"/v1/%d" % n for n in range(20)]


def test_connection_close_is_honoured_after_the_answer(stage):
    with stage.connect() as client:
        answer = client.ask(stage.request(b"GET /v1/a HTTP/1.1", b"Connection: close"))
        assert answer.status == 200 and [v.lower() for v in answer.values("Connection")] == [b"close"]
        client.assert_closed()


@pytest.mark.parametrize("start, lines", [(b"GET /v1/a HTTP/1.1", [b"Connection: close"]),
                                          (b"GET /v1/a HTTP/1.1", [b"Connection: keep-alive, CLOSE"]),
                                          (b"GET /v1/a HTTP/1.0", [])], ids=["close", "listed", "http-1.0"])
def test_nothing_behind_the_last_request_of_a_connection_is_read(stage, start, lines):
    with stage.connect() as client:
        client.send(stage.request(start, *lines) + stage.request(b"GET /v1/b HTTP/1.1"))
        assert client.read_response().status == 200
        client.assert_closed()
    stage.assert_only_forwarded(1)


def test_a_request_arrives_whole_wherever_it_was_split(stage):
    data = stage.request(b"POST /v1/a?b HTTP/1.1", b"A: 1", b"Transfer-Encoding: chunked") + (
        b"5;x=y\r\nhello\r\n0\r\nT: 1\r\n\r\n")
    with stage.connect() as client:
        for at in range(1, len(data)):
            client.send(data[:at])
            client.send(data[at:])
            assert client.read_response().status == 200
    seen = {(request.head, request.body, tuple(request.trailers)) for request in stage.origin.requests}
    assert len(seen) == 1 and len(stage.origin.requests) == len(data) - 1


def echo(peer, request):
    body = peer.read_body(request)
    peer.send(wire.response(b"HTTP/1.1 200 OK", b"X-Seen: " + request.method + b" " + request.target, body=body))


def test_pipelined_requests_are_answered_in_order(stage):
    stage.origin.answer = echo
    kinds = [(b"GET", ()), (b"POST", (b"Content-Length: 3",)), (b"HEAD", ()),
             (b"POST", (b"Transfer-Encoding: chunked",))]
    bodies = [b"", b"abc", b"", chunked(b"de", b"f")]
    expected, data = [], b""
    for number in range(24):
        (method, lines), body = kinds[number % 4], bodies[number % 4]
        start = b"%b /v1/%d" % (method, number)
        data += stage.request(start + b" HTTP/1.1", *lines, body=body)
        expected.append((start, [b"", b"abc", b"", b"def"][number % 4]))
    with stage.connect() as client:
        client.send(data)
        for start, body in expected:
            answer = client.read_response(start.partition(b" ")[0].decode())
            assert (answer.value("X-Seen"), answer.body) == (start, body)


def test_pipelined_requests_keep_their_order_around_the_gateways_own_answers(stage):
    starts = [b"GET /v1/a HTTP/1.1", b"GET /.psgate/healthz HTTP/1.1", b"GET /v1/b HTTP/1.1",
              b"GET /.psgate/none HTTP/1.1",
              b"GET /v1/c HTTP/1.1"]
    with stage.connect() as client:
        client.send(b"".join(stage.request(start) for start in starts))
        assert [client.read_response().status for _ in starts] == [200, 200, 200, 404, 200]


# -- HTTP/1.0 --------------------------------------------------------------------------------


def test_an_http_1_0_client_is_answered_and_the_connection_closed(stage):
    with stage.connect() as client:
        answer = client.ask(stage.request(b"GET /v1/a HTTP/1.0"))
        assert answer.body == b"ok" and answer.values("Transfer-Encoding") == []
        client.assert_closed()
    assert stage.origin.requests[0].start == b"GET /v1/a HTTP/1.1"


def test_an_http_1_0_client_may_keep_the_connection(stage):
    with stage.connect() as client:
        for number in range(3):
            answer = client.ask(stage.request(b"GET /v1/%d HTTP/1.0" % number, b"Connection: Keep-Alive"))
            assert answer.body == b"ok"
            assert [value.lower() for value in answer.values("Connection")] == [b"keep-alive"]


def test_an_http_1_0_client_gets_a_chunked_answer_until_the_close(stage):
    stage.origin.answer = wire.head(b"HTTP/1.1 200 OK", b"Transfer-Encoding: chunked") + chunked(b"hel", b"lo")
    with stage.connect() as client:
        answer = client.ask(stage.request(b"GET /v1/a HTTP/1.0", b"Connection: keep-alive"))
        assert (answer.framing(), answer.body) == ("close", b"hello")


def test_an_http_1_0_client_gets_no_interim_answer(stage):
    stage.origin.answer = wire.head(b"HTTP/1.1 103 Early Hints", b"Link: </x>") + wire.response()
    with stage.connect() as client:
        answer = client.ask(stage.request(b"GET /v1/a HTTP/1.0"))
        assert answer.status == 200 and answer.interim == []


def test_an_http_1_0_request_needs_no_host(stage):
    seen = stage.forward(wire.head(b"GET /v1/a HTTP/1.0", BEARER, b"A: 1"))
    assert seen.values("Host") == [stage.origin.authority]


# -- Expect: 100-continue ----------------------------------------------------------------------


def test_the_origins_100_is_what_the_client_sees(stage):
    leave = threading.Event()

    def answer(peer, request):
        leave.wait(20)
        peer.send(wire.head(b"HTTP/1.1 100 Go On", b"X-From: origin"))
        peer.read_body(request)
        peer.send(wire.response())

    stage.origin.answer = answer
    with stage.connect() as client:
        client.send(stage.request(b"POST /v1/a HTTP/1.1", b"Expect: 100-continue", b"Content-Length: 5"))
        seen = stage.origin.wait_request()
        assert seen.values("Expect") == [b"100-continue"]
        assert not client.is_readable(), "a 100 that the origin has not sent"
        leave.set()
        interim = client.read_head()
        assert (interim.status, interim.value("X-From")) == (100, b"origin")
        client.send(b"hello")
        final = client.read_response()
    assert (final.status, final.interim, seen.body) == (200, [], b"hello")


@pytest.mark.parametrize("status", [b"417 Expectation Failed", b"413 Payload Too Large"])
def test_a_final_answer_instead_of_100_reaches_the_client_alone(stage, status):
    stage.origin.answer = lambda peer, request: (
        peer.send(wire.response(b"HTTP/1.1 " + status, b"Connection: close")), peer.close())
    with stage.connect() as client:
        answer = client.ask(stage.request(b"POST /v1/a HTTP/1.1", b"Expect: 100-continue", b"Content-Length: 5"))
        assert (answer.status, answer.interim, answer.body) == (int(status[:3]), [], b"ok")


def test_no_100_is_invented_for_a_body_that_is_sent_at_once(stage):
    with stage.connect() as client:
        answer = client.ask(stage.request(b"POST /v1/a HTTP/1.1", b"Expect: 100-continue",
                                          b"Content-Length: 5") + b"hello")
        assert (answer.status, answer.interim) == (200, [])
    assert stage.origin.requests[0].body == b"hello"
