"""The HAProxy samples: taken by HAProxy itself, and requests through them to three gateways."""

import itertools
import json
import os
import socket
import ssl
import subprocess
import threading
from contextlib import ExitStack
from http.client import HTTPSConnection

import pytest
from support.gateway import Gateway, merged
from support.tls import Authority
from support.waiting import DEADLINE, wait_until

from conftest import ROOT
from tools import find_tool

SAMPLES = ("haproxy.cfg", "passthrough.cfg")
HAPROXY = "127.0.0.1"  # as the gateways see it
numbers = itertools.count(1)


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
        self.reads_requests = name == "haproxy.cfg"
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.port = self.listening.getsockname()[1]
        text = (ROOT / "deploy" / "haproxy" / name).read_text()
        replacements = {"bind :8443": f"bind fd@{self.listening.fileno()}",
                        "/etc/haproxy/gateways-ca.pem": authority.ca_file,
                        "/run/haproxy/admin.sock": folder / "admin.sock",
                        # A check may take as long as the sample says, on a machine that is busy with others.
                        "inter 2s": "inter 2s fastinter 100ms downinter 100ms", "maxconn 20000": "maxconn 100"}
        for number, gateway in enumerate(gateways, 1):
            replacements[f"192.0.2.1{number}:8443"] = f"{gateway.host}:{gateway.port}"
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

    def connect(self, source=None):
        connection = HTTPSConnection("localhost", self.port, context=self.context, timeout=DEADLINE)
        connection.source_address = (source, 0) if source else None
        return connection

    def ask(self, method, target, token=None, body=None, source=None, fields=None):
        connection = self.connect(source)
        headers = {**({"Authorization": f"Bearer {token}"} if token else {}), **(fields or {})}
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


def listen_again(gateway):
    """The same port at the next start: at an address of its own, where nobody else takes it meanwhile."""
    gateway.config["listen"][0]["address"] = f"{gateway.host}:{gateway.port}"
    gateway.write_config(gateway.config)


def make_gateways(binary, folder, authority, stack, certificates=("gateway", "gateway", "gateway")):
    """Gateways with one clients file, each with its certificate and its sandbox."""
    gateways = []
    for number, certificate in enumerate(certificates):
        (folder / str(number)).mkdir()
        tls = {"certificate": str(authority.folder / f"{certificate}.pem"),
               "private_key": str(authority.folder / f"{certificate}.key")}
        gateway = Gateway(binary, folder / str(number), "http://127.0.0.1:1")
        if not gateways:
            gateway.add_client("tester")
        gateway.host = f"127.{64 + os.getpid() % 128}.{number + 1}.{next(numbers)}"
        listen = {"address": f"{gateway.host}:0", "tls": tls, "proxy_protocol": [HAPROXY]}
        gateway.write_config(merged(gateway.config, {"listen": [listen],
                                                     "clients_file": str((gateways or [gateway])[0].clients_file)}))
        gateway.start("--sandbox")
        stack.callback(gateway.stop)
        listen_again(gateway)
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
    text = text.replace("/run/haproxy/admin.sock", str(tmp_path / "admin.sock"))
    (tmp_path / name).write_text(text.replace("/etc/haproxy/gateways-ca.pem", str(authority.ca_file)))
    result = haproxy.run("-c", "-dW", "-f", tmp_path / name)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "WARNING" not in result.stderr


def settings(path):
    """The lines that mean something, without those about TLS to the gateways and where they are."""
    lines = [line.strip() for line in path.read_text().splitlines()]
    return [line for line in lines if line and not line.startswith(("#", "server ", "ssl-default-server", "default-server"))]


def test_compose_has_the_same_settings():
    assert settings(ROOT / "deploy/container/fleet-haproxy.cfg") == settings(ROOT / "deploy/haproxy/haproxy.cfg")


@pytest.mark.parametrize("path", ["container/fleet-haproxy.cfg", "kubernetes-fleet/haproxy.cfg"])
def test_haproxy_takes_the_samples_of_fleets_without_a_warning(haproxy, authority, tmp_path, path):
    text = (ROOT / "deploy" / path).read_text()
    text = text.replace("/etc/haproxy/psgate.pem", str(authority.folder / "haproxy.pem"))
    (tmp_path / "haproxy.cfg").write_text(text.replace("/run/haproxy/admin.sock", str(tmp_path / "admin.sock")))
    result = haproxy.run("-c", "-dW", "-f", tmp_path / "haproxy.cfg")
    assert result.returncode == 0, result.stdout + result.stderr


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


def test_all_gateways_get_requests(house):
    front, gateways, token = house
    for _ in range(12):
        assert front.ask("GET", "/v1/auth/session", token)[0] == 200
    assert all("getSession" in gateway.stderr() for gateway in gateways)


def trails(gateways):
    """The records of all gateways' trails."""
    return [json.loads(line) for gateway in gateways
            for line in (gateway.folder / "audit" / "audit.jsonl").read_text().splitlines()]


def test_the_trails_have_the_clients_addresses(house):
    front, gateways, token = house
    spoofed = {"Forwarded": "for=203.0.113.66", "X-Forwarded-For": "203.0.113.66"}
    for number in range(6):
        body = json.dumps({"name": f"FROM_{number}", "value": "v"})
        assert front.ask("POST", "/v1/teams/tsandbox01/secrets", token, body, f"127.5.0.{number + 1}", spoofed)[0] == 201
    found = {record["proxy.resource.name"]: record["source.ip"] for record in trails(gateways)
             if record.get("event.action") == "createTeamSecret"}
    assert found == {f"FROM_{number}": f"127.5.0.{number + 1}" for number in range(6)}


