"""The rsyslog samples: trails come to a collector byte for byte, from their files or through a relay."""

import json
import random
import re
import resource
import socket
import subprocess
from urllib.request import Request, urlopen

import pytest
from support.gateway import Gateway
from support.tls import Authority
from support.trail import Trail
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
    authority.signed("nobody", "DNS:gateway-9.example")
    authority.self_signed("stranger", "DNS:logs.example")
    return authority


class Rsyslog:
    """rsyslogd with a sample in which addresses and files are those of the test."""

    def __init__(self, tool, name, folder, replacements, place=None):
        self.tool = tool
        self.folder = folder / (place or name)
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


def collector_on(tool, folder, authority, port):
    """The collector, which writes to folder/copies."""
    return Rsyslog(tool, "collector", folder, {
        "/etc/rsyslog.d/psgate": authority.folder, "/var/log/psgate/trails": folder / "copies",
        "/usr/local/lib/psgate/psgate-collect": SAMPLES / "psgate-collect",
        'port="2514"': f'port="{port}" address="127.0.0.1"'})


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
        self.collector = collector_on(tool, folder, authority, collector_port)
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


@pytest.mark.parametrize("name", ["files", "relay", "collector"])
def test_rsyslog_takes_the_sample_without_a_warning(rsyslogd, authority, tmp_path, name):
    text = (SAMPLES / f"psgate-{name}.conf").read_text().replace("/etc/rsyslog.d/psgate", str(authority.folder))
    (tmp_path / "rsyslog.conf").write_text(f'global(workDirectory="{tmp_path}")\n{text}')
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
    wait_until(lambda: house.copy() == house.trail(), "all records, each once")


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


# -- the files of several gateways ---------------------------------------------------------------


class Fleet:
    """Two gateways' trails, an rsyslogd beside each that sends the files, and a collector."""

    def __init__(self, binary, tool, folder, authority, certificate="relay"):
        self.binary, self.folder = binary, folder
        port = free_port()
        self.collector = collector_on(tool, folder, authority, port)
        self.trails, self.senders = [], []
        for name in ("gateway-1", "gateway-2"):
            self.trails.append(Trail(folder / name / "audit", chain_id=name[-1] * 32))
            self.senders.append(Rsyslog(tool, "files", folder, {
                "/etc/rsyslog.d/psgate": authority.folder, "/relay.": f"/{certificate}.", "%hostname%": name,
                "/var/lib/psgate/audit": self.trails[-1].folder,
                'target="logs.example" port="2514"': f'target="127.0.0.1" port="{port}"',
                'resumeInterval="10"': 'resumeInterval="1"'}, place=f"{name}/rsyslog"))

    def __enter__(self):
        self.collector.start()
        for sender in self.senders:
            sender.start()
        return self

    def __exit__(self, *_):
        for part in (*self.senders, self.collector):
            part.stop()

    def mutate(self, count):
        for trail in self.trails:
            for _ in range(count):
                trail.mutation()

    def copied(self, trail):
        """The lines of a trail's copy by their sequence; every one that is there."""
        folder = self.folder / "copies" / trail.folder.parent.name
        lines = [line for path in folder.glob("audit-*.jsonl") for line in path.read_bytes().splitlines(True)]
        return sorted(lines, key=sequence_of)

    def wait(self):
        """Until the copies have all that the trails have: no record more or less, no byte different."""
        for trail in self.trails:
            paths = [*sorted(trail.folder.glob("audit-*.jsonl")), trail.current]
            wanted = [line for path in paths for line in path.read_bytes().splitlines(True)]
            wait_until(lambda: self.copied(trail) == wanted, f"all {len(wanted)} records in the copy")

    def verify(self):
        return subprocess.run([self.binary, "audit", "verify", self.folder / "copies"], capture_output=True, text=True)

    def must_be_whole(self):
        self.wait()
        verdict = self.verify()
        assert "2 trails of 2 chains: 2 intact, 0 broken, 0 unreadable; " in verdict.stdout, verdict
        assert verdict.returncode == 0


