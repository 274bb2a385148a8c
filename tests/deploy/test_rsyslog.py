"""The rsyslog samples: the trail's copy comes through a relay to a collector, byte for byte."""

import json
import random
import re
import socket
import subprocess
from urllib.request import Request, urlopen

import pytest
from support.gateway import Gateway
from support.tls import Authority
from support.waiting import DEADLINE, wait_until

from conftest import ROOT
from tools import find_tool

SAMPLES = ROOT / "deploy" / "rsyslog"
PACKAGES = ("rsyslog", "rsyslog-relp", "librelp0", "libestr0", "libfastjson4", "liblognorm5")


@pytest.fixture(scope="session")
def rsyslogd():
    """With its modules; unpacked, as rsyslog-relp is rarely there and rsyslog brings a service."""
    return find_tool("rsyslogd", *PACKAGES, is_unpacked=True)


def modules(tool):
    return next(folder / "rsyslog" for folder in tool.libraries if (folder / "rsyslog").is_dir())


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    authority = Authority(tmp_path_factory.mktemp("tls"))
    authority.signed("collector", "DNS:logs.example")
    authority.signed("relay", "DNS:gateway-1.example")
    authority.self_signed("stranger", "DNS:logs.example")
    return authority


class Rsyslog:
    """rsyslogd with a sample in which addresses and files are those of the test."""

    def __init__(self, tool, name, folder, replacements):
        self.tool = tool
        self.folder = folder / name
        self.folder.mkdir()
        self.process = None
        text = (SAMPLES / f"psgate-{name}.conf").read_text()
        for sample, value in replacements.items():
            assert sample in text, f"the sample has no {sample}"
            text = text.replace(sample, str(value))
        self.config = self.folder / "rsyslog.conf"
        self.config.write_text(f'global(workDirectory="{self.folder}")\n{text}')

    def start(self):
        with open(self.folder / "rsyslogd.txt", "a") as output:
            self.process = subprocess.Popen(
                [self.tool.path, "-n", "-i", "NONE", "-f", self.config, "-M", modules(self.tool)],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=self.tool.environment)

    def said(self):
        assert self.process.poll() is None, (self.folder / "rsyslogd.txt").read_text()
        return (self.folder / "rsyslogd.txt").read_text()

    def stop(self):
        if self.process is not None:
            self.process.terminate()
            self.process.wait(DEADLINE)
            self.process = None


def free_port():
    """For who tells nobody which port it took; not of those that port 0 and connections get."""
    while True:
        port = random.randrange(10000, 30000)
        try:
            socket.create_server(("127.0.0.1", port)).close()
            return port
        except OSError:
            continue


class House:
    """Gateway, relay and collector; each is started by the test."""

    def __init__(self, binary, tool, folder, authority):
        self.folder = folder
        self.copies = folder / "copies"
        collector_port = free_port()
        self.relay_port_file = folder / "relay-port"
        certificates = {"/etc/rsyslog.d/psgate": authority.folder}
        self.collector = Rsyslog(tool, "collector", folder, {
            **certificates, "/var/log/psgate": self.copies, 'port="2514"': f'port="{collector_port}" address="127.0.0.1"'})
        self.relay = Rsyslog(tool, "relay", folder, {
            **certificates, 'port="10514"': f'port="0" listenPortFileName="{self.relay_port_file}"',
            'target="logs.example" port="2514"': f'target="127.0.0.1" port="{collector_port}"',
            'resumeInterval="10"': 'resumeInterval="1"'})
        self.gateway = Gateway(binary, folder, "http://127.0.0.1:1")
        self.gateway.add_client("tester")

    def start_relay_and_gateway(self):
        self.relay.start()
        port = wait_until(lambda: self.relay_port_file.exists() and self.relay_port_file.read_text().strip(),
                          "the relay to listen")
        config = self.gateway.config
        config["audit"] = {"directory": "audit", "syslog": f"tcp://127.0.0.1:{port}"}
        self.gateway.write_config(config)
        self.gateway.start("--sandbox")

    def change(self, name):
        request = Request(f"http://127.0.0.1:{self.gateway.port}/v1/teams/tsandbox01/secrets", method="POST",
                          data=json.dumps({"name": name, "value": "v"}).encode(),
                          headers={"Authorization": f"Bearer {self.gateway.tokens['tester']}",
                                   "Content-Type": "application/json"})
        with urlopen(request, timeout=DEADLINE) as answer:
            assert answer.status == 201

    def trail(self):
        return (self.folder / "audit" / "audit.jsonl").read_bytes()

    def copy(self):
        return b"".join(path.read_bytes() for path in sorted(self.copies.rglob("audit-*.jsonl")))

    def stop(self):
        for part in (self.gateway, self.relay, self.collector):
            if part is not None:
                part.stop()


