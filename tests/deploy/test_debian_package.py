"""The Debian package: what is in it, and a machine's life with it, on machines thrown away afterwards."""

import hashlib
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from conftest import ROOT, one_at_a_time
import machine as with_systemd
from throwaway import Machine, can_be_made, make_debian

CONFIG = "/etc/psgate/psgate.json"
KEY = "the-key-of-the-team"


def field(package, name):
    return subprocess.run(["dpkg-deb", "--field", package, name], check=True, capture_output=True, text=True).stdout


def depended_on(package):
    return [re.split(r"[ (]", each.strip())[0] for each in field(package, "Depends").split(",")]


@pytest.fixture(scope="session")
def newer_package(make_package):
    return make_package("--revision", "2")


@pytest.fixture(params=["this-machine", pytest.param("bookworm", marks=pytest.mark.long)])
def machine(request, package, tmp_path):
    """An overlay over this machine; with --long also over a minimal Debian of its own."""
    if not can_be_made():
        pytest.skip("takes root and mount namespaces")
    lower = Path("/")
    if request.param == "bookworm":
        packages = sorted({*depended_on(package), "logrotate"})
        kind = hashlib.sha256(" ".join(packages).encode()).hexdigest()[:8]
        with one_at_a_time("bookworm"):
            lower = make_debian(ROOT / "build" / f"bookworm-{kind}", packages)
    machine = Machine(tmp_path / "machine", lower)
    yield machine
    machine.close()


@pytest.fixture
def installed(machine, package):
    machine.install(package)
    return machine


def add_key_and_client(machine):
    """What README.Debian says; the token."""
    readme = (ROOT / "deploy/debian/README.Debian").read_text()
    commands = re.search(r"To begin:\n(.*)  systemctl enable", readme, re.DOTALL)[1]
    assert "  editor /etc/psgate/api-key\n" in commands
    commands = commands.replace("editor /etc/psgate/api-key", f"echo {KEY} >/etc/psgate/api-key")
    return machine.must("sh", "-euc", commands).strip()


# -- the package itself ------------------------------------------------------------------


def test_it_depends_on_the_libraries_that_the_program_needs(package):
    assert {"libc6", "libssl3", "libevhtp0", "libevent-2.1-7", "libhiredis0.14", "libjansson4", "ca-certificates",
            "adduser"} <= set(depended_on(package))


def test_version_and_changelog_agree(package):
    newest = re.match(r"psgate \((.*?)\) ", (ROOT / "deploy/debian/changelog").read_text())[1]
    assert field(package, "Version").strip() == newest


def test_lintian_finds_nothing(package, run):
    if shutil.which("lintian") is None:
        pytest.fail("lintian is missing: tests/run.sh installs it", pytrace=False)
    result = run("lintian", "--allow-root", "--fail-on", "error,warning", package)
    assert (result.returncode, result.stdout) == (0, "")


def test_no_path_of_the_build_is_in_it(package, run, tmp_path):
    run("dpkg-deb", "--extract", package, tmp_path / "x")
    for path in (tmp_path / "x").rglob("*"):
        if path.is_file():
            assert str(ROOT).encode() not in path.read_bytes(), path


def test_no_client_and_no_key_come_with_it(package, run):
    listed = run("dpkg-deb", "--contents", package).stdout
    assert set(re.findall(r" \./(etc/.*[^/])$", listed, re.MULTILINE)) == {"etc/psgate/psgate.json",
                                                                           "etc/logrotate.d/psgate"}


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_same_build_gives_the_same_bytes(package, make_package):
    assert digest(make_package()) == digest(package)


@pytest.mark.long
def test_the_same_sources_give_the_same_bytes_in_another_folder(package, tmp_path):
    copy = tmp_path / "a-folder-of-another-name"
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns("build", ".git", "__pycache__"))
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("CCACHE", "CMAKE"))}
    result = subprocess.run([copy / "deploy/package.sh", "--output", tmp_path / "out"], env=environment, text=True,
                            stdin=subprocess.DEVNULL, capture_output=True, timeout=600)
    assert result.returncode == 0, result.stdout + result.stderr
    assert digest(Path(result.stdout.splitlines()[-1])) == digest(package)


# -- installed ---------------------------------------------------------------------------


def test_it_installs_and_runs(installed):
    version = re.search(r"VERSION ([0-9.]+)", (ROOT / "CMakeLists.txt").read_text().partition("project(")[2])[1]
    assert installed.must("psgate", "--version") == f"psgate {version}\n"
    assert installed.must("psgate", "--help").startswith("Usage: psgate ")


def test_nothing_is_enabled_or_started(installed):
    assert installed.asked_of_systemd() == []
    assert "psgate" not in installed.must("find", "/etc/systemd", "/etc/rc2.d", "-name", "*psgate*", "-print")


def check(machine):
    return machine.run("env", "CREDENTIALS_DIRECTORY=/etc/psgate", "psgate", "check", "--offline")


def test_the_shipped_configuration_says_what_is_missing(installed):
    result = check(installed)
    assert result.returncode == 78
    said = result.stdout + result.stderr
    assert "/etc/psgate/api-key" in said and "/etc/psgate/clients.json" in said


def test_the_shipped_configuration_is_valid_with_a_key_and_a_client(installed):
    add_key_and_client(installed)
    # systemd makes it at the first start.
    installed.must("install", "-d", "/var/lib/psgate")
    result = check(installed)
    assert result.returncode == 0, result.stdout + result.stderr


