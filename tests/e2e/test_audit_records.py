"""What the trail says of a mutation: who did what to what, from where, and whether it worked."""

import json
import re
import time

import pytest
from support import wire
from support.audited import AUDITED, essence
from support.waiting import wait_until
from test_unix_listeners import UnixGateway

pytest_plugins = ["support.audited"]

TYPES = {"POST": "creation", "PUT": "change", "PATCH": "change", "DELETE": "deletion"}
SEGMENTS = {"team": ("team%2D1", "team-1"), "other": ("gr%C3%BC%C3%9Fe%20%26%25%22", 'grüße &%"')}
JSON = b"Content-Type: application/json"
UPDATE = b"PATCH /v1/teams/t/secrets/DB_PASSWORD"


def cases():
    for row in AUDITED:
        for method in ("POST", "PUT", "DELETE") if row["method"] == "*" else (row["method"],):
            yield pytest.param(row, method, id=f"{row['id']}-{method}" if row["method"] == "*" else row["id"])


def filled(row):
    """A path of the operation, and its parameters as they should be read."""
    parameters = {}

    def fill(match):
        spelled, parameters[match[1]] = SEGMENTS["team" if match[1] == row.get("team") else "other"]
        return spelled

    return re.sub(r"\{(\w+)\}", fill, row["path"]).replace("**", "one/two").encode(), parameters


def category(row):
    """Who may get in is ECS's "iam", what is set up "configuration"."""
    return "iam" if "user" in row or row.get("named_only") else "configuration"


def expected(row, method, parameters, body):
    """The record of a change, as the table's row wants it."""
    record = {"event.category": [category(row)], "event.type": [TYPES[method]], "event.action": row["id"],
              "user.name": "tester", "client.auth": "bearer", "source.ip": "127.0.0.1",
              "http.request.method": method, "proxy.route": row["path"], "proxy.credential": "default"}
    if "team" in row:
        record["organization.id"] = parameters[row["team"]]
    if "user" in row:
        record["user.target.id"] = parameters[row["user"]]
    if "resource" in row:
        name = row["resource"]["name"]
        record["proxy.resource.type"] = row["resource"]["type"]
        record["proxy.resource.name"] = body["name"] if name.startswith("body.") else parameters[name]
    return record | {f"proxy.recorded.{member}": body[member] for member in row["audit"].get("record", [])}


@pytest.mark.parametrize("row, method", cases())
def test_an_audited_operation_is_recorded_before_and_after(audited, row, method):
    path, parameters = filled(row)
    secret = audited.secret()
    body = {"value": secret, "name": "naïve \"name\"", "password": secret, "isAdmin": True,
            "s3Config": {"accessKey": secret, "secretAccessKey": secret}, secret: secret}
    audited.origin.answer = wire.response(body=secret.encode())
    sent = json.dumps(body, ensure_ascii=False).encode()
    assert audited.change(b"%b %b?query=%b" % (method.encode(), path, secret.encode()), JSON, body=sent).status == 200
    intent, result = audited.trail.mutation()
    assert essence(intent) == expected(row, method, parameters, body)
    assert result["event.outcome"] == "success" and result["http.response.status_code"] == 200
    assert result.get("proxy.invalidated") == row.get("invalidates")
    assert audited.origin.requests[0].body == sent


@pytest.mark.parametrize("row", AUDITED, ids=[row["id"] for row in AUDITED])
def test_reading_what_an_audited_operation_changes_is_not_recorded(audited, row):
    path, _ = filled(row)
    for method in (b"GET", b"HEAD", b"OPTIONS"):
        assert audited.get(path, method=method).status == 200
    assert len(audited.origin.requests) == 3
    audited.origin.answer = wire.response()
    assert audited.change(UPDATE).status == 200  # behind which nothing can be under way
    assert audited.trail.mutation()[0]["event.action"] == "updateTeamSecret"


