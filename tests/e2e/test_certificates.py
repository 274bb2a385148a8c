"""Clients that are known by their certificate: who gets in, as whom, and for how long."""

import json
import shutil
import ssl
import time

import pytest
from support import wire
from support.gateway import write_private
from support.stage import assert_gateway_error
from support.tls_clients import CertificateClient, Issuer, stamp
from support.waiting import wait_until

WHOAMI = b"GET /.psgate/whoami HTTP/1.1\r\nHost: gw\r\n\r\n"
VERSIONS = {"TLSv1.2": ssl.TLSVersion.TLSv1_2, "TLSv1.3": ssl.TLSVersion.TLSv1_3}
versions = pytest.mark.parametrize("version", VERSIONS.values(), ids=VERSIONS.keys())

SUBJECTS = {"by-subject": "CN=ci,O=Acme", "by-dns": "DNS:ci.acme.test", "by-uri": "URI:spiffe://acme.test/ci",
            "by-email": "email:ci@acme.test", "by-ip": "IP:192.0.2.7", "bare": "bare.acme.test",
            "müller": "CN=Müller,O=Acme"}


@pytest.fixture(scope="module")
def files(tmp_path_factory, authority):
    """The gateway's own certificate, and clients' of one CA, of another, and of one between."""
    authority.signed("gateway", "DNS:localhost,IP:127.0.0.1")
    folder = tmp_path_factory.mktemp("clients-ca")
    root = Issuer(folder, "root")
    middle = Issuer(folder, "middle", issuer=root)
    stranger = Issuer(folder, "stranger")
    root.issue("subject", "/O=Acme/CN=ci")
    root.issue("dns", "/CN=1", "subjectAltName=DNS:other.test,DNS:CI.acme.test")
    root.issue("uri", "/CN=2", "subjectAltName=URI:spiffe://acme.test/ci")
    root.issue("email", "/CN=3", "subjectAltName=email:ci@ACME.test")
    root.issue("ip", "/CN=4", "subjectAltName=IP:192.0.2.7")
    root.issue("bare", "/CN=5", "subjectAltName=DNS:bare.acme.test")
    root.issue("utf8", "/O=Acme/CN=Müller")
    root.issue("alike", "/CN=DNS:ci.acme.test")
    root.issue("comma", "/CN=ci\\,O=Acme")
    root.issue("longer", "/C=DE/O=Acme/CN=ci")
    root.issue("two", "/CN=6", "subjectAltName=DNS:ci.acme.test,DNS:bare.acme.test")
    root.issue("expired", "/O=Acme/CN=ci", begin=-9, end=-1)
    root.issue("early", "/O=Acme/CN=ci", begin=1, end=9)
    root.issue("server-only", "/O=Acme/CN=ci", "extendedKeyUsage=serverAuth")
    root.issue("client-only", "/O=Acme/CN=ci", "extendedKeyUsage=clientAuth")
    stranger.issue("foreign", "/O=Acme/CN=ci")
    middle.issue("below", "/O=Acme/CN=ci")
    root.issue("revoked", "/O=Acme/CN=ci")
    root.crl("clean.crl")
    root.revoke("revoked")
    (folder / "root.crl").write_text(root.crl("revoked.crl").read_text() + middle.crl("middle.crl").read_text())
    root.crl("stale.crl", begin=-9, end=-1)
    root.crl("early.crl", begin=1, end=9)
    authority.clients, authority.clients_folder = root, folder
    return authority


class Place:
    """A stage whose listener asks for certificates, and clients that show theirs."""

    def __init__(self, files, stage):
        self.files, self.stage, self.gateway = files, stage, stage.gateway

    def connect(self, leaf=None, **options):
        return CertificateClient(self.stage, self.files.clients_folder, self.files.ca_file, leaf, **options)

    def whoami(self, leaf=None, **options):
        with self.connect(leaf, **options) as client:
            return client.ask(WHOAMI)

    def name_of(self, leaf=None, **options):
        answer = self.whoami(leaf, **options)
        assert answer.status == 200, answer.body
        return json.loads(answer.body)["client"]

    def assert_kept_out(self, leaf=None, **options):
        """The handshake fails, or in TLS 1.3 the first read after it."""
        with pytest.raises((ssl.SSLError, ConnectionResetError)):
            with self.connect(leaf, **options) as client:
                client.sock.recv(1)

    def reload(self, expect="configuration reloaded"):
        before = len(self.gateway.stderr())
        self.gateway.hang_up()
        wait_until(lambda: expect in self.gateway.stderr()[before:], f"'{expect}' in the log")

    def set_clients(self, subjects, **members):
        own = [client for client in self.gateway.read_clients() if "token_sha256" in client]
        own += [{"name": name, "tls_subject": subject, **members} for name, subject in subjects.items()]
        write_private(self.gateway.clients_file, json.dumps({"clients": own}))


