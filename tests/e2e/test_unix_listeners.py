"""Unix socket listeners: their file, that it goes with the gateway, and peers as clients."""

import json
import os
import socket
import stat

import pytest
from support.gateway import Gateway, write_private
from support.raw import UnixClient
from support.stage import assert_gateway_error
from support.waiting import DEADLINE, wait_until

GET = b"GET /v1/a HTTP/1.1"


class UnixGateway(Gateway):
    """A gateway that listens on the socket `socket` in its folder and nowhere else."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.path = self.folder / "socket"
        self.line = f"listening on unix:{self.path}"
        self.listen_there(mode="0660")

    def listen_there(self, **members):
        self.write_config({**self.config, "listen": [{"address": f"unix:{self.path}", **members}]})

    def stdout(self):
        """What it printed, its address as the harness, which looks for ports, can read it."""
        return super().stdout().replace(self.line, "listening on http://unix:0")

    def printed(self):
        return super().stdout()

    def connect(self):
        return UnixClient(self.path)


@pytest.fixture
def make_unix(make_stage, monkeypatch):
    """Makes stages whose gateway has a unix socket; with start=False it does not run yet."""
    monkeypatch.setattr("support.stage.Gateway", UnixGateway)
    return make_stage


def left_behind(path):
    """A socket's file that nobody listens on any more."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))


def test_requests_come_in_on_a_unix_socket(make_unix):
    stage = make_unix()
    assert stage.gateway.printed() == stage.gateway.line + "\n"
    with stage.connect() as client:
        for number in range(5):
            assert client.ask(stage.request(b"GET /v1/%d HTTP/1.1" % number)).status == 200
    assert len(stage.origin.requests) == 5


def test_large_bodies_go_both_ways_on_a_unix_socket(make_unix):
    stage = make_unix()
    body = bytes(range(256)) * 16384
    stage.origin.answer = lambda peer, request: (peer.read_body(request), peer.send(
        b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body), request.body))
    with stage.connect() as client:
        client.send(stage.request(b"POST /v1/a HTTP/1.1", b"Content-Length: %d" % len(body)))
        client.send(body)
        assert client.read_response().body == body


def test_a_token_is_needed_on_a_unix_socket_too(make_unix):
    stage = make_unix()
    with stage.connect() as client:
        assert client.ask(b"GET /v1/a HTTP/1.1\r\nHost: x\r\n\r\n").status == 401
    stage.assert_only_forwarded()


@pytest.mark.parametrize("mode", ["0600", "0660", "0666"])
@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_the_file_has_the_configured_mode_whatever_the_umask(make_unix, mode, umask):
    stage = make_unix(start=False)
    stage.gateway.listen_there(mode=mode)
    before = os.umask(umask)
    try:
        stage.start()
    finally:
        os.umask(before)
    status = os.stat(stage.gateway.path)
    assert stat.S_ISSOCK(status.st_mode) and stat.S_IMODE(status.st_mode) == int(mode, 8)


def test_the_file_is_gone_after_a_stop(make_unix):
    stage = make_unix()
    stage.gateway.stop()
    assert not stage.gateway.path.exists()


def test_a_file_that_was_left_behind_is_replaced(make_unix):
    stage = make_unix(start=False)
    left_behind(stage.gateway.path)
    stage.start()
    with stage.connect() as client:
        assert client.ask(stage.request(GET)).status == 200


def test_a_gateway_that_was_killed_does_not_keep_the_next_from_starting(make_unix):
    stage = make_unix()
    stage.gateway.process.kill()
    stage.gateway.process.wait(DEADLINE)
    assert stage.gateway.path.exists()
    stage.start()
    with stage.connect() as client:
        assert client.ask(stage.request(GET)).status == 200


