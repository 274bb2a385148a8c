"""Malformed and ambiguous requests are refused, and not a byte of them is forwarded."""

import pytest
from support import wire
from support.stage import assert_gateway_error
from support.waiting import wait_event

START = b"POST /v1/a HTTP/1.1"
HOST = b"Host: gateway.test"
BEARER = b"Authorization: Bearer @TOKEN@"
LEAD = b"\r\n".join((START, HOST, BEARER)) + b"\r\n"
CHUNKS = b"5\r\nhello\r\n0\r\n\r\n"
BYTE_NAMES = {0: "nul", 9: "tab", 10: "lf", 11: "vt", 12: "ff", 13: "cr", 32: "space", 127: "del"}


def name_of(byte):
    return BYTE_NAMES.get(byte) or (chr(byte) if 33 <= byte < 127 and chr(byte) not in "[]:/\\" else f"x{byte:02x}")


def table(variants, every=1):
    """The variants as parameters, each with its name; or only one in so many of them."""
    return [pytest.param(value, id=name) for name, value in list(variants.items())[::every]]


def with_fields(*lines, body=CHUNKS):
    return LEAD + b"".join(line + b"\r\n" for line in lines) + b"\r\n" + body


def in_1_0(*lines):
    return with_fields(*lines).replace(b"HTTP/1.1", b"HTTP/1.0")


def one_field(line):
    return with_fields(line, body=b"")


# -- two ways to find the end ----------------------------------------------------------------

TE, CL = b"Transfer-Encoding: chunked", b"Content-Length: 5"
BOTH_FRAMINGS = {
    "length-first": with_fields(CL, TE),
    "coding-first": with_fields(TE, CL),
    "length-of-the-chunks": with_fields(b"Content-Length: 15", TE),
    "length-zero": with_fields(b"Content-Length: 0", TE),
    "coding-between-lengths": with_fields(CL, TE, CL),
    "identity": with_fields(CL, b"Transfer-Encoding: identity", body=b"hello"),
    "names-in-lower-case": with_fields(b"content-length: 5", b"transfer-encoding: chunked"),
    "far-apart": with_fields(CL, *[b"X-%d: x" % n for n in range(50)], TE),
    "in-a-get": with_fields(CL, TE).replace(b"POST", b"GET"),
    "length-empty": with_fields(b"Content-Length:", TE),
    "connection-names-one": with_fields(b"Connection: content-length", CL, TE),
    "coding-empty": with_fields(CL, b"Transfer-Encoding:", body=b"hello"),
}

BAD_LENGTHS = {
    "repeated": (b"5", b"5"), "differing": (b"5", b"6"), "differing-zero": (b"0", b"5"), "three": (b"5", b"5", b"5"),
    "repeated-with-zero": (b"5", b"05"), "one-empty": (b"", b"5"),
    "listed": (b"5, 5",), "listed-tight": (b"5,5",), "listed-differing": (b"5, 6",), "comma-after": (b"5,",),
    "comma-before": (b",5",), "comma-alone": (b",",), "plus": (b"+5",), "minus": (b"-5",), "minus-zero": (b"-0",),
    "spaced": (b"5 5",), "spaced-sign": (b"- 5",), "tabbed": (b"5\t5",), "hex": (b"0x5",), "hex-digit": (b"a",),
    "hex-after": (b"5h",), "fraction": (b"5.0",), "exponent": (b"5e0",), "underscore": (b"0_5",),
    "apostrophe": (b"1'000",), "quoted": (b'"5"',), "semicolon": (b"5;",), "parameter": (b"5;a=b",),
    "empty": (b"",), "white": (b" \t ",), "word": (b"five",), "vt": (b"5\x0b",), "ff-before": (b"\x0c5",),
    "nul": (b"5\0",), "nul-between": (b"5\x005",), "arabic-digit": (b"\xd9\xa5",),
    "fullwidth-digit": (b"\xef\xbc\x95",),
    "superscript": (b"\xb2",), "high-byte": (b"5\x80",), "nbsp": (b"5\xa0",), "bare-cr": (b"5\r",),
    "percent": (b"%35",),
}
TOO_LONG_LENGTHS = {
    "2-to-63": b"9223372036854775808", "2-to-64": b"18446744073709551616", "2-to-64-and-5": b"18446744073709551621",
    "2-to-64-less-1": b"18446744073709551615", "2-to-65-and-5": b"36893488147419103237", "40-digits": b"9" * 40,
    "1000-digits": b"1" + b"0" * 999,
}


