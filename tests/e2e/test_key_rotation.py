"""The next API key takes over when upstream refuses the one that serves, or at a reload."""

import json
import threading

import pytest
from support import wire
from support.gateway import write_private
from support.stage import assert_gateway_error
from support.waiting import wait_event, wait_until

SECRETS = b"/v1/teams/team-1/secrets"
MACHINES = b"/v1/machines"
MEMBERS = b"/v1/teams/team-1/users"
SESSION = b"/v1/auth/session"
FIRST, NEXT = "first", "next"
HINT = wire.head(b"HTTP/1.1 103 Early Hints", b"Link: </first>")
BODY = b'{"name":"DB","value":"unspeakable"}'
CREATION = (b"Content-Type: application/json", b"Content-Length: %d" % len(BODY))


class Api:
    """Upstream: which team each key is of; a key that is of none is refused."""

    def __init__(self, gateway, next_key):
        self.keys = {gateway.key: FIRST, next_key: NEXT}
        self.teams = {FIRST: "team-1", NEXT: "team-1"}
        self.leave = None  # or the event that the next key's session waits for
        self.hints = False  # whether a 103 comes before each 401
        self.sessions = {}  # what else a session of a key is answered with
        self.lock = threading.Lock()
        self.seen = []

    def __call__(self, peer, request):
        body = peer.read_body(request)
        name = self.keys.get(request.value("Authorization").decode().removeprefix("Bearer "))
        with self.lock:
            self.seen.append((name, request.target, body))
        team = self.teams.get(name)
        if request.target == SESSION and name == NEXT and self.leave is not None:
            wait_event(self.leave, "the test's leave to answer")
        if team is None:
            if self.hints:
                peer.send(HINT)
            peer.send(wire.response(b"HTTP/1.1 401 Unauthorized", body=b'{"code":"UNAUTHORIZED"}'))
        elif request.target == SESSION:
            session = json.dumps({"user": {"id": "u"}, "team": {"id": team}}).encode()
            peer.send(wire.response(body=self.sessions.get(name, session)))
        else:
            peer.send(wire.response(body=b"by " + name.encode()))

    def bodies(self, name, target):
        """The bodies of the requests for the target that came with the key."""
        with self.lock:
            return [body for key, asked, body in self.seen if (key, asked) == (name, target)]

    def count(self, name, target):
        return len(self.bodies(name, target))


@pytest.fixture
def make_rotating(make_stage):
    def make(next_key="next-key-0123456789abcdef", teams=None):
        stage = make_stage(start=False, config={"workers": 2})
        write_private(stage.gateway.folder / "next-key", next_key + "\n")
        stage.gateway.secrets.append(next_key)
        settings = dict(stage.gateway.config)
        settings["credentials"] = {"default": {"api_key_file": "api-key", "next_api_key_file": "next-key"}}
        stage.gateway.write_config(settings)
        stage.api = stage.origin.answer = Api(stage.gateway, next_key)
        stage.api.teams.update(teams or {})
        stage.start()
        return stage

    return make


def wait_known(stage):
    """Until the gateway has asked whose the first key is."""
    wait_until(lambda: stage.api.count(FIRST, SESSION), "the gateway's own session lookup")
    stage.origin.settle()


def wait_log(stage, text):
    wait_until(lambda: text in stage.gateway.stderr(), f"'{text}' in the log")


def read_trail(stage):
    trail = (stage.gateway.folder / "audit" / "audit.jsonl").read_text()
    return [json.loads(line) for line in trail.splitlines()]


def revoke(stage):
    stage.api.teams[FIRST] = None


def assert_dead(answer):
    assert_gateway_error(answer, 502)
    assert b"upstream refused the credential" in answer.value("Proxy-Status")


def test_the_first_key_serves_while_it_is_good(make_rotating):
    stage = make_rotating()
    assert [stage.get(MACHINES).body for _ in range(3)] == [b"by first"] * 3
    assert stage.api.count(NEXT, SESSION) == 0


def test_a_request_that_meets_a_revoked_key_is_sent_again_with_the_next(make_rotating):
    stage = make_rotating()
    wait_known(stage)
    revoke(stage)
    answer = stage.get(MACHINES)
    assert (answer.status, answer.body) == (200, b"by next")
    assert stage.api.count(FIRST, MACHINES) == stage.api.count(NEXT, MACHINES) == 1
    assert stage.get(MACHINES).body == b"by next"
    assert stage.api.count(FIRST, MACHINES) == 1


