"""Reloads, stops, the log and the files: what they lost, kept too long or told too much."""

import errno
import os
import select
import socket
import threading

import pytest
from support.kernel import wait_taken
from support.logs import Log
from support.origin import by_target, holding
from support.raw import Client
from support.waiting import DEADLINE, wait_event, wait_until
from support.wire import Reader

GET = b"GET /v1/a HTTP/1.1"
TOKENS_IN_PATHS = {
    "bad-escape": b"GET /v1/@TOKEN@/%zz HTTP/1.1\r\nHost: gateway.test\r\n\r\n",
    "no-host": b"GET /v1/@TOKEN@ HTTP/1.1\r\n\r\n",
    "bad-method": b"TRACE /v1/@TOKEN@ HTTP/1.1\r\nHost: gateway.test\r\n\r\n",
    "far-behind": b"GET /" + b"a/" * 33 + b"@TOKEN@ HTTP/1.1\r\nHost: gateway.test\r\n\r\n",
}


# -- the log and the files ------------------------------------------------------------------------


@pytest.mark.parametrize("sent", TOKENS_IN_PATHS.values(), ids=TOKENS_IN_PATHS.keys())
def test_a_token_in_a_refused_path_is_not_logged(make_stage, sent):
    stage = make_stage()
    with stage.connect() as client:
        assert client.ask(stage.fill(sent)).status in (400, 401, 405)
    log = wait_until(lambda: '"http.request.method"' in stage.gateway.stderr() and stage.gateway.stderr(),
                     "the access log")
    assert stage.token.decode() not in log


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes files of root")
@pytest.mark.parametrize("mode", [0o640, 0o600], ids=["0640", "0600"])
def test_a_clients_file_of_root_stays_readable_for_its_group(make_stage, mode):
    gateway = make_stage(start=False).gateway
    os.chown(gateway.clients_file, 0, 65534)
    gateway.clients_file.chmod(mode)
    gateway.add_client("other")
    status = gateway.clients_file.stat()
    assert (status.st_uid, status.st_gid, status.st_mode & 0o7777) == (0, 65534, mode)


def test_a_key_from_the_environment_survives_a_refused_reload(make_stage, monkeypatch):
    monkeypatch.setenv("TEST_LATER_KEY", "later-key")
    stage = make_stage(config={"workers": 1})
    good = {**stage.gateway.config, "credentials": {"default": {"api_key_env": "TEST_LATER_KEY"}}}
    stage.gateway.write_config({**good, "clients_file": "missing.json"})
    assert "missing.json" in stage.gateway.refused_reload()
    stage.gateway.write_config(good)
    stage.gateway.hang_up()
    wait_until(lambda: stage.get(b"/v1/a").status == 200 and
               stage.origin.requests[-1].values("Authorization") == [b"Bearer later-key"], "the key of the environment")


# -- reloads -------------------------------------------------------------------------------------


def reload_and_wait(stage, client="newcomer"):
    """Reloads with one client more, which is known then; a change of the clients alone is no reload."""
    token, log = stage.gateway.add_client(client), Log(stage.gateway)
    stage.gateway.hang_up()
    wait_until(lambda: "configuration reloaded" in log.text(), "the reload")
    assert stage.get(b"/v1/a", token=token).status == 200


def send_and_wait(stage, client, part):
    """Sends what is no whole head and waits until the gateway has begun to read it."""
    client.send(part)
    wait_taken(client.sock)
    assert stage.get(b"/v1/a").status == 200


def test_a_head_begun_before_a_reload_is_judged_by_what_holds_after_it(make_stage):
    stage = make_stage(config={"workers": 1})
    head = stage.request(GET)
    with stage.connect() as client:
        send_and_wait(stage, client, head[:-2])
        stage.gateway.add_client("other")
        result = stage.gateway.command("token", "revoke", "--clients", stage.gateway.clients_file, "--name", "tester")
        assert result.returncode == 0
        stage.gateway.hang_up()
        wait_until(lambda: stage.get(b"/v1/a").status == 401, "the reload")
        before = len(stage.origin.requests)
        assert client.ask(head[-2:]).status == 401
        assert len(stage.origin.requests) == before


def test_a_head_begun_before_a_reload_may_be_as_long_as_it_might_then(make_stage):
    stage = make_stage(config={"workers": 1, "limits": {"header_bytes": "16KiB"}})
    with stage.connect() as client:
        send_and_wait(stage, client, stage.request(GET)[:-2] + b"X-Long: " + b"y" * 8000)
        stage.gateway.write_config({**stage.gateway.config, "limits": {"header_bytes": "2KiB"}})
        reload_and_wait(stage)
        assert stage.get(b"/v1/a", b"X-Long: " + b"y" * 8000).status == 431
        assert client.ask(b"y\r\n\r\n").status == 200


