"""Attempts that are turned away, bodies that cannot be read, and changes that no row has."""

import threading

import pytest
from support import wire
from support.audited import AuditStage, essence, new_source
from support.stage import SharedStage, assert_gateway_error
from support.waiting import wait_event

pytest_plugins = ["support.audited"]

CREATE = b"POST /v1/teams/t/secrets"
UPDATE = b"PATCH /v1/teams/t/secrets/DB_PASSWORD"
REGISTRY = b"PUT /v1/container-registries/reg-1"
MEMBER = b"PUT /v1/teams/t/users/u"
JSON = b"Content-Type: application/json"
BODY = b'{"name": "KEY", "value": "a value"}'
MIB = 1 << 20


# -- refusals ---------------------------------------------------------------------------------------------


def ask_raw(stage, *lines, source, body=b""):
    with stage.connect(source) as client:
        client.send(wire.head(*lines) + body)
        return client.read_response()


CREDENTIALS = {
    "none": [], "unknown": [b"Authorization: Bearer psgate_" + b"A" * 43 + b"_BBBBBB"], "no-token": [b"Authorization: Bearer"],
    "basic": [b"Authorization: Basic dXNlcjpwYXNz"], "api-key": [b"X-Api-Key: nonsense"],
}


@pytest.mark.parametrize("lines", CREDENTIALS.values(), ids=CREDENTIALS.keys())
def test_an_attempt_of_nobody_is_one_record_without_a_name(audited, lines):
    source = new_source()
    answer = ask_raw(audited, UPDATE + b" HTTP/1.1", b"Host: a", b"User-Agent: me", b"X-Request-Id: r", *lines, source=source)
    assert_gateway_error(answer, 401)
    record = audited.trail.refusal()
    reason = record["event.reason"]
    assert essence(record) == {
        "event.category": ["configuration"], "event.type": ["denied"], "event.action": "updateTeamSecret", "source.ip": source,
        "user_agent.original": "me", "http.request.id": "r", "http.request.method": "PATCH", "organization.id": "t",
        "proxy.route": "/v1/teams/{id}/secrets/{name}", "proxy.resource.type": "secret", "proxy.resource.name": "DB_PASSWORD"}
    assert record["http.response.status_code"] == 401 and " " not in reason
    assert audited.origin.requests == []


def test_an_expired_token_is_refused_and_recorded(make_recorded):
    stage = make_recorded(start=False)
    token = stage.gateway.add_client("late", expires="2020-01-01T00:00:00Z")
    stage.start()
    answer, record = stage.refuse(UPDATE, token=token)
    assert_gateway_error(answer, 401)
    assert record.get("user.name") in (None, "late")


def test_what_a_client_may_not_do_is_refused_with_its_name(make_recorded):
    stage = make_recorded(start=False)
    reader = stage.gateway.add_client("reader", allow=["get*", "list*"])
    mine = stage.gateway.add_client("of-one-team", teams=["mine"])
    globbed = stage.gateway.add_client("globbed", allow=["*"])
    stage.start()
    for token, start, name, action in [
            (reader, CREATE, "reader", "createTeamSecret"), (mine, b"POST /v1/teams/theirs/secrets", "of-one-team", "createTeamSecret"),
            (mine, b"POST /v1/container-registries", "of-one-team", "createContainerRegistry"),
            (globbed, b"POST /apiTokens/createPublic", "globbed", "manageApiTokens")]:
        answer, record = stage.refuse(start, token=token, body=BODY)
        assert_gateway_error(answer, 403)
        assert (record["user.name"], record["event.action"], record["client.auth"]) == (name, action, "bearer")
        assert "proxy.resource.name" not in record, "the body of a refused change was read"
    assert stage.change(b"POST /v1/teams/mine/secrets", token=mine, body=BODY).status == 200