def lengths(values):
    return with_fields(*[b"Content-Length: " + value for value in values], body=b"hello")


LENGTHS = {f"length-{name}": lengths(values) for name, values in BAD_LENGTHS.items()}
LONG_LENGTHS = {name: lengths([value]) for name, value in TOO_LONG_LENGTHS.items()}


@pytest.mark.parametrize("data", table(BOTH_FRAMINGS))
def test_a_request_with_length_and_coding_is_refused_and_nothing_is_forwarded(stage, data):
    stage.refused(data, 400, 501)


@pytest.mark.parametrize("data", table(LENGTHS))
def test_a_request_with_a_bad_length_is_refused_and_nothing_is_forwarded(stage, data):
    stage.refused(data, 400)


@pytest.mark.parametrize("data", table(LONG_LENGTHS))
def test_an_overflowing_length_is_refused_and_nothing_is_forwarded(stage, data):
    stage.refused(data, 400, 413)


# -- Transfer-Encoding -------------------------------------------------------------------------

BAD_CODINGS = {
    "gzip-then-chunked": b"gzip, chunked", "chunked-then-gzip": b"chunked, gzip", "gzip": b"gzip",
    "identity": b"identity",
    "twice-listed": b"chunked, chunked", "twice-tight": b"chunked,chunked", "chunked-identity": b"chunked, identity",
    "identity-chunked": b"identity, chunked", "x-before": b"xchunked", "x-after": b"chunkedx", "prefix": b"chunke",
    "parameter": b"chunked;q=1", "parameter-empty": b"chunked;", "quoted": b'"chunked"', "single-quoted": b"'chunked'",
    "comma-after": b"chunked,", "comma-before": b",chunked", "commas": b",", "empty": b"", "white": b"  ",
    "vt-before": b"\x0bchunked",
    "vt-after": b"chunked\x0b", "ff-after": b"chunked\x0c", "nul-before": b"\0chunked", "nul-after": b"chunked\0",
    "space-within": b"chun ked", "tab-within": b"chunked\tx", "word-after": b"chunked x", "cr-within": b"chunked\rx",
    "nbsp-before": b"\xa0chunked", "high-byte-after": b"chunked\xff", "colon": b": chunked",
    "deflate": b"deflate, chunked",
    "cow": b"cow", "cow-chunked": b"cow, chunked", "kelvin-sign": b"chun\xe2\x84\xaaed", "trailers": b"trailers",
    "bracketed": b"[chunked]",
}
CODINGS = {f"coding-{name}": with_fields(b"Transfer-Encoding: " + value) for name, value in BAD_CODINGS.items()}
CODINGS |= {
    "coding-repeated": with_fields(TE, TE),
    "coding-repeated-in-another-case": with_fields(TE, b"transfer-encoding: chunked"),
    "coding-chunked-then-identity-field": with_fields(TE, b"Transfer-Encoding: identity"),
    "coding-identity-then-chunked-field": with_fields(b"Transfer-Encoding: identity", TE),
    "coding-empty-then-chunked-field": with_fields(b"Transfer-Encoding:", TE),
    "coding-chunked-then-cow-field": with_fields(TE, b"Transfer-encoding: cow"),
    "coding-in-http-1-0": in_1_0(TE),
    "coding-in-http-1-0-kept-alive": in_1_0(TE, b"Connection: keep-alive"),
    "coding-in-http-1-0-named-by-connection": in_1_0(b"Connection: transfer-encoding", TE),
    "coding-in-a-get-not-chunked": with_fields(b"Transfer-Encoding: gzip").replace(b"POST", b"GET"),
}


@pytest.mark.parametrize("data", table(CODINGS))
def test_any_coding_but_one_chunked_is_refused_and_nothing_is_forwarded(stage, data):
    stage.refused(data, 400, 501)


# -- field lines -------------------------------------------------------------------------------

