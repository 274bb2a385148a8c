"""Unix socket listeners: their file, who finds it taken, and that it goes with the gateway."""

import os
import socket
import stat

import pytest
from support.gateway import Gateway
from support.raw import Client
from support.waiting import DEADLINE, wait_until
from support.wire import Reader

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


class UnixClient(Client):
    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(DEADLINE)
        self.sock.connect(str(path))
        self.reader = Reader(self.sock)


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
