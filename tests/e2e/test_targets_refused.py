"""Hosts, targets, paths, methods and override fields that are refused, and the limits on heads."""

import pytest
from support import wire
from support.stage import assert_gateway_error

HOST = b"Host: gateway.test"
BEARER = b"Authorization: Bearer @TOKEN@"


def named(values):
    """The byte strings as parameters that are named by themselves."""
    return [pytest.param(value, id=f"{number}-{ascii(value)[2:-1][:40]}".replace("/", "|").replace("::", ":"))
            for number, value in enumerate(values)]


def get(target, *lines):
    return wire.head(b"GET " + target + b" HTTP/1.1", *(lines or (HOST,)), BEARER)


# -- Host --------------------------------------------------------------------------------------

BAD_HOSTS = [b"", b" ", b"a b", b"a, b", b"a/b", b"/", b"http://gateway.test", b"user@gateway.test", b"@gateway.test",
             b"gateway.test:port",
             b"gateway.test:-1", b"gateway.test:+1", b"gateway.test:80:80", b"gateway.test:8 0", b":80", b"::1",
             b"[::1", b"::1]", b"[zz]",
             b"[]", b"[::1]x", b"[::1]:x", b"[1.2.3.4]", b"a?b", b"a#b", b"a\\b", b"a%zz", b"a%", b"a\x01b", b"a\x7fb",
             b"a\0b", b'a"b', b"a<b>",
             b"a\tb", b"{a}", b"a|b", b"a^b", b"a`b", b"[::1%]"]
HOST_LINES = {"missing": (b"Accept: */*",), "twice": (HOST, HOST), "twice-differing": (HOST, b"Host: other.test"),
              "twice-in-other-case": (HOST, b"hOST: gateway.test"), "twice-apart": (HOST, b"A: 1", HOST),
              "one-empty": (b"Host:", HOST),
              "named-by-connection-only": (b"Connection: host",)}


@pytest.mark.parametrize("value", named(BAD_HOSTS))
def test_an_invalid_host_is_refused_and_nothing_is_forwarded(stage, value):
    stage.refused(get(b"/v1/a", b"Host: " + value), 400)


@pytest.mark.parametrize("lines", HOST_LINES.values(), ids=HOST_LINES.keys())
def test_a_missing_or_repeated_host_is_refused_and_nothing_is_forwarded(stage, lines):
    stage.refused(get(b"/v1/a", *lines), 400)


@pytest.mark.parametrize("value",
                         named([b"gateway.test", b"GATEWAY.test:8080", b"127.0.0.1", b"[::1]:8080", b"[2001:db8::1]",
                                b"a_b-c.test.", b"x"]))
def test_a_valid_host_of_any_kind_is_accepted(stage, value):
    assert stage.forward(get(b"/v1/a", b"Host: " + value)).values("Host") == [stage.origin.authority]


# -- targets -----------------------------------------------------------------------------------

BAD_TARGETS = [b"v1/a", b"*", b"/v1/a#f", b"/v1/a?b#f", b"#", b"/#", b"?", b"?a=b", b"gateway.test:80",
               b"gateway.test/v1/a", b"*/a", b"/v1/a\x01",
               b"/v1/\x00a", b"/v1/a?\x00", b"/v1/a?\x01", b"/v1/a?\x7f", b"/v1/\x7f", b"/v1/a\tb", b"/v1/a?b\tc",
               b"/v1/a?b\rc", b"http://other.test/v1/a",
               b"http://gateway.test:81/v1/a", b"http://user@gateway.test/v1/a", b"http://user:pw@gateway.test/v1/a",
               b"http:///v1/a", b"http://", b"http:/v1/a",
               b"http:v1/a", b"http//gateway.test/v1/a", b"ftp://gateway.test/v1/a", b"ws://gateway.test/v1/a",
               b"file:///etc/passwd", b"http://gateway.test/v1/a#f",
               b"http://gateway.test#f", b"http://gateway.test\\@other.test/", b"http://gateway.test /v1/a",
               b"//gateway.test/v1/a", b"\\v1\\a", b"about:blank"]


@pytest.mark.parametrize("target", named(BAD_TARGETS))
def test_a_malformed_target_is_refused_and_nothing_is_forwarded(stage, target):
    stage.refused(get(target), 400)


# -- paths -------------------------------------------------------------------------------------

DOTS = [b".", b"..", b"%2e", b"%2E", b"%2e%2e", b"%2E%2e", b".%2e", b"%2E."]
DOT_PATHS = [path for dot in DOTS
             for path in (b"/" + dot, b"/" + dot + b"/", b"/v1/" + dot, b"/v1/" + dot + b"/a", b"/v1/a/" + dot + b"?q")]
EMPTY_PATHS = [b"//", b"///", b"//v1/a", b"/v1//a", b"/v1/a//", b"/v1/a///", b"/v1///a", b"/v1/a//?q"]
BACKSLASH_PATHS = [b"/v1\\a", b"/v1/a\\", b"/\\", b"/v1/\\..\\a", b"/v1/%5ca", b"/v1/a%5C", b"/v1%5c..%5ca", b"/%5C",
                   b"/v1/..\\a"]
