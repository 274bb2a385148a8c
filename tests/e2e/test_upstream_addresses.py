"""An upstream name with several addresses, of which only one is of use."""

import os
import socket
import subprocess
import threading
from contextlib import ExitStack

import pytest
from support.origin import Origin
from support.stage import assert_gateway_error

SIDES = ("::1", "127.0.0.1")
HOSTS = "::1 localhost\n127.0.0.1 localhost\n"
# The gateway's own view of the hosts file, in a mount namespace of its own.
UNSHARE = ["unshare", "--mount"] + ([] if os.geteuid() == 0 else ["--map-root-user"])
WRAPPER = """#!/bin/sh
exec {unshare} sh -c 'mount --bind "{hosts}" /etc/hosts && exec "$@"' sh "{binary}" "$@"
"""


@pytest.fixture(scope="module")
def binary(binary, tmp_path_factory):
    """The program, for which localhost has two addresses whatever this machine says."""
    folder = tmp_path_factory.mktemp("hosts")
    hosts, wrapper = folder / "hosts", folder / "psgate"
    hosts.write_text(HOSTS)
    wrapper.write_text(WRAPPER.format(unshare=" ".join(UNSHARE), hosts=hosts, binary=binary))
    wrapper.chmod(0o755)
    try:
        seen = subprocess.run([*UNSHARE, "sh", "-c", f'mount --bind "{hosts}" /etc/hosts && getent ahosts localhost'],
                              capture_output=True, text=True).stdout
    except OSError:
        seen = ""
    if not all(side in seen for side in SIDES):
        pytest.skip("cannot give a name two addresses here (needs unshare and IPv6)")
    return wrapper


class SidedOrigin(Origin):
    """An origin on a socket that is bound already."""

    def __init__(self, sock, tls=None):
        self.listener = sock
        super().__init__(tls)

    def open(self):
        self.listener.listen(1024)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(self.listener,), daemon=True).start()


@pytest.fixture
def sides():
    """A port bound on both addresses: where nobody listens, a connection is refused."""
    while True:
        six, four = socket.socket(socket.AF_INET6), socket.socket(socket.AF_INET)
        six.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        six.bind(("::1", 0))
        try:
            four.bind(("127.0.0.1", six.getsockname()[1]))
            break
        except OSError:  # somebody has it: another one
            six.close()
            four.close()
    with six, four:
        yield {"::1": six, "127.0.0.1": four}


@pytest.fixture
def make_sided(make_stage, monkeypatch, sides, authority):
    """Makes a stage whose origin, reached as https://localhost, is on that address only."""

    def make(host, **upstream):
        monkeypatch.setattr("support.stage.Origin", lambda tls: SidedOrigin(sides[host], tls))
        return make_stage(config={"upstream": {"ca_file": str(authority.ca_file), **upstream}},
                          tls=authority.server_context("right"), upstream_host="localhost")

    return make


def other_than(host):
    return SIDES[1 - SIDES.index(host)]


def assert_in_use(stage):
    """Requests of every kind succeed, and all reach the origin."""
    for number in range(4):
        assert stage.get(b"/v1/%d" % number).status == 200
    assert stage.get(b"/v1/4", b"Content-Length: 2", method=b"POST", body=b"{}").status == 200
    assert [request.target for request in stage.origin.requests] == [b"/v1/%d" % number for number in range(5)]


@pytest.mark.parametrize("host", SIDES)
def test_an_address_that_refuses_is_passed_over(make_sided, host):
    assert_in_use(make_sided(host))


@pytest.mark.parametrize("host", SIDES)
def test_an_address_that_does_not_answer_is_passed_over_in_time(make_sided, sides, host):
    silent = sides[other_than(host)]
    silent.listen(0)
    with ExitStack() as waiting:  # a full queue: the kernel answers nobody who comes after
        for _ in range(4):
            sock = waiting.enter_context(socket.socket(silent.family))
            sock.setblocking(False)
            sock.connect_ex((other_than(host), silent.getsockname()[1]))
        assert_in_use(make_sided(host, connect_timeout="2s"))


@pytest.mark.parametrize("host", SIDES)
def test_an_address_with_a_wrong_certificate_is_passed_over_and_gets_no_byte(make_sided, sides, authority, host):
    wrong = SidedOrigin(sides[other_than(host)], authority.server_context("wrong-name"))
    try:
        assert_in_use(make_sided(host))
        assert wrong.received() == b"" and wrong.requests == []
    finally:
        wrong.stop()


def test_where_all_addresses_refuse_the_answer_is_a_502(make_sided):
    stage = make_sided("127.0.0.1")
    stage.origin.stop()
    answer = stage.get(b"/v1/a")
    assert_gateway_error(answer, 502)
    assert b"error=connection_refused" in answer.value("Proxy-Status")