def test_health_checks_are_haproxys_own(house):
    front, gateways, token = house
    assert front.ask("GET", "/v1/auth/session", token)[0] == 200
    wait_until(lambda: all('"/.psgate/readyz"' in gateway.stderr() for gateway in gateways), "the checks")
    assert all(f'"source.address":"{HAPROXY}:' in line for gateway in gateways
               for line in gateway.stderr().splitlines() if '"/.psgate/readyz"' in line)


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
        gateways = make_gateways(binary, tmp_path, authority, stack, ("wrong-name", "gateway", "gateway"))
        front = Front(haproxy, name, tmp_path, authority, gateways)
        stack.callback(front.close)
        wait_until(lambda: "gateways/gateway-1 is DOWN" in front.log(), "HAProxy to notice")
        for _ in range(3):
            assert front.ask("GET", "/v1/auth/session", gateways[0].tokens["tester"])[0] == 200
        assert "getSession" not in gateways[0].stderr()


# -- a rolling restart ---------------------------------------------------------------------------


class Load:
    """Clients that ask without a pause, reads only or changes too.

    Where HAProxy reads requests each keeps its connection; else each asks on a new one: an idle connection that a
    gateway gives up may be closed just as the next request is on its way.
    """

    def __init__(self, front, token, has_changes=True, clients=3):
        self.front, self.token, self.has_changes = front, token, has_changes
        self.answered, self.failures, self.is_over = [0] * clients, [], False
        self.threads = [threading.Thread(target=self.run, args=(number,)) for number in range(clients)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.is_over = True
        for thread in self.threads:
            thread.join(DEADLINE)

    def run(self, client):
        connection = self.front.connect()
        try:
            for count in itertools.count(1):
                if self.is_over:
                    break
                connection = self.ask(connection, client, count)
        except Exception as failure:  # told by the test
            self.failures.append(repr(failure))
        finally:
            connection.close()

    def ask(self, connection, client, count):
        """Asks; gives the connection for the next request, which a "Connection: close" ends."""
        is_read = count % 2 == 0 or not self.has_changes
        connection.request("GET" if is_read else "POST", "/v1/auth/session" if is_read else "/v1/teams/tsandbox01/secrets",
                           body=None if is_read else json.dumps({"name": f"C{client}_{count}", "value": "v"}),
                           headers={"Authorization": f"Bearer {self.token}"})
        answer = connection.getresponse()
        answer.read()
        if answer.status != (200 if is_read else 201):
            self.failures.append(f"{answer.status} {answer.headers}")
        self.answered[client] += 1
        if connection.sock is not None and self.front.reads_requests:
            return connection
        connection.close()
        return self.front.connect()

    def go_on(self, count=5):
        """Waits until every client has so many answers more."""
        wanted = [answered + count for answered in self.answered]
        wait_until(lambda: self.failures or all(map(int.__ge__, self.answered, wanted)), "answers")


def command(folder, text):
    """HAProxy's answer to a command at its socket."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(DEADLINE)
        sock.connect(str(folder / "admin.sock"))
        sock.sendall(text.encode() + b"\n")
        return b"".join(iter(lambda: sock.recv(65536), b"")).decode()


def status_of(folder, number):
    rows = [line.split(",") for line in command(folder, "show stat").splitlines() if line.startswith("gateways,")]
    row = next(row for row in rows if row[1] == f"gateway-{number}")
    return row[17], int(row[4])


@pytest.mark.timeout(300)
def test_no_request_fails_while_all_gateways_are_restarted_one_after_the_other(house, tmp_path):
    front, gateways, token = house
    with Load(front, token) as load:
        load.go_on()
        for number, gateway in enumerate(gateways, 1):
            wait_until(lambda: status_of(tmp_path, number)[0] == "UP", "HAProxy to think it well")
            assert command(tmp_path, f"set server gateways/gateway-{number} state drain").strip() == ""
            wait_until(lambda: status_of(tmp_path, number)[1] == 0, "nothing to be under way there")
            gateway.stop()
            load.go_on()
            gateway.start("--sandbox")
            command(tmp_path, f"set server gateways/gateway-{number} state ready")
            wait_until(lambda: status_of(tmp_path, number)[0] == "UP", "HAProxy to see that it is back")
            load.go_on()
    assert load.failures == []
    changes = sum(record.get("event.action") == "createTeamSecret" and record["proxy.phase"] == "result"
                  for record in trails(gateways))
    assert changes == sum((answered + 1) // 2 for answered in load.answered)


def test_no_read_fails_while_a_gateway_stops_unannounced(binary, haproxy, authority, tmp_path):
    with ExitStack() as stack:
        gateways = make_gateways(binary, tmp_path, authority, stack)
        front = Front(haproxy, "haproxy.cfg", tmp_path, authority, gateways)
        stack.callback(front.close)
        with Load(front, gateways[0].tokens["tester"], has_changes=False) as load:
            for number in (1, 2):
                load.go_on()
                gateways[number - 1].stop()
                load.go_on()
                wait_until(lambda: status_of(tmp_path, number)[0] == "DOWN", "HAProxy to see that it is gone")
        assert load.failures == []