FRAMING_HIDDEN = {  # each is a framing field to some parser and something else to another
    f"{kind}-{name}": with_fields(line.replace(b"@", framing), body=body)
    for kind, framing, value, body in (("coding", b"Transfer-Encoding", b"chunked", CHUNKS),
                                       ("length", b"Content-Length", b"5", b"hello"))
    for name, line in {
        "space-before-colon": b"@ : " + value, "tab-before-colon": b"@\t: " + value,
        "vt-before-colon": b"@\x0b: " + value,
        "nul-before-colon": b"@\0: " + value, "nbsp-before-colon": b"@\xa0: " + value,
        "cr-before-colon": b"@\r: " + value,
        "space-before-name": b" @: " + value, "tab-before-name": b"\t@: " + value, "nul-before-name": b"\0@: " + value,
        "vt-before-name": b"\x0b@: " + value, "nul-in-name": b"X\0@: " + value, "high-byte-in-name": b"\xff@: " + value,
        "folded-value": b"@:\r\n " + value, "folded-with-tab": b"@:\r\n\t" + value,
        "folded-before-colon": b"@\r\n : " + value,
        "after-a-bare-lf": b"X: y\n@: " + value, "after-a-bare-cr": b"X: y\r@: " + value,
        "after-lf-cr": b"X: y\n\r@: " + value,
        "value-after-lf": b"@:\n " + value, "after-a-folded-line": b"X: y\r\n z\r\n@: " + value,
        "semicolon": b"@; " + value,
        "equals": b"@=" + value, "no-colon": b"@ " + value, "quoted-name": b'"@": ' + value,
    }.items()
}

BAD_LINES = {
    "no-colon": b"Foo", "no-colon-with-space": b"Foo bar", "empty-name": b": bar", "colon-alone": b":",
    "two-colons-first": b"::bar",
    "white-line": b" ", "tab-line": b"\t", "space-first": b" Foo: bar", "tab-first": b"\tFoo: bar",
    "space-before-colon": b"Foo : bar",
    "tab-before-colon": b"Foo\t: bar", "spaces-before-colon": b"Foo  \t : bar", "space-in-name": b"Foo Bar: baz",
    "folded": b"Foo: a\r\n b", "folded-by-tab": b"Foo: a\r\n\tb", "folded-empty": b"Foo: a\r\n ",
    "folded-twice": b"Foo: a\r\n b\r\n c",
    "bare-lf-line": b"Foo: a\nBar: b", "bare-cr-line": b"Foo: a\rBar: b", "lf-cr": b"Foo: a\n\rBar: b",
    "two-crs": b"Foo: a\r",
    "lf-first": b"\nFoo: a", "cr-first": b"\rFoo: a", "request-line-again": b"GET /v1/evil HTTP/1.1",
    "status-line": b"HTTP/1.1 200 OK",
    "escape-sequence": b"Foo: \x1b[31mred",
}
BAD_NAME_BYTES = {f"name-with-{name_of(b)}": one_field(b"Fo%co: bar" % b)
                  for b in [*range(0, 33), *b'"(),/;<=>?@[\\]{}', 127, 128, 0xA0, 0xC3, 0xFF]}
BAD_VALUE_BYTES = {f"value-with-{name_of(b)}": one_field(b"Foo: a%cb" % b) for b in [*range(0, 9), *range(10, 32), 127]}
LINES = {f"line-{name}": one_field(line) for name,
         line in BAD_LINES.items()} | BAD_NAME_BYTES | BAD_VALUE_BYTES | FRAMING_HIDDEN
LINES |= {
    "line-space-before-the-first-field": wire.head(START, b" " + HOST, BEARER),
    "line-white-before-the-first-field": wire.head(START, b" ", HOST, BEARER),
    "line-folded-start": wire.head(START, b" x", HOST, BEARER),
    "line-nul-in-host": wire.head(START, b"Host: gateway\0.test", BEARER),
    "line-nul-in-authorization": wire.head(START, HOST, BEARER + b"\0"),
    "line-folded-authorization": wire.head(START, HOST, b"Authorization: Bearer\r\n @TOKEN@"),
    "head-with-bare-lfs": wire.head(START, HOST, BEARER).replace(b"\r\n", b"\n"),
    "head-with-bare-crs": wire.head(START, HOST, BEARER).replace(b"\r\n", b"\r") + b"\n\n",
    "head-ends-lf-lf": LEAD[:-2] + b"\n\n", "head-ends-crlf-lf": LEAD + b"\n",
    "head-ends-lf-crlf": LEAD[:-2] + b"\n\r\n",
    "head-ends-crlf-cr-cr-lf": LEAD + b"\r\r\n", "head-ends-cr-cr-lf": LEAD[:-2] + b"\r\r\n\r\n",
    "request-line-ends-lf": wire.head(START, HOST, BEARER).replace(b"\r\n", b"\n", 1),
    "request-line-ends-cr-cr-lf": wire.head(START + b"\r", HOST, BEARER),
}


