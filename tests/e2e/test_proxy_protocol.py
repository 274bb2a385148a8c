"""Whose connection it is, by a load balancer's PROXY header: in the trail, the log and the limits."""

import json
import os
import ssl
from contextlib import contextmanager

import pytest
from support import wire
from support.audited import AuditStage, SourceClient, new_source
from support.logs import Log
from support.proxy_header import LOCAL, PROXY, header, local, of_unix, raw
from support.raw import Client, UnixClient
from support.tls_clients import CertificateClient, Issuer
from support.waiting import DEADLINE, wait_until

BALANCERS = "127.9.0.0/16"  # where support.audited.new_source is from
GET = b"GET /v1/a HTTP/1.1"


@pytest.fixture(scope="module")
def clients_ca(tmp_path_factory):
    issuer = Issuer(tmp_path_factory.mktemp("clients"), "ca")
    issuer.issue("ci", "/CN=ci.test")
    return issuer


@pytest.fixture(scope="module")
def shared(binary, tmp_path_factory, authority, clients_ca):
    """Listeners where balancers say whose connection it is: plain, TLS, a unix socket."""
    authority.signed("gateway", "DNS:localhost,IP:127.0.0.1")
    folder = tmp_path_factory.mktemp("behind")
    tls = {"certificate": str(authority.folder / "gateway.pem"), "private_key": str(authority.folder / "gateway.key"),
           "client_ca": str(clients_ca.folder / "ca.pem"), "client_auth": "optional"}
    listen = [{"address": "127.0.0.1:0", "proxy_protocol": [BALANCERS]},
              {"address": "127.0.0.1:0", "proxy_protocol": [BALANCERS], "tls": tls},
              {"address": f"unix:{folder}/socket", "proxy_protocol": ["unix:"]}]
    stage = AuditStage(binary, folder, config={"listen": listen})
    stage.gateway.add_client("peer", uid=os.geteuid())
    stage.gateway.add_client("certified", tls_subject="CN=ci.test")
    stage.gateway.add_client("idle", allow=["getSession"])
    try:
        yield stage.start()
    finally:
        stage.stop()


@pytest.fixture
def stage(shared):
    shared.origin.forget()
    shared.trail.forget()
    yield shared
    shared.check()


@contextmanager
def behind(stage, *pieces, source=None):
    """A connection from a balancer that has sent these pieces."""
    with SourceClient(stage.gateway.port, source or new_source()) as client:
        for piece in pieces:
            client.send(piece)
        yield client


def create(stage, name):
    body = json.dumps({"name": name, "value": stage.secret()}).encode()
    return stage.request(b"POST /v1/teams/t1/secrets HTTP/1.1", b"Content-Length: %d" % len(body), body=body)


def logged_source(stage, client, request=None):
    """The source.address with which the access log has a request of this client."""
    log = Log(stage.gateway)
    assert client.ask(request or stage.request(GET)).status == 200
    return log.wait()[0]["source.address"]


@pytest.mark.parametrize(("sent", "address"), [
    (header("192.0.2.7", 4711), "192.0.2.7:4711"), (header("2001:db8::7", 4711), "[2001:db8::7]:4711"),
    (header("::ffff:192.0.2.7", 80), "192.0.2.7:80"), (of_unix(), "unix"),
    (header("192.0.2.8", 1, b"\x05\0\x08unique-1"), "192.0.2.8:1")])
def test_the_client_is_whom_the_header_names(stage, sent, address):
    with behind(stage, sent) as client:
        assert logged_source(stage, client) == address
        assert logged_source(stage, client) == address, "the connection forgot it"


def test_the_trail_has_the_clients_address(stage):
    for source in ("192.0.2.7", "2001:db8::7"):
        stage.trail.forget()
        with behind(stage, header(source)) as client:
            assert client.ask(create(stage, "A")).status == 200
        assert [record["source.ip"] for record in stage.trail.mutation()] == [source, source]


def test_the_balancers_own_connection_is_its_own(stage):
    source = new_source()
    for sent in (local(), raw(LOCAL, 0x11, header("192.0.2.7")[16:])):
        with behind(stage, sent, source=source) as client:
            assert logged_source(stage, client).rpartition(":")[0] == source


