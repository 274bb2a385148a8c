"""Sockets that a service manager has bound and hands over, and the change from one process to the next."""

import fcntl
import json
import os
import re
import socket
import ssl
import stat
import threading

import pytest
from support.audited import AuditStage, holds
from support.gateway import merged
from support.origin import by_target, holding
from support.raw import Client
from support.service import Load, Notices, UnixClient, hand_over, second_of
from support.waiting import DEADLINE, wait_until

GET = b"GET /v1/a HTTP/1.1"
SECRETS = b"/v1/teams/t1/secrets"
PROBLEM = re.compile(r".*/psgate\.json:\d+:\d+: listen: (.*)")


@pytest.fixture
def tcp():
    """A blocking socket, as systemd makes them."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


@pytest.fixture
def unix(tmp_path):
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
        server.listen()
        os.chmod(tmp_path / "socket", 0o640)
        yield server


def spelled(server):
    """The socket's address as the configuration has it."""
    name = server.getsockname()
    if isinstance(name, tuple):
        return f"[{name[0]}]:{name[1]}" if ":" in name[0] else f"{name[0]}:{name[1]}"
    return f"unix:{name}" if isinstance(name, str) else f"unix:@{name[1:].decode()}"


@pytest.fixture
def make_activated(make_stage):
    """Makes stages whose gateway gets these sockets and is configured for their addresses."""

    def make(*servers, start=True, listen=None, config=None, **options):
        addresses = listen or [{"address": spelled(server)} for server in servers]
        stage = make_stage(start=False, config=merged(config or {}, {"listen": addresses}))
        hand_over(stage.gateway, *servers, **options)
        return stage.start() if start else stage

    return make


def ask(stage, server):
    name = server.getsockname()
    with UnixClient(name) if server.family == socket.AF_UNIX else Client(name[1], name[0]) as client:
        return client.ask(stage.request(GET)).status


def is_in_vain(stage):
    """Starts where it cannot; what is said, without the place in the file."""
    result = stage.gateway.serve_in_vain()
    assert result.returncode == 78, result.stderr
    return [match[1] if (match := PROBLEM.match(line)) else line for line in result.stderr.splitlines()]


# -- what is served ----------------------------------------------------------------------------------


def test_an_inherited_socket_is_served_and_announced(make_activated, tcp):
    stage = make_activated(tcp)
    assert stage.gateway.stdout() == f"listening on http://{spelled(tcp)}\n"
    assert ask(stage, tcp) == 200


def test_an_inherited_socket_blocks_no_worker(make_activated, tcp):
    make_activated(tcp)
    assert fcntl.fcntl(tcp, fcntl.F_GETFL) & os.O_NONBLOCK


def test_an_inherited_socket_that_others_make_blocking_hangs_no_worker(make_activated, tcp, unix):
    """As systemd does when it starts another process with the same sockets."""
    stage = make_activated(tcp, unix)
    for server in (tcp, unix):
        server.setblocking(True)
    assert [ask(stage, server) for _ in range(20) for server in (tcp, unix)] == [200] * 40
    stage.gateway.stop()


def test_requests_that_came_before_the_start_are_answered(make_activated, tcp):
    stage = make_activated(tcp, start=False)
    with Client(tcp.getsockname()[1]) as client:
        client.send(stage.request(GET))
        stage.start()
        assert client.read_response().status == 200


def test_addresses_that_are_not_handed_over_are_bound(make_activated, tcp):
    stage = make_activated(tcp, listen=[{"address": "127.0.0.1:0"}, {"address": spelled(tcp)}])
    own, given = stage.gateway.ports
    assert given == tcp.getsockname()[1] != own
    assert ask(stage, tcp) == stage.get(b"/v1/a").status == 200


def test_the_order_of_the_sockets_does_not_matter(make_activated, tcp, unix):
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as six:
        stage = make_activated(unix, six, tcp, listen=[{"address": spelled(server)} for server in (tcp, unix, six)])
        assert [ask(stage, server) for server in (tcp, unix, six)] == [200, 200, 200]


def test_what_is_served_on_a_socket_is_the_configurations(make_activated, tcp, authority):
    authority.signed("gateway", "IP:127.0.0.1")
    tls = {"certificate": str(authority.folder / "gateway.pem"), "private_key": str(authority.folder / "gateway.key")}
    stage = make_activated(tcp, listen=[{"address": spelled(tcp), "tls": tls}])
    assert stage.gateway.stdout() == f"listening on https://{spelled(tcp)}\n"
    context = ssl.create_default_context(cafile=authority.folder / "ca.pem")
    with Client(tcp.getsockname()[1]) as client:
        client.sock = context.wrap_socket(client.sock, server_hostname="127.0.0.1")
        client.reader.sock = client.sock
        assert client.ask(stage.request(GET)).status == 200


