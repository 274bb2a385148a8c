"""The units in deploy/systemd, under a systemd of their own where this machine allows one."""

import json
import os
import re
import secrets
import shutil
import threading
import time
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest
from conftest import ROOT
from jsonschema import Draft201909Validator
from machine import Machine, children
from support import wire
from support.audited import WALL, held_still
from support.origin import Origin, by_target, holding
from support.raw import Client
from support.service import Load, loops
from support.waiting import wait_until

UNITS = ROOT / "deploy/systemd"
NAMES = ("psgate.service", "psgate.socket", "psgate-admin.socket")
CONFIG = json.loads((UNITS / "psgate.json").read_text())
README = (ROOT / "README.md").read_text()
MOST_EXPOSURE = 1.5
LOG = "/var/log/psgate-test.log"
TRAIL = "/var/lib/psgate/audit"


# -- without a systemd that runs ---------------------------------------------------------------------


def exposure(text):
    return float(re.search(r"Overall exposure level for psgate.service: ([0-9.]+)", text)[1])


def test_the_exposure_is_the_readmes_and_at_most_one_and_a_half(run):
    said = run("systemd-analyze", "security", "--offline=true", "--no-pager", UNITS / "psgate.service").stdout
    assert exposure(said) <= MOST_EXPOSURE
    assert f"exposure is {exposure(said)}" in re.sub(r"\s+", " ", README)


def test_the_units_are_sound(run, tmp_path, binary):
    for unit in NAMES:
        text = (UNITS / unit).read_text().replace("/usr/bin/psgate", str(binary))
        (tmp_path / unit).write_text(text)
    result = run("systemd-analyze", "verify", "--man=no", *(tmp_path / unit for unit in NAMES))
    assert (result.returncode, result.stdout + result.stderr) == (0, "")


def test_the_configuration_is_valid_by_the_schema():
    Draft201909Validator(json.loads((ROOT / "conf/psgate.schema.json").read_text())).validate(CONFIG)


PLACES = {"psgate.socket": CONFIG["listen"], "psgate-admin.socket": [CONFIG["admin"]]}


@pytest.mark.parametrize("unit, places", PLACES.items(), ids=PLACES.keys())
def test_the_socket_units_and_the_configuration_name_the_same_addresses(unit, places):
    streams = re.findall(r"^ListenStream=(.*)$", (UNITS / unit).read_text(), re.M)
    assert [place["address"].removeprefix("unix:") for place in places] == streams


# -- on a machine ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def machine(binary, tmp_path_factory):
    machine = Machine(tmp_path_factory.mktemp("machine"))
    shutil.copy(binary, machine.root / "usr/bin/psgate")
    shutil.copy(UNITS / "psgate.sysusers", machine.root / "usr/lib/sysusers.d/psgate.conf")
    machine.run("systemd-sysusers", "psgate.conf")
    yield machine
    machine.stop()


def test_the_readmes_commands_install_it(machine, binary):
    commands = re.search(r"### Under systemd\n.*?```sh\n(.*?)systemctl daemon-reload", README, re.S)[1]
    script = f"cd {ROOT}\n" + commands.replace("build/release/psgate", str(binary))
    environment = {**os.environ, "PAPERSPACE_API_KEY": "a-key"}
    token = machine.run("bash", "-euc", script, env=environment).stdout
    assert token.startswith("psgate_")
    files = ("/etc/systemd/system/psgate.service", *(f"/etc/psgate/{name}" for name in ("api-key", "clients.json")))
    shown = machine.run("stat", "-c", "%a %U %G", *files).stdout
    assert shown.splitlines() == ["644 root root", "600 root root", "640 root psgate-clients"]
    check = machine.run("env", "CREDENTIALS_DIRECTORY=/etc/psgate", "psgate", "check", "--offline", "-c",
                        "/etc/psgate/psgate.json")
    assert "1 client" in check.stdout
    warnings = [line.split()[1] for line in check.stdout.splitlines() if line.startswith("warning")]
    assert warnings == ["listen[1].address", "admin.address", "audit.directory"]  # in folders that systemd makes
    machine.run("rm", "-r", "/etc/psgate")