def test_a_header_in_two_pieces_is_the_same_wherever_it_is_cut(stage):
    sent = header("192.0.2.7")
    for cut in range(1, len(sent)):
        with behind(stage, sent[:cut], sent[cut:] + stage.request(GET)) as client:
            assert client.read_response().status == 200


def test_a_header_byte_by_byte_is_the_same(stage):
    with behind(stage) as client:
        client.send_byte_by_byte(header("2001:db8::7", fields=b"\x04\0\x03abc"))
        assert logged_source(stage, client) == "[2001:db8::7]:4711"


def test_header_and_pipelined_requests_in_one_write_are_told_apart(stage):
    with behind(stage, header("192.0.2.7") + stage.request(GET) * 3) as client:
        assert [client.read_response().status for _ in range(3)] == [200] * 3


@pytest.mark.parametrize(("sent", "told"), [
    (b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 443\r\n", "of version 1"),
    (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "does not begin with a PROXY header"),
    (b"\0" * 16, "does not begin with a PROXY header"),
    (raw(0x22, 0x11, header("192.0.2.7")[16:]), "unknown"),
    (raw(PROXY, 0x12, header("192.0.2.7")[16:]), "names no client"),
    (raw(PROXY, 0x11, b"short"), "names no client"),
    (header("192.0.2.7", fields=b"\x03\0\x04\0\0\0\0"), "checksum"),
    (header("192.0.2.7", fields=b"\x01\xff\xff"), "longer than the header"),
    (raw(PROXY, 0x11, b"")[:14] + b"\xff\xff", "longer than 8192"),
], ids=lambda value: None if isinstance(value, bytes) else value)
def test_what_is_no_sound_header_is_closed_without_an_answer(stage, sent, told):
    source, log = new_source(), Log(stage.gateway)
    with behind(stage, source=source) as client:
        client.send_unheeded(sent + stage.request(GET))
        client.assert_closed()
    wait_until(lambda: any(told in line["message"] for line in log.lines()
                           if line["message"].startswith(f"connection from {source}:")), "the log to say why")
    stage.assert_only_forwarded(0)


def test_a_header_that_ends_early_is_closed_with_a_line(stage):
    source, log = new_source(), Log(stage.gateway)
    with behind(stage, header("192.0.2.7")[:20], source=source) as client:
        client.half_close()
        client.assert_closed()
    wait_until(lambda: f"connection from {source}:" in log.text() and "cut short" in log.text(), "the line")


def test_whoever_only_connects_and_leaves_is_not_logged_as_a_fault(stage):
    source, log = new_source(), Log(stage.gateway)
    with behind(stage, source=source) as client:
        client.half_close()
        client.assert_closed()
    wait_until(lambda: f"client {source}:" in log.text(), "the connection's end")
    assert "connection from" not in log.text()


def test_faults_are_logged_ten_times_a_minute_for_each_balancer(stage):
    noisy, other, log = new_source(), new_source(), Log(stage.gateway)
    for source in [noisy] * 13 + [other]:
        with behind(stage, source=source) as client:
            client.send_unheeded(b"garbage")
            client.assert_closed()
    wait_until(lambda: f"connection from {other}:" in log.text(), "the other one's line")
    assert log.text().count(f"connection from {noisy}:") == 10


def test_from_anybody_else_a_header_is_no_http(stage):
    stage.refused(header("192.0.2.7") + stage.request(GET), 400)


def test_from_anybody_else_requests_come_as_ever(stage):
    with stage.connect() as client:
        assert logged_source(stage, client).startswith("127.0.0.1:")


def test_refused_changes_are_counted_for_each_client_not_for_the_balancer(stage):
    balancer = new_source()
    for source, count in (("198.51.100.9", 12), ("198.51.100.10", 1)):
        for _ in range(count):
            with behind(stage, header(source), source=balancer) as client:
                assert client.ask(stage.request(b"DELETE /v1/teams/t1/secrets/A HTTP/1.1",
                                                token=stage.gateway.tokens["idle"])).status == 403
    stage.trail.wait(11)
    sources = [record["source.ip"] for record in stage.trail.records()]
    assert sorted(sources) == ["198.51.100.10"] + ["198.51.100.9"] * 10


# -- TLS and unix sockets ------------------------------------------------------------------------


class BehindTls(CertificateClient):
    """TLS behind a header; the handshake begins when that is sent."""

    def __init__(self, stage, sent, context):
        Client.__init__(self, stage.gateway.ports[1])
        self.sock.close()
        self.sock = SourceClient(stage.gateway.ports[1], new_source()).sock
        self.sock.sendall(sent)
        self.sock = context.wrap_socket(self.sock, server_hostname="localhost", suppress_ragged_eofs=False)
        self.reader = wire.Reader(self.sock)


def test_the_header_comes_before_tls(stage, authority):
    context = ssl.create_default_context(cafile=authority.ca_file)
    for _ in range(2):
        with BehindTls(stage, header("192.0.2.7"), context) as client:
            assert logged_source(stage, client) == "192.0.2.7:4711"


def test_a_client_certificate_is_an_identity_behind_a_header_too(stage, authority, clients_ca):
    context = CertificateClient.make_context(clients_ca.folder, authority.ca_file, "ci", (), None)
    with BehindTls(stage, header("2001:db8::7"), context) as client:
        answer = client.ask(wire.head(b"GET /.psgate/whoami HTTP/1.1", b"Host: a"))
        assert json.loads(answer.body)["client"] == "certified"
        assert logged_source(stage, client, wire.head(GET, b"Host: a")) == "[2001:db8::7]:4711"


def test_tls_without_a_header_is_closed_where_one_is_due(stage, authority):
    context = ssl.create_default_context(cafile=authority.ca_file)
    with pytest.raises(OSError):
        BehindTls(stage, b"", context)


def test_tls_from_anybody_else_begins_at_once(stage, authority):
    context = ssl.create_default_context(cafile=authority.ca_file)
    with Client(stage.gateway.ports[1]) as client:
        client.sock = context.wrap_socket(client.sock, server_hostname="localhost", suppress_ragged_eofs=False)
        client.reader = wire.Reader(client.sock)
        assert logged_source(stage, client).startswith("127.0.0.1:")


def test_at_a_unix_socket_the_header_names_the_client_and_the_socket_the_peer(stage):
    with UnixClient(stage.gateway.folder / "socket") as client:
        client.send(header("192.0.2.7"))
        answer = client.ask(wire.head(b"GET /.psgate/whoami HTTP/1.1", b"Host: a"))
        assert json.loads(answer.body)["client"] == "peer"
        assert logged_source(stage, client, wire.head(GET, b"Host: a")) == "192.0.2.7:4711"


def test_a_header_gives_no_uid_to_a_tcp_connection(stage):
    with behind(stage, of_unix()) as client:
        assert client.ask(wire.head(GET, b"Host: a")).status == 401


# -- limits, reload, drain -----------------------------------------------------------------------


def test_a_header_must_come_in_time(make_stage):
    stage = make_stage(config={"limits": {"header_timeout": "300ms"},
                               "listen": [{"address": "127.0.0.1:0", "proxy_protocol": [BALANCERS]}]})
    for sent in (b"", header("192.0.2.7")[:20]):
        with behind(stage, sent) as client:
            client.assert_closed()
    wait_until(lambda: stage.gateway.stderr().count("has not come within limits.header_timeout") == 2, "a line for each")


def test_a_reload_changes_from_whom_headers_are_awaited(make_stage):
    stage = make_stage()
    gateway, source = stage.gateway, new_source()
    log = Log(gateway)
    gateway.config["listen"] = [{"address": "127.0.0.1:0", "proxy_protocol": [source]}]
    gateway.write_config(gateway.config)
    gateway.hang_up()
    wait_until(lambda: "reloaded" in log.text(), "the reload")
    with behind(stage, header("192.0.2.7"), source=source) as client:
        assert logged_source(stage, client) == "192.0.2.7:4711"
    with behind(stage) as client:
        assert client.ask(stage.request(GET)).status == 200


def test_a_connection_that_has_said_nothing_does_not_hold_up_the_end(make_stage):
    stage = make_stage(config={"listen": [{"address": "127.0.0.1:0", "proxy_protocol": [BALANCERS]}],
                               "limits": {"drain_timeout": "60s", "header_timeout": "60s"}})
    with behind(stage, header("192.0.2.7")[:7]) as client, behind(stage, header("192.0.2.7")) as waiting:
        assert waiting.ask(stage.request(GET)).status == 200
        stage.gateway.process.terminate()
        client.assert_closed()
        stage.gateway.process.wait(DEADLINE)