def test_a_refused_change_is_not_asked_for_its_body(make_recorded):
    stage = make_recorded(start=False)
    reader = stage.gateway.add_client("reader", allow=["get*"])
    stage.start()
    with stage.connect() as client:
        client.send(stage.request(CREATE + b" HTTP/1.1", b"Expect: 100-continue", b"Content-Length: 9", token=reader))
        answer = client.read_response()
    assert answer.interim == [] and answer.status == 403


@pytest.mark.parametrize("framing, sent", [(b"Content-Length: 10", b"hello"), (b"Transfer-Encoding: chunked", b"5\r\nhel")],
                         ids=["length", "chunked"])
def test_a_body_that_stops_coming_is_refused_and_recorded(make_recorded, framing, sent):
    stage = make_recorded(config={"limits": {"body_timeout": "300ms"}})
    with stage.connect() as client:
        client.send(stage.request(CREATE + b" HTTP/1.1", framing) + sent)
        assert_gateway_error(client.read_response(), 408)
        client.assert_closed()
    record = stage.trail.refusal()
    assert (record["http.response.status_code"], record["user.name"]) == (408, "tester")
    stage.assert_only_forwarded()


@pytest.mark.parametrize("start", [b"GET /v1/teams/t/secrets", b"HEAD /v1/teams/t/secrets/A", b"POST /v1/unknown",
                                   b"GET /v1/teams/t/users", b"OPTIONS /v1/teams/t/secrets"])
def test_refused_attempts_at_other_things_are_not_recorded(audited, start):
    with audited.connect(new_source()) as client:
        client.send(wire.head(start + b" HTTP/1.1", b"Host: a"))
        answer = client.read_response(start.split()[0].decode())
        assert answer.status == 401
    assert ask_raw(audited, UPDATE + b" HTTP/1.1", b"Host: a", source=new_source()).status == 401
    assert audited.trail.refusal()["event.action"] == "updateTeamSecret"


def test_a_source_is_recorded_ten_times_a_minute_and_then_counted(make_recorded):
    stage = make_recorded()
    loud, quiet = new_source(), new_source()
    for number in range(25):
        assert ask_raw(stage, UPDATE + b" HTTP/1.1", b"Host: a", b"X-Request-Id: %d" % number, source=loud).status == 401
    assert ask_raw(stage, UPDATE + b" HTTP/1.1", b"Host: a", source=quiet).status == 401
    assert stage.change(UPDATE, source=loud).status == 200
    stage.trail.wait(13)
    stage.gateway.stop()
    records = [record for record in stage.trail.records() if record["proxy.phase"] == "refused"]
    *told, summary = records
    assert [(record["source.ip"], record.get("http.request.id")) for record in told] == \
        [(loud, str(number)) for number in range(10)] + [(quiet, None)]
    assert (summary["event.action"], summary["proxy.suppressed"], summary["source.ip"]) == ("refusals", 15, loud)
    assert "user.name" not in summary


# -- bodies that cannot be read ----------------------------------------------------------------------------


