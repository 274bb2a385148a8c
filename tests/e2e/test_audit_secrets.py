"""What must never be told: secret values, keys, tokens and their digests, queries, lengths of bodies."""

import hashlib
import json
import re
import secrets
import shutil
import subprocess

import pytest
from support import wire
from support.audited import new_source, noticed_leaving
from support.origin import closing
from support.stage import assert_gateway_error
from support.waiting import wait_until
from support.wire import chunked
from test_secrets_in_memory import read_memory

pytest_plugins = ["support.audited"]

CREATE = b"POST /v1/teams/t/secrets"
UPDATE = b"PATCH /v1/teams/t/secrets/DB_PASSWORD"
JSON = b"Content-Type: application/json"
EXPECT = b"Expect: 100-continue"


def told(stage):
    """All that is told: the trail, the log (at debug), standard output."""
    return stage.trail.bytes().decode() + stage.gateway.stdout() + stage.gateway.stderr()


class Listening:
    """What is told of a stage from now on."""

    def __init__(self, stage):
        self.stage = stage
        self.before = [len(text) for text in self.texts()]

    def texts(self):
        return self.stage.trail.bytes().decode(), self.stage.gateway.stderr()

    def heard(self):
        return "".join(text[start:] for text, start in zip(self.texts(), self.before))

    def assert_untold(self, token):
        """Neither the token nor its beginning."""
        assert token[:24].decode() not in self.heard(), "a token, or the beginning of one, is told"


def foreign_token():
    """What looks like a token and is none of ours."""
    return b"psgate_" + secrets.token_hex(22)[:43].encode() + b"_abcdef"


def forms(secret):
    """The secret, and what it looks like hashed."""
    for function in hashlib.sha256, hashlib.sha1, hashlib.md5, hashlib.sha512:
        yield function(secret.encode()).hexdigest()
    yield secret


def assert_untold(stage, *secrets):
    text = told(stage)
    for secret in (*secrets, *stage.gateway.secrets):
        for form in forms(secret):
            assert form not in text, f"{form} of {secret} is told"


# -- tokens, wherever a client puts them ------------------------------------------------------------------


PLACES = {
    "user-agent": (UPDATE, [b"User-Agent: cli/1 (%b)"], None),
    "user-agent-far-behind": (UPDATE, [b"User-Agent: " + b"x" * 480 + b" %b"], None),
    "request-id": (UPDATE, [b"X-Request-Id: %b"], None),
    "request-id-behind": (UPDATE, [b"X-Request-Id: " + b"x" * 100 + b"%b"], None),
    "traceparent": (UPDATE, [b"traceparent: 00-%b-00f067aa0ba902b7-01"], None),
    "path": (b"DELETE /v1/teams/t/secrets/%b", [], None),
    "path-encoded": (b"DELETE /v1/teams/t/secrets/%%70%b", [], None),
    "team": (b"DELETE /v1/teams/%b/secrets/A", [], None),
    "user": (b"DELETE /v1/teams/t/users/%b", [], None),
    "deep-path": (b"POST /v1/api-keys/a/%b/b", [], None),
    "body-name": (CREATE, [JSON], b'{"name": "%b", "value": "v"}'),
    "body-name-escaped": (CREATE, [JSON], b'{"name": "\\u0070%b", "value": "v"}'),
    "recorded-member": (b"PUT /v1/teams/t/users/u", [JSON], b'{"isAdmin": "%b"}'),
    "recorded-behind": (b"PUT /v1/teams/t/users/u", [JSON], b'{"isAdmin": "' + b"x" * 220 + b'%b"}'),
    "method": (b"%b /v1/other/a", [], None),
    "method-begins": (b"%bPOST /v1/other/a", [], None),
    "query": (UPDATE + b"?api-key=%b", [], None),
    "other-path": (b"POST /v1/other/%b/more", [], None),
    "other-path-encoded": (b"POST /v1/other/%%70%b/more", [], None),
    "cookie": (UPDATE, [b"Cookie: session=%b"], None),
    "referer": (UPDATE, [b"Referer: http://a/?%b"], None),
}


def with_token(template, token):
    """The token in the template; behind its first letter spelled otherwise."""
    return template % (token[1:] if re.search(rb"70%b|0070%b", template) else token) if b"%b" in template else template


@pytest.mark.parametrize("who", ["own", "foreign"])
@pytest.mark.parametrize("start, lines, body", PLACES.values(), ids=PLACES.keys())
def test_a_token_is_told_nowhere_wherever_a_client_puts_it(audited, start, lines, body, who):
    token, listening = audited.token if who == "own" else foreign_token(), Listening(audited)
    answer = audited.change(with_token(start, token), *(with_token(line, token) for line in lines),
                            body=None if body is None else with_token(body, token))
    assert answer.status in (200, 400) and token[:24] not in answer.head + answer.body
    wait_until(lambda: audited.trail.count_open() == 0, "the result")
    listening.assert_untold(token)