SLASH_PATHS = [b"/v1%2fa", b"/v1/a%2Fb", b"/%2f", b"/v1/..%2fa", b"/v1/%2e%2e%2fa", b"%2fv1/a", b"/v1/a%2F",
               b"/v1/%2F%2f"]
CONTROL_PATHS = [b"/v1/%%%02x" % byte for byte in [*range(32), 127]]
CONTROL_PATHS += [b"/v1/a%00.json", b"/v1/%0d%0aX:%20y", b"/v1/a%0A", b"/v1/a%1F", b"/%7F"]
RAW_CONTROL_PATHS = [b"/v1/a%cb" % byte for byte in [*range(1, 10), 11, 12, *range(14, 32), 127]]
PERCENT_PATHS = [b"/v1/%", b"/v1/a%4", b"/v1/%zz", b"/v1/%g0", b"/v1/%0g", b"/v1/%%41", b"/v1/%u0041", b"/v1/%-1",
                 b"/v1/%+5", b"/v1/% 41", b"/v1/%4/1",
                 b"/v1/%\xc3\xa9", b"/%", b"/v1/a%?q=1", b"/v1/%4?1", b"/v1/%0x41", b"/v1/a%2"]
BAD_UTF8 = {b"\x80": "continuation alone", b"\xbf": "continuation alone", b"\xc0\xaf": "overlong slash",
            b"\xc0\xae": "overlong dot",
            b"\xc0\xae\xc0\xae": "overlong dots", b"\xc0\x80": "overlong NUL", b"\xc1\x81": "overlong letter",
            b"\xc1\x9c": "overlong backslash",
            b"\xe0\x80\xaf": "overlong slash", b"\xe0\x80\xae": "overlong dot", b"\xe0\x9f\xbf": "overlong",
            b"\xf0\x80\x80\xaf": "overlong slash",
            b"\xf0\x8f\xbf\xbf": "overlong", b"\xf8\x80\x80\x80\xaf": "five bytes",
            b"\xfc\x80\x80\x80\x80\xaf": "six bytes", b"\xed\xa0\x80": "surrogate",
            b"\xed\xbf\xbf": "surrogate", b"\xed\xa0\xbd\xed\xb8\x80": "surrogate pair",
            b"\xf4\x90\x80\x80": "above U+10FFFF", b"\xf5\x80\x80\x80": "above U+10FFFF",
            b"\xfe": "never a byte", b"\xff": "never a byte", b"\xc3": "cut short", b"\xc3(": "cut short",
            b"\xe2\x82": "cut short", b"\xe2\x82x": "cut short",
            b"\xf0\x9f\xa6": "cut short", b"\xc3\xc3": "cut short", b"\xe9": "Latin-1"}


def encoded(data):
    return b"".join(b"%%%02X" % byte for byte in data)


PATHS = DOT_PATHS + EMPTY_PATHS + BACKSLASH_PATHS + SLASH_PATHS + CONTROL_PATHS + RAW_CONTROL_PATHS + PERCENT_PATHS
PATHS += [b"/v1/a" + spelling for data in BAD_UTF8 for spelling in (data, encoded(data))]


@pytest.mark.parametrize("path", named(PATHS))
def test_a_bad_path_is_refused_and_nothing_is_forwarded(stage, path):
    stage.refused(get(path), 400)


@pytest.mark.parametrize("path", named(path for path in PATHS[::6] if path.startswith(b"/")))
def test_a_bad_path_in_absolute_form_is_refused_and_nothing_is_forwarded(stage, path):
    stage.refused(get(b"http://gateway.test" + path), 400)


@pytest.mark.parametrize("path", named(PATHS[::8]))
def test_a_bad_path_sent_byte_by_byte_is_refused_and_nothing_is_forwarded(stage, path):
    stage.refused(get(path), 400, slowly=True)


@pytest.mark.parametrize("path",
                         named([b"/.psgate/../v1/a", b"/.psgate//healthz", b"/.psgate/%2e%2e/v1/a",
                                b"/v1/../.psgate/healthz"]))
def test_a_bad_path_below_the_gateways_own_is_refused(stage, path):
    stage.refused(get(path), 400)


@pytest.mark.parametrize("path", named([b"/v1/a%2Fb", b"/v1/a%2fb", b"/v1/a%2F", b"/v1/%2fa"]))
def test_an_encoded_slash_goes_through_as_spelled_where_that_is_configured(make_stage, path):
    stage = make_stage(config={"upstream": {"encoded_slashes": "forward"}})
    assert stage.forward(get(path)).target == path


@pytest.mark.parametrize("path",
                         named([b"/v1/..", b"/v1/%2e%2e/a", b"/v1//a", b"/v1/%5ca", b"/v1/%00", b"/v1/%c0%af",
                                b"/v1/%zz"]))
