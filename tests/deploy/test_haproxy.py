"""The HAProxy samples: taken by HAProxy itself, and requests through them to two gateways."""

import json
import socket
import ssl
import subprocess
from contextlib import ExitStack
from http.client import HTTPSConnection

import pytest
from support.gateway import Gateway, merged
from support.tls import Authority
from support.waiting import DEADLINE, wait_until

from conftest import ROOT
from tools import find_tool

SAMPLES = ("haproxy.cfg", "passthrough.cfg")


@pytest.fixture(scope="session")
def haproxy():
    return find_tool("haproxy", "haproxy", "liblua5.3-0", "libopentracing-c-wrapper0", "libopentracing1")


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    authority = Authority(tmp_path_factory.mktemp("tls"))
    authority.signed("gateway", "DNS:gateway.example,DNS:localhost")
    pem = authority.folder / "gateway.pem"
    (authority.folder / "haproxy.pem").write_text(pem.read_text() + (authority.folder / "gateway.key").read_text())
    return authority


def fill(text, replacements):
    for sample, value in replacements.items():
        assert sample in text, f"the sample has no {sample}"
        text = text.replace(sample, str(value))
    return text


class Front:
    """HAProxy with a sample in which addresses and files are those of the test."""

    def __init__(self, tool, name, folder, authority, gateways):
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.port = self.listening.getsockname()[1]
        text = (ROOT / "deploy" / "haproxy" / name).read_text()
        replacements = {"bind :8443": f"bind fd@{self.listening.fileno()}",
                        "/etc/haproxy/gateways-ca.pem": authority.ca_file,
                        "192.0.2.11:8443": f"127.0.0.1:{gateways[0].port}",
                        "192.0.2.12:8443": f"127.0.0.1:{gateways[1].port}",
                        "inter 2s": "inter 100ms", "maxconn 20000": "maxconn 100"}
        if "/etc/haproxy/psgate.pem" in text:
            replacements["/etc/haproxy/psgate.pem"] = authority.folder / "haproxy.pem"
        config = folder / name
        config.write_text(fill(text, replacements))
        self.log_file = folder / "haproxy.txt"
        with open(self.log_file, "w") as log:
            self.process = subprocess.Popen([tool.path, "-db", "-f", config], env=tool.environment, stdout=log,
                                            stderr=log, stdin=subprocess.DEVNULL,
                                            pass_fds=[self.listening.fileno()])
        self.context = ssl.create_default_context(cafile=str(authority.ca_file))

    def log(self):
        assert self.process.poll() is None, self.log_file.read_text()
        return self.log_file.read_text()

    def ask(self, method, target, token=None, body=None):
        connection = HTTPSConnection("localhost", self.port, context=self.context, timeout=DEADLINE)
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        try:
            connection.request(method, target, body=body, headers=headers)
            answer = connection.getresponse()
            # HAProxy sends names in lower case.
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    def close(self):
        self.process.terminate()
        self.process.wait(DEADLINE)
        self.listening.close()


def make_gateways(binary, folder, authority, stack, certificates=("gateway", "gateway")):
    """Two gateways with one clients file, each with its certificate and its sandbox."""
    gateways = []
    for number, certificate in enumerate(certificates):
        (folder / str(number)).mkdir()
        tls = {"certificate": str(authority.folder / f"{certificate}.pem"),
               "private_key": str(authority.folder / f"{certificate}.key")}
        gateway = Gateway(binary, folder / str(number), "http://127.0.0.1:1")
        if not gateways:
            gateway.add_client("tester")
        gateway.write_config(merged(gateway.config, {"listen": [{"address": "127.0.0.1:0", "tls": tls}],
                                                     "clients_file": str((gateways or [gateway])[0].clients_file)}))
        gateway.start("--sandbox")
        stack.callback(gateway.stop)
        gateways.append(gateway)
    return gateways


@pytest.fixture(params=SAMPLES)
def house(request, binary, haproxy, authority, tmp_path):
    """Gateways, HAProxy before them, a token."""
    with ExitStack() as stack:
        gateways = make_gateways(binary, tmp_path, authority, stack)
        front = Front(haproxy, request.param, tmp_path, authority, gateways)
        stack.callback(front.close)
        yield front, gateways, gateways[0].tokens["tester"]


@pytest.mark.parametrize("name", SAMPLES)
def test_haproxy_takes_the_sample_without_a_warning(haproxy, authority, tmp_path, name):
    text = (ROOT / "deploy" / "haproxy" / name).read_text()
    text = text.replace("/etc/haproxy/psgate.pem", str(authority.folder / "haproxy.pem"))
    (tmp_path / name).write_text(text.replace("/etc/haproxy/gateways-ca.pem", str(authority.ca_file)))
    result = haproxy.run("-c", "-dW", "-f", tmp_path / name)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "WARNING" not in result.stderr


def test_requests_go_through(house):
    front, _, token = house
    status, _, body = front.ask("GET", "/v1/auth/session", token)
    assert (status, json.loads(body)["team"]["id"]) == (200, "tsandbox01")
    secret = json.dumps({"name": "THROUGH_HAPROXY", "value": "v"})
    status, _, body = front.ask("POST", "/v1/teams/tsandbox01/secrets", token, secret)
    assert (status, json.loads(body)["name"]) == (201, "THROUGH_HAPROXY")


def test_the_gateways_own_answers_come_through_unchanged(house):
    front, _, _ = house
    status, fields, body = front.ask("GET", "/v1/auth/session")
    assert status == 401
    assert fields["proxy-status"].startswith("psgate; error=")
    assert json.loads(body)["message"].startswith("psgate: ")


def test_both_gateways_get_requests(house):
    front, gateways, token = house
    for _ in range(8):
        assert front.ask("GET", "/v1/auth/session", token)[0] == 200
    assert all("getSession" in gateway.stderr() for gateway in gateways)


def test_no_request_fails_when_a_gateway_stops(house):
    front, gateways, token = house
    for number in range(30):
        if number == 10:
            gateways[0].process.terminate()
        assert front.ask("GET", "/v1/auth/session", token)[0] == 200
    wait_until(lambda: "gateways/gateway-1 is DOWN" in front.log(), "HAProxy to see that it is gone")
    assert front.ask("GET", "/v1/auth/session", token)[0] == 200


def test_neither_tokens_nor_queries_are_in_haproxys_log(house):
    front, _, token = house
    assert front.ask("GET", "/v1/teams/tsandbox01/users?secret=in-a-query", token)[0] == 200
    wait_until(lambda: "api gateways/gateway-" in front.log() or "api~ gateways/gateway-" in front.log(), "the log's line")
    assert token not in front.log() and "in-a-query" not in front.log()


@pytest.mark.parametrize("name", SAMPLES)
def test_a_gateway_with_another_certificate_is_not_used(binary, haproxy, authority, tmp_path, name):
    with ExitStack() as stack:
        gateways = make_gateways(binary, tmp_path, authority, stack, ("wrong-name", "gateway"))
        front = Front(haproxy, name, tmp_path, authority, gateways)
        stack.callback(front.close)
        wait_until(lambda: "gateways/gateway-1 is DOWN" in front.log(), "HAProxy to notice")
        for _ in range(3):
            assert front.ask("GET", "/v1/auth/session", gateways[0].tokens["tester"])[0] == 200
        assert "getSession" not in gateways[0].stderr()