@pytest.mark.parametrize("start, lines, body", PLACES.values(), ids=PLACES.keys())
def test_a_token_is_not_told_by_a_refusal_either(audited, start, lines, body):
    token, listening = foreign_token(), Listening(audited)
    lines = [with_token(line, token) for line in lines]
    with audited.connect(new_source()) as client:
        client.send(wire.head(with_token(start, token) + b" HTTP/1.1", b"Host: a", b"Authorization: Bearer " + token, *lines))
        answer = client.read_response()
    assert answer.status in (400, 401)
    assert token[:24] not in answer.head + answer.body
    listening.assert_untold(token)


# -- values, keys, credentials, queries -------------------------------------------------------------------


def test_no_header_value_query_or_body_is_told(make_recorded):
    stage = make_recorded(config={"log": {"level": "debug"}})
    value, cookie, auth, key, query, other = (stage.secret() for _ in range(6))
    fields = [b"Cookie: a=%b" % cookie.encode(), b"X-Secret: %b" % other.encode(), JSON]
    body = json.dumps({"name": "KEY", "value": value, value: 1}).encode()
    stage.origin.answer = wire.response(b"HTTP/1.1 200 OK", b"Set-Cookie: b=%b" % cookie.encode(),
                                        b"X-Secret: %b" % other.encode(), body=value.encode())
    for start in (CREATE, UPDATE, b"POST /v1/other", b"PUT /v1/storage-providers/p", b"GET /v1/teams/t/secrets",
                  b"GET /v1/teams/t/users"):
        assert stage.change(start + b"?q=%b&%b" % (query.encode(), query.encode()), *fields, body=body).status == 200
    for lines in ([b"Authorization: Basic %b" % auth.encode()], [b"X-Api-Key: %b" % key.encode()],
                  [b"Authorization: Bearer %b" % auth.encode()]):
        with stage.connect() as client:
            client.send(wire.head(CREATE + b"?q=%b HTTP/1.1" % query.encode(), b"Host: a", *lines, *fields))
            answer = client.read_response()
            assert answer.status == 401
            assert not [secret for secret in stage.gateway.secrets if secret.encode() in answer.head + answer.body]
    answer = stage.change(CREATE + b"?q=%b" % query.encode(), *fields, body=body + b"}")
    assert_gateway_error(answer, 400)
    assert not [secret for secret in stage.gateway.secrets if secret.encode() in answer.head + answer.body]
    stage.origin.answer = closing(b"%b %b\r\n\r\n" % (value.encode(), cookie.encode()))
    answer = stage.change(CREATE, *fields, body=body)
    assert_gateway_error(answer, 502)
    assert value.encode() not in answer.body and cookie.encode() not in answer.body
    stage.trail.wait(10)
    assert_untold(stage)


def test_the_lengths_of_an_audited_operations_bodies_are_not_told(make_recorded):
    stage = make_recorded(config={"workers": 1, "log": {"level": "debug"}, "limits": {"audited_body": "200KiB"}})
    lengths = iter(range(100003, 200000, 977))
    used = []

    def body(of=b'{"name": "KEY", "value": "%b"}'):
        used.append(next(lengths))
        return of % (b"v" * (used[-1] - len(of) + 2))

    def ask(start, *lines, wrap=None, status=200):
        sent = body()
        stage.origin.answer = wire.response(body=body(b"%b"))
        framing = b"Transfer-Encoding: chunked" if wrap else b"Content-Length: %d" % len(sent)
        with stage.connect() as client:
            client.send_unheeded(stage.request(start + b" HTTP/1.1", *lines, framing) + (wrap(sent) if wrap else sent))
            assert client.read_response().status == status

    for start in CREATE, UPDATE, b"PUT /v1/teams/t/users/u", b"POST /apiTokens/x":
        ask(start)
        ask(start, wrap=chunked)
    ask(CREATE, b"Content-Encoding: gzip", status=415)
    ask(CREATE, b"Content-Type: text/plain", status=400)
    used.append(204801)
    assert stage.change(CREATE, body=b"x" * 204801).status == 413
    text = told(stage)
    for number in used:
        assert not re.search(rf"(?<![0-9a-f.]){number}(?![0-9a-f.])", text), f"the length {number} is told"


@pytest.mark.parametrize("behind", [b"\r\n", b" /v1/other HTTP/1.1\r\n\r\n", b" / HTTP/1.1\r\nHost: a\r\n\r\n"])
@pytest.mark.parametrize("start", [CREATE, b"POST /v1/other"])
def test_a_body_that_goes_on_behind_its_length_is_not_told_as_a_method(make_recorded, start, behind):
    stage = make_recorded(config={"log": {"level": "debug"}, "audit": {"other_mutations": "log"}})
    body = b'{"name": "KEY"}'
    with stage.connect() as client:
        head = stage.request(start + b" HTTP/1.1", JSON, b"Content-Length: %d" % len(body))
        client.send_unheeded(head + body + stage.secret().encode() + behind)
        assert [client.read_response().status for _ in range(2)] in ([200, 400], [200, 401])
    wait_until(lambda: stage.gateway.stderr().count("http.response.status_code") == 2, "the lines")
    assert_untold(stage)