@pytest.mark.parametrize("data", table(LINES))
def test_a_malformed_field_line_is_refused_and_nothing_is_forwarded(stage, data):
    stage.refused(data, 400)


# -- request lines -----------------------------------------------------------------------------

BAD_STARTS = {
    "no-version": b"GET /v1/a", "method-alone": b"GET", "target-alone": b"/v1/a HTTP/1.1",
    "two-spaces": b"GET  /v1/a HTTP/1.1",
    "two-spaces-later": b"GET /v1/a  HTTP/1.1", "space-first": b" GET /v1/a HTTP/1.1",
    "space-last": b"GET /v1/a HTTP/1.1 ",
    "tab-first": b"\tGET /v1/a HTTP/1.1", "tabs": b"GET\t/v1/a\tHTTP/1.1", "tab-before-version": b"GET /v1/a\tHTTP/1.1",
    "vt": b"GET\x0b/v1/a HTTP/1.1", "four-words": b"GET /v1/a HTTP/1.1 x", "space-in-target": b"GET /v1/a b HTTP/1.1",
    "no-target": b"GET HTTP/1.1", "empty-target": b"GET  HTTP/1.1", "empty-method": b" /v1/a HTTP/1.1",
    "cr-in-target": b"GET /v1/\ra HTTP/1.1", "cr-before-version": b"GET /v1/a \rHTTP/1.1",
    "words-joined": b"GET/v1/a HTTP/1.1",
    "white": b" ", "field-first": b"Host: gateway.test",
}
BAD_METHODS = {f"method-with-{name_of(b)}": b"G%cT /v1/a HTTP/1.1" % b
               for b in [0, 1, 9, 11, 13, 31, *b'"(),/:;<=>?@[\\]{}', 127, 128, 0xC3, 0xFF]}
BAD_VERSIONS = [b"HTTP/1", b"HTTP/1.", b"HTTP/.1", b"HTTP/", b"HTTP", b"http/1.1", b"Http/1.1", b"HTTP/1.1x",
                b"HTTP/01.1", b"HTTP/1.01",
                b"HTTP/1.10", b"HTTP/11.1", b"HTTP/1,1", b"HTTP/1 1", b"HTTP /1.1", b"HTTP/ 1.1", b"HTTP/-1.1",
                b"HTTP/1.-1", b"HTTP/1.1.1",
                b"HTP/1.1", b"HTTPS/1.1", b"ICE/1.0", b"RTSP/1.0", b"XHTTP/1.1", b"HTTP\\1.1", b"HTTP/x.y",
                b"HTTP/1.1\0", b"\0HTTP/1.1",
                b"HTTP/1.1\x0b", b"HTTP/\xb9.1"]
STARTS = {f"start-{name}": wire.head(start, HOST, BEARER) for name, start in (BAD_STARTS | BAD_METHODS).items()}
VERSIONS = {ascii(version)[2:-1].replace("/", "-"): wire.head(b"GET /v1/a " + version, HOST, BEARER)
            for version in BAD_VERSIONS}
OTHER_VERSIONS = {"2.0": b"GET /v1/a HTTP/2.0", "3.0": b"GET /v1/a HTTP/3.0", "0.9": b"GET /v1/a HTTP/0.9",
                  "9.9": b"GET /v1/a HTTP/9.9"}


@pytest.mark.parametrize("data", table(STARTS))
def test_a_malformed_request_line_is_refused_and_nothing_is_forwarded(stage, data):
    stage.refused(data, 400, 505)


@pytest.mark.parametrize("data", table(VERSIONS))
def test_a_malformed_version_is_refused_and_nothing_is_forwarded(stage, data):
    stage.refused(data, 400, 505)