class Service:
    """The service as it is installed, on a machine, with an origin in place of the API."""

    def __init__(self, machine):
        self.machine = machine
        with machine.network():
            self.origin = Origin()
        self.key = "key" + secrets.token_hex(16)
        for unit in NAMES:
            shutil.copy(UNITS / unit, machine.root / "units" / unit)
        machine.write(LOG, "")
        self.drop_in("log", StandardOutput=f"append:{LOG}", StandardError=f"append:{LOG}")
        self.configure()
        self.write_key(self.key)
        machine.write("/etc/psgate/clients.json", '{ "clients": [] }', 0o640, "psgate-clients")
        self.token = self.create_client("ci")
        machine.run("systemctl", "start", "psgate.socket")

    # -- its files --

    def configure(self, **members):
        config = {**CONFIG, "upstream": {"url": self.origin.url()}, **members}
        config = {name: value for name, value in config.items() if value is not None}
        self.machine.write("/etc/psgate/psgate.json", json.dumps(config, indent=2))

    def write_key(self, key):
        self.machine.write("/etc/psgate/api-key", key + "\n", 0o600)

    def create_client(self, name, *options):
        return self.machine.run("psgate", "token", "create", "--clients", "/etc/psgate/clients.json", "--name", name,
                                *options).stdout.strip()

    def drop_in(self, name, unit="psgate.service", **settings):
        lines = "".join(f"{key}={value}\n" for key, value in settings.items())
        self.machine.write(f"/units/{unit}.d/{name}.conf", f"[Service]\n{lines}")
        self.machine.run("systemctl", "daemon-reload")

    def log(self):
        return (self.machine.root / LOG.lstrip("/")).read_text()

    # -- its state --

    def start(self):
        self.machine.run("systemctl", "start", "psgate.service")
        return self

    def show(self, name, unit="psgate.service"):
        return self.machine.show(unit, name)

    def status(self):
        """The first figure of each line of /proc/PID/status."""
        shown = self.machine.run("cat", f"/proc/{self.show('MainPID')}/status").stdout
        return {name: value.split() for name, _, value in (line.partition(":") for line in shown.splitlines())}

    def host_pid(self):
        """Its main process as we, outside, know it."""
        inside = self.show("MainPID")
        for child in children(self.machine.pid):
            lines = Path(f"/proc/{child}/status").read_text().splitlines()
            if next(line for line in lines if line.startswith("NSpid:")).split()[-1] == inside:
                return child
        raise AssertionError("the main process is not a child of systemd")

    # -- requests --

    def connect(self):
        with self.machine.network():
            return Client(8080)

    def request(self, start, *lines, body=b"", token=None):
        return wire.head(start, b"Host: gateway.test", b"Authorization: Bearer " + (token or self.token).encode(),
                         *lines) + body

    def get(self, target=b"/v1/a", token=None):
        with self.connect() as client:
            return client.ask(self.request(b"GET %b HTTP/1.1" % target, token=token)).status

    def creation(self, number=0):
        body = json.dumps({"name": f"secret-{number}", "value": "unspeakable"}).encode()
        return self.request(b"POST /v1/teams/t1/secrets HTTP/1.1", b"Content-Type: application/json",
                            b"Content-Length: %d" % len(body), body=body)

    def key_of(self, number):
        """What the origin's request of that number was authorised with."""
        return self.origin.requests[number - 1].value("Authorization").decode().removeprefix("Bearer ")

    def verify(self):
        return self.machine.run("psgate", "audit", "verify", TRAIL).stdout

    def stop(self):
        run = self.machine.run
        run("systemctl", "stop", *NAMES[1:], "psgate.service", "psgate-next.service", check=False)
        run("systemctl", "reset-failed", check=False)
        run("sh", "-c", "rm -rf /units/psgate* /etc/psgate /var/lib/private/psgate /var/lib/psgate")
        self.origin.stop()
        self.origin.check()
        log = self.log()
        assert self.key not in log and self.token not in log


@pytest.fixture
def service(machine):
    service = Service(machine)
    yield service
    service.stop()


def test_the_first_request_starts_the_service(service):
    assert service.show("ActiveState") == "inactive"
    assert service.get() == 200
    wait_until(lambda: service.show("ActiveState") == "active", "systemd to know that it is ready")
    assert service.show("StatusText") == "serving 2 addresses, configuration loaded as generation 1"
    assert service.key_of(1) == service.key


def test_it_has_no_right_that_it_does_not_use(service):
    status = service.start().status()
    dynamic = range(61184, 65520)
    assert all(int(uid) in dynamic for uid in status["Uid"]) and all(int(gid) in dynamic for gid in status["Gid"])
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(status[name][0], 16) == 0, name
    assert status["NoNewPrivs"] == ["1"] and status["Seccomp"] == ["2"]
    said = service.machine.run("systemd-analyze", "security", "--no-pager", "psgate.service").stdout
    assert exposure(said) <= MOST_EXPOSURE