@pytest.fixture
def make_place(make_stage, files):
    def make(mode="optional", subjects=SUBJECTS, operations=None, **tls):
        listen = {"address": "127.0.0.1:0", "tls": {
            "certificate": str(files.folder / "gateway.pem"), "private_key": str(files.folder / "gateway.key"),
            "client_ca": str(files.clients.file), "client_auth": mode, **{key: str(value) for key, value in tls.items()}}}
        place = Place(files, make_stage(start=False, config={"listen": [listen]}, operations=operations))
        place.set_clients(subjects)
        place.stage.start()
        return place

    return make


@pytest.mark.parametrize("leaf,name", [("subject", "by-subject"), ("dns", "by-dns"), ("uri", "by-uri"), ("ip", "by-ip"),
                                       ("email", "by-email"), ("bare", "bare"), ("utf8", "müller"),
                                       ("client-only", "by-subject")])
@versions
def test_a_certificate_is_a_client(make_place, leaf, name, version):
    assert make_place().name_of(leaf, version=version) == name


@pytest.mark.parametrize("leaf", ["alike", "comma", "longer"])
def test_a_certificate_that_only_looks_like_a_clients_is_nobodys(make_place, leaf):
    place = make_place()
    answer = place.whoami(leaf)
    assert_gateway_error(answer, 401)
    assert b"certificate" in answer.body
    place.stage.origin.settle()
    assert place.stage.origin.requests == []


def test_a_certificate_that_two_clients_match_is_refused_and_says_so(make_place):
    answer = make_place().whoami("two")
    assert_gateway_error(answer, 401)
    assert b"more than one client" in answer.body


@pytest.mark.parametrize("leaf", ["foreign", "expired", "early", "server-only", "below"])
@pytest.mark.parametrize("mode", ["optional", "required"])
@versions
def test_a_certificate_that_is_not_verified_ends_the_handshake(make_place, mode, leaf, version):
    place = make_place(mode)
    place.assert_kept_out(leaf, version=version)
    wait_until(lambda: "its certificate was refused" in place.gateway.stderr(), "the reason in the log")


def test_a_certificate_below_one_between_is_good_when_both_are_shown(make_place):
    assert make_place().name_of("below", between=["middle"]) == "by-subject"


def test_the_certificate_is_who_asks_upstream_and_in_the_logs(make_place):
    place = make_place()
    with place.connect("subject") as client:
        assert client.ask(b"GET /v1/a HTTP/1.1\r\nHost: gw\r\n\r\n").status == 200
    assert place.stage.origin.requests[0].values("Authorization") == [place.stage.fill(b"Bearer @KEY@")]
    wait_until(lambda: "by-subject" in place.gateway.stderr(), "the client in the access log")


def test_the_trail_says_that_it_was_a_certificate(make_place):
    place = make_place()
    with place.connect("subject") as client:
        body = b'{"name":"x","value":"y"}'
        assert client.ask(b"POST /v1/teams/t/secrets HTTP/1.1\r\nHost: gw\r\nContent-Length: %d\r\n"
                          b"Content-Type: application/json\r\n\r\n%b" % (len(body), body)).status == 200
    trail = (place.gateway.folder / "audit" / "audit.jsonl").read_text().splitlines()
    intent = next(record for record in map(json.loads, trail) if record.get("proxy.phase") == "intent")
    assert (intent["user.name"], intent["client.auth"]) == ("by-subject", "certificate")


def test_what_the_gateway_fetches_behind_a_certificates_client_is_for_that_client(make_place):
    """A stale answer is served while a fetch of the gateway's own, without a connection, gets a new one."""
    place = make_place(operations=[{"id": "getA", "method": "GET", "path": "/v1/a",
                                    "cache": {"scope": "a", "freshness": "upstream"}}])
    origin = place.stage.origin
    stale = wire.head(b"HTTP/1.1 200 OK", b"Cache-Control: max-age=3600, stale-while-revalidate=600", b"Age: 3700",
                      b"Content-Length: 2") + b"ok"
    origin.answer = lambda peer, request: peer.send(stale)
    with place.connect("subject") as client:
        for _ in range(2):
            assert client.ask(b"GET /v1/a HTTP/1.1\r\nHost: gw\r\n\r\n").body == b"ok"
    wait_until(lambda: len(origin.requests) == 2, "the fetch in the background")
    assert origin.requests[1].values("Authorization") == [place.stage.fill(b"Bearer @KEY@")]