@pytest.mark.parametrize("start", table(OTHER_VERSIONS))
def test_a_version_other_than_1_is_refused_with_505(stage, start):
    stage.refused(wire.head(start, HOST, BEARER), 505)


@pytest.mark.parametrize("data",
                         [b"GET /v1/a\r\n", b"GET /\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
                          b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
                          b"\0\0\0\0\0\0\0\0\r\n\r\n", b"\x80\x9e\x01\x03\x01\r\n\r\n",
                          b"EHLO gateway.test\r\n", b"HTTP/1.1 200 OK\r\n\r\n"],
                         ids=["http-0.9", "http-0.9-and-more", "http-2-preface", "tls", "nuls", "ssl-2", "smtp",
                              "response"])
def test_another_protocol_is_refused_and_nothing_is_forwarded(stage, data):
    stage.refused(data, 400, 405, 505)


# -- chunks ------------------------------------------------------------------------------------

TAIL = b"\r\n0\r\n\r\n"
BAD_CHUNKS = {
    "size-not-hex": b"G\r\nhello" + TAIL, "size-empty": b"\r\nhello" + TAIL, "size-negative": b"-5\r\nhello" + TAIL,
    "size-plus": b"+5\r\nhello" + TAIL,
    "size-0x": b"0x5\r\nhello" + TAIL, "size-x": b"x5\r\nhello" + TAIL, "size-with-h": b"5h\r\nhello" + TAIL,
    "size-space-first": b" 5\r\nhello" + TAIL,
    "size-tab-first": b"\t5\r\nhello" + TAIL, "size-space-last": b"5 \r\nhello" + TAIL,
    "size-spaced": b"0 5\r\nhello" + TAIL,
    "size-comma": b"5,5\r\nhello" + TAIL, "size-fraction": b"5.0\r\nhello" + TAIL,
    "size-underscore": b"0_5\r\nhello" + TAIL,
    "size-nul": b"5\0\r\nhello" + TAIL, "size-vt": b"5\x0b\r\nhello" + TAIL, "size-high-byte": b"\xb5\r\nhello" + TAIL,
    "size-quoted": b'"5"\r\nhello' + TAIL,
    "size-lf": b"5\nhello" + TAIL, "size-cr": b"5\rhello" + TAIL, "size-cr-cr-lf": b"5\r\r\nhello" + TAIL,
    "size-lf-cr": b"5\n\rhello" + TAIL,
    "extension-alone": b";a=b\r\nhello" + TAIL, "extension-lf": b"5;a=b\nhello" + TAIL,
    "extension-cr": b"5;a\rb\r\nhello" + TAIL,
    "extension-nul": b"5;a\0b\r\nhello" + TAIL, "extension-control": b'5;a="\x01"\r\nhello' + TAIL,
    "extension-del": b"5;a=\x7f\r\nhello" + TAIL,
    "extension-hides-lf": b"5;\nGET /v1/evil HTTP/1.1\r\nhello" + TAIL,
    "extension-quoted-lf": b'5;a="\n"\r\nhello' + TAIL,
    "end-missing": b"5\r\nhello0\r\n\r\n", "end-lf": b"5\r\nhello\n0\r\n\r\n", "end-cr": b"5\r\nhello\r0\r\n\r\n",
    "end-text": b"5\r\nhelloXX0\r\n\r\n",
    "end-lf-cr": b"5\r\nhello\n\r0\r\n\r\n", "end-cr-cr-lf": b"5\r\nhello\r\r\n0\r\n\r\n",
    "end-too-late": b"3\r\nhello" + TAIL, "end-too-early": b"8\r\nhello" + TAIL,
    "second-size-empty": b"5\r\nhello\r\n\r\n0\r\n\r\n", "second-size-bad": b"5\r\nhello\r\nzz\r\nhello" + TAIL,
    "last-lf": b"5\r\nhello\r\n0\n\r\n",
    "final-line-lf": b"5\r\nhello\r\n0\r\n\n", "final-line-cr-cr": b"5\r\nhello\r\n0\r\n\r\r\n",
    "last-negative": b"5\r\nhello\r\n-0\r\n\r\n",
    "trailer-no-colon": b"5\r\nhello\r\n0\r\nFoo\r\n\r\n",
    "trailer-space-before-colon": b"5\r\nhello\r\n0\r\nFoo : bar\r\n\r\n",
    "trailer-space-first": b"5\r\nhello\r\n0\r\n Foo: bar\r\n\r\n",
    "trailer-folded": b"5\r\nhello\r\n0\r\nFoo: a\r\n b\r\n\r\n",
    "trailer-lf": b"5\r\nhello\r\n0\r\nFoo: a\n\r\n", "trailer-nul": b"5\r\nhello\r\n0\r\nFoo: a\0b\r\n\r\n",
    "trailer-cr": b"5\r\nhello\r\n0\r\nFoo: a\rb\r\n\r\n",
    "trailer-bad-name": b"5\r\nhello\r\n0\r\nFo(o: a\r\n\r\n", "trailer-empty-name": b"5\r\nhello\r\n0\r\n: a\r\n\r\n",
    "trailer-request-line": b"5\r\nhello\r\n0\r\nGET /v1/evil HTTP/1.1\r\n\r\n",
}
TOO_LONG_CHUNKS = {
    "2-to-63": b"8000000000000000", "2-to-64": b"10000000000000000", "2-to-64-and-5": b"10000000000000005",
    "all-ones": b"FFFFFFFFFFFFFFFF",
    "32-digits": b"f" * 32, "2-to-68-and-5": b"100000000000000005", "1000-digits": b"1" + b"0" * 999,
}
BAD_CHUNKS |= {f"too-long-{name}": size + b"\r\nhello" + TAIL for name, size in TOO_LONG_CHUNKS.items()}
BAD_CHUNKS |= {"extension-without-end": b"5;" + b"a" * 100000,
               "trailers-without-end": b"0\r\n" + b"X-Trailer: y\r\n" * 20000,
               "size-without-end": b"0" * 100000}