GZIPPED = bytes.fromhex("1f8b08000000000000ffab56ca4bcc4d55b252ca4e") + b"junk"
UNREADABLE = {
    "not-json": ([JSON], b"name=KEY&value=v"), "empty": ([JSON], b""), "cut": ([JSON], BODY[:-1]),
    "more-behind": ([JSON], BODY + b"{}"), "no-object": ([JSON], b'["name"]'), "string": ([JSON], b'"name"'),
    "duplicate": ([JSON], b'{"name": "A", "value": "v", "name": "B"}'),
    "duplicate-escaped": ([JSON], b'{"name": "A", "value": "v", "n\\u0061me": "B"}'),
    "number": ([JSON], b'{"name": 7}'), "null": ([JSON], b'{"name": null}'), "object": ([JSON], b'{"name": {"a": "b"}}'),
    "list": ([JSON], b'{"name": ["A"]}'), "no-name": ([JSON], b'{"value": "v"}'),
    "deep": ([JSON], b'{"name": "A", "value": ' + b"[" * 100000 + b"]" * 100000 + b"}"),
    "invalid-utf8": ([JSON], b'{"name": "\xff"}'), "lone-surrogate": ([JSON], b'{"name": "\\ud800"}'),
    "utf-16": ([JSON], '{"name": "A"}'.encode("utf-16")), "nul": ([JSON], b'{"name": "A\\u0000B"}'),
    "gzip": ([JSON, b"Content-Encoding: gzip"], GZIPPED), "gzip-said-only": ([JSON, b"Content-Encoding: gzip"], BODY),
    "two-codings": ([JSON, b"Content-Encoding: identity, br"], BODY), "unknown-coding": ([b"Content-Encoding: x-odd"], BODY),
    "form": ([b"Content-Type: application/x-www-form-urlencoded"], b"name=KEY"),
    "form-that-is-json": ([b"Content-Type: application/x-www-form-urlencoded"], BODY),
    "multipart": ([b"Content-Type: multipart/form-data; boundary=a"], b"--a\r\n\r\n--a--"),
    "text": ([b"Content-Type: text/plain"], BODY), "other-charset": ([JSON + b"; charset=utf-7"], BODY),
    "two-types": ([JSON, b"Content-Type: text/plain"], BODY),
}
# Members that the two readable ones lack: there, a body without them is fine.
OF_THE_NAME = {"no-name", "number", "null", "object", "list", "empty"}


@pytest.mark.parametrize("lines, body", UNREADABLE.values(), ids=UNREADABLE.keys())
def test_a_body_that_does_not_name_its_resource_for_sure_is_refused(audited, lines, body):
    answer, record = audited.refuse(CREATE, *lines, body=body)
    assert_gateway_error(answer, 400, 415)
    assert record["event.action"] == "createTeamSecret" and record["user.name"] == "tester"
    assert "proxy.resource.name" not in record
    assert not [key for key in record if key.startswith("proxy.recorded.")]
    assert audited.origin.requests == []


def test_a_compressed_body_is_refused_with_415(audited):
    answer, _ = audited.refuse(CREATE, JSON, b"Content-Encoding: gzip", body=GZIPPED)
    assert answer.status == 415


READABLE = {"no-type": [], "json": [JSON], "upper-case": [b"CONTENT-TYPE: Application/JSON"], "charset": [JSON + b"; charset=UTF-8"],
            "suffix": [b"Content-Type: application/merge-patch+json"], "identity": [JSON, b"Content-Encoding: identity"]}


@pytest.mark.parametrize("lines", READABLE.values(), ids=READABLE.keys())
def test_json_however_it_is_announced_is_read(audited, lines):
    assert audited.change(CREATE, *lines, body=BODY).status == 200
    intent, _ = audited.trail.mutation()
    assert intent["proxy.resource.name"] == "KEY" and "proxy.body" not in intent


def test_the_connection_is_kept_or_closed_but_never_out_of_step_after_a_refused_body(audited):
    with audited.connect(new_source()) as client:
        client.send(audited.request(CREATE + b" HTTP/1.1", JSON, b"Content-Length: 3") + b"bad"
                    + audited.request(b"GET /v1/next HTTP/1.1"))
        assert client.read_response().status == 400
        rest = client.reader.until(b"\r\n") if client.reader.buffer or client.reader.fill() else b""
        assert rest in (b"", b"HTTP/1.1 200 OK\r\n")
    audited.trail.refusal()


def assert_unreadable(stage, body, lines):
    intent, _ = stage.trail.mutation()
    assert intent["proxy.body"] == "unreadable"
    assert not [key for key in intent if key.startswith("proxy.recorded.")]
    request = stage.origin.requests[0]
    assert request.body == body and all(line in request.lines for line in lines)
    return intent


@pytest.fixture(scope="module")
def lenient_stage(binary, tmp_path_factory):
    shared = SharedStage(lambda: AuditStage(binary, tmp_path_factory.mktemp("lenient"),
                                            config={"audit": {"unreadable_body": "forward"}}))
    yield shared
    shared.stop()


