"""An answer of upstream that holds the injected key goes no further."""

import base64
import json
import threading

import pytest
from support import wire
from support.cache import Answer, FRESH, cache_status, number_of
from support.origin import OK
from support.stage import assert_gateway_error
from support.waiting import wait_until

pytest_plugins = ["support.cache"]

PLAIN = b"/v1/plain"
AUDITED = {"id": "createTeamSecret", "method": "POST", "path": "/v1/teams/{id}/secrets", "team": "id",
           "audit": {"record": ["name"]}}
BODY = b'{"name":"n","value":"v"}'
JSON = (b"Content-Type: application/json", b"Content-Length: %d" % len(BODY))


def mixed(key):
    """Every other byte percent-encoded, in both cases."""
    return b"".join((b"%%%02x" if at % 4 else b"%%%02X") % byte if at % 2 else bytes([byte])
                    for at, byte in enumerate(key))


SPELLINGS = {
    "raw": lambda key: key,
    "base64": base64.b64encode,
    "base64-after-one": lambda key: base64.b64encode(b":" + key + b"x"),
    "base64-after-two": lambda key: base64.b64encode(b"a:" + key),
    "base64url": lambda key: base64.urlsafe_b64encode(b"\xfb\xff" + key).rstrip(b"="),
    "percent": lambda key: b"".join(b"%%%02X" % byte for byte in key),
    "mixed": mixed,
    "percent-base64": lambda key: mixed(base64.b64encode(key)),
}


def key_of(stage):
    return stage.gateway.key.encode()


def assert_stopped(stage, answer, operation="other", where=None):
    """502, nothing of the key in any spelling, and one line in the log that says who."""
    assert_gateway_error(answer, 502)
    assert answer.value("Proxy-Status") == b'psgate; error=proxy_internal_error; details="the answer contains the credential"'
    seen = answer.body + b"".join(name + value for name, value in answer.fields)
    for spell in SPELLINGS.values():
        assert spell(key_of(stage)) not in seen
    lines = wait_until(lambda: [line for line in stage.gateway.stderr().splitlines() if "tripwire" in line],
                       "the line in the log")
    assert len(lines) == 1 and f"to {operation} holds" in lines[0] and "default" in lines[0], lines
    assert where is None or where in lines[0]


@pytest.mark.parametrize("spell", SPELLINGS.values(), ids=SPELLINGS)
def test_a_head_with_the_key_is_stopped(make_stage, spell):
    stage = make_stage()
    stage.origin.answer = wire.response(b"HTTP/1.1 200 OK", b"X-Echo: Bearer " + spell(key_of(stage)))
    assert_stopped(stage, stage.get(PLAIN), where="the head")
    stage.origin.answer = OK
    assert stage.get(PLAIN).status == 200


@pytest.mark.parametrize("framing", ["length", "chunked", "tiny-chunks", "until-close"])
@pytest.mark.parametrize("spell", SPELLINGS.values(), ids=SPELLINGS)
def test_a_body_with_the_key_is_stopped(make_stage, spell, framing):
    stage = make_stage()
    body = b'{"authorization":"' + spell(key_of(stage)) + b'"}' + b"." * 100
    if framing == "length":
        data = wire.response(b"HTTP/1.1 200 OK", body=body)
    elif framing == "until-close":
        data = wire.head(b"HTTP/1.1 200 OK", b"Connection: close") + body
    else:
        size = 1 if framing == "tiny-chunks" else 7
        parts = [body[at : at + size] for at in range(0, len(body), size)]
        data = wire.head(b"HTTP/1.1 200 OK", b"Transfer-Encoding: chunked") + wire.chunked(*parts)
    stage.origin.answer = data
    assert_stopped(stage, stage.get(PLAIN), where="the body")


def test_trailers_with_the_key_are_stopped(make_stage):
    stage = make_stage()
    stage.origin.answer = (wire.head(b"HTTP/1.1 200 OK", b"Transfer-Encoding: chunked")
                           + wire.chunked(b"ok", trailers=(b"X-Echo: " + key_of(stage),)))
    assert_stopped(stage, stage.get(PLAIN), where="the trailers")


