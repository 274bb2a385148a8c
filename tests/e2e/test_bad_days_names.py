"""The upstream's name: its server gone, silent, slow or wrong; its address moved to another place."""

import socket
import threading

import pytest
from support.name_server import NAME, NXDOMAIN, SERVFAIL, wrapped
from support.origin import Origin
from support.stage import Stage, assert_gateway_error
from support.waiting import wait_until

pytest_plugins = ["support.name_server"]

OLD, NEW = "127.0.0.1", "127.0.0.2"
OPERATIONS = [{"id": "lookup", "method": "GET", "path": "/v1/things/{name}",
               "cache": {"scope": "things", "ttl": "1h", "stale_if_error": "1h"}}]


class NamedOrigin(Origin):
    """An origin on an address of its own, at a port that may be given."""

    def __init__(self, address, tls, port=0):
        self.address = address
        self.given = port
        super().__init__(tls)

    def open(self):
        self.port = self.port or self.given
        self.listener = socket.create_server((self.address, self.port), backlog=1024)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(self.listener,), daemon=True).start()


@pytest.fixture(scope="module")
def named(authority):
    authority.signed("named", f"DNS:{NAME}")
    return authority


@pytest.fixture
def make_named(binary, tmp_path_factory, named, name_server):
    """Makes a gateway whose upstream is NAME, at first on OLD."""
    stages = []

    def make(**upstream):
        folder = tmp_path_factory.mktemp("named")
        stage = Stage(wrapped(binary, folder, name_server), folder, operations=OPERATIONS, upstream_host=NAME,
                      tls=named.server_context("named"),
                      config={"upstream": {"ca_file": str(named.ca_file), **upstream}, "log": {"level": "info"}})
        stages.append(stage)
        return stage.start()

    yield make
    for stage in stages:
        stage.stop()
        stage.origin.check()


def get(stage, target=b"/v1/a"):
    return stage.get(target).status


def wait_served(stage):
    wait_until(lambda: get(stage) == 200, "requests to be answered again")


def test_an_address_that_moves_is_followed_within_seconds(make_named, named, name_server):
    name_server.addresses = [OLD]
    stage = make_named()
    assert get(stage) == 200
    stage.origin.stop()
    new = NamedOrigin(NEW, named.server_context("named"), stage.origin.port)
    name_server.addresses = [NEW]
    try:
        wait_served(stage)  # whose bound is less than the 30 s to the next regular look-up
        assert [request.target for request in new.requests] == [b"/v1/a"]
    finally:
        new.stop()


def test_an_address_that_is_somebody_elses_now_gets_no_byte_and_is_left(make_named, named, name_server):
    name_server.addresses = [OLD]
    stage = make_named()
    assert get(stage) == 200
    stage.origin.stop()
    stranger = NamedOrigin(OLD, named.server_context("wrong-name"), stage.origin.port)
    new = NamedOrigin(NEW, named.server_context("named"), stage.origin.port)
    name_server.addresses = [NEW]
    try:
        wait_served(stage)
        assert new.requests and stranger.requests == [] and stranger.received() == b""
    finally:
        stranger.stop()
        new.stop()


GONE = {"silent": {"is_silent": True}, "servfail": {"code": SERVFAIL}, "nxdomain": {"code": NXDOMAIN},
        "empty": {"addresses": []}, "garbage": {"garbage": b"\x81\x80\0\1\0\1\0\0\0\0" + b"\xff" * 40}, "cut": {"garbage": b""}}


def set_all(server, members):
    for name, value in members.items():
        setattr(server, name, value)


@pytest.mark.parametrize("trouble", GONE.values(), ids=GONE.keys())
def test_a_name_server_that_fails_leaves_the_last_addresses_in_use(make_named, name_server, trouble):
    name_server.addresses = [OLD]
    stage = make_named()
    assert get(stage) == 200
    set_all(name_server, trouble)
    stage.origin.stop()
    wait_until(lambda: get(stage) != 200, "the origin's absence to be noticed")
    wait_until(lambda: "keeping the last addresses" in stage.gateway.stderr(), "another look-up, in vain")
    stage.origin.open()
    wait_served(stage)


@pytest.mark.parametrize("trouble", GONE.values(), ids=GONE.keys())
def test_a_start_without_a_name_server_is_said_and_heals(make_named, name_server, trouble):
    before = dict(name_server.__dict__)
    set_all(name_server, trouble)
    stage = make_named()
    answer = stage.get(b"/v1/a")
    assert_gateway_error(answer, 502)
    assert b"error=dns_" in answer.value("Proxy-Status")
    assert f"cannot resolve {NAME}" in stage.gateway.stderr()
    set_all(name_server, {name: before[name] for name in trouble})
    name_server.addresses = [OLD]
    wait_served(stage)


def test_a_slow_name_server_holds_up_nobody_who_needs_it_not(make_named, name_server):
    name_server.addresses = [OLD]
    name_server.released = threading.Event()
    stage = make_named(connect_timeout="500ms")
    with stage.connect() as client:
        client.send(stage.request(b"GET /.psgate/whoami HTTP/1.1"))
        assert client.read_response().status == 200
    answer = stage.get(b"/v1/things/one")
    assert_gateway_error(answer, 502, 504)
    assert b"error=dns_" in answer.value("Proxy-Status")
    assert get(stage, b"/.psgate/healthz") == 200
    name_server.released.set()
    wait_served(stage)
    assert get(stage, b"/v1/things/one") == 200
    name_server.released = threading.Event()  # slow again: what is known is used
    stage.origin.stop()
    stage.origin.open()
    assert get(stage, b"/v1/things/one") == 200
    assert get(stage, b"/v1/other") == 200
    name_server.released.set()


def test_a_stop_does_not_wait_for_a_slow_name_server(make_named, name_server):
    name_server.addresses = [OLD]
    name_server.released = threading.Event()
    name_server.patience = 30  # longer than a stop may take
    stage = make_named()
    wait_until(lambda: name_server.asked, "the look-up")
    stage.stop()
    name_server.released.set()