def test_a_token_beside_a_certificate_must_be_the_same_clients(make_place):
    place = make_place(subjects={"tester": "DNS:ci.acme.test", "by-subject": "CN=ci,O=Acme"})
    request = place.stage.request(b"GET /v1/a HTTP/1.1")
    for leaf, status in ((None, 200), ("dns", 200), ("uri", 200), ("subject", 401)):
        with place.connect(leaf) as client:
            assert client.ask(request).status == status, leaf


@versions
def test_nobody_gets_in_without_a_certificate_where_it_is_required(make_place, version):
    place = make_place("required")
    place.assert_kept_out(None, version=version)
    assert place.name_of("subject", version=version) == "by-subject"


def test_without_any_credential_it_is_401_where_it_is_optional(make_place):
    assert_gateway_error(make_place().whoami(), 401)


# -- revocation ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["optional", "required"])
@versions
def test_a_revoked_certificate_is_kept_out(make_place, files, mode, version):
    place = make_place(mode, client_crl=files.clients_folder / "root.crl")
    place.assert_kept_out("revoked", version=version)
    wait_until(lambda: "certificate revoked" in place.gateway.stderr(), "the reason in the log")
    assert place.name_of("subject", version=version) == "by-subject"
    assert place.name_of("below", between=["middle"], version=version) == "by-subject"


def test_without_a_list_revocation_is_not_looked_at(make_place):
    assert make_place().name_of("revoked") == "by-subject"


@pytest.mark.parametrize("crl,why", [("stale.crl", "has expired"), ("early.crl", "not in force before")])
def test_a_list_that_is_out_of_date_keeps_all_certificates_out_and_tokens_in(make_place, files, crl, why):
    place = make_place(client_crl=files.clients_folder / crl)
    assert why in place.gateway.stderr() and "client_crl" in place.gateway.stderr()
    before = len(place.gateway.stderr())
    place.assert_kept_out("subject")
    wait_until(lambda: "client_crl" in place.gateway.stderr()[before:], "what to do in the log")
    with place.connect() as client:
        assert client.ask(place.stage.request(b"GET /v1/a HTTP/1.1")).status == 200


def test_every_authority_of_a_chain_needs_a_list(make_place, files):
    place = make_place(client_crl=files.clients_folder / "revoked.crl")
    place.assert_kept_out("below", between=["middle"])


@pytest.mark.parametrize("content", [None, "", "nonsense"])
def test_a_list_that_cannot_be_read_is_a_problem(make_place, files, tmp_path, content):
    place = make_place(client_crl=files.clients_folder / "clean.crl")
    config = json.loads(json.dumps(place.gateway.config))
    config["listen"][0]["tls"]["client_crl"] = str(tmp_path / "list.crl")
    if content is not None:
        (tmp_path / "list.crl").write_text(content)
    place.gateway.write_config(config)
    result = place.gateway.command("check", "--offline", "-c", place.gateway.config_file)
    assert result.returncode == 78
    assert "listen[0].tls: cannot load the revocation lists" in result.stderr
    assert "refused" in place.gateway.refused_reload()
    assert place.name_of("subject") == "by-subject"


# -- what changes under a connection --------------------------------------------------------------------


def changing(files, tmp_path, name):
    """A copy of a file that a test replaces."""
    return shutil.copy(files.clients_folder / name, tmp_path / "changing.pem")


def assert_no_more(client):
    answer = client.ask(WHOAMI)
    assert_gateway_error(answer, 401)
    assert b"not accepted any more" in answer.body
    client.assert_closed()


@versions
def test_revocation_reaches_connections_that_are_open(make_place, files, tmp_path, version):
    crl = changing(files, tmp_path, "clean.crl")
    place = make_place(client_crl=crl)
    with place.connect("revoked", version=version) as revoked, place.connect("subject", version=version) as good, \
            place.connect() as token:
        assert revoked.ask(WHOAMI).status == 200 and good.ask(WHOAMI).status == 200
        shutil.copy(files.clients_folder / "revoked.crl", crl)
        place.reload()
        assert good.ask(WHOAMI).status == 200
        assert_no_more(revoked)
        assert token.ask(place.stage.request(b"GET /v1/a HTTP/1.1")).status == 200


