"""What /api/status, /api/clients, /healthz and /readyz say is what has happened; and purging."""

import json
import threading
from datetime import datetime, timedelta, timezone

import pytest
from support import wire
from support.admin import assert_problem
from support.origin import holding
from support.waiting import wait_until

pytest_plugins = ["support.admin"]

STATUS = set("version now started workers config_generation ready reasons connections requests_in_flight requests history"
             " operations cache upstream credentials audit cluster".split())


def time_of(text):
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=timezone.utc)


def is_recent(text):
    return timedelta(seconds=-1) < datetime.now(timezone.utc) - time_of(text) < timedelta(seconds=60)


@pytest.fixture
def stage(make_admin):
    return make_admin()


def counted(stage, count):
    """A request is counted a moment after its answer has come."""
    return wait_until(lambda: (status := stage.status())["requests"]["total"] >= count and status, f"{count} requests")


def test_status_of_a_gateway_that_has_done_nothing(stage):
    status = stage.status()
    assert set(status) == STATUS
    assert status["version"] and status["workers"] == 2 and status["config_generation"] == 1
    assert status["ready"] is True and status["reasons"] == []
    assert is_recent(status["now"]) and is_recent(status["started"]) and status["started"] <= status["now"]
    assert status["connections"] == 0 and status["requests_in_flight"] == 0
    assert status["requests"] == {"total": 0, "errors": 0, "refused": 0}
    assert status["history"] == {"step": 10, "from": None, "points": []}
    nothing = dict.fromkeys(("requests", "errors", "refused", "hits", "misses", "stale", "collapsed"), 0)
    rows = [("lookup", "things"), ("people", "people"), ("peopleToo", "people"), ("plain", None), ("change", None), ("other", None)]
    assert status["operations"] == [{"id": name, "cached": scope is not None, "scope": scope, **nothing} for name, scope in rows]
    assert status["cache"] == {"bytes": 0, "limit": 64 << 20, "entries": 0, "scopes": ["things", "people"]}
    assert status["upstream"] == {"url": stage.origin.url(), "state": "unknown", "circuit": "closed", "last_error": None,
                                  "connections": {"active": 0, "idle": 0, "limit": 256}, "last_success": None, "last_failure": None}
    [credential] = status["credentials"]
    assert {"name": "default", "slot": "api_key_file", "state": "unknown", "last_success": None, "last_failure": None}.items() \
        <= credential.items()
    assert status["audit"]["writable"] is True and status["audit"]["records"] == 0 and status["audit"]["waiting"] == 0
    assert status["audit"]["last_checkpoint"] is None
    wait_until(lambda: len(stage.status()["audit"]["chain_id"]) == 32, "the trail to be open")


def test_requests_are_counted_by_what_became_of_them(stage):
    for _ in range(4):
        assert stage.get(b"/v1/things/a").status == 200
    for _ in range(3):
        assert stage.get(b"/v1/plain/a").status == 200
    stage.origin.answer = wire.response(b"HTTP/1.1 500 No")
    for _ in range(2):
        assert stage.get(b"/v1/plain/b").status == 500
    assert stage.get(b"/elsewhere").status == 500
    for _ in range(5):
        assert stage.get(b"/v1/plain/a", token="psgate_no").status == 401
    with stage.connect() as client:
        client.send(b"rubbish\r\n\r\n")
        client.read_to_end()
    status = counted(stage, 16)
    assert status["requests"] == {"total": 16, "errors": 3, "refused": 5}
    rows = {row["id"]: row for row in status["operations"]}
    assert rows["lookup"] | {"requests": 4, "hits": 3, "misses": 1, "errors": 0, "refused": 0} == rows["lookup"]
    assert sum(row["requests"] for row in rows.values()) == 16
    assert rows["plain"]["requests"] in (5, 10) and rows["plain"]["errors"] == 2 and rows["plain"]["hits"] == 0
    assert rows["other"]["errors"] == 1
    assert status["cache"]["entries"] == 1 and status["cache"]["bytes"] > 0