def test_a_socket_that_another_program_serves_is_left_to_it(make_unix):
    gateway = make_unix(start=False).gateway
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(gateway.path))
        other.listen()
        before = os.stat(gateway.path).st_ino
        result = gateway.serve_in_vain()
        assert result.returncode == 1
        assert [str(gateway.path) in line for line in result.stderr.splitlines()
                if "cannot" in line or "error" in line.lower()] == [True]
        assert os.stat(gateway.path).st_ino == before


def test_a_second_gateway_ends_and_leaves_the_first_its_socket(make_unix):
    stage = make_unix()
    assert stage.gateway.serve_in_vain().returncode == 1
    with stage.connect() as client:
        assert client.ask(stage.request(GET)).status == 200


def test_a_file_that_is_no_socket_is_not_replaced(make_unix):
    gateway = make_unix(start=False).gateway
    gateway.path.write_text("precious")
    result = gateway.serve_in_vain()
    assert result.returncode == 1 and str(gateway.path) in result.stderr
    assert gateway.path.read_text() == "precious"


def test_a_socket_whose_folder_is_missing_cannot_be_made(make_unix):
    gateway = make_unix(start=False).gateway
    gateway.write_config({**gateway.config, "listen": [{"address": f"unix:{gateway.folder}/none/socket"}]})
    result = gateway.serve_in_vain()
    assert result.returncode == 1 and f"{gateway.folder}/none/socket" in result.stderr