@pytest.fixture
def house(binary, rsyslogd, authority, tmp_path):
    house = House(binary, rsyslogd, tmp_path, authority)
    yield house
    house.stop()


@pytest.mark.parametrize("name", ["relay", "collector"])
def test_rsyslog_takes_the_sample_without_a_warning(rsyslogd, authority, tmp_path, name):
    text = (SAMPLES / f"psgate-{name}.conf").read_text().replace("/etc/rsyslog.d/psgate", str(authority.folder))
    (tmp_path / "rsyslog.conf").write_text(text)
    result = rsyslogd.run("-N1", "-f", tmp_path / "rsyslog.conf", "-M", modules(rsyslogd))
    assert result.returncode == 0, result.stderr
    assert "warning" not in result.stderr and "error" not in result.stderr, result.stderr


def test_the_copy_is_the_trail_byte_for_byte_and_verifies(house):
    house.collector.start()
    house.start_relay_and_gateway()
    for name in ("FIRST", "SECOND", "N" * 200):
        house.change(name)
    house.gateway.stop()
    wait_until(lambda: house.copy() == house.trail(), "the copy of the whole trail")
    (folder,) = house.copies.iterdir()
    assert folder.name == socket.gethostname()
    verdict = house.gateway.command("audit", "verify", folder)
    assert verdict.stdout.startswith("6 records, 3 mutations, 0 unfinished, chain intact\n"), verdict.stdout


def test_what_comes_while_the_collector_is_away_arrives_later(house):
    house.start_relay_and_gateway()
    for name in ("WHILE", "IT_IS", "AWAY"):
        house.change(name)
    house.gateway.stop()
    wait_until(lambda: "could not connect" in house.relay.said(), "the relay to try in vain")
    house.collector.start()
    wait_until(lambda: set(house.copy().splitlines(True)) == set(house.trail().splitlines(True)), "all records")
    assert first_of_each(house) == house.trail()


def first_of_each(house):
    """What the sample says to do about records that came twice."""
    sample = (SAMPLES / "psgate-collector.conf").read_text()
    (command,) = re.findall(r"awk '[^']+'", sample)
    (folder,) = house.copies.iterdir()
    return subprocess.run(f"cat {folder}/audit-*.jsonl | {command}", shell=True, check=True, capture_output=True).stdout


@pytest.mark.parametrize("stranger", ["collector", "relay"])
def test_nothing_goes_to_or_comes_from_one_with_another_name(binary, rsyslogd, authority, tmp_path, stranger):
    house = House(binary, rsyslogd, tmp_path, authority)
    config = getattr(house, stranger).config
    config.write_text(config.read_text().replace(f"/{stranger}.", "/right."))
    try:
        house.collector.start()
        house.start_relay_and_gateway()
        house.change("NOT_FOR_STRANGERS")
        wait_until(lambda: re.search(r"authentication error|TLS.*peer", house.relay.said() + house.collector.said()),
                   "the stranger to be refused")
        assert house.copy() == b""
    finally:
        house.stop()