def test_a_held_body_is_sent_again_and_recorded_once(make_rotating):
    stage = make_rotating()
    wait_known(stage)
    revoke(stage)
    answer = stage.get(SECRETS, *CREATION, method=b"POST", body=BODY)
    assert (answer.status, answer.body) == (200, b"by next")
    assert stage.api.bodies(NEXT, SECRETS) == [BODY]
    records = read_trail(stage)
    assert [record["proxy.phase"] for record in records] == ["intent", "result"]
    assert records[1]["event.outcome"] == "success" and records[1]["http.response.status_code"] == 200


def test_of_many_requests_at_the_change_none_fails(make_rotating):
    stage = make_rotating()
    wait_known(stage)
    stop, answers = threading.Event(), []

    def ask():
        with stage.connect() as client:
            while not stop.is_set():
                answers.append(client.ask(stage.request(b"GET %b HTTP/1.1" % MACHINES)).status)

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    try:
        wait_until(lambda: len(answers) > 50, "requests with the first key")
        revoke(stage)
        wait_until(lambda: stage.api.count(NEXT, MACHINES) > 50, "requests with the next key")
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert set(answers) == {200}


def test_a_streamed_body_is_not_sent_again_but_the_next_request_goes_through(make_rotating):
    stage = make_rotating()
    wait_known(stage)
    revoke(stage)
    assert_dead(stage.get(MACHINES, b"Content-Length: 3", method=b"POST", body=b"abc"))
    assert stage.api.count(NEXT, MACHINES) == 0
    wait_log(stage, "has taken over")
    assert stage.get(MACHINES).body == b"by next"


@pytest.mark.parametrize("session", [b"null", b"{}", b"[]", b'{"team":null}', b'{"team":{"id":"team-2"}}', b"not json"])
def test_a_next_key_without_a_session_of_the_same_team_does_not_take_over(make_rotating, session):
    stage = make_rotating()
    wait_known(stage)
    stage.api.sessions[NEXT] = session
    revoke(stage)
    assert_dead(stage.get(MACHINES))
    wait_log(stage, "the next key cannot take over")
    assert stage.api.count(NEXT, MACHINES) == 0


def test_two_dead_keys_give_502_and_never_401(make_rotating):
    stage = make_rotating()
    wait_known(stage)
    stage.api.teams.clear()
    for _ in range(3):
        assert_dead(stage.get(MACHINES))


def test_a_first_key_that_is_dead_at_the_start_gives_way(make_rotating):
    stage = make_rotating(teams={FIRST: None})
    assert stage.get(MACHINES).body == b"by next"


def test_at_a_reload_the_next_key_takes_over(make_rotating):
    stage = make_rotating()
    wait_known(stage)
    stage.gateway.hang_up()
    wait_log(stage, "has taken over")
    assert stage.get(MACHINES).body == b"by next"


def test_at_a_reload_a_next_key_of_another_team_does_not_take_over(make_rotating):
    stage = make_rotating(teams={NEXT: "team-2"})
    wait_known(stage)
    stage.gateway.hang_up()
    wait_log(stage, "another team")
    assert stage.get(MACHINES).body == b"by first"


def test_a_lookup_is_fetched_again_once_with_the_next_key_and_stored(make_rotating):
    stage = make_rotating()
    wait_known(stage)
    revoke(stage)
    assert [stage.get(MEMBERS).body for _ in range(3)] == [b"by next"] * 3
    assert stage.api.count(NEXT, MEMBERS) == 1


def test_nothing_that_came_before_a_refusal_reaches_the_client(make_rotating):
    stage = make_rotating()
    wait_known(stage)
    stage.api.hints = True
    revoke(stage)
    with stage.connect() as client:
        client.send(stage.request(b"POST %b HTTP/1.1" % SECRETS, *CREATION, body=BODY))
        assert client.read_head().status == 200


def test_a_change_whose_client_leaves_while_the_next_key_is_tried_was_refused(make_rotating):
    stage = make_rotating()
    wait_known(stage)
    stage.api.leave = threading.Event()
    revoke(stage)
    with stage.connect() as client:
        client.send(stage.request(b"POST %b HTTP/1.1" % SECRETS, *CREATION, body=BODY))
        wait_until(lambda: stage.api.count(NEXT, SESSION), "the next key's session lookup")
        client.reset()
    wait_until(lambda: len(read_trail(stage)) == 2, "the result")
    result = read_trail(stage)[1]
    stage.api.leave.set()
    assert (result["event.outcome"], result["event.reason"]) == ("failure", "credential_refused")
    assert stage.api.count(NEXT, SECRETS) == 0