def test_the_file_of_an_inherited_unix_socket_is_not_ours(make_activated, unix):
    stage = make_activated(unix, listen=[{"address": spelled(unix), "mode": "0600"}])
    assert ask(stage, unix) == 200
    stage.gateway.hang_up()
    wait_until(lambda: "configuration reloaded" in stage.gateway.stderr(), "the reload")
    assert stat.S_IMODE(os.stat(unix.getsockname()).st_mode) == 0o640
    stage.gateway.stop()
    assert stat.S_IMODE(os.stat(unix.getsockname()).st_mode) == 0o640


def test_the_admin_endpoint_takes_its_sockets_too(make_activated, tcp, unix):
    with socket.create_server(("127.0.0.1", 0)) as metrics:
        stage = make_activated(metrics, unix, tcp, listen=[{"address": spelled(tcp)}],
                               config={"admin": {"address": spelled(unix), "metrics_address": spelled(metrics)}})
        with UnixClient(unix.getsockname()) as client, Client(metrics.getsockname()[1]) as scraper:
            assert client.ask(b"GET /healthz HTTP/1.1\r\nHost: admin\r\n\r\n").status == 200
            assert scraper.ask(b"GET /metrics HTTP/1.1\r\nHost: metrics\r\n\r\n").status == 200
        assert ask(stage, tcp) == 200
    stage.gateway.stop()
    assert os.path.exists(unix.getsockname())


def test_sockets_for_another_process_are_left_alone(make_activated, tcp):
    stage = make_activated(tcp, is_ours=False, listen=[{"address": "127.0.0.1:0"}])
    assert stage.gateway.port != tcp.getsockname()[1]
    assert stage.get(b"/v1/a").status == 200


def test_the_variables_are_not_there_any_more(make_activated, tcp):
    stage = make_activated(tcp)
    for name in ("LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"):
        stage.gateway.write_config(merged(stage.gateway.config, {"clients_file": f"${{{name}}}/clients.json"}))
        assert f"{name}" in stage.gateway.refused_reload()


# -- what is refused ---------------------------------------------------------------------------------

OTHERS = {"another-port": "127.0.0.1:1", "the-wildcard": "0.0.0.0:{port}", "the-other-family": "[::1]:{port}",
          "another-host": "127.0.0.2:{port}", "a-path": "unix:{folder}/other", "any-port": "127.0.0.1:0"}


@pytest.mark.parametrize("address", OTHERS.values(), ids=OTHERS.keys())
def test_a_socket_that_no_listener_has_the_address_of_is_refused(make_activated, tcp, tmp_path, address):
    address = address.format(port=tcp.getsockname()[1], folder=tmp_path)
    stage = make_activated(tcp, start=False, listen=[{"address": address, "allow_plaintext": True}])
    assert is_in_vain(stage) == [f"a socket bound to {spelled(tcp)} was handed over, but no listener has this address "
                                 f"(add {{ \"address\": \"{spelled(tcp)}\" }}, or take it out of the socket unit)"]


def test_a_wildcard_is_not_one_of_its_addresses(make_activated):
    with socket.create_server(("0.0.0.0", 0)) as server:
        port = server.getsockname()[1]
        stage = make_activated(server, start=False, listen=[{"address": f"127.0.0.1:{port}"}])
        assert f"bound to 0.0.0.0:{port} was handed over" in is_in_vain(stage)[0]


def test_every_socket_too_many_is_named(make_activated, tcp, unix):
    with socket.socket(socket.AF_UNIX) as abstract:
        abstract.bind(b"\0psgate-test-%d" % tcp.getsockname()[1])
        abstract.listen()
        said = is_in_vain(make_activated(tcp, unix, abstract, start=False, listen=[{"address": "127.0.0.1:0"}]))
        assert [spelled(server) in line for server, line in zip((tcp, unix, abstract), said, strict=True)] == [True] * 3


def test_two_sockets_of_one_address_are_refused(make_activated, tcp):
    with tcp.dup() as other:
        said = is_in_vain(make_activated(tcp, other, start=False, listen=[{"address": spelled(tcp)}]))
    assert said == ["descriptors 3 and 4, which were handed over to be listened on, are both bound to "
                    f"{spelled(tcp)} (hand over one)"]


def datagram():
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    return sock


def bound_only():
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    return sock


WRONG = {"datagram": (datagram, "is no stream socket"), "not-listening": (bound_only, "is not listening"),
         "connected": (lambda: socket.socketpair()[0], "is not listening"),
         "netlink": (lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW), "is neither an IPv4, an IPv6 nor"),
         "a-file": (lambda: open(os.devnull), "is no socket")}


@pytest.mark.parametrize("make, fault", WRONG.values(), ids=WRONG.keys())
def test_what_cannot_be_listened_on_is_refused(make_activated, tcp, make, fault):
    with make() as wrong:
        stage = make_activated(tcp, wrong, start=False, names=("api", "odd"), listen=[{"address": spelled(tcp)}])
        said, = is_in_vain(stage)
    assert said.startswith(f"psgate: descriptor 4 (odd), which was handed over to be listened on, {fault}")


def test_descriptors_that_are_not_there_are_refused(make_activated, tcp):
    stage = make_activated(tcp, start=False)
    stage.gateway.environment["LISTEN_FDS"] = "2"
    assert "LISTEN_FDS" in is_in_vain(stage)[0]