def sequence_of(line):
    return int(re.search(rb'"event.sequence":(\d+)', line)[1])


@pytest.fixture
def fleet(binary, rsyslogd, authority, tmp_path):
    with Fleet(binary, rsyslogd, tmp_path, authority) as fleet:
        yield fleet


def test_the_trails_of_two_gateways_come_to_one_tree(fleet):
    fleet.mutate(5)
    fleet.must_be_whole()
    found = subprocess.run([fleet.binary, "audit", "search", fleet.folder / "copies"], capture_output=True, text=True)
    rows = [line.split() for line in found.stdout.splitlines()[1:]]
    assert [row[-1] for row in rows] == ["gateway-1", "gateway-2"] * 5 and found.returncode == 0


def test_a_trail_that_rotates_is_whole_in_the_tree(fleet):
    for _ in range(3):
        fleet.mutate(20)
        fleet.trails[0].rotate()
        fleet.mutate(20)
        fleet.wait()
    fleet.must_be_whole()


def test_a_collector_that_was_away_has_all_once(fleet):
    fleet.mutate(10)
    fleet.wait()
    fleet.collector.stop()
    fleet.mutate(200)
    fleet.trails[1].rotate()
    fleet.mutate(10)
    for sender in fleet.senders:
        wait_until(lambda: "suspending" in sender.said(), "the sender to try in vain")
    fleet.collector.start()
    fleet.mutate(10)
    fleet.must_be_whole()


def test_a_collector_that_is_killed_while_it_writes_has_all_once(fleet):
    for _ in range(3):
        fleet.mutate(100)
        wait_until(lambda: fleet.copied(fleet.trails[0]), "records to come")
        fleet.collector.process.kill()
        fleet.collector.stop()
        fleet.mutate(20)
        fleet.collector.start()
        fleet.must_be_whole()


def test_what_was_written_and_rotated_while_rsyslog_was_down_is_sent(fleet):
    fleet.mutate(10)
    fleet.wait()
    for sender in fleet.senders:
        sender.stop()
    for _ in range(2):
        fleet.mutate(10)
        fleet.trails[0].rotate()
    fleet.mutate(5)
    for sender in fleet.senders:
        sender.start()
    fleet.must_be_whole()


def test_all_is_sent_again_once_its_state_is_gone(fleet):
    """What the sample says to do when both ends stopped while records were on their way."""
    fleet.mutate(10)
    fleet.wait()
    fleet.collector.stop()
    fleet.mutate(50)
    for sender in fleet.senders:
        wait_until(lambda: "suspending" in sender.said(), "the sender to try in vain")
        sender.stop()
        for state in sender.folder.glob("imfile-state:*"):
            state.unlink()
    fleet.collector.start()
    for sender in fleet.senders:
        sender.start()
    fleet.must_be_whole()


@pytest.mark.parametrize("certificate", ["nobody", "stranger"])
def test_a_certificate_that_is_not_a_gateways_is_refused(binary, rsyslogd, authority, tmp_path, certificate):
    with Fleet(binary, rsyslogd, tmp_path, authority, certificate) as fleet:
        fleet.mutate(3)
        wait_until(lambda: re.search(r"authentication error|TLS.*peer", fleet.collector.said()), "it to be refused")
        assert not any(fleet.copied(trail) for trail in fleet.trails)


# -- psgate-collect --------------------------------------------------------------------------------


def collect(folder, lines):
    """Hands lines over as rsyslog does; all are acknowledged."""
    result = subprocess.run([SAMPLES / "psgate-collect", folder / "copies"], input=b"".join(lines), capture_output=True)
    assert result.returncode == 0 and result.stdout == b"OK\n" * (len(lines) + 1), result
    return result.stderr


