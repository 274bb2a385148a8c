"""Where clients come in: TLS and IPv6 (unix sockets have a file of their own)."""

import ssl

import pytest
from support import wire
from support.gateway import LISTENING
from support.raw import Client
from support.stage import Stage
from support.waiting import wait_until

GET = b"GET /v1/a HTTP/1.1"
BODY = bytes(range(256)) * 32768  # 8 MiB


# -- TLS -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tls_files(authority):
    """The certificates of a listener and of a client, both of the test CA."""
    authority.signed("gateway", "DNS:localhost,IP:127.0.0.1,IP:::1")
    authority.signed("client", "DNS:client.test")
    authority.self_signed("stranger", "DNS:client.test")
    return authority


def listen_tls(authority, address="127.0.0.1:0", **members):
    files = {"certificate": str(authority.folder / "gateway.pem"), "private_key": str(authority.folder / "gateway.key")}
    return {"address": address, "tls": {**files, **members}}


@pytest.fixture(scope="module")
def shared_tls(binary, tmp_path_factory, tls_files):
    stage = Stage(binary, tmp_path_factory.mktemp("tls-listener"), config={"listen": [listen_tls(tls_files)]})
    try:
        yield stage.start()
    finally:
        stage.stop()


@pytest.fixture
def secure(shared_tls):
    """A gateway with a TLS listener, shared by the tests that leave it as it is."""
    shared_tls.origin.forget()
    yield shared_tls
    shared_tls.check()


def trusting(authority, version=None, leaf=None):
    """A client's context; of one TLS version only, or with a certificate of its own."""
    context = ssl.create_default_context(cafile=authority.ca_file)
    context.set_ciphers("DEFAULT:@SECLEVEL=0")  # or OpenSSL 3 offers nothing older than 1.2
    if version:
        context.minimum_version = context.maximum_version = version
    if leaf:
        context.load_cert_chain(authority.folder / f"{leaf}.pem", authority.folder / f"{leaf}.key")
    return context


class TlsClient(Client):
    """A raw client within TLS; its stream ends with "eof" only after a close_notify."""

    def __init__(self, stage, context, host="127.0.0.1"):
        super().__init__(stage.gateway.port, host)
        try:
            self.sock = context.wrap_socket(self.sock, server_hostname="localhost", suppress_ragged_eofs=False)
        except OSError:
            self.sock.close()
            raise
        self.reader = wire.Reader(self.sock)


VERSIONS = {"TLSv1.2": ssl.TLSVersion.TLSv1_2, "TLSv1.3": ssl.TLSVersion.TLSv1_3}
versions = pytest.mark.parametrize("version", VERSIONS.values(), ids=VERSIONS.keys())


def test_a_tls_listener_prints_that_it_is_one(secure):
    assert LISTENING.match(secure.gateway.stdout().splitlines()[0])[1] == "https"


@versions
def test_a_request_comes_in_over_tls(secure, tls_files, version):
    with TlsClient(secure, trusting(tls_files, version)) as client:
        assert client.ask(secure.request(GET)).body == b"ok"
        assert client.sock.version() == {number: name for name, number in VERSIONS.items()}[version]
    assert secure.origin.requests[0].values("Authorization") == [secure.fill(b"Bearer @KEY@")]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_older_versions_are_refused(secure, tls_files, version):
    with pytest.raises(ssl.SSLError, match="(?i)alert.*protocol.version"):
        TlsClient(secure, trusting(tls_files, version))
    secure.assert_only_known(set())


@pytest.mark.parametrize("cipher", ["ECDHE-ECDSA-AES128-SHA", "ECDHE-ECDSA-AES256-SHA384", "ECDHE-ECDSA-AES128-CCM8"])
def test_ciphers_without_sound_authenticated_encryption_are_refused(secure, tls_files, cipher):
    context = trusting(tls_files, ssl.TLSVersion.TLSv1_2)
    context.set_ciphers(f"{cipher}:@SECLEVEL=0")
    with pytest.raises(ssl.SSLError, match="(?i)handshake.failure"):
        TlsClient(secure, context)
    secure.assert_only_known(set())


def test_plain_http_on_a_tls_listener_reaches_nobody(secure):
    with secure.connect() as client:
        client.send(secure.request(GET))
        assert b"HTTP/1.1 200" not in client.read_to_end()
    secure.assert_only_known(set())


@versions
def test_large_bodies_go_both_ways_over_tls(secure, tls_files, version):
    secure.origin.answer = lambda peer, request: peer.send(wire.response(body=peer.read_body(request)))
    with TlsClient(secure, trusting(tls_files, version)) as client:
        client.send(secure.request(b"POST /v1/a HTTP/1.1", b"Content-Length: %d" % len(BODY)))
        client.send(BODY)
        assert client.read_response().body == BODY


def test_chunked_bodies_go_both_ways_over_tls(secure, tls_files):
    parts = [BODY[:1], BODY[:70000], BODY[:16384], BODY[:300000]]
    secure.origin.answer = lambda peer, request: peer.send(
        wire.head(b"HTTP/1.1 200 OK", b"Transfer-Encoding: chunked"), wire.chunked(*request_parts(peer, request)))
    with TlsClient(secure, trusting(tls_files)) as client:
        client.send(secure.request(b"POST /v1/a HTTP/1.1", b"Transfer-Encoding: chunked") + wire.chunked(*parts))
        answer = client.read_response()
    assert answer.is_chunked and answer.body == b"".join(parts)


def request_parts(peer, request):
    body = peer.read_body(request)
    return [body[at : at + 40000] for at in range(0, len(body), 40000)]


