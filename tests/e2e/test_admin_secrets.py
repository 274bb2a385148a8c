"""No answer of the admin endpoint has a secret in it, whatever was asked of gateway and endpoint."""

import hashlib
import json
import re

import pytest
from support import wire
from support.admin import DATA, OPEN, PAGE, metrics_door
from support.waiting import wait_until

pytest_plugins = ["support.admin"]

AUDIT = [b"", b"?limit=200", b"?outcome=refused", b"?client=*", b"?resource=a", b"?after=1&limit=200"]
HOSTILE = ['"}\n', "</script><script>alert(1)</script>", "\\u0000", "\x7f\u2028\u202e", "%00%0a", "{{7*7}}", "a" * 300, "'\"\\"]


@pytest.fixture
def stage(make_admin):
    return make_admin(operations=None)


def all_answers(stage, token=None):
    """The whole of every answer that there is, heads too."""
    whole = []
    for target in PAGE[:1] + OPEN + DATA[:2] + [b"/api/audit" + query for query in AUDIT] + [b"/nothing"]:
        for method in (b"GET", b"HEAD", b"POST"):
            answer = stage.door.ask(target, method=method, token=token)
            whole.append(answer.head + answer.body)
    whole.append(metrics_door(stage.gateway).ask(b"/metrics").body)
    return b"".join(whole)


def spellings(secret):
    """The secret, and what of it must not show either."""
    digest = hashlib.sha256(secret.encode()).hexdigest()
    return {secret, secret[8:-8], digest, digest.upper(), digest[:16]}


def test_traffic_full_of_secrets_shows_none(stage):
    value, query, body = (stage.secret(name) for name in ("value", "query", "body"))
    token = stage.token
    upstream = stage.secret("upstream")
    stage.origin.answer = wire.response(b"HTTP/1.1 200 OK", b"Set-Cookie: a=" + upstream.encode(), body=upstream.encode())
    stage.get(b"/v1/auth/session?q=" + query.encode())
    stage.get(b"/v1/elsewhere?token=" + token, b"Cookie: c=" + body.encode())
    stage.get(b"/v1/elsewhere?q=" + query.encode(), b"X-Secret: " + body.encode())
    for status in (b"200 OK", b"500 No", b"401 No"):
        stage.origin.answer = wire.response(b"HTTP/1.1 " + status, b"X-Leak: " + upstream.encode(), body=upstream.encode())
        stage.change(b"POST /v1/teams/t/secrets?q=" + query.encode(),
                     body=json.dumps({"name": "DB_URL", "value": value, "other": body}).encode())
        stage.change(b"PATCH /v1/teams/t/secrets/DB?q=" + query.encode(), body=json.dumps({"value": value}).encode())
    stage.change(b"POST /v1/teams/t/secrets", body=b"{" + value.encode())
    stage.change(b"POST /v1/teams/t/secrets", body=b"{}", token=stage.gateway.tokens["operator"][:-1] + "!")
    stage.get(b"/v1/elsewhere?" + query.encode(), token="psgate_" + value)
    stage.origin.stop()
    stage.get(b"/v1/elsewhere/x?q=" + query.encode())
    stage.origin.open()
    wait_until(lambda: stage.status()["requests"]["total"] >= 11, "the requests to be counted")
    shown = all_answers(stage) + all_answers(stage, token="psgate_" + value)
    assert b'"name":"DB_URL"' in shown
    for secret in stage.gateway.secrets:
        for spelling in spellings(secret):
            assert spelling.encode() not in shown, f"a secret of the kind {secret[:8]}"
    for entry in stage.gateway.read_clients():
        assert entry["token_sha256"].encode() not in shown


def test_what_the_endpoint_itself_is_asked_is_never_echoed(stage):
    """So that no answer can be made to hold what a page of a stranger has chosen."""
    for word in (b"hush-hush", b"<script>hush-hush</script>"):
        quoted = word.replace(b"<", b"%3c").replace(b">", b"%3e")
        for answer in (stage.door.ask(b"/" + quoted), stage.door.ask(b"/api/audit?from=" + quoted),
                       stage.door.ask(b"/api/audit?operation=" + quoted), stage.door.ask(b"/api/audit?limit=" + quoted),
                       stage.door.ask(b"/cache/purge?scope=" + quoted, method=b"POST"),
                       stage.door.ask(b"/healthz", b"X-A: " + word, b"User-Agent: " + word),
                       stage.door.ask(b"/api/status", b"Authorization: Bearer " + word),
                       stage.door.raw(b"GET / HTTP/1.1\r\nHost: " + quoted + b"\r\n\r\n"),
                       stage.door.raw(b"HUSH-HUSH / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
                       stage.door.raw(word + b"\r\n\r\n")):
            assert b"hush" not in (answer.head + answer.body).lower()


def test_hostile_names_stay_texts_in_json(stage):
    for number, text in enumerate(HOSTILE):
        quoted = "".join(f"%{byte:02x}" for byte in text.replace("\n", " ").replace("%00%0a", "zero").replace("\x7f", "").encode())
        agent = re.sub(r"[\x00-\x1f\x7f]", "", text).encode()
        assert stage.change(b"POST /v1/teams/t/secrets", b"User-Agent: " + agent,
                            body=json.dumps({"name": text, "value": "v"}).encode()).status == 200, text
        stage.change(b"DELETE /v1/teams/t%d/secrets/%b" % (number, quoted.encode()), b"User-Agent: " + agent)
    shown = stage.door.json(b"/api/audit?limit=200")
    names = {row["resource"]["name"] for row in shown["mutations"]}
    assert set(HOSTILE) <= names, set(HOSTILE) - names
    body = stage.door.ask(b"/api/audit?limit=200")
    assert body.value("Content-Type") == b"application/json; charset=utf-8" and body.body.count(b"\n") == 1


def test_metrics_have_no_name_of_a_client_resource_or_path(stage):
    stage.change(b"POST /v1/teams/team-name/secrets", body=b'{"name":"resource-name"}')
    stage.get(b"/v1/path-name?query-name")
    text = stage.metrics().text
    for name in ("tester", "operator", "team-name", "resource-name", "path-name", "query-name", stage.gateway.folder.name, "127.0.0.1"):
        assert name not in text, name