def test_hits_collapsed_and_bypassing_requests_are_told_apart(stage):
    release = threading.Event()
    stage.origin.answer = holding(release)
    clients = [stage.connect() for _ in range(4)]
    for client in clients:
        client.send(stage.request(b"GET /v1/things/slow HTTP/1.1"))
    stage.origin.wait_request()
    wait_until(lambda: stage.status()["requests_in_flight"] >= 4, "the requests in flight")
    assert stage.status()["connections"] == 4
    release.set()
    for client in clients:
        assert client.read_response().status == 200
        client.close()
    assert stage.get(b"/v1/things/slow", b"Cache-Control: no-cache").status == 200
    counted(stage, 5)
    row = stage.operation("lookup")
    assert row["misses"] + row["collapsed"] + row["hits"] == 5 and row["misses"] >= 2 and row["collapsed"] >= 1
    wait_until(lambda: stage.status()["connections"] == 0, "the connections to be gone")
    assert stage.status()["requests_in_flight"] == 0


def test_idle_connections_are_not_requests(stage):
    with stage.connect() as fresh, stage.connect() as used:
        assert used.ask(stage.request(b"GET /v1/plain/a HTTP/1.1")).status == 200
        wait_until(lambda: stage.status()["connections"] == 2, "both connections")
        wait_until(lambda: stage.status()["requests_in_flight"] == 0, "no request")
        assert fresh.ask(stage.request(b"GET /v1/plain/a HTTP/1.1")).status == 200


def test_clients_are_counted_and_never_shown_with_their_tokens(stage):
    assert stage.client("tester") == {
        "name": "tester", "identities": ["token"], "allow": ["*"], "deny": [], "teams": ["*"], "credential": "default",
        "expires": None, "rate": None, "admin": False, "last_seen": None, "requests": 0, "refused": 0}
    assert stage.client("operator")["admin"] is True
    for _ in range(3):
        stage.get(b"/v1/plain/a")
    wait_until(lambda: stage.client("tester")["requests"] == 3, "the client's requests")
    assert is_recent(stage.client("tester")["last_seen"])
    assert stage.client("operator")["last_seen"] is None, "the endpoint's own requests are none of the gateway's"
    stage.gateway.change_client("tester", deny=["plain"], rate="7/m", expires="2031-01-02T03:04:05Z", teams=["t1", "t2"])
    wait_until(lambda: stage.client("tester")["deny"] == ["plain"], "the clients file to be taken in")
    assert stage.get(b"/v1/plain/a").status == 403
    wait_until(lambda: stage.client("tester")["refused"] == 1, "the refusal")
    shown = stage.client("tester")
    assert shown["requests"] == 4 and shown["rate"] == "7/m" and shown["teams"] == ["t1", "t2"]
    assert shown["expires"] == "2031-01-02T03:04:05Z"


def test_all_kinds_of_clients_are_shown(make_admin):
    stage = make_admin(start=False)
    clients = stage.gateway.read_clients() + [
        {"name": "cert", "tls_subject": "CN=x"}, {"name": "peer", "uid": 12345, "deny": ["change"]}]
    stage.gateway.clients_file.write_text(json.dumps({"clients": clients}))
    stage.start()
    assert stage.client("cert")["identities"] == ["certificate"] and stage.client("peer")["identities"] == ["uid"]


def test_a_client_that_comes_back_goes_on_counting(stage):
    stage.get(b"/v1/plain/a")
    wait_until(lambda: stage.client("tester")["requests"] == 1, "the request")
    whole = stage.gateway.read_clients()
    stage.gateway.clients_file.write_text(json.dumps({"clients": [row for row in whole if row["name"] != "tester"]}))
    names = lambda: {row["name"] for row in stage.door.json(b"/api/clients")["clients"]}  # noqa: E731
    wait_until(lambda: names() == {"operator"}, "the client to be gone")
    stage.gateway.clients_file.write_text(json.dumps({"clients": whole[::-1]}))
    wait_until(lambda: len(names()) == 2, "the client to be back")
    stage.get(b"/v1/plain/a")
    wait_until(lambda: stage.client("tester")["requests"] == 2, "its second request")