def test_other_bad_paths_are_refused_also_where_encoded_slashes_are_forwarded(make_stage, path):
    make_stage(config={"upstream": {"encoded_slashes": "forward"}}).refused(get(path), 400)


# -- override fields, methods --------------------------------------------------------------------

OVERRIDES = [b"X-HTTP-Method-Override", b"X-HTTP-Method", b"X-Method-Override", b"X-Original-URL", b"X-Rewrite-URL"]


@pytest.mark.parametrize("value", [b"DELETE", b"/v1/evil", b""])
@pytest.mark.parametrize("spell", [bytes, bytes.lower, bytes.upper], ids=["usual", "lower", "upper"])
@pytest.mark.parametrize("name", OVERRIDES, ids=bytes.decode)
def test_an_override_field_is_refused_and_nothing_is_forwarded(stage, name, spell, value):
    stage.refused(get(b"/v1/a", HOST, spell(name) + b": " + value), 400)


@pytest.mark.parametrize("name", OVERRIDES, ids=bytes.decode)
def test_an_override_field_is_refused_even_where_connection_names_it(stage, name):
    stage.refused(get(b"/v1/a", HOST, b"Connection: " + name, name + b": DELETE"), 400)


@pytest.mark.parametrize("start",
                         [b"TRACE /v1/a HTTP/1.1", b"TRACE * HTTP/1.1", b"TRACE / HTTP/1.0",
                          b"TRACE http://gateway.test/v1/a HTTP/1.1",
                          b"CONNECT gateway.test:443 HTTP/1.1", b"CONNECT gateway.test HTTP/1.1",
                          b"CONNECT /v1/a HTTP/1.1"])
def test_trace_and_connect_are_refused_with_405(stage, start):
    allowed = (405, 400) if b"*" in start or b"CONNECT /" in start or start.endswith(b"t HTTP/1.1") else (405,)
    stage.refused(wire.head(start, HOST, BEARER), *allowed)


# -- limits ------------------------------------------------------------------------------------


def fields_of(total):
    """Field lines of so many bytes in all, each short."""
    return [b"X-Filler: " + b"x" * 88] * (total // 100)


@pytest.mark.parametrize("lines", [[b"X-Long: " + b"x" * 40000], fields_of(40000), [b"x" * 40000 + b": long name"],
                                   [b"A: %d" % n for n in range(129)], [b"A:"] * 1000],
                         ids=["one-long-field", "many-fields", "long-name", "129-fields", "1000-fields"])
def test_a_head_over_the_limits_is_refused_with_431(stage, lines):
    stage.refused(get(b"/v1/a", HOST, *lines), 431)


@pytest.mark.parametrize("start", [b"GET /" + b"a" * 40000 + b" HTTP/1.1", b"GET /?" + b"a" * 40000 + b" HTTP/1.1",
                                   b"GET /" + b"a" * 200000], ids=["path", "query", "without-end"])
def test_a_target_over_the_limit_is_refused_with_414(stage, start):
    stage.refused(wire.head(start, HOST, BEARER), 414)


def test_a_head_without_end_is_refused_once_it_is_over_the_limit(stage):
    with stage.connect() as client:
        client.send(stage.request(b"GET /v1/a HTTP/1.1")[:-2] + b"X-Long: " + b"x" * 40000)
        assert_gateway_error(client.read_response(), 431)
        client.assert_closed()
    stage.assert_only_forwarded()


def test_a_head_just_under_the_default_limits_is_forwarded(stage):
    lines = [b"X-Long: " + b"x" * 20000] + [b"A: %d" % n for n in range(120)]
    assert b"A: 119" in stage.forward(get(b"/v1/a", HOST, *lines)).lines


def test_the_limits_are_those_of_the_configuration(make_stage):
    stage = make_stage(config={"limits": {"header_bytes": "2KiB", "headers": 10}})
    stage.forward(get(b"/v1/a", HOST, b"X: " + b"x" * 1200))
    stage.refused(get(b"/v1/a", HOST, b"X: " + b"x" * 2100), 431)


def test_the_number_of_fields_is_limited_by_the_configuration(make_stage):
    stage = make_stage(config={"limits": {"headers": 10}})
    stage.forward(get(b"/v1/a", HOST, *[b"A: 1"] * 8))
    with stage.connect() as client:
        assert_gateway_error(client.ask(stage.fill(get(b"/v1/a", HOST, *[b"A: 1"] * 9))), 431)
        client.assert_closed()
    assert len(stage.origin.requests) == 1


def test_an_overlong_head_of_a_megabyte_is_refused_and_the_gateway_lives(stage):
    with stage.connect() as client:
        client.send_unheeded(stage.fill(get(b"/v1/a", HOST, *fields_of(1 << 20))))
        assert_gateway_error(client.read_response(), 431)
        client.assert_closed()
    stage.assert_only_forwarded()