def test_a_stop_finishes_what_is_in_flight_and_takes_nothing_new(make_unix):
    stage = make_unix()
    stage.origin.answer = lambda peer, request: (
        wait_until(lambda: not stage.gateway.path.exists(), "the socket's file to go"),
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"))
    with stage.connect() as client:
        client.send(stage.request(GET))
        stage.origin.wait_request()
        stage.gateway.process.terminate()
        assert client.read_response().body == b"ok"
        client.assert_closed()
    assert stage.gateway.process.wait(DEADLINE) == 0


# -- peers as clients ----------------------------------------------------------------------------------

WHOAMI = b"GET /.psgate/whoami HTTP/1.1\r\nHost: gw\r\n\r\n"
STRANGER = 54321
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes somebody else")


def set_peers(stage, *peers):
    """The clients are the tester, with its token, and these."""
    own = [client for client in stage.gateway.read_clients() if "token_sha256" in client]
    write_private(stage.gateway.clients_file, json.dumps({"clients": own + list(peers)}))


def asked_by(stage, uid, gid, data):
    """What a process of these ids is answered: a child of ours asks."""
    ours, theirs = socket.socketpair()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setresgid(gid, gid, gid)
            os.setresuid(uid, uid, uid)
            with stage.connect() as client:
                answer = client.ask(data)
                theirs.sendall(b"%d %b" % (answer.status, answer.body))
        finally:
            os._exit(0)
    theirs.close()
    os.waitpid(child, 0)
    with ours:
        status, _, body = ours.recv(65536).partition(b" ")
    return int(status), json.loads(body)


@pytest.fixture
def open_unix(make_unix):
    """A gateway whose socket everybody may connect to, and these peers for clients."""
    def make(*peers):
        stage = make_unix(start=False)
        stage.gateway.listen_there(mode="0666")
        for folder in (stage.gateway.folder, *stage.gateway.folder.parents):
            if os.stat(folder).st_uid == os.geteuid() and folder != folder.parent and os.geteuid() == 0:
                folder.chmod(folder.stat().st_mode | 0o011)
        set_peers(stage, *peers)
        return stage.start()

    return make


def test_a_peer_is_the_client_that_has_its_uid(open_unix):
    stage = open_unix({"name": "me", "uid": os.geteuid()})
    with stage.connect() as client:
        answer = client.ask(WHOAMI)
        assert answer.status == 200 and json.loads(answer.body)["client"] == "me"
        assert client.ask(b"GET /v1/a HTTP/1.1\r\nHost: gw\r\n\r\n").status == 200
    assert stage.origin.requests[0].values("Authorization") == [stage.fill(b"Bearer @KEY@")]
    wait_until(lambda: f"unix uid {os.geteuid()}" in stage.gateway.stderr(), "the peer in the access log")


@pytest.mark.parametrize("peer", [{"gid": os.getegid()}, {"uid": os.geteuid(), "gid": os.getegid()}])
def test_a_peer_is_the_client_that_has_its_gid(open_unix, peer):
    stage = open_unix({"name": "me", **peer})
    with stage.connect() as client:
        assert json.loads(client.ask(WHOAMI).body)["client"] == "me"


@pytest.mark.parametrize("peer", [{"uid": STRANGER}, {"gid": STRANGER}, {"uid": os.geteuid(), "gid": STRANGER},
                                  {"uid": STRANGER, "gid": os.getegid()}])
def test_another_peer_is_nobody_but_its_token_still_counts(open_unix, peer):
    stage = open_unix({"name": "other", **peer})
    with stage.connect() as client:
        answer = client.ask(WHOAMI)
        assert_gateway_error(answer, 401)
        assert b"uid" in answer.body
    stage.assert_only_forwarded()  # which asks with the tester's token


def test_a_token_beside_a_peer_must_be_the_same_clients(open_unix):
    stage = open_unix({"name": "tester", "uid": os.geteuid()})
    with stage.connect() as client:
        assert client.ask(stage.request(GET)).status == 200
        set_peers(stage, {"name": "me", "uid": os.geteuid()})
        stage.gateway.hang_up()
        wait_until(lambda: client.ask(stage.request(GET)).status == 401, "the new clients to be in force")
        assert json.loads(client.ask(WHOAMI).body)["client"] == "me"


def test_a_peer_that_two_clients_match_is_refused_and_says_so(open_unix):
    stage = open_unix({"name": "one", "uid": os.geteuid()}, {"name": "two", "gid": os.getegid()})
    with stage.connect() as client:
        answer = client.ask(WHOAMI)
        assert_gateway_error(answer, 401)
        assert b"more than one client" in answer.body


def test_the_uid_counts_on_unix_sockets_only(make_stage):
    stage = make_stage(start=False)
    set_peers(stage, {"name": "me", "uid": os.geteuid()}, {"name": "root", "gid": 0})
    stage.start()
    with stage.connect() as client:
        assert_gateway_error(client.ask(WHOAMI), 401)


@as_root
def test_processes_of_different_users_are_different_clients(open_unix):
    stage = open_unix({"name": "a", "uid": STRANGER}, {"name": "b", "uid": STRANGER + 1}, {"name": "g", "gid": 4711})
    assert asked_by(stage, STRANGER, 1, WHOAMI)[1]["client"] == "a"
    assert asked_by(stage, STRANGER + 1, 1, WHOAMI)[1]["client"] == "b"
    assert asked_by(stage, STRANGER + 2, 4711, WHOAMI)[1]["client"] == "g"
    assert asked_by(stage, STRANGER + 2, 1, WHOAMI)[0] == 401
    assert asked_by(stage, STRANGER, 4711, WHOAMI)[0] == 401
    assert asked_by(stage, STRANGER, 1, stage.request(GET))[0] == 401


def test_the_trail_says_which_peer_it_was(open_unix):
    stage = open_unix({"name": "me", "uid": os.geteuid()})
    body = b'{"name":"x","value":"y"}'
    with stage.connect() as client:
        assert client.ask(b"POST /v1/teams/t/secrets HTTP/1.1\r\nHost: gw\r\nContent-Length: %d\r\n"
                          b"Content-Type: application/json\r\n\r\n%b" % (len(body), body)).status == 200
    lines = (stage.gateway.folder / "audit" / "audit.jsonl").read_text().splitlines()
    intent = next(record for record in map(json.loads, lines) if record.get("proxy.phase") == "intent")
    assert (intent["user.name"], intent["client.auth"], intent["source.ip"]) == ("me", "peer", f"unix uid {os.geteuid()}")