def test_a_record_has_what_every_record_has(audited):
    before = time.gmtime(time.time() - 1)
    assert audited.change(UPDATE, body=b"{}").status == 200
    for record in audited.trail.mutation():
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", record["@timestamp"])
        assert record["@timestamp"][:19] >= time.strftime("%Y-%m-%dT%H:%M:%S", before)
        assert re.fullmatch(r"\d+\.\d+(\.\d+)?", record["ecs.version"])
        assert record["event.kind"] == "event"
        assert re.fullmatch(r"[0-9a-f]{32}", record["proxy.chain_id"])
        assert re.fullmatch(r"[0-9a-f]{64}", record["proxy.prev_hash"])


SPELLINGS = {
    "case": (b"DELETE /V1/TEAMS/MyTeam/Secrets/KEY", "MyTeam", "KEY"),
    "trailing-slash": (b"DELETE /v1/teams/t/secrets/KEY/", "t", "KEY"),
    "encoded-literal": (b"DELETE /v1/t%65ams/t/secrets/KEY", "t", "KEY"),
    "encoded-name": (b"DELETE /v1/teams/t/secrets/%4B%45Y", "t", "KEY"),
    "doubly-encoded": (b"DELETE /v1/teams/t/secrets/%254B", "t", "%4B"),
    "four-byte-utf8": (b"DELETE /v1/teams/t/secrets/%F0%9F%94%91", "t", "\U0001f511"),
    "quotes-and-brackets": (b"DELETE /v1/teams/t/secrets/%22%7D%5D,%22event.outcome%22:%22success", "t",
                            '"}],"event.outcome":"success'),
    "query": (b"DELETE /v1/teams/t/secrets/KEY?name=OTHER&x=%2e%2e", "t", "KEY"),
    "absolute-form": (b"DELETE http://gateway.test/v1/teams/t/secrets/KEY?a", "t", "KEY"),
}


@pytest.mark.parametrize("start, team, name", SPELLINGS.values(), ids=SPELLINGS.keys())
def test_however_a_path_is_spelled_it_is_recorded_as_what_it_means(audited, start, team, name):
    assert audited.change(start).status == 200
    intent, _ = audited.trail.mutation()
    assert intent["event.action"] == "deleteTeamSecret"
    assert (intent["organization.id"], intent["proxy.resource.name"]) == (team, name)


@pytest.mark.parametrize("target, name", [(b"/v1/teams/t/secrets/a%2Fb", "a/b"), (b"/v1/teams/t%2Fsecrets/a", "a")],
                         ids=["in-the-name", "between"])
def test_a_forwarded_slash_is_read_as_either_so_that_none_goes_unrecorded(make_recorded, target, name):
    stage = make_recorded(config={"upstream": {"encoded_slashes": "forward"}})
    assert stage.change(b"DELETE " + target).status == 200
    intent, _ = stage.trail.mutation()
    assert (intent["event.action"], intent["organization.id"], intent["proxy.resource.name"]) == ("deleteTeamSecret", "t", name)
    assert stage.origin.requests[0].target == target


NAMES = {"escapes": ('"\\u00e9\\n\\"\\\\"', 'é\n"\\'), "surrogates": ('"\\ud83d\\ude00"', "\U0001f600"),
         "raw-utf8": ('"schlüssel"', "schlüssel"), "controls": ('"a\\u0001\\u001f\\u007f"', "a\x01\x1f\x7f"),
         "line-separators": ('"\\u2028\\u0085"', "\u2028\u0085"), "like-a-record": ('"\\"}\\n{\\"a\\":1"', '"}\n{"a":1')}


@pytest.mark.parametrize("spelled, name", NAMES.values(), ids=NAMES.keys())
def test_a_name_from_the_body_is_recorded_as_it_is_meant(audited, spelled, name):
    body = b'{"value": "v", "name": %b}' % spelled.encode()
    assert audited.change(b"POST /v1/teams/t/secrets", body=body).status == 200
    assert audited.trail.mutation()[0]["proxy.resource.name"] == name


@pytest.mark.parametrize("value", [True, False, None, 0, -7, 12345678901, 0.5, "yes", ""],
                         ids=lambda value: json.dumps(value))