def whole_trail(folder):
    """A trail with everything: rotations, a failed write, open intents; its lines file by file."""
    trail = Trail(folder / "audit", chain_id="1" * 32)
    for _ in range(20):
        trail.mutation()
    trail.rotate()
    trail.mutation()
    trail.acknowledge()
    trail.mutation()
    trail.intent()
    trail.resume(torn=b'{"half')
    for _ in range(20):
        trail.mutation()
    trail.rotate()
    trail.intent()
    paths = [*sorted(trail.folder.glob("audit-*.jsonl")), trail.current]
    return [[b"gw-1 " + line for line in path.read_bytes().splitlines(True) if line.endswith(b"\n")] for path in paths]


def must_verify(binary, folder):
    verdict = subprocess.run([binary, "audit", "verify", folder / "copies"], capture_output=True, text=True)
    assert ", 1 broken" not in verdict.stdout and verdict.returncode == 0, verdict
    return verdict.stdout.splitlines()[0].partition(": ")[2]


def test_records_are_written_once_and_in_their_places(binary, tmp_path):
    files = whole_trail(tmp_path)
    lines = [line for file in files for line in file]
    wanted = subprocess.run([binary, "audit", "verify", tmp_path / "audit"], capture_output=True, text=True).stdout
    collect(tmp_path, lines)
    assert must_verify(binary, tmp_path) == wanted.splitlines()[0]
    before = {path.name: path.read_bytes() for path in (tmp_path / "copies/gw-1").iterdir()}
    collect(tmp_path, lines + lines)
    assert {path.name: path.read_bytes() for path in (tmp_path / "copies/gw-1").iterdir()} == before


@pytest.mark.parametrize("seed", range(8))
def test_records_may_come_late_twice_and_between_restarts(binary, tmp_path, seed):
    numbers = random.Random(seed)
    trail = Trail(tmp_path / "audit", chain_id="1" * 32)
    for _ in range(30):
        trail.mutation()
        if numbers.random() < 0.1:
            trail.rotate()
    paths = [*sorted(trail.folder.glob("audit-*.jsonl")), trail.current]
    lines = [b"gw-1 " + line for path in paths for line in path.read_bytes().splitlines(True)]
    late = [lines.pop(numbers.randrange(len(lines))) for _ in range(10)]
    at = numbers.randrange(len(lines))
    collect(tmp_path, lines[:at])
    with open(sorted((tmp_path / "copies/gw-1").iterdir())[-1], "ab") as file:
        file.write(b'{"half a record')
    collect(tmp_path, lines[max(at - 5, 0):] + late + numbers.sample(lines, 20))
    assert must_verify(binary, tmp_path) == "60 records, 30 mutations, 0 unfinished, chain intact"


def test_closed_files_may_be_compressed_at_the_collector(binary, tmp_path):
    lines = [line for file in whole_trail(tmp_path) for line in file]
    collect(tmp_path, lines[:50])
    for path in list((tmp_path / "copies/gw-1").iterdir()):
        Trail.compress(path)
    collect(tmp_path, lines)
    assert "chain intact" in must_verify(binary, tmp_path)


@pytest.mark.parametrize("name", [b"../gw", b".gw", b"a/b", b"", b"gw\xff"])
def test_a_name_that_is_no_host_makes_no_folder(tmp_path, name):
    (line, *_), *_ = whole_trail(tmp_path)
    assert b"left out what is no audit record" in collect(tmp_path, [line.replace(b"gw-1", name, 1), b"gw-1 {}\n"])
    assert not (tmp_path / "copies").exists() or not any((tmp_path / "copies").iterdir())


def test_what_could_not_be_written_is_not_acknowledged(binary, tmp_path):
    """A file may have 100 bytes here, then the disk is as it should be."""
    files = whole_trail(tmp_path)
    result = subprocess.run([SAMPLES / "psgate-collect", tmp_path / "copies"], input=files[0][0], capture_output=True,
                            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100)))
    assert result.returncode != 0 and result.stdout == b"OK\n"
    collect(tmp_path, files[0])
    assert "chain intact" in must_verify(binary, tmp_path)