@pytest.fixture
def lenient(lenient_stage):
    stage = lenient_stage.take()
    stage.trail.forget()
    yield stage
    lenient_stage.give_back()


@pytest.mark.parametrize("case", [case for case in UNREADABLE if case != "empty"])
def test_an_unreadable_body_is_forwarded_and_recorded_as_such_where_that_is_wanted(lenient, case):
    lines, body = UNREADABLE[case]
    assert lenient.change(CREATE, *lines, body=body).status == 200
    assert "proxy.resource.name" not in assert_unreadable(lenient, body, lines)


@pytest.mark.parametrize("start, case", [(start, case) for start in (REGISTRY, MEMBER) for case in UNREADABLE
                                         if case not in OF_THE_NAME and not (start == MEMBER and case.startswith("duplicate"))],
                         ids=lambda value: value.decode().split("/")[2] if isinstance(value, bytes) else value)
def test_where_the_path_names_the_resource_an_unreadable_body_is_forwarded(audited, start, case):
    lines, body = UNREADABLE[case]
    assert audited.change(start, *lines, body=body).status == 200
    intent = assert_unreadable(audited, body, lines)
    if start == REGISTRY:
        assert intent["proxy.resource.name"] == "reg-1"
    else:
        assert intent["user.target.id"] == "u"


def test_a_body_that_needs_not_be_read_is_not_judged(audited):
    assert audited.change(UPDATE, b"Content-Encoding: gzip", body=GZIPPED).status == 200
    assert audited.origin.requests[0].body == GZIPPED
    assert audited.trail.mutation()[0]["proxy.resource.name"] == "DB_PASSWORD"


# -- other mutations ---------------------------------------------------------------------------------------


KNOWN = [{"id": "renameTeam", "method": "POST", "path": "/v1/teams/{id}", "team": "id", "invalidates": ["session"]},
         {"id": "getTeam", "method": "GET", "path": "/v1/teams/{id}", "team": "id",
          "cache": {"scope": "session", "ttl": "30s"}}]
OTHERS = [b"POST /v1/some/where?key=%b", b"PUT /v1/some/where?key=%b", b"PATCH /v1/some/where?key=%b",
          b"DELETE /v1/some/where?key=%b", b"BREW /v1/some/where?key=%b"]


@pytest.mark.parametrize("mode", ["log", "require"])
def test_a_mutation_that_no_row_has_is_recorded_by_method_and_path_alone(make_recorded, mode):
    stage = make_recorded(config={"audit": {"other_mutations": mode}, "cache": {"other_invalidates": ["members"]}})
    for start in OTHERS:
        secret = stage.secret().encode()
        stage.trail.forget()
        assert stage.change(start % secret, JSON, b"User-Agent: me", body=b'{"name": "%b", "value": 1}' % secret).status == 200
        stage.trail.wait(2)
        intent, result = stage.trail.mutation()
        method = start.split()[0].decode()
        kind = {"POST": "creation", "DELETE": "deletion"}.get(method, "change")
        assert essence(intent) == {
            "event.category": ["web"], "event.type": [kind], "event.action": "other", "user.name": "tester",
            "client.auth": "bearer", "source.ip": "127.0.0.1", "user_agent.original": "me", "http.request.method": method,
            "url.path": "/v1/some/where", "proxy.credential": "default"}
        assert (result["event.outcome"], result["http.response.status_code"]) == ("success", 200)
        assert result["proxy.invalidated"] == ["members"]
    assert stage.get(b"/v1/some/where").status == 200
    assert len(stage.trail.records()) == 2