def test_a_recorded_member_keeps_its_type(audited, value):
    body = json.dumps({"isAdmin": value, "value": "other"}).encode()
    assert audited.change(b"PUT /v1/teams/t/users/u", JSON, body=body).status == 200
    intent, _ = audited.trail.mutation()
    assert intent["proxy.recorded.isAdmin"] == value and type(intent["proxy.recorded.isAdmin"]) is type(value)
    assert [key for key in intent if key.startswith("proxy.recorded.")] == ["proxy.recorded.isAdmin"]


@pytest.mark.parametrize("wrap", [lambda secret: {"deep": secret}, lambda secret: [secret]], ids=["object", "array"])
def test_nothing_within_a_recorded_member_is_recorded(audited, wrap):
    secret = audited.secret()
    body = json.dumps({"isAdmin": wrap(secret)}).encode()
    assert audited.change(b"PUT /v1/teams/t/users/u", JSON, body=body).status == 200
    assert all(type(value) is not dict for value in audited.trail.mutation()[0].values())


def test_a_member_that_the_body_lacks_is_absent(audited):
    assert audited.change(b"PUT /v1/teams/t/users/u", JSON, body=b'{"other": 1}').status == 200
    assert not [key for key in audited.trail.mutation()[0] if key.startswith("proxy.recorded.")]


# -- who, and from where ----------------------------------------------------------------------------


AGENTS = {
    "plain": (b"curl/8.5", "curl/8.5"),
    "utf8": ("Grüße/1".encode(), "Grüße/1"),
    "invalid": (b"a\xffb\xc3", "a�b�"),
    "surrogate": (b"\xed\xa0\x80!", None),
    "quotes": (b'a"b\\c\td', 'a"b\\c\td'),
}


@pytest.mark.parametrize("sent, recorded", AGENTS.values(), ids=AGENTS.keys())
def test_the_user_agent_is_recorded_in_utf8(audited, sent, recorded):
    assert audited.change(UPDATE, b"User-Agent: " + sent, body=b"{}").status == 200
    found = audited.trail.mutation()[0]["user_agent.original"]
    if recorded is not None:
        assert found == recorded
    else:
        assert set(found) == {"�", "!"} and found.endswith("!")
    assert audited.origin.requests[0].value("User-Agent") == sent


def test_a_bare_invalid_utf8_in_a_request_id_is_replaced_too(audited):
    assert audited.change(UPDATE, b"X-Request-Id: id-\xfe-1").status == 200
    assert audited.trail.mutation()[0]["http.request.id"] == "id-�-1"


TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACES = {
    "sound": (b"00-%b-00f067aa0ba902b7-01" % TRACE.encode(), TRACE),
    "future-version": (b"cc-%b-00f067aa0ba902b7-01-what" % TRACE.encode(), TRACE),
    "upper-case": (b"00-%b-00f067aa0ba902b7-01" % TRACE.upper().encode(), None),
    "short": (b"00-%b-01" % TRACE.encode(), None),
    "all-zero": (b"00-%b-00f067aa0ba902b7-01" % (b"0" * 32), None),
    "zero-parent": (b"00-%b-0000000000000000-01" % TRACE.encode(), None),
    "not-hex": (b"00-%b-00f067aa0ba902b7-01" % (b"x" * 32), None),
}


@pytest.mark.parametrize("sent, recorded", TRACES.values(), ids=TRACES.keys())
def test_the_trace_id_comes_from_a_sound_traceparent(audited, sent, recorded):
    assert audited.change(UPDATE, b"traceparent: " + sent, b"X-Request-Id: r-1").status == 200
    intent, _ = audited.trail.mutation()
    assert intent.get("trace.id") == recorded and intent["http.request.id"] == "r-1"


def test_a_token_in_x_api_key_is_recorded_as_such(audited):
    with audited.connect() as client:
        answer = client.ask(wire.head(UPDATE + b" HTTP/1.1", b"Host: a", b"X-Api-Key: " + audited.token))
    assert answer.status == 200
    assert audited.trail.mutation()[0]["client.auth"] == "api_key"