# Upstream and keys


def test_a_refused_key_shows(stage):
    stage.get(b"/v1/plain/a")
    [key] = stage.status()["credentials"]
    assert key["state"] == "accepted" and is_recent(key["last_success"]) and key["last_failure"] is None
    stage.origin.answer = wire.response(b"HTTP/1.1 401 No")
    assert stage.get(b"/v1/plain/a").status == 502
    [key] = stage.status()["credentials"]
    assert key["state"] == "refused" and is_recent(key["last_failure"])
    stage.origin.answer = wire.response()
    assert stage.get(b"/v1/plain/a").status == 200
    assert stage.status()["credentials"][0]["state"] == "accepted"


def test_upstream_that_fails_once_and_answers_again_is_up(stage):
    assert stage.get(b"/v1/plain/a").status == 200
    assert stage.status()["upstream"]["state"] == "up" and stage.status()["upstream"]["last_error"] is None
    stage.origin.answer = wire.response(b"HTTP/1.1 503 Later")
    stage.get(b"/v1/plain/a")
    upstream = stage.status()["upstream"]
    assert "503" in upstream["last_error"] and is_recent(upstream["last_failure"]) and upstream["circuit"] == "closed"
    stage.origin.answer = wire.response()
    assert stage.get(b"/v1/plain/a").status == 200
    upstream = stage.status()["upstream"]
    assert upstream["state"] == "up" and upstream["last_success"] >= upstream["last_failure"], \
        "an answer within a second of a failure is overlooked"


def test_upstream_that_is_gone_is_down_and_comes_back(stage):
    assert stage.get(b"/v1/plain/a").status == 200
    assert stage.status()["upstream"]["connections"] == {"active": 0, "idle": 1, "limit": 256}
    stage.origin.stop()
    wait_until(lambda: stage.get(b"/v1/plain/a").status >= 500 and stage.status()["upstream"]["circuit"] == "open", "the circuit to open")
    upstream = stage.status()["upstream"]
    assert upstream["state"] == "down" and upstream["last_error"]
    stage.origin.open()
    wait_until(lambda: stage.get(b"/v1/plain/a").status == 200, "upstream to be back")
    upstream = stage.status()["upstream"]
    assert upstream["state"] == "up" and upstream["circuit"] == "closed"


# Readiness


def ready(stage):
    answer = stage.door.ask(b"/readyz")
    body = json.loads(answer.body)
    assert (answer.status == 200) == body["ready"] == (body["reasons"] == []) and answer.status in (200, 503)
    return body["reasons"]


def test_ready_while_changes_can_be_recorded_only(stage):
    assert ready(stage) == []
    folder = stage.trail.folder
    folder.rename(folder.with_name("away"))
    assert stage.change(b"POST /v1/things/a", body=b"{}").status == 503
    [reason] = ready(stage)
    assert "503" in reason and str(folder) in reason
    status = stage.status()
    assert status["ready"] is False and status["reasons"] == [reason] and status["audit"]["writable"] is False
    assert stage.door.ask(b"/healthz").status == 200
    assert stage.get(b"/v1/plain/a").status == 200
    folder.with_name("away").rename(folder)
    wait_until(lambda: ready(stage) == [], "the trail to be writable again")
    assert stage.change(b"POST /v1/things/a", body=b"{}").status == 200
    assert stage.status()["audit"]["sequence"] >= 2