# -- memory -----------------------------------------------------------------------------------------------


def core_of(stage, folder):
    if not shutil.which("gcore"):
        pytest.skip("needs gcore (Debian package gdb)")
    pid = stage.gateway.pid
    result = subprocess.run(["gcore", "-o", folder / "core", str(pid)], capture_output=True, timeout=120)
    core = folder / f"core.{pid}"
    if not core.exists():
        pytest.skip(f"gcore may not: {result.stderr[-200:]!r}")
    return core.read_bytes()


def create(stage, value, wrap=None, *lines):
    """A request whose body holds the value at its beginning, in its middle and at its end."""
    body = b'{"value": "%b%b%b", "name": "KEY", "also": "%b"}' % (value, b"x" * 20000, value, value)
    framing = b"Transfer-Encoding: chunked" if wrap else b"Content-Length: %d" % len(body)
    return stage.request(CREATE + b" HTTP/1.1", *lines, framing), wrap(body) if wrap else body


@pytest.mark.parametrize("kind", ["plain", "tls"])
def test_neither_a_core_nor_memory_holds_a_value_once_its_exchange_is_done(make_recorded, authority, tmp_path, kind):
    config = {"workers": 1, "limits": {"audited_body": "64KiB", "body_timeout": "1s"}}
    over_tls = {"upstream_host": "localhost", "tls": authority.server_context("right")} if kind == "tls" else {}
    if kind == "tls":
        config["upstream"] = {"ca_file": str(authority.ca_file)}
    stage = make_recorded(config=config, **over_tls)
    values = {}

    def value(what):
        values[what] = stage.secret(what.replace(" ", "-"))
        return values[what].encode()

    kept = [stage.connect() for _ in range(3)]
    for client, (what, wrap, lines) in zip(kept, [("length", None, []), ("chunked", chunked, []), ("expected", None, [EXPECT])]):
        head, body = create(stage, value(what), wrap, *lines)
        assert client.ask(head + body).status == 200
    with stage.connect() as client:
        for what, start in ("small and closed", CREATE), ("patch", UPDATE), ("provider", b"POST /v1/storage-providers"):
            body = b'{"name": "KEY", "s3Config": {"secretAccessKey": "%b"}}' % value(what)
            assert client.ask(stage.request(start + b" HTTP/1.1", b"Content-Length: %d" % len(body)) + body).status == 200
        head, body = create(stage, value("byte by byte"))
        client.send(head)
        client.send_byte_by_byte(body[:2000])
        client.send(body[2000:])
        assert client.read_response().status == 200
        client.send(b"".join(create(stage, value("pipelined one"))) + b"".join(create(stage, value("pipelined two"), chunked)))
        assert [client.read_response().status for _ in range(2)] == [200, 200]
    for what, head, status in [("unreadable", [b"Content-Encoding: gzip"], 415), ("not json", [b"Content-Type: text/plain"], 400)]:
        with stage.connect() as client:
            assert client.ask(b"".join(create(stage, value(what), None, *head))).status == status
    for what, tail, status in [("duplicate", b', "name": "B"}', 400), ("cut", b"", 400)]:
        body = b'{"name": "A", "value": "%b"' % value(what) + tail
        assert stage.change(CREATE, body=body).status == status
    with stage.connect() as client:
        client.send_unheeded(b"".join(create(stage, value("too large"), chunked)).replace(b"x" * 20000, b"x" * 20000 * 5))
        assert client.read_response().status in (400, 413)
    with stage.connect() as client:
        client.send(stage.request(CREATE + b" HTTP/1.1", b"Content-Length: 1000") + b'{"value": "%b"' % value("slow"))
        assert client.read_response().status == 408
    client = stage.connect()
    client.send(create(stage, value("left"))[0] + b'{"value": "%b"' % values["left"].encode())
    assert stage.get(b"/v1/a").status == 200
    with noticed_leaving(stage, client):
        client.reset()
    with stage.connect() as client:
        client.send(wire.head(CREATE + b" HTTP/1.1", b"Host: a", b"Content-Length: 200") + b'{"value": "%b"' % value("nobody"))
        assert client.read_response().status == 401
    stage.origin.answer = closing(b"")
    assert stage.change(CREATE, body=b'{"name": "A", "value": "%b"}' % value("unanswered")).status == 502
    stage.origin.stop()
    assert stage.change(CREATE, body=b'{"name": "A", "value": "%b"}' % value("not forwarded")).status == 502
    wait_until(lambda: stage.trail.count_open() == 0, "all results")
    core = core_of(stage, tmp_path)
    assert [what for what, secret in values.items() if secret.encode() in core] == [], "values in a core file"
    memory = [data for _, data in read_memory(stage.gateway.pid, lambda mapping: True)]
    assert any(stage.gateway.key.encode() in data for data in memory), "this test looks in the wrong places"
    left = {what for what, secret in values.items() if any(secret.encode() in data for data in memory)}
    assert left == set(), "values are left in memory"
