"""The container: compose sample and image; with --long the image is built and run as it is meant to be."""

import ipaddress
import json
import os
import re
import secrets
import shutil
import subprocess
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from support.gateway import LISTENING, Gateway
from support.origin import Origin
from support.waiting import DEADLINE, wait_until

from conftest import BUILDING, ROOT, one_at_a_time
from throwaway import make_debian

CONTAINER = ROOT / "deploy" / "container"
CONTAINERFILE = (CONTAINER / "Containerfile").read_text()
COMPOSE = yaml.safe_load((CONTAINER / "compose.yaml").read_text())
SERVICE = COMPOSE["services"]["psgate"]
FLEET = yaml.safe_load((CONTAINER / "fleet.yaml").read_text())
GATEWAYS = [f"gateway-{number}" for number in (1, 2, 3)]
VERSION = re.search(r"VERSION ([0-9.]+)", (ROOT / "CMakeLists.txt").read_text().partition("project(")[2])[1]
ID = 65532


# -- the image's recipe ----------------------------------------------------------------------


def test_the_image_has_the_libraries_that_the_package_depends_on(package):
    depends = subprocess.run(["dpkg-deb", "--field", package, "Depends"], check=True, capture_output=True, text=True)
    needed = {re.split(r"[ (]", each.strip())[0] for each in depends.stdout.split(",")} - {"adduser", "libc6"}
    listed = re.search(r"FROM \$\{BASE\}.*?--no-install-recommends \\\n\s+(.*?) && ", CONTAINERFILE, re.DOTALL)[1]
    assert set(listed.replace("\\", "").split()) == needed


def test_every_place_names_the_same_version():
    assert f'org.opencontainers.image.version="{VERSION}"' in CONTAINERFILE
    assert f"-t psgate:{VERSION}" in CONTAINERFILE
    assert SERVICE["image"] == f"psgate:{VERSION}"
    assert {FLEET["services"][name]["image"] for name in GATEWAYS} == {SERVICE["image"]}


def test_nothing_that_is_secret_or_built_is_sent_to_the_builder():
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert {".git", "build"} <= set(ignored)
    assert {line.removeprefix("deploy/container/") for line in ignored if "container" in line} == {"api-key", "etc", "haproxy.pem"}


# -- compose ---------------------------------------------------------------------------------


def test_compose_takes_the_sample(run, tmp_path):
    if shutil.which("docker-compose", path="/usr/bin") is None:
        pytest.fail("docker-compose is missing: tests/run.sh installs it", pytrace=False)
    result = run("/usr/bin/docker-compose", "-f", CONTAINER / "compose.yaml", "config")
    assert result.returncode == 0, result.stderr
    taken = yaml.safe_load(result.stdout)["services"]["psgate"]
    assert taken["read_only"] and taken["cap_drop"] == ["ALL"] and taken["user"] == f"{ID}:{ID}"


def test_the_port_is_the_configurations_and_only_for_this_machine():
    config = json.loads((CONTAINER / "psgate.json").read_text())
    port = config["listen"][0]["address"].rpartition(":")[2]
    assert SERVICE["ports"] == [f"127.0.0.1:8080:{port}"]
    assert f"EXPOSE {port}\n" in CONTAINERFILE


def probe(port):
    """What compose runs to see whether it is healthy, against another port."""
    kind, *command = SERVICE["healthcheck"]["test"]
    assert kind == "CMD" and "/127.0.0.1/8080" in command[-1]
    command[-1] = command[-1].replace("/8080", f"/{port}").replace("$$", "$")
    return subprocess.run(command, capture_output=True, timeout=DEADLINE).returncode


def test_the_health_check_is_content_with_a_gateway(binary, tmp_path):
    gateway = Gateway(binary, tmp_path, "http://127.0.0.1:1")
    gateway.add_client("tester")
    gateway.start("--sandbox")
    try:
        assert probe(gateway.port) == 0
    finally:
        gateway.stop()
    assert probe(gateway.port) != 0