def serve(machine):
    """Serves once as the unit does, from a free port, and stops."""
    config = json.loads(machine.must("cat", CONFIG))
    config.update(listen=[{"address": "127.0.0.1:0"}], admin=None)
    machine.write("/etc/psgate/served.json", json.dumps(config))
    # The shell ends the gateway by its own id once it listens.
    script = """
        id=64123
        install -d -m 0700 /var/lib/private
        install -d -m 0700 -o $id -g $id /var/lib/private/psgate /run/credentials
        ln -sfn private/psgate /var/lib/psgate
        chmod 0711 /var/lib/private  # in place of systemd's mounts
        install -m 0400 -o $id -g $id /etc/psgate/api-key /run/credentials/
        mkfifo /run/said
        CREDENTIALS_DIRECTORY=/run/credentials setpriv --reuid $id --regid $id --groups psgate-clients \\
            psgate serve -c /etc/psgate/served.json >/run/said &
        read -r line </run/said
        rm /run/said /etc/psgate/served.json
        echo $line
        kill -TERM $!
        wait $!
    """
    return machine.run("sh", "-c", script)


def test_the_service_user_can_serve_and_write_the_trail(installed):
    add_key_and_client(installed)
    result = serve(installed)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("listening on http://127.0.0.1:")
    assert installed.exists("/var/lib/psgate/audit/audit.jsonl")


def test_the_packaged_service_runs_under_systemd(package, tmp_path):
    (tmp_path / "machine").mkdir()
    machine = with_systemd.Machine(tmp_path / "machine")
    try:
        # Of an image maker's that forbids stopping services, too.
        machine.run("rm", "-f", "/usr/sbin/policy-rc.d")
        shutil.copy(package, machine.root / "root/psgate.deb")
        machine.run("dpkg", "--install", "/root/psgate.deb")
        machine.must = lambda *command: machine.run(*command).stdout
        token = add_key_and_client(machine)
        # The only folder that this systemd reads.
        machine.run("sh", "-c", "cp /usr/lib/systemd/system/psgate* /units/ && systemctl daemon-reload")
        machine.run("systemctl", "start", "psgate.socket", "psgate.service")
        asked = machine.run("curl", "-sS", "--max-time", "20", "--unix-socket", "/run/psgate/psgate.sock",
                            "-H", f"Authorization: Bearer {token}", "http://psgate/.psgate/whoami")
        assert json.loads(asked.stdout)["client"] == "ci"
        machine.run("dpkg", "--remove", "psgate")
        assert machine.run("systemctl", "is-active", "psgate.service", check=False).stdout == "inactive\n"
        assert "the audit trail in /var/lib/psgate stays" in machine.run("dpkg", "--purge", "psgate").stdout
    finally:
        machine.stop()


def test_logrotate_takes_the_shipped_file(installed):
    if not installed.exists("/usr/sbin/logrotate"):
        pytest.fail("logrotate is missing: tests/run.sh installs it", pytrace=False)
    result = installed.run("logrotate", "--debug", "/etc/logrotate.d/psgate")
    assert result.returncode == 0 and "error" not in result.stderr, result.stderr


# -- upgraded, removed, purged -----------------------------------------------------------


def test_an_upgrade_keeps_an_edited_configuration(installed, newer_package):
    edited = installed.must("cat", CONFIG).replace("127.0.0.1:8080", "127.0.0.1:8081")
    installed.write(CONFIG, edited)
    installed.install(newer_package)
    assert installed.must("cat", CONFIG) == edited
    assert installed.must("dpkg-query", "-f", "${Version}", "-W", "psgate").endswith("-2")


def test_an_upgrade_restarts_only_what_runs(installed, newer_package):
    installed.install(newer_package)
    assert installed.asked_of_systemd() == ["try-restart psgate.service"]


def test_removing_stops_the_service_and_leaves_the_configuration(installed):
    add_key_and_client(installed)
    installed.must("dpkg", "--remove", "psgate")
    assert any("stop psgate.socket psgate-admin.socket psgate.service" in line for line in installed.asked_of_systemd())
    assert not installed.exists("/usr/bin/psgate")
    assert installed.exists(CONFIG) and installed.exists("/etc/psgate/clients.json")


def test_purging_leaves_nothing_behind(machine, package):
    before = machine.added()
    machine.install(package)
    assert {"usr/bin/psgate", "etc/psgate"} <= machine.added() - before
    machine.must("dpkg", "--purge", "psgate")
    backups = {f"etc/{name}-" for name in ("passwd", "group", "shadow", "gshadow", "subuid", "subgid")}
    assert machine.added() - before <= backups
    assert machine.run("getent", "group", "psgate-clients").returncode == 2


def test_purging_leaves_the_trail_and_says_so(installed):
    add_key_and_client(installed)
    serve(installed)
    trail = installed.must("sha256sum", "/var/lib/psgate/audit/audit.jsonl")
    said = installed.must("dpkg", "--purge", "psgate")
    assert "the audit trail in /var/lib/psgate stays" in said
    assert installed.must("sha256sum", "/var/lib/psgate/audit/audit.jsonl") == trail


def test_purging_leaves_what_the_administrator_made_and_says_so(installed):
    add_key_and_client(installed)
    said = installed.must("dpkg", "--purge", "psgate")
    assert not installed.exists(CONFIG)
    assert "/etc/psgate/api-key" in said and installed.exists("/etc/psgate/api-key")
    assert KEY not in said