def test_a_reload_that_changes_nothing_upstream_keeps_its_connections(make_stage):
    stage = make_stage(config={"workers": 1})
    assert stage.get(b"/v1/a").status == 200
    reload_and_wait(stage)
    assert len(stage.origin.peers) == 1


# -- several workers -----------------------------------------------------------------------------


def connect_at_once(port, count):
    """Connections begun in one go, so that more than one worker wakes up for them."""
    socks = [socket.socket() for _ in range(count)]
    for sock in socks:
        sock.setblocking(False)
        assert sock.connect_ex(("127.0.0.1", port)) in (0, errno.EINPROGRESS)
    return [Connected(sock) for sock in socks]


class Connected(Client):
    def __init__(self, sock):
        poll = select.poll()
        poll.register(sock, select.POLLOUT)
        assert poll.poll(DEADLINE * 1000)
        sock.settimeout(DEADLINE)
        self.sock = sock
        self.reader = Reader(sock)


def clients_by_worker(stage, count):
    """For each of two workers, so many clients it has accepted.

    Each worker keeps its own connection upstream, and so is known by it.
    """
    found = {}

    def find():
        for client in connect_at_once(stage.gateway.port, 8):
            assert client.ask(stage.request(GET)).status == 200
            found.setdefault(stage.origin.requests[-1].peer, []).append(client)
        return len(found) == 2 and all(len(clients) >= count for clients in found.values())

    wait_until(find, "connections at both workers")
    return list(found.values())


def stop_listening(origin):
    """Nobody connects to the origin any more, and who has is turned out."""
    origin.stop()
    for peer in origin.peers:
        wait_event(peer.ended, "the end of an upstream connection")


def why_not(answer):
    return b", ".join(answer.values("Proxy-Status"))


def test_a_probe_that_finds_no_slot_does_not_keep_the_circuit_open(make_stage):
    stage = make_stage(config={"workers": 2, "upstream": {"max_connections": 2, "connect_timeout": "300ms"}})
    (client, *_), others = clients_by_worker(stage, 2)
    stop_listening(stage.origin)
    for _ in range(6):
        assert client.ask(stage.request(GET)).status == 502
    stage.origin.open()
    stage.origin.requests.clear()
    leave = threading.Event()
    stage.origin.answer = by_target({b"/v1/hold": holding(leave)})
    for other in others[:2]:
        other.send(stage.request(b"GET /v1/hold HTTP/1.1"))
    stage.origin.wait_request(2)
    wait_until(lambda: b"connection_limit_reached" in why_not(client.ask(stage.request(GET))),
               "a probe that finds no slot")
    leave.set()
    assert [other.read_response().status for other in others[:2]] == [200, 200]
    wait_until(lambda: client.ask(stage.request(GET)).status == 200, "the circuit to close")


def test_a_stop_forced_while_workers_wait_for_each_other_is_clean(make_stage):
    stage = make_stage(config={"workers": 2, "limits": {"drain_timeout": "60s"},
                               "upstream": {"max_connections": 2, "connect_timeout": "20s"}})
    mine, others = clients_by_worker(stage, 3)
    stage.origin.answer = lambda peer, request: (peer.read_body(request), peer.wait_end())
    before = len(stage.origin.requests)
    mine[0].send(stage.request(b"POST /v1/a HTTP/1.1", b"Content-Length: 2", body=b"ok"))
    others[0].send(stage.request(GET))
    stage.origin.wait_request(before + 2)
    for client in mine[1:] + others[1:]:
        client.send(stage.request(GET))
        wait_taken(client.sock)
    stage.gateway.process.terminate()
    wait_until(lambda: "stopping" in stage.gateway.stderr(), "the stop to begin")
    stage.gateway.process.terminate()
    assert stage.gateway.process.wait(DEADLINE) == 0


# -- forced stops --------------------------------------------------------------------------------


@pytest.mark.parametrize("by_signal", [False, True], ids=["timeout", "second-signal"])
@pytest.mark.parametrize("has_left", [False, True], ids=["client-there", "client-gone"])
def test_a_change_in_flight_when_the_stop_is_forced_leaks_nothing(make_stage, by_signal, has_left):
    stage = make_stage(config={"workers": 1, "limits": {"drain_timeout": "60s" if by_signal else "300ms"}})
    stage.origin.answer = lambda peer, request: (peer.read_body(request), peer.wait_end())
    with stage.connect() as client:
        client.send(stage.request(b"POST /v1/a HTTP/1.1", b"Content-Length: 2", body=b"ok"))
        stage.origin.wait_complete()
        if has_left:
            client.reset()
            wait_until(lambda: "client left" in stage.gateway.stderr(), "the reset to be seen")
        stage.gateway.process.terminate()
        wait_until(lambda: "stopping" in stage.gateway.stderr(), "the stop to begin")
        if by_signal:
            stage.gateway.process.terminate()
        assert stage.gateway.process.wait(DEADLINE) == 0
    stage.gateway.check_output()