def test_an_interim_head_with_the_key_is_stopped(make_stage):
    stage = make_stage()
    stage.origin.answer = wire.head(b"HTTP/1.1 103 Early Hints", b"Link: <" + key_of(stage) + b">") + OK
    answer = stage.get(PLAIN)
    assert_stopped(stage, answer, where="an interim head")
    assert not answer.interim


def test_the_connection_goes_on(make_stage):
    stage = make_stage()
    stage.origin.answer = wire.response(b"HTTP/1.1 200 OK", body=key_of(stage))
    with stage.connect() as client:
        request = stage.request(b"GET /v1/plain HTTP/1.1")
        assert client.ask(request).status == 502
        stage.origin.answer = OK
        assert client.ask(request).status == 200


def test_many_tiny_chunks_without_the_key_arrive_whole(make_stage):
    stage = make_stage()
    body = b"".join(b"%d," % number for number in range(3000))
    stage.origin.answer = (wire.head(b"HTTP/1.1 200 OK", b"Transfer-Encoding: chunked")
                           + wire.chunked(*(body[at : at + 3] for at in range(0, len(body), 3))))
    answer = stage.get(PLAIN)
    assert answer.status == 200 and answer.body == body


def test_compressed_bodies_are_not_looked_into(make_stage):
    stage = make_stage()
    body = b"x" + key_of(stage)
    stage.origin.answer = wire.response(b"HTTP/1.1 200 OK", b"Content-Encoding: gzip", body=body)
    assert stage.get(PLAIN).body == body


def test_a_short_key_raises_no_alarm(make_stage):
    stage = make_stage(start=False)
    stage.gateway.key_file.write_text("v1/plain\n")
    stage.start()
    stage.origin.answer = wire.response(b"HTTP/1.1 200 OK", body=b"/v1/plain")
    assert stage.get(PLAIN).body == b"/v1/plain"


def test_nearly_the_key_is_an_answer_like_any_other(make_stage):
    stage = make_stage()
    body = key_of(stage)[:-1] + b"-" + base64.b64encode(key_of(stage)[:-3])
    stage.origin.answer = wire.response(b"HTTP/1.1 200 OK", body=body)
    assert stage.get(PLAIN).body == body


# -- the cache ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("under", [b"cached", b"fixed"])
@pytest.mark.parametrize("place", ["head", "body", "body-late"])
def test_nothing_with_the_key_is_stored(make_cache, under, place):
    cache = make_cache()
    key = key_of(cache)
    bad = Answer(FRESH, *([b"X-Echo: " + key] if place == "head" else []),
                 body={"head": b"ok", "body": b"<" + key + b">", "body-late": b"." * 40000 + key}[place])
    target = cache.answers(bad, Answer(FRESH), under=under)
    assert_stopped(cache, cache.ask(target), "fixed" if under == b"fixed" else "lookup")
    answer = cache.ask(target)
    assert answer.status == 200 and number_of(answer) == 2
    assert cache_status(cache.ask(target)).get("hit")


def test_those_who_wait_hear_of_it_too(make_cache):
    cache = make_cache()
    release = threading.Event()
    target = cache.answers(Answer(FRESH, body=key_of(cache), after=release), Answer(FRESH))
    clients = [cache.send(target)]
    cache.wait_seen(target, 1)
    clients += [cache.send(target) for _ in range(3)]
    release.set()
    answers = [client.read_response() for client in clients]
    for client in clients:
        client.close()
    assert_stopped(cache, answers[0], "lookup")
    assert {answer.status for answer in answers} <= {200, 502}
    assert all(key_of(cache) not in answer.body for answer in answers)