def test_a_token_does_not_help_a_connection_whose_certificate_was_revoked(make_place, files, tmp_path):
    crl = changing(files, tmp_path, "clean.crl")
    place = make_place(client_crl=crl)
    with place.connect("revoked") as client:
        assert client.ask(WHOAMI).status == 200
        shutil.copy(files.clients_folder / "revoked.crl", crl)
        place.reload()
        assert client.ask(place.stage.request(b"GET /v1/a HTTP/1.1")).status == 401


def test_another_authority_reaches_connections_that_are_open(make_place, files, tmp_path):
    authority = changing(files, tmp_path, "root.pem")
    place = make_place(client_ca=authority)
    with place.connect("subject") as client, place.connect("below", between=["middle"]) as below:
        assert client.ask(WHOAMI).status == 200 and below.ask(WHOAMI).status == 200
        place.reload()
        assert client.ask(WHOAMI).status == 200 and below.ask(WHOAMI).status == 200
        shutil.copy(files.clients_folder / "stranger.pem", authority)
        place.reload()
        assert_no_more(client)
        assert_no_more(below)
    place.assert_kept_out("subject")
    assert place.name_of("foreign") == "by-subject"


def test_a_certificate_required_from_now_on_is_required_of_open_connections(make_place):
    place = make_place()
    request = place.stage.request(b"GET /v1/a HTTP/1.1")
    with place.connect() as client, place.connect("subject") as good:
        assert client.ask(request).status == 200
        config = json.loads(json.dumps(place.gateway.config))
        config["listen"][0]["tls"]["client_auth"] = "required"
        place.gateway.write_config(config)
        place.reload()
        assert client.ask(request).status == 401
        assert good.ask(WHOAMI).status == 200


def test_clients_change_under_a_connection(make_place):
    place = make_place(subjects={"one": "CN=ci,O=Acme"})
    with place.connect("subject") as client:
        for subjects, members, name in (({"one": "CN=ci,O=Acme"}, {}, "one"), ({"two": "CN=ci,O=Acme"}, {}, "two"),
                                        ({}, {}, None), ({"three": "CN=ci,O=Acme"}, {}, "three"),
                                        ({"three": "CN=ci,O=Acme"}, {"expires": "2026-01-01T00:00:00Z"}, None)):
            place.set_clients(subjects, **members)
            place.reload()
            answer = client.ask(WHOAMI)
            assert (json.loads(answer.body).get("client")) == name
            assert answer.status == (200 if name else 401)


def test_a_certificate_that_expires_ends_its_connection(make_place, files):
    files.clients.issue("brief", "/O=Acme/CN=ci", end=stamp(5 / 86400))
    place = make_place()
    with place.connect("brief") as client:
        assert client.ask(WHOAMI).status == 200
        time.sleep(5)  # only time makes it expire
        answer = client.ask(WHOAMI)
        assert_gateway_error(answer, 401)
        assert b"expired" in answer.body
        client.assert_closed()


# -- resumption ------------------------------------------------------------------------------------------


def resume(place, leaf, version):
    """A second connection that offers the session of a first one; whether it was taken."""
    with place.connect(leaf, version=version) as first:
        first.ask(WHOAMI)
        context, session = first.context, first.sock.session
    with place.connect(context=context, session=session) as second:
        return second.sock.session_reused, second.ask(WHOAMI)


@versions
def test_a_session_with_a_certificate_is_never_resumed(make_place, version):
    reused, answer = resume(make_place(), "subject", version)
    assert not reused and json.loads(answer.body)["client"] == "by-subject"


@versions
def test_a_session_without_a_certificate_is(make_place, version):
    reused, answer = resume(make_place(), None, version)
    assert reused and answer.status == 401


@versions
def test_a_session_does_not_outlive_its_certificates_revocation(make_place, files, tmp_path, version):
    crl = changing(files, tmp_path, "clean.crl")
    place = make_place("required", client_crl=crl)
    with place.connect("revoked", version=version) as first:
        assert first.ask(WHOAMI).status == 200
        context, session = first.context, first.sock.session
    shutil.copy(files.clients_folder / "revoked.crl", crl)
    place.reload()
    place.assert_kept_out(context=context, session=session)
