"""Which Redis a gateway speaks to, and how: TLS, unix sockets, databases, prefixes."""

import socket
import ssl
import threading
from contextlib import suppress

import pytest
from support.fleet import make_fleet  # noqa: F401
from support.redis import Redis, free_port
from support.stage import assert_gateway_error
from support.waiting import wait_until


def hit(member):
    """The number of an answer that is stored by then."""
    return wait_until(lambda: "hit" in repr((answer := member.look()).value("Cache-Status")) and answer, "a hit").value("X-Number")


def assert_one_fleet(fleet):
    fleet.wait_together()
    first, second = fleet
    hit(first)
    old = hit(second)
    assert first.change().status == 200
    wait_until(lambda: second.look().value("X-Number") != old, "the other gateway to ask again")


# -- TLS --------------------------------------------------------------------------------------------------


def tls_redis(folder, authority, certificate):
    """A Redis that speaks TLS on a second port, and the URL of that."""
    port = free_port()
    files = authority.folder
    redis = Redis(folder, "--tls-port", str(port), "--tls-auth-clients", "no", "--tls-ca-cert-file", str(files / "ca.pem"),
                  "--tls-cert-file", str(files / f"{certificate}.pem"), "--tls-key-file", str(files / f"{certificate}.key"))
    return redis, f"rediss://localhost:{port}"


def test_a_fleet_over_tls(make_fleet, authority, tmp_path):
    redis, url = tls_redis(tmp_path, authority, "right")
    assert_one_fleet(make_fleet(2, redis=redis, config={"cluster": {"redis": url, "ca_file": str(authority.ca_file)}}))


@pytest.mark.parametrize("certificate, words", [("wrong-name", "hostname mismatch"), ("expired", "expired"),
                                                ("self-signed", "self-signed certificate")])
def test_a_redis_with_a_wrong_certificate_is_not_spoken_to(make_fleet, authority, tmp_path, certificate, words):
    redis, url = tls_redis(tmp_path, authority, certificate)
    fleet = make_fleet(1, redis=redis, start=False, config={"cluster": {"redis": url, "ca_file": str(authority.ca_file)}})
    redis.start()
    fleet.start()
    wait_until(lambda: words in fleet[0].gateway.stderr(), "the log to say what is wrong")
    assert fleet[0].look().status == 200 and not fleet[0].is_together()
    assert_gateway_error(fleet[0].change(), 503)


class Eavesdropper:
    """A TLS server; what it was told inside of TLS."""

    def __init__(self, context):
        self.context = context
        self.heard = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        with suppress(OSError):
            while True:
                sock, _ = self.listener.accept()
                heard = b""
                with suppress(OSError), sock, self.context.wrap_socket(sock, server_side=True) as inner:
                    heard = inner.recv(1000)
                self.heard.append(heard)

    def stop(self):
        with suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


def test_nothing_is_sent_before_the_certificate_is_verified(make_fleet, authority, tmp_path):
    for certificate in ("wrong-name", "right"):
        server = Eavesdropper(authority.server_context(certificate))
        url = f"rediss://localhost:{server.port}"
        fleet = make_fleet(1, redis=Redis(tmp_path), start=False,
                           config={"cluster": {"redis": url, "ca_file": str(authority.ca_file)}})
        fleet.start()
        wait_until(lambda: len(server.heard) >= 4, "some attempts")
        if certificate == "right":
            wait_until(lambda: any(server.heard), "it to be heard at all")
        else:
            assert not any(server.heard), server.heard
        fleet.stop()
        server.stop()


def test_without_an_authority_of_its_own_the_systems_count(make_fleet, authority, tmp_path):
    redis, url = tls_redis(tmp_path, authority, "right")
    fleet = make_fleet(1, redis=redis, start=False, config={"cluster": {"redis": url}})
    redis.start()
    fleet.start()
    wait_until(lambda: "self-signed certificate in certificate chain" in fleet[0].gateway.stderr(), "the log to say so")
    assert not fleet[0].is_together()


def test_tls_to_a_redis_without_it_is_said(make_fleet, authority, tmp_path):
    redis = Redis(tmp_path)
    config = {"cluster": {"redis": redis.url.replace("redis:", "rediss:"), "ca_file": str(authority.ca_file)}}
    fleet = make_fleet(1, redis=redis, start=False, config=config)
    redis.start()
    fleet.start()
    wait_until(lambda: " is away: " in fleet[0].gateway.stderr(), "the log to say so")
    assert_gateway_error(fleet[0].change(), 503)


def test_a_name_that_is_not_known_is_said(make_fleet, tmp_path):
    fleet = make_fleet(1, redis=Redis(tmp_path), start=False, config={"cluster": {"redis": "redis://redis.invalid"}})
    fleet.start()
    wait_until(lambda: " is away: " in fleet[0].gateway.stderr(), "the log to say so")
    assert "no answer yet" not in fleet[0].gateway.stderr()


# -- other ways -------------------------------------------------------------------------------------------


def test_a_fleet_over_a_unix_socket(make_fleet, tmp_path):
    path = tmp_path / "redis.sock"
    redis = Redis(tmp_path, "--unixsocket", str(path), "--unixsocketperm", "700")
    assert_one_fleet(make_fleet(2, redis=redis, config={"cluster": {"redis": f"unix:{path}"}}))


def test_a_fleet_in_a_database_of_its_own(make_fleet, tmp_path):
    redis = Redis(tmp_path)
    redis.start()
    fleet = make_fleet(2, redis=redis, start=False, config={"cluster": {"redis": redis.url + "/7"}})
    fleet.start()
    assert_one_fleet(fleet)
    assert redis.ask("DBSIZE") == "0", "keys in another database"


def test_a_database_that_is_not_there_is_said(make_fleet, tmp_path):
    redis = Redis(tmp_path)
    redis.start()
    fleet = make_fleet(1, redis=redis, start=False, config={"cluster": {"redis": redis.url + "/99"}})
    fleet.start()
    wait_until(lambda: "it refuses us: ERR DB index is out of range" in fleet[0].gateway.stderr(), "Redis's own words")


def test_fleets_with_prefixes_of_their_own_do_not_hear_each_other(make_fleet, tmp_path):
    redis = Redis(tmp_path)
    redis.start()
    for prefix in ("mine:", "theirs:"):
        redis.settle(prefix)
    mine, theirs = [make_fleet(2, redis=redis, start=False, config={"cluster": {"prefix": prefix}}).start()
                    for prefix in ("mine:", "theirs:")]
    theirs.wait_together()
    numbers = [hit(member) for member in theirs]
    assert_one_fleet(mine)
    redis.ask("DEL", "mine:generations")
    wait_until(lambda: "has lost its data" in mine[0].gateway.stderr(), "a loss to be seen")
    assert [member.look().value("X-Number") for member in theirs] == numbers
    assert [hit(member) for member in theirs] == numbers