def test_who_and_the_credential_are_recorded_by_name(make_recorded):
    stage = make_recorded(start=False)
    (stage.gateway.folder / "other-key").write_text(stage.secret("key"))
    (stage.gateway.folder / "other-key").chmod(0o600)
    stage.gateway.write_config({**stage.gateway.config, "credentials": {
        "default": {"api_key_file": "api-key"}, "second": {"api_key_file": "other-key"}}})
    token = stage.gateway.add_client("grüße-ci", credential="second")
    stage.start()
    assert stage.change(UPDATE, token=token).status == 200
    intent, _ = stage.trail.mutation()
    assert (intent["user.name"], intent["proxy.credential"]) == ("grüße-ci", "second")


def test_the_source_is_the_clients_address(make_recorded):
    stage = make_recorded(config={"listen": [{"address": "127.0.0.1:0"}, {"address": "[::1]:0"}]})
    assert stage.change(UPDATE, source="127.0.0.77").status == 200
    port = stage.gateway.ports[1]
    client = type(stage.connect())(port, host="::1")
    assert client.ask(stage.request(UPDATE + b" HTTP/1.1")).status == 200
    assert [intent["source.ip"] for intent, _ in stage.trail.mutations()] == ["127.0.0.77", "::1"]


def test_the_source_at_a_unix_socket_is_its_peer(make_recorded, monkeypatch):
    monkeypatch.setattr("support.stage.Gateway", UnixGateway)
    stage = make_recorded()
    assert stage.change(UPDATE).status == 200
    assert stage.trail.mutation()[0]["source.ip"].startswith("unix")


def test_the_configurations_generation_grows_with_each_reload(make_recorded):
    stage = make_recorded(config={"workers": 1})
    assert stage.change(UPDATE).status == 200
    for number in range(2):
        token = stage.gateway.add_client(f"late-{number}")
        stage.gateway.hang_up()
        wait_until(lambda: stage.get(b"/v1/a", token=token).status == 200, "the reload")
        assert stage.change(UPDATE).status == 200
    first, second, third = (intent["proxy.config_generation"] for intent, _ in stage.trail.mutations())
    assert 1 <= first < second < third


# -- how it ended -----------------------------------------------------------------------------------


@pytest.mark.parametrize("status, outcome", [
    (200, "success"), (201, "success"), (202, "success"), (204, "success"), (303, "success"), (400, "failure"),
    (404, "failure"), (409, "failure"), (422, "failure"), (429, "failure"), (500, "failure"), (503, "failure")])
def test_the_outcome_is_what_upstream_answered(audited, status, outcome):
    lines = [] if status == 204 else [b"Content-Length: 0"]
    audited.origin.answer = wire.head(b"HTTP/1.1 %d Some" % status, wire.DATE, *lines)
    assert audited.change(UPDATE, body=b"{}").status == status
    _, result = audited.trail.mutation()
    assert (result["event.outcome"], result["http.response.status_code"]) == (outcome, status)


def test_the_duration_covers_what_upstream_took(audited):
    took = []

    def answer(peer, request):
        begun = time.monotonic_ns()
        peer.read_body(request)
        took.append(time.monotonic_ns() - begun)
        peer.send(wire.response())

    audited.origin.answer = answer
    begun = time.monotonic_ns()
    assert audited.change(UPDATE, body=b"{}").status == 200
    whole = time.monotonic_ns() - begun
    assert took[0] <= audited.trail.mutation()[1]["event.duration"] <= whole


def test_many_changes_at_once_have_each_its_pair(audited):
    clients = [audited.connect() for _ in range(30)]
    for number, client in enumerate(clients):
        client.send(audited.request(b"DELETE /v1/teams/t/secrets/S%d HTTP/1.1" % number))
    assert [client.read_response().status for client in clients] == [200] * 30
    names = [intent["proxy.resource.name"] for intent, _ in audited.trail.mutations()]
    assert sorted(names) == sorted(f"S{number}" for number in range(30))