def test_a_request_sent_byte_by_byte_over_tls_arrives(secure, tls_files):
    data = secure.request(b"POST /v1/a HTTP/1.1", b"Content-Length: 5") + b"hello"
    with TlsClient(secure, trusting(tls_files)) as client:
        for at in range(len(data)):  # a record each
            client.send(data[at : at + 1])
        assert client.read_response().status == 200
    assert secure.origin.requests[0].body == b"hello"


@versions
def test_a_tls_connection_is_kept_for_more_requests(secure, tls_files, version):
    with TlsClient(secure, trusting(tls_files, version)) as client:
        for number in range(20):
            assert client.ask(secure.request(b"GET /v1/%d HTTP/1.1" % number)).status == 200
    assert [request.target for request in secure.origin.requests] == [b"/v1/%d" % number for number in range(20)]


def test_requests_pipelined_over_tls_are_answered_in_order(secure, tls_files):
    secure.origin.answer = lambda peer, request: peer.send(wire.response(body=request.target * 2000))
    with TlsClient(secure, trusting(tls_files)) as client:
        client.send(b"".join(secure.request(b"GET /v1/%d HTTP/1.1" % number) for number in range(50)))
        for number in range(50):
            assert client.read_response().body == b"/v1/%d" % number * 2000


@versions
def test_a_connection_that_the_gateway_ends_is_ended_with_close_notify(secure, tls_files, version):
    with TlsClient(secure, trusting(tls_files, version)) as client:
        client.send(secure.request(GET, b"Connection: close"))
        assert client.read_response().body == b"ok"
        client.assert_closed()
        assert client.reader.end == "eof"


def test_a_refused_request_is_answered_and_ended_with_close_notify(secure, tls_files):
    with TlsClient(secure, trusting(tls_files)) as client:
        client.send(secure.request(b"GET /v1/../a HTTP/1.1"))
        assert client.read_response().status == 400
        client.assert_closed()
        assert client.reader.end == "eof"
    secure.assert_only_known(set())


def test_an_answer_cut_short_upstream_is_not_ended_with_close_notify(secure, tls_files):
    secure.origin.answer = lambda peer, request: (
        peer.send(wire.head(b"HTTP/1.1 200 OK", b"Transfer-Encoding: chunked") + b"5\r\nhello\r\n"), peer.close())
    with TlsClient(secure, trusting(tls_files)) as client:
        client.send(secure.request(b"GET /v1/a HTTP/1.0"))  # until the close: only the end tells
        answer = client.read_head()
        with pytest.raises(wire.Ended):
            list(client.body_pieces(answer))
        assert answer.framing() == "close" and client.reader.end == "reset"


def test_a_clients_close_notify_ends_the_connection(secure, tls_files):
    with TlsClient(secure, trusting(tls_files)) as client:
        assert client.ask(secure.request(GET)).status == 200
        client.sock.unwrap()  # says it, and waits for the gateway to say it too


# -- clients' certificates --------------------------------------------------------------------------


def stage_that_asks(make_stage, tls_files, mode):
    listen = listen_tls(tls_files, client_ca=str(tls_files.ca_file), client_auth=mode)
    return make_stage(config={"listen": [listen]})


def assert_kept_out(stage, context):
    """The handshake fails, or in TLS 1.3 the first read after it: certificates come last there."""
    stage.origin.forget()
    with pytest.raises(ssl.SSLError, match="(?i)alert"):
        with TlsClient(stage, context) as client:
            client.sock.recv(1)
    stage.assert_only_known(set())


@versions
@pytest.mark.parametrize("leaf", [None, "stranger"])
def test_where_a_certificate_is_required_nobody_else_gets_in(make_stage, tls_files, version, leaf):
    stage = stage_that_asks(make_stage, tls_files, "required")
    assert_kept_out(stage, trusting(tls_files, version, leaf))


@versions
def test_where_a_certificate_is_required_one_of_the_authority_gets_in(make_stage, tls_files, version):
    stage = stage_that_asks(make_stage, tls_files, "required")
    with TlsClient(stage, trusting(tls_files, version, "client")) as client:
        assert client.ask(stage.request(GET)).status == 200


def test_where_a_certificate_is_optional_no_certificate_is_fine_and_a_strangers_is_not(make_stage, tls_files):
    stage = stage_that_asks(make_stage, tls_files, "optional")
    for leaf in (None, "client"):
        with TlsClient(stage, trusting(tls_files, leaf=leaf)) as client:
            assert client.ask(stage.request(GET)).status == 200
    assert_kept_out(stage, trusting(tls_files, leaf="stranger"))


# -- IPv6 --------------------------------------------------------------------------------------------


def test_an_ipv6_listener_on_all_addresses_takes_both_families_over_tls(make_stage, tls_files):
    stage = make_stage(config={"listen": [listen_tls(tls_files, "[::]:0")]})
    assert stage.gateway.stdout().startswith("listening on https://[::]:")
    for host in ("::1", "127.0.0.1"):
        with TlsClient(stage, trusting(tls_files), host) as client:
            assert client.ask(stage.request(GET)).status == 200


def test_the_access_log_names_an_ipv6_peer(make_stage):
    stage = make_stage(config={"listen": [{"address": "[::1]:0"}]})
    with Client(stage.gateway.port, "::1") as client:
        port = client.sock.getsockname()[1]
        assert client.ask(stage.request(GET)).status == 200
    wait_until(lambda: f"[::1]:{port}" in stage.gateway.stderr(), "the peer in the access log")
