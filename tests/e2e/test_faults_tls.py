"""Calls that fail under TLS on either side, certificates and JWTs: nobody is taken for another, nothing is half sent."""

import json

import pytest
from support import wire
from support.fault_requests import SMALL, BodyBothWays, Change, FaultStage, Kind, NewConnection
from support.faults import CALLS, Sweep
from support.gateway import write_private
from support.jwt_stage import ISSUER, add_jwt_client
from support.origin import closing
from support.tls_clients import CertificateClient, Issuer
from support.tokens import Key, claims_of, key_set

pytest_plugins = ["support.faults"]
STEPS = [pytest.param(17, id="some"), pytest.param(1, id="all", marks=pytest.mark.long)]


class TlsStage(FaultStage):
    """TLS on both sides; its clients are known by a token, by a certificate or by a JWT."""

    def __init__(self, binary, folder, library, authority):
        authority.signed("gateway", "DNS:localhost,IP:127.0.0.1")
        self.authority, self.folder = authority, folder
        clients = Issuer(folder, "clients")
        clients.issue("ci", "/O=Acme/CN=ci")
        self.key = Key(folder, "issuer", "ES256")
        (folder / "keys.json").write_text(key_set(self.key))
        listen = {"address": "127.0.0.1:0", "tls": {
            "certificate": str(authority.folder / "gateway.pem"), "private_key": str(authority.folder / "gateway.key"),
            "client_ca": str(clients.file), "client_auth": "optional"}}
        config = {"listen": [listen], "upstream": {"ca_file": str(authority.ca_file)},
                  "jwt": [{"issuer": ISSUER, "audience": ["psgate"], "jwks_file": "keys.json"}]}
        super().__init__(binary, folder, library, config, tls=authority.server_context("right"),
                         upstream_host="localhost")
        entries = self.gateway.read_clients() + [{"name": "ci", "tls_subject": "CN=ci,O=Acme"}]
        write_private(self.gateway.clients_file, json.dumps({"clients": entries}))
        add_jwt_client(self.gateway, "app", {"sub": "repo:acme/app:*"})
        self.contexts = {leaf: CertificateClient.make_context(folder, authority.ca_file, leaf, (), None)
                         for leaf in (None, "ci")}

    def connect(self, leaf=None):
        return CertificateClient(self, self.folder, self.authority.ca_file, context=self.contexts[leaf])


class NewUpstreamConnection(Kind):
    upstream_answer = staticmethod(closing(wire.response(b"HTTP/1.1 200 OK", b"Connection: close", body=SMALL)))


class NewChangeConnection(Change):
    """An audited change over a connection of its own."""

    upstream_answer = staticmethod(closing(wire.response(b"HTTP/1.1 200 OK", b"Connection: close", body=SMALL)))


class Named(NewConnection):
    """Who is it? The right one, or nobody."""

    client = None

    def exchange(self, client):
        with self.stage.connect(self.leaf) as client:
            client.send_unheeded(self.request())
            return client.read_response()

    def is_right(self, answer):
        return answer.status == 200 and json.loads(answer.body)["client"] == self.client


class ByCertificate(Named):
    sparsity = 7
    leaf, client = "ci", "ci"

    def request(self):
        return wire.head(b"GET /.psgate/whoami HTTP/1.1", b"Host: gateway.test")


class ByJwt(Kind):
    """A new token each time: its verdict is not remembered."""

    def request(self):
        token = self.stage.key.token(claims_of(ISSUER, "repo:acme/app:main", jti=str(self.number), extra="x" * 100))
        return wire.head(b"GET /.psgate/whoami HTTP/1.1", b"Host: gateway.test",
                         b"Authorization: Bearer " + token.encode())

    def is_right(self, answer):
        return answer.status == 200 and json.loads(answer.body)["client"] == "app"


KINDS = [Kind, BodyBothWays, NewConnection, NewUpstreamConnection, NewChangeConnection, ByCertificate, ByJwt]


@pytest.fixture(scope="module")
def stage(binary, tmp_path_factory, faults_library, authority):
    stage = TlsStage(binary, tmp_path_factory.mktemp("faults"), faults_library, authority).start()
    yield stage
    stage.stop()


@pytest.fixture(autouse=True)
def nothing_is_left(stage):
    yield
    stage.check()


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("kind", KINDS)
def test_each_allocation_may_fail(stage, kind, step):
    sweep = Sweep(stage, stage.faults, kind(stage))
    assert sweep.run("memory", step=step * kind.sparsity if step > 1 else 1) > 0
    sweep.check()


@pytest.mark.parametrize("kind", KINDS)
def test_each_system_call_may_fail(stage, kind):
    sweep = Sweep(stage, stage.faults, kind(stage))
    struck = {call: sweep.run(call) for call in CALLS}
    assert struck["receive"] > 0 and struck["send"] > 0
    sweep.check()