def test_not_ready_while_stopping(stage):
    release = threading.Event()
    stage.origin.answer = holding(release)
    with stage.connect() as client:
        client.send(stage.request(b"GET /v1/plain/a HTTP/1.1"))
        stage.origin.wait_request()
        stage.gateway.process.terminate()
        assert wait_until(lambda: ready(stage), "it to say that it stops") == ["it is stopping"]
        assert stage.status()["requests_in_flight"] == 1
        assert stage.door.ask(b"/healthz").status == 200
        release.set()
        assert client.read_response().status == 200


# Purging


def fetches(stage, target):
    """Whether a look-up of the target reaches upstream."""
    before = len(stage.origin.requests)
    assert stage.get(target).status == 200
    return len(stage.origin.requests) > before


def purge(stage, query, status=200):
    answer = stage.door.ask(b"/cache/purge" + query, method=b"POST")
    assert answer.status == status, answer.body
    return json.loads(answer.body)


def test_a_purge_empties_its_scope_and_no_other(stage):
    targets = [b"/v1/things/a", b"/v1/people/a", b"/v1/persons/a"]
    assert all([fetches(stage, target) for target in targets])
    assert not any([fetches(stage, target) for target in targets])
    assert purge(stage, b"?scope=people") == {"purged": "people"}
    assert [fetches(stage, target) for target in targets] == [False, True, True]
    assert not any([fetches(stage, target) for target in targets])
    assert purge(stage, b"?scope=*") == {"purged": "*"}
    assert all([fetches(stage, target) for target in targets])
    assert purge(stage, b"?scope=%2a") == {"purged": "*"}
    assert purge(stage, b"?x=1&scope=thi%6egs&scope=people") == {"purged": "things"}
    assert [fetches(stage, target) for target in targets] == [True, True, True]


def test_an_unknown_scope_purges_nothing(stage):
    assert fetches(stage, b"/v1/things/a")
    for query in (b"?scope=nothing", b"?scope=THINGS", b"?scope=thing", b"?scope=things%20", b"?scope=t*", b"?scope=**",
                  b"?scope=%zz", b"?scope=" + b"x" * 3000):
        assert "/api/status" in purge(stage, query, 404)["message"]
    for query in (b"", b"?", b"?scope", b"?scope=", b"?Scope=things", b"?xscope=things", b"?scope%3dthings"):
        assert "scope=members" in purge(stage, query, 400)["message"]
    assert_problem(stage.door.ask(b"/cache/purge?scope=things%00x", method=b"POST"), 400)
    assert not fetches(stage, b"/v1/things/a")


def test_a_purge_is_said_in_the_log(stage):
    purge(stage, b"?scope=things")
    wait_until(lambda: "the cache was purged: scope things" in stage.gateway.stderr(), "the line in the log")


def test_an_answer_under_way_at_a_purge_is_not_kept(stage):
    release = threading.Event()
    stage.origin.answer = holding(release)
    with stage.connect() as client:
        client.send(stage.request(b"GET /v1/things/b HTTP/1.1"))
        stage.origin.wait_request()
        purge(stage, b"?scope=things")
        release.set()
        assert client.read_response().status == 200
    stage.origin.answer = wire.response()
    assert fetches(stage, b"/v1/things/b")


# History


@pytest.mark.long
def test_history_gets_a_point_every_ten_seconds(stage):
    for _ in range(5):
        stage.get(b"/v1/things/a")
    stage.get(b"/v1/plain/a", token="psgate_no")
    counted(stage, 6)
    history = wait_until(lambda: (shown := stage.status()["history"])["points"] and shown, "a point", timeout=30)
    assert set(history["points"][0]) == set("requests errors refused hits p50 p90 p99 upstream_p50 upstream_p99".split())
    assert sum(point["requests"] for point in history["points"]) == 6
    assert sum(point["refused"] for point in history["points"]) == 1 and sum(point["hits"] for point in history["points"]) == 4
    point = next(point for point in history["points"] if point["requests"])
    assert 0 < point["p50"] <= point["p90"] <= point["p99"] < 20 and 0 < point["upstream_p50"] <= point["upstream_p99"] < 20
    assert is_recent(history["from"])