@pytest.mark.parametrize("mode", ["log", "require"])
def test_a_mutation_whose_row_is_not_audited_is_recorded_without_its_body(make_recorded, mode):
    stage = make_recorded(operations=KNOWN, config={"audit": {"other_mutations": mode}})
    assert stage.change(b"POST /v1/teams/t", JSON, body=BODY).status == 200
    stage.trail.wait(2)
    intent, result = stage.trail.mutation()
    assert (intent["event.action"], intent["http.request.method"]) == ("renameTeam", "POST")
    assert (intent["proxy.route"], intent["organization.id"]) == ("/v1/teams/{id}", "t")
    assert not [key for key in intent if key.startswith(("proxy.resource", "proxy.recorded", "proxy.body"))]
    assert result["proxy.invalidated"] == ["session"]


def test_other_mutations_are_not_recorded_where_that_is_off(make_recorded):
    stage = make_recorded(config={"audit": {"other_mutations": "off"}})
    assert stage.change(b"POST /v1/elsewhere", body=BODY).status == 200
    assert stage.change(UPDATE).status == 200
    assert stage.trail.mutation()[0]["event.action"] == "updateTeamSecret"


@pytest.mark.parametrize("mode", ["log", "require"])
@pytest.mark.parametrize("chunks", [False, True], ids=["length", "chunked"])
def test_a_large_upload_elsewhere_is_streamed(make_recorded, mode, chunks):
    stage = make_recorded(config={"audit": {"other_mutations": mode}, "limits": {"audited_body": "1KiB"}})
    began, block = threading.Event(), bytes(range(256)) * 4096

    def answer(peer, request):
        pieces = peer.body_pieces(request)
        total = len(next(pieces))
        began.set()
        peer.send(wire.response(body=b"%d" % (total + sum(map(len, pieces)))))

    stage.origin.answer = answer
    with stage.connect() as client:
        framing = b"Transfer-Encoding: chunked" if chunks else b"Content-Length: %d" % (8 * MIB)
        client.send(stage.request(b"POST /v1/upload HTTP/1.1", framing))
        for number in range(8):
            client.send(b"%x\r\n%b\r\n" % (MIB, block) if chunks else block)
            if number == 0:
                wait_event(began, "the first bytes at the origin")
        assert client.ask(b"0\r\n\r\n" if chunks else b"").body == b"%d" % (8 * MIB)
        if mode == "require":
            assert stage.trail.phases() == ["intent", "result"]
    stage.trail.wait(2)
    stage.trail.mutation()


@pytest.mark.parametrize("mode", ["log", "require"])
def test_an_upload_elsewhere_that_its_client_gives_up_ends_unknown(make_recorded, mode):
    stage = make_recorded(config={"audit": {"other_mutations": mode}})
    client = stage.connect()
    client.send(stage.request(b"POST /v1/upload HTTP/1.1", b"Content-Length: 100") + b"half")
    request = stage.origin.wait_request()
    client.reset()
    wait_event(request.peer.ended, "the end of the upstream connection")
    stage.trail.wait(2)
    _, result = stage.trail.mutation()
    assert result["event.outcome"] == "unknown" and "http.response.status_code" not in result


def test_upstreams_100_lets_a_streamed_body_come_where_the_intent_is_required(make_recorded):
    """The client would wait for ever if that interim answer waited for the result."""
    stage = make_recorded(config={"audit": {"other_mutations": "require"}})

    def answer(peer, request):
        peer.send(wire.head(b"HTTP/1.1 100 Continue"))
        peer.read_body(request)
        peer.send(wire.response())

    stage.origin.answer = answer
    with stage.connect() as client:
        client.send(stage.request(b"POST /v1/upload HTTP/1.1", b"Expect: 100-continue", b"Content-Length: 4"))
        assert client.read_head().status == 100
        assert client.ask(b"body").status == 200
    assert stage.origin.requests[0].body == b"body"
    stage.trail.mutation()


def test_a_failed_mutation_elsewhere_is_recorded_as_such(make_recorded):
    stage = make_recorded()
    stage.origin.stop()
    assert_gateway_error(stage.change(b"POST /v1/elsewhere", body=BODY), 502)
    stage.trail.wait(2)
    _, result = stage.trail.mutation()
    assert (result["event.outcome"], result["event.reason"]) == ("failure", "not_forwarded")