def test_what_it_may_not_do_it_does_not_need(service):
    """Lookups, a change, a new file of the trail, a reload and a stop, without a complaint."""
    service.start()
    for _ in range(3):
        assert service.get(b"/v1/auth/session") == 200
    with service.connect() as client:
        assert client.ask(service.creation(), "POST").status == 200
    service.machine.run("systemctl", "kill", "-s", "USR1", "psgate.service")
    service.machine.run("systemctl", "reload", "psgate.service")
    wait_until(lambda: "generation 2" in service.show("StatusText"), "the reload")
    service.machine.run("systemctl", "stop", "psgate.service")
    assert service.show("Result") == "success"
    assert " 1 mutations, 0 unfinished, chain intact" in service.verify()
    assert not re.search(r"not permitted|denied|\[warn\]|log.level\":\"(warn|error)", service.log()), service.log()
    shown = service.machine.run("stat", "-L", "-c", "%a", "/var/lib/psgate", TRAIL, TRAIL + "/audit.jsonl").stdout
    assert shown.split() == ["700", "700", "600"]


def test_a_reload_that_systemctl_asks_for_is_done(service):
    service.start()
    service.configure(log={"level": "debug"})
    service.machine.run("systemctl", "reload", "psgate.service")
    wait_until(lambda: service.show("StatusText").endswith("configuration loaded as generation 2"), "the reload")
    assert service.show("ActiveState") == "active"
    assert service.get() == 200


def test_the_status_says_that_a_reload_was_refused(service):
    service.start()
    service.configure(workers="two")
    service.machine.run("systemctl", "reload", "psgate.service")
    wait_until(lambda: service.show("StatusText") == "reload refused: the configuration has 1 problem; serving 2 "
                                                     "addresses, configuration loaded as generation 1", "the refusal")
    assert service.show("ActiveState") == "active"
    assert "psgate.json:" in service.log() and "workers: " in service.log()
    assert service.get() == 200


def test_a_bad_configuration_is_not_tried_again_and_again(service):
    service.configure(workers="two")
    assert service.machine.run("systemctl", "start", "psgate.service", check=False).returncode != 0
    assert [service.show(name) for name in ("ActiveState", "ExecMainStatus", "NRestarts")] == ["failed", "78", "0"]


def test_a_socket_that_the_configuration_lacks_is_said(service):
    service.configure(listen=CONFIG["listen"][:1])
    assert service.machine.run("systemctl", "start", "psgate.service", check=False).returncode != 0
    assert service.show("ExecMainStatus") == "78"
    assert "a socket bound to unix:/run/psgate/psgate.sock was handed over, but no listener" in service.log()


def test_clients_that_are_added_are_let_in(service):
    service.start()
    token = service.create_client("another")
    wait_until(lambda: service.get(token=token) == 200, "the new client")


def test_a_process_is_known_by_its_uid(service):
    service.machine.write("/etc/psgate/clients.json", '{ "clients": [ { "name": "local", "uid": 1234 } ] }', 0o640,
                          "psgate-clients")
    service.start()

    def ask(uid):
        return service.machine.run("setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "curl", "-s", "-o",
                                   "/dev/null", "-w", "%{http_code}", "--unix-socket", "/run/psgate/psgate.sock",
                                   "http://gateway.test/v1/a").stdout

    assert [ask(1234), ask(1235)] == ["200", "401"]


def ask_admin(service):
    return service.machine.run("curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "--unix-socket",
                               "/run/psgate/admin.sock", "http://admin/readyz", check=False).stdout


def test_the_admin_endpoint_is_roots(service):
    service.start()
    assert ask_admin(service) == "200"
    shown = service.machine.run("stat", "-c", "%a %U %G", "/run/psgate/admin.sock", "/run/psgate/psgate.sock").stdout
    assert shown.splitlines() == ["660 root root", "666 root root"]


def test_it_does_without_the_admin_endpoint(service):
    service.configure(admin=None)
    service.machine.run("sh", "-c", "ln -sf /dev/null /units/psgate-admin.socket; systemctl daemon-reload")
    service.start()
    assert service.get() == 200
    assert ask_admin(service) == "000"