def refuse_chunks(stage, body, slowly):
    """The head may go on before the body proves bad; the request is never complete upstream."""
    data = stage.request(START, TE) + body
    with stage.connect() as client:
        (client.send_byte_by_byte if slowly else client.send_unheeded)(data)
        assert_gateway_error(client.read_response(), 400, 413, 431)
        client.assert_closed()
    for request in stage.origin.requests:
        wait_event(request.peer.ended, "the end of the abandoned upstream connection")
        assert not request.complete and request.target == b"/v1/a"
    assert len(stage.origin.requests) <= 1
    assert b"evil" not in stage.origin.received()


@pytest.mark.parametrize("body", table(BAD_CHUNKS))
def test_a_bad_chunk_is_refused_and_the_request_is_never_completed(stage, body):
    refuse_chunks(stage, body, slowly=False)


@pytest.mark.parametrize("body", table({name: body for name, body in BAD_CHUNKS.items() if len(body) < 1000}, every=4))
def test_a_bad_chunk_sent_byte_by_byte_is_refused_and_never_completed(stage, body):
    refuse_chunks(stage, body, slowly=True)


# -- all of them, slowly, and what follows them ---------------------------------------------------

HEADS = BOTH_FRAMINGS | LENGTHS | LONG_LENGTHS | CODINGS | LINES | STARTS | VERSIONS


@pytest.mark.parametrize("data", table(HEADS, every=6))
def test_a_malformed_head_sent_byte_by_byte_is_refused_and_nothing_is_forwarded(stage, data):
    stage.refused(data, 400, 413, 501, 505, slowly=True)


@pytest.mark.parametrize("data", table(HEADS, every=15))
def test_nothing_after_a_refused_request_is_read_as_a_request(stage, data):
    stage.refused(data + wire.head(b"GET /v1/next HTTP/1.1", HOST, BEARER), 400, 413, 501, 505)


@pytest.mark.parametrize("data", table(HEADS, every=15))
def test_a_request_before_a_refused_one_is_answered_first(stage, data):
    with stage.connect() as client:
        client.send(stage.request(b"GET /v1/good HTTP/1.1") + stage.fill(data))
        assert client.read_response().status == 200
        assert_gateway_error(client.read_response(), 400, 413, 501, 505)
        client.assert_closed()
    assert [request.target for request in stage.origin.requests] == [b"/v1/good"]
