"""The built-in stand-in for the API, reached through the gateway as its users would."""

import json
import subprocess

import pytest
from support import wire
from support.raw import Client
from support.waiting import DEADLINE, wait_until


@pytest.fixture
def sandbox(make_stage):
    """A gateway in front of its own sandbox."""
    stage = make_stage(start=False)
    config = dict(stage.gateway.config)
    del config["upstream"]
    config["audit"] = {"unreadable_body": "forward"}  # so that the sandbox judges what bodies name
    stage.gateway.write_config(config)
    stage.gateway.start("--sandbox")
    return stage


def call(stage, method, path, body=None, raw=None):
    """The status and the decoded body of an answer."""
    data = raw if raw is not None else json.dumps(body).encode() if body is not None else b""
    lines = [b"Content-Type: application/json", b"Content-Length: %d" % len(data)] if data else []
    answer = stage.get(b"/v1" + path.encode(), *lines, method=method.encode(), body=data)
    return answer.status, json.loads(answer.body) if answer.body else None


def team_of(stage):
    status, session = call(stage, "GET", "/auth/session")
    assert status == 200
    return session["team"]["id"]


def assert_api_error(result, *statuses):
    status, body = result
    assert status in statuses and {"code", "message"} <= set(body) <= {"code", "message", "issues"}, result
    assert not body["message"].startswith("psgate: ")


def test_the_session_names_a_user_and_a_team(sandbox):
    status, session = call(sandbox, "GET", "/auth/session")
    assert status == 200
    assert {"id", "email", "firstName", "lastName"} <= set(session["user"])
    assert {"id", "name", "namespace"} <= set(session["team"])


def test_members_are_listed_changed_and_removed(sandbox):
    path = f"/teams/{team_of(sandbox)}/users"
    status, members = call(sandbox, "GET", path)
    assert status == 200 and members
    member = next(member for member in members if not member["isAdmin"])
    assert set(member) >= {"userId", "email", "isAdmin", "teamId"}
    status, changed = call(sandbox, "PUT", f"{path}/{member['userId']}", {"isAdmin": True})
    assert status == 200 and changed == {**member, "isAdmin": True}
    assert changed in call(sandbox, "GET", path)[1]
    assert call(sandbox, "DELETE", f"{path}/{member['userId']}")[0] in (200, 204)
    assert member["userId"] not in [left["userId"] for left in call(sandbox, "GET", path)[1]]
    assert_api_error(call(sandbox, "PUT", f"{path}/{member['userId']}", {"isAdmin": True}), 404)


def test_secrets_are_made_read_changed_and_deleted_and_their_values_never_returned(sandbox):
    path = f"/teams/{team_of(sandbox)}/secrets"
    told = []
    for method, where, body, wanted in [("POST", "", {"name": "made", "value": "unspeakable-1"}, 201),
                                        ("GET", "/made", None, 200),
                                        ("PATCH", "/made", {"value": "unspeakable-2"}, 200), ("GET", "", None, 200)]:
        status, answer = call(sandbox, method, path + where, body)
        assert status == wanted, answer
        told.append(answer)
    assert told[0]["name"] == told[1]["name"] == told[2]["name"] == "made" and "dtCreated" in told[1]
    assert "made" in [secret["name"] for secret in told[3]]
    assert "unspeakable" not in json.dumps(told) and '"value"' not in json.dumps(told)
    assert call(sandbox, "DELETE", path + "/made")[0] in (200, 204)
    assert_api_error(call(sandbox, "GET", path + "/made"), 404)
    assert_api_error(call(sandbox, "DELETE", path + "/made"), 404)


@pytest.mark.parametrize("raw",
                         [b"{ broken", b"[]", b'"x"', b"{}", b'{"name":"n"}', b'{"value":"v"}',
                          b'{"name":1,"value":"v"}', b'{"name":"n","value":null}', b'{"name":"","value":"v"}'])
def test_a_wrong_body_is_a_400(sandbox, raw):
    assert_api_error(call(sandbox, "POST", f"/teams/{team_of(sandbox)}/secrets", raw=raw), 400)


def test_a_second_secret_of_a_name_is_a_409(sandbox):
    path = f"/teams/{team_of(sandbox)}/secrets"
    assert call(sandbox, "POST", path, {"name": "twice", "value": "v"})[0] == 201
    assert_api_error(call(sandbox, "POST", path, {"name": "twice", "value": "v"}), 409)


@pytest.mark.parametrize("method, path",
                         [("GET", "/teams/no-such-team/users"), ("GET", "/teams/no-such-team/secrets"),
                          ("GET", "/nothing"),
                          ("POST", "/teams/no-such-team/secrets")])
def test_what_is_not_there_is_a_404(sandbox, method, path):
    body = {"name": "n", "value": "v"} if method == "POST" else None
    assert_api_error(call(sandbox, method, path, body), 404)


@pytest.fixture
def lone_sandbox(make_stage):
    """`psgate sandbox` in a process of its own, reached without a gateway."""
    gateway = make_stage(start=False).gateway
    out = gateway.folder / "sandbox-out"
    with open(out, "w") as stdout:
        process = subprocess.Popen([gateway.binary, "sandbox", "--listen", "127.0.0.1:0", "--api-key-file",
                                    str(gateway.key_file)], stdout=stdout, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: process.poll() is not None or "\n" in out.read_text(), "the sandbox to listen")
        assert process.poll() is None
        yield gateway.key, int(out.read_text().strip().rpartition(":")[2])
    finally:
        process.terminate()
        assert process.wait(DEADLINE) == 0


def ask_lone(port, path, *lines):
    with Client(port) as client:
        answer = client.ask(wire.head(b"GET /v1%b HTTP/1.1" % path, b"Host: sandbox.test", *lines))
    return answer.status, json.loads(answer.body)


def test_without_a_login_the_session_is_null_and_all_else_is_401(lone_sandbox):
    key, port = lone_sandbox
    for lines in ((), (b"Authorization: Bearer wrong",)):
        assert ask_lone(port, b"/auth/session", *lines) == (200, None)
        status, body = ask_lone(port, b"/teams/t/users", *lines)
        assert status == 401 and body["code"] == "UNAUTHORIZED"
    status, session = ask_lone(port, b"/auth/session", b"Authorization: Bearer " + key.encode())
    assert status == 200 and session["user"]