def test_the_health_check_is_not_content_with_a_gateway_that_is_not_ready():
    origin = Origin(answer=b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")
    try:
        assert probe(origin.port) != 0
        assert origin.requests[0].start == b"GET /.psgate/readyz HTTP/1.1"
    finally:
        origin.stop()


# -- three gateways --------------------------------------------------------------------------


def address_of(name):
    return FLEET["services"][name]["networks"]["fleet"]["ipv4_address"]


def test_compose_takes_the_fleet(run):
    result = run("/usr/bin/docker-compose", "-f", CONTAINER / "fleet.yaml", "config")
    assert result.returncode == 0, result.stderr
    services = yaml.safe_load(result.stdout)["services"]
    assert set(services) == {*GATEWAYS, "haproxy", "redis"}
    assert all(service["read_only"] and service["cap_drop"] == ["ALL"] for service in services.values())
    assert [name for name, service in services.items() if "ports" in service] == ["haproxy"]


def test_the_gateways_of_the_fleet_differ_in_their_trail_and_address_alone():
    own = ("volumes", "networks")
    rest = [{key: value for key, value in FLEET["services"][name].items() if key not in own} for name in GATEWAYS]
    assert rest[0] == rest[1] == rest[2]
    trails = [FLEET["services"][name]["volumes"][-1].partition(":")[0] for name in GATEWAYS]
    assert sorted(FLEET["volumes"]) == sorted(trails) and len(set(trails)) == 3
    assert all(FLEET["services"][name]["stop_grace_period"] == SERVICE["stop_grace_period"] for name in GATEWAYS)


def test_the_addresses_of_the_fleet_are_those_of_its_files():
    names = [*GATEWAYS, "haproxy", "redis"]
    (network,) = FLEET["networks"]["fleet"]["ipam"]["config"]
    hosts = [str(host) for host in ipaddress.ip_network(network["subnet"]).hosts()]
    assert len({address_of(name) for name in names} & set(hosts[1:])) == len(names)  # the first is the bridge's
    (listen,) = json.loads((CONTAINER / "fleet.json").read_text())["listen"]
    assert listen["proxy_protocol"] == [address_of("haproxy")]
    port = listen["address"].rpartition(":")[2]
    text = (CONTAINER / "fleet-haproxy.cfg").read_text()
    assert re.findall(r"^    server (\S+) (\S+)$", text, re.MULTILINE) == [(name, f"{address_of(name)}:{port}") for name in GATEWAYS]


def test_psgate_takes_the_configuration_of_the_fleet(binary, run, tmp_path):
    text = (CONTAINER / "fleet.json").read_text()
    for place in ("/etc/psgate", "/run/secrets", "/var/lib/psgate"):
        text = text.replace(f'"{place}/', f'"{tmp_path}/')
    (tmp_path / "psgate.json").write_text(text)
    for name, content in (("api-key", "a-key\n"), ("clients.json", '{ "clients": [] }')):
        (tmp_path / name).touch(0o600)
        (tmp_path / name).write_text(content)
    result = run(binary, "check", "--offline", "-c", tmp_path / "psgate.json")
    assert result.returncode == 0, result.stderr


# -- the image -------------------------------------------------------------------------------


class Builder:
    """buildah with a storage of its own and a base image made by debootstrap."""

    def __init__(self, folder):
        self.options = ["--root", folder / "root", "--runroot", folder / "run", "--storage-driver", "vfs"]
        base = make_debian(ROOT / "build" / "bookworm-base", ["ca-certificates"])
        container = self.run("from", "scratch")
        self.run("add", "--quiet", container, base, "/")
        self.run("commit", "--quiet", container, "localhost/base")

    def run(self, *command):
        result = subprocess.run(["buildah", *map(str, self.options), *map(str, command)], text=True,
                                stdin=subprocess.DEVNULL, capture_output=True, timeout=BUILDING)
        assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
        return result.stdout.strip()


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    """The built image: its settings, and its files in a folder."""
    if os.geteuid() != 0 or shutil.which("buildah") is None:
        pytest.skip("takes root and buildah")
    folder = tmp_path_factory.mktemp("buildah")
    with one_at_a_time("container"):
        builder = Builder(folder)
        builder.run("bud", "--quiet", "--isolation", "chroot", "--network", "host", "-f", CONTAINER / "Containerfile",
                    "--build-arg", "BUILD_BASE=localhost/base", "--build-arg", "BASE=localhost/base",
                    "-t", "localhost/psgate", ROOT)
    settings = json.loads(builder.run("inspect", "--type", "image", "localhost/psgate"))["OCIv1"]["config"]
    container = builder.run("from", "localhost/psgate")
    yield settings, Path(builder.run("mount", container))
    builder.run("umount", container)
    builder.run("rm", container)
    shutil.rmtree(folder)


# Files and mounts as compose.yaml gives them: the root read-only, the configuration too, a volume
# for the trail that begins as a copy of the image's folder; no capability, no way to get one.
RUN = """
set -e
root=$1 folder=$2 id=$3
shift 3
mount --bind "$root" "$root"
cp -a "$root/var/lib/psgate/." "$folder/trail"
chown --reference="$root/var/lib/psgate" "$folder/trail"
chmod --reference="$root/var/lib/psgate" "$folder/trail"
mkdir -p "$root/etc/psgate" "$root/run/secrets"
mount --bind "$folder/etc" "$root/etc/psgate"
mount -o remount,bind,ro "$root/etc/psgate"
mount --bind "$folder/secrets" "$root/run/secrets"
mount --bind "$folder/trail" "$root/var/lib/psgate"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount -o remount,bind,ro "$root"
cd "$root"
exec chroot . setpriv --reuid "$id" --regid "$id" --clear-groups --no-new-privs --bounding-set=-all "$@"
"""


@contextmanager
def container(image, folder):
    """The image's own command, run as compose.yaml says; the process and its port."""
    settings, root = image
    for name in ("etc", "secrets", "trail"):
        (folder / name).mkdir()
    config = json.loads((CONTAINER / "psgate.json").read_text())
    config["listen"][0]["address"] = "0.0.0.0:0"
    (folder / "etc" / "psgate.json").write_text(json.dumps(config))
    (folder / "etc" / "clients.json").write_text('{ "clients": [] }')
    (folder / "secrets" / "api-key").write_text(f"key{secrets.token_hex(16)}\n")
    for path in (folder / "etc" / "clients.json", folder / "secrets" / "api-key"):
        os.chown(path, 0, ID)
        path.chmod(0o640)
    with open(folder / "out", "w") as out, open(folder / "err", "w") as err:
        process = subprocess.Popen(["unshare", "--mount", "--propagation", "private", "sh", "-c", RUN, "sh", root, folder,
                                    str(ID), *settings["Entrypoint"], *settings["Cmd"]],
                                   stdin=subprocess.DEVNULL, stdout=out, stderr=err)
    try:
        wait_until(lambda: (folder / "out").read_text().endswith("\n") or process.poll() is not None, "psgate to listen")
        found = LISTENING.match((folder / "out").read_text().strip())
        assert found, (folder / "err").read_text()
        yield process, int(found[3])
    finally:
        process.terminate()
        assert process.wait(DEADLINE) == 0, (folder / "err").read_text()


@pytest.mark.long
@pytest.mark.timeout(BUILDING)
def test_the_image_says_how_it_is_run(image):
    settings, root = image
    assert settings["User"] == f"{ID}:{ID}"
    assert settings["StopSignal"] == "SIGTERM"
    assert settings["Volumes"] == {"/var/lib/psgate": {}} and settings["ExposedPorts"] == {"8080/tcp": {}}
    assert not (root / "src").exists() and not (root / "usr/bin/gcc").exists()
    said = subprocess.run(["chroot", root, "psgate", "--version"], check=True, capture_output=True, text=True).stdout
    assert said == f"psgate {VERSION}\n"


@pytest.mark.long
@pytest.mark.timeout(BUILDING)
def test_the_image_serves_read_only_and_without_rights(image, tmp_path):
    with container(image, tmp_path) as (process, port):
        assert probe(port) == 0
        status = Path(f"/proc/{process.pid}/status").read_text()
        assert re.search(rf"^Uid:\t{ID}\t{ID}", status, re.MULTILINE)
        assert re.search(r"^CapBnd:\t0+$", status, re.MULTILINE) and "NoNewPrivs:\t1" in status
        assert (tmp_path / "trail" / "audit" / "audit.jsonl").exists()