def test_a_new_key_is_taken_at_a_restart(service):
    assert service.get() == 200
    fresh = "key" + secrets.token_hex(16)
    service.write_key(fresh)
    service.machine.run("systemctl", "restart", "psgate.service")
    assert service.get() == 200
    assert [service.key_of(1), service.key_of(2)] == [service.key, fresh]
    assert fresh not in service.log()


def lookup(service, number):
    target = b"/v1/auth/session" if number % 2 else b"/v1/a"
    return service.request(b"GET %b HTTP/1.1" % target), "GET", 200


def lookup_or_change(service, number):
    return lookup(service, number) if number % 3 else (service.creation(number), "POST", 200)


def count_changes(service):
    return len([request for request in service.origin.requests if request.method == b"POST"])


def test_no_request_fails_over_restarts(service):
    service.start()
    with Load(service.connect, partial(lookup_or_change, service)).running() as load:
        for _ in range(3):
            before = service.show("MainPID")
            service.machine.run("systemctl", "restart", "psgate.service")
            assert service.show("MainPID") != before
            load.wait(20)
    service.machine.run("systemctl", "stop", "psgate.service")
    assert f" {count_changes(service)} mutations, 0 unfinished, chain intact" in service.verify()


def test_a_second_unit_serves_while_the_first_waits_for_its_last_request(service):
    shutil.copy(UNITS / "psgate.service", service.machine.root / "units/psgate-next.service")
    service.drop_in("log", "psgate-next.service", StandardOutput=f"append:{LOG}", StandardError=f"append:{LOG}")
    service.start()
    first, leave = service.show("MainPID"), threading.Event()
    service.origin.answer = by_target({b"/v1/slow": holding(leave)})
    with service.connect() as slow, Load(service.connect, partial(lookup, service)).running() as load:
        slow.send(service.request(b"GET /v1/slow HTTP/1.1"))
        wait_until(lambda: b"/v1/slow" in [request.target for request in service.origin.requests], "the slow request")
        service.machine.run("systemctl", "start", "psgate-next.service")
        service.machine.run("systemctl", "--no-block", "restart", "psgate.service")
        wait_until(lambda: service.show("ActiveState") == "deactivating", "the stop")
        load.wait(100)
        assert service.show("ActiveState") == "deactivating"
        leave.set()
        assert slow.read_response().status == 200
        wait_until(lambda: service.show("ActiveState") == "active" and service.show("MainPID") != first, "the restart")
        service.machine.run("systemctl", "stop", "psgate-next.service")
    with service.connect() as client:
        assert client.ask(service.creation(), "POST").status == 200
    service.machine.run("systemctl", "stop", "psgate.service")
    assert " 1 mutations, 0 unfinished, chain intact" in service.verify()


def test_a_stop_may_take_longer_than_the_units_timeout(service):
    service.drop_in("timeout", TimeoutStopSec="1s")
    service.start()
    leave = threading.Event()
    service.origin.answer = by_target({b"/v1/slow": holding(leave)})
    with service.connect() as client:
        client.send(service.request(b"GET /v1/slow HTTP/1.1"))
        service.origin.wait_request()
        service.machine.run("systemctl", "--no-block", "stop", "psgate.service")
        wait_until(lambda: service.show("ActiveState") == "deactivating", "the stop")
        time.sleep(2)
        leave.set()
        assert client.read_response().status == 200
    wait_until(lambda: service.show("ActiveState") == "inactive", "the end")
    assert service.show("Result") == "success"


def test_it_comes_back_after_a_crash(service):
    service.start()
    before = service.show("MainPID")
    service.machine.run("systemctl", "kill", "-s", "KILL", "psgate.service")
    wait_until(lambda: service.show("MainPID") not in ("0", before) and service.show("ActiveState") == "active",
               "the restart")
    assert service.show("NRestarts") == "1"
    assert service.get() == 200


def test_a_worker_that_hangs_is_found_and_the_service_restarted(service):
    service.drop_in("watchdog", WatchdogSec="1s")
    service.configure(workers=2)
    service.start()
    before, worker = service.show("MainPID"), loops(service.host_pid(), workers=2)[1]
    with suppress(ProcessLookupError), held_still(worker):
        wait_until(lambda: service.show("SubState") != "running", "systemd to notice")
        os.waitpid(worker, WALL)
    wait_until(lambda: service.show("MainPID") not in ("0", before) and service.show("ActiveState") == "active",
               "the restart")
    assert "has not answered for 250 ms" in service.log()
    assert service.get() == 200