def test_what_is_stored_may_serve_instead(make_cache):
    cache = make_cache()
    stale = Answer(b"Cache-Control: max-age=1, stale-if-error=3600", b"Age: 60")
    target = cache.answers(stale, Answer(FRESH, body=key_of(cache)))
    assert cache.ask(target).status == 200
    answer = cache.ask(target)
    assert answer.status == 200 and number_of(answer) == 1
    refused = cache.ask(target, b"Cache-Control: no-cache")
    assert refused.status == 502


def test_a_large_answer_to_a_fetch_is_stopped(make_cache):
    cache = make_cache()
    target = cache.answers(Answer(FRESH, body=key_of(cache) + b"." * 300000))
    assert cache.ask(target).status in (200, 502)  # the body may come after its head
    target = cache.answers(Answer(FRESH, b"X-Echo: " + key_of(cache), body=b"." * 300000))
    assert cache.ask(target).status == 502


# -- changes -----------------------------------------------------------------------------------------


def records(stage, phase):
    trail = stage.gateway.folder / "audit" / "audit.jsonl"
    found = wait_until(lambda: [line for line in map(json.loads, trail.read_text().splitlines())
                                if line.get("proxy.phase") == phase], f"a record of phase {phase}")
    assert key_of(stage).decode() not in trail.read_text()
    return found


@pytest.mark.parametrize("place", ["head", "body"])
def test_a_change_that_was_answered_so_is_recorded(make_stage, place):
    stage = make_stage(operations=[AUDITED])
    key = key_of(stage)
    stage.origin.answer = wire.response(b"HTTP/1.1 201 Created", *([b"X-Echo: " + key] if place == "head" else []),
                                        body=key if place == "body" else b"ok")
    answer = stage.get(b"/v1/teams/t/secrets", *JSON, method=b"POST", body=BODY)
    assert_stopped(stage, answer, "createTeamSecret")
    (result,) = records(stage, "result")
    assert (result["event.outcome"], result["http.response.status_code"]) == ("success", 201)


def test_a_change_stopped_at_an_interim_head_ends_as_unknown(make_stage):
    stage = make_stage(operations=[AUDITED])
    stage.origin.answer = wire.head(b"HTTP/1.1 103 Early Hints", b"Link: <" + key_of(stage) + b">")
    answer = stage.get(b"/v1/teams/t/secrets", *JSON, method=b"POST", body=BODY)
    assert_stopped(stage, answer, "createTeamSecret")
    (result,) = records(stage, "result")
    assert (result["event.outcome"], result["event.reason"]) == ("unknown", "key_in_answer")


@pytest.mark.parametrize("status", [b"200 OK", b"401 Unauthorized", b"500 Oops"])
def test_a_body_that_still_comes_finds_no_call(make_stage, status):
    """The answer is over and being recorded while the client goes on sending."""
    stage = make_stage(config={"audit": {"other_mutations": "require"}})
    lines = [b"X-Echo: " + key_of(stage)] if status.startswith(b"200") else []
    stage.origin.answer = lambda peer, request: peer.send(wire.response(b"HTTP/1.1 " + status, *lines))
    with stage.connect() as client:
        client.send_unheeded(stage.request(b"POST /v1/other HTTP/1.1", b"Content-Length: 4000000"))
        for _ in range(40):
            client.send_unheeded(b"x" * 50000)
        assert client.read_head().status in (502, 500)
    assert stage.gateway.is_running()


def test_every_credential_has_its_own_key(make_stage):
    stage = make_stage(start=False)
    second = "second-" + "k" * 10 + "0123456789"
    file = stage.gateway.folder / "second-key"
    file.touch(0o600)
    file.write_text(second + "\n")
    config = stage.gateway.config
    config["credentials"]["second"] = {"api_key_file": "second-key"}
    stage.gateway.write_config(config)
    token = stage.gateway.add_client("other", credential="second")
    stage.start()
    stage.origin.answer = wire.response(b"HTTP/1.1 200 OK", body=second.encode())
    assert stage.get(PLAIN, token=token).status == 502
    wait_until(lambda: 'credential \\"second\\"' in stage.gateway.stderr(), "the line in the log")
    assert second not in stage.gateway.stderr()