# -- over a reload -----------------------------------------------------------------------------------


def test_a_reload_keeps_the_inherited_sockets(make_activated, tcp):
    stage = make_activated(tcp)
    config = stage.gateway.config
    stage.gateway.write_config(merged(config, {"listen": [*config["listen"], {"address": "[::1]:0"}]}))
    stage.gateway.hang_up()
    wait_until(lambda: "configuration reloaded" in stage.gateway.stderr(), "the reload")
    assert ask(stage, tcp) == 200


def test_a_reload_may_spell_an_address_anew(make_activated):
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as six:
        stage = make_activated(six)
        port = six.getsockname()[1]
        stage.gateway.write_config(merged(stage.gateway.config, {"listen": [{"address": f"[0:0:0:0:0:0:0:1]:{port}"}]}))
        stage.gateway.hang_up()
        wait_until(lambda: "configuration reloaded" in stage.gateway.stderr(), "the reload")
        assert ask(stage, six) == 200


def test_a_reload_that_has_no_listener_for_an_inherited_socket_is_refused(make_activated, tcp):
    stage = make_activated(tcp)
    stage.gateway.write_config(merged(stage.gateway.config, {"listen": [{"address": "127.0.0.1:0"}]}))
    wait_until(lambda: "reload refused" in stage.gateway.refused_reload(), "the refusal")
    assert f"a socket bound to {spelled(tcp)} was handed over" in stage.gateway.stderr()
    assert ask(stage, tcp) == 200


# -- from one process to the next --------------------------------------------------------------------


@pytest.fixture
def make_shared(binary, tmp_path, tcp):
    """Makes audited stages on the socket; each process of theirs is stopped and checked after the test."""
    stages = []

    def make(**options):
        config = merged({"listen": [{"address": spelled(tcp)}]}, options)
        stage = AuditStage(binary, tmp_path, config=config)
        hand_over(stage.gateway, tcp)
        stages.append(stage)
        return stage

    yield make
    for stage in stages:
        stage.stop()


def creation(stage, number):
    body = json.dumps({"name": f"secret-{number}", "value": stage.secret()}).encode()
    return stage.request(b"POST %b HTTP/1.1" % SECRETS, b"Content-Type: application/json",
                         b"Content-Length: %d" % len(body), body=body)


def end(process):
    assert process.wait(DEADLINE) == 0


def test_a_successor_serves_at_once_and_its_changes_wait_for_the_trail(make_shared, tcp):
    stage = make_shared(limits={"drain_timeout": "60s"}, audit={"timeout": "60s"})
    leave = threading.Event()
    stage.origin.answer = by_target({b"/v1/slow": holding(leave)})
    first = stage.gateway
    stage.start()
    with stage.connect() as slow:
        slow.send(stage.request(b"GET /v1/slow HTTP/1.1"))
        stage.origin.wait_request()
        stage.gateway = second_of(first, "second")
        stage.gateway.start()
        first.process.terminate()
        inode = os.fstat(tcp.fileno()).st_ino
        wait_until(lambda: not holds(first.pid, inode), "the first to accept no more")
        with stage.connect() as change:
            change.send(creation(stage, 1))
            assert [stage.get(b"/v1/a").status for _ in range(20)] == [200] * 20
            assert first.is_running()
            assert SECRETS not in [request.target for request in stage.origin.requests]
            leave.set()
            assert slow.read_response().status == 200
            assert change.read_response("POST").status == 200
    end(first.process)
    first.check_output()


def test_no_request_fails_while_processes_follow_each_other(make_shared, tcp):
    stage = make_shared(limits={"drain_timeout": "60s"}, audit={"timeout": "60s"})
    gateways = [stage.start().gateway]

    def request(number):
        if number % 3 == 0:
            return creation(stage, number), "POST", 200
        return stage.request(b"GET /v1/auth/session HTTP/1.1" if number % 3 == 1 else GET), "GET", 200

    with Load(stage.connect, request).running() as load:
        for number in range(3):
            stage.gateway = second_of(gateways[-1], f"successor-{number}")
            gateways.append(stage.gateway)
            stage.gateway.start()
            gateways[-2].process.terminate()
            end(gateways[-2].process)
            load.wait(20)
    for gateway in gateways[:-1]:
        gateway.check_output()
    changes = [request for request in stage.origin.requests if request.method == b"POST"]
    stage.stop()
    verdict = stage.gateway.command("audit", "verify", stage.trail.folder).stdout
    assert f" {len(changes)} mutations, 0 unfinished, chain intact" in verdict
    assert len({json.loads(line)["proxy.chain_id"] for line in stage.trail.lines()}) == 1


def test_between_two_processes_requests_wait_in_the_socket(make_shared, tcp):
    stage = make_shared()
    first = stage.gateway
    stage.start()
    first.process.terminate()
    end(first.process)
    with stage.connect() as client:
        client.send(stage.request(GET))
        stage.gateway = second_of(first, "second")
        stage.gateway.start()
        assert client.read_response().status == 200
