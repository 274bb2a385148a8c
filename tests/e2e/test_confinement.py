"""What the running gateway has given up, and what stays within its reach."""

import json
import os
import re
import shutil
import socket

import pytest
from support.gateway import is_sanitized, write_private
from support.waiting import wait_until

NET_BIND_SERVICE = 1 << 10
SYS_PTRACE = 1 << 19  # of the sanitizers' own leak search
CAPABILITIES = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has capabilities to give up")


def threads(gateway):
    """What the kernel says of each thread: {name: {field: value}}."""
    found = {}
    for thread in os.listdir(f"/proc/{gateway.pid}/task"):
        with open(f"/proc/{gateway.pid}/task/{thread}/status") as status:
            fields = dict(line.rstrip("\n").split(":\t", 1) for line in status if ":\t" in line)
        found[f"{fields['Name']} {thread}"] = fields
    return found


def capabilities(fields, name):
    return int(fields[name], 16) & ~(SYS_PTRACE if is_sanitized() else 0)


def free_low_port():
    for port in range(1023, 600, -1):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no free port below 1024")


def rename_key(stage, path):
    """The configuration names another file for the API key."""
    stage.gateway.config["credentials"]["default"]["api_key_file"] = str(path)
    stage.gateway.write_config(stage.gateway.config)


# -- privileges -------------------------------------------------------------------------------------------


def test_every_thread_is_confined(make_stage):
    stage = make_stage(config={"workers": 3, "admin": {"address": "127.0.0.1:0"},
                               "audit": {"directory": "trail"}})
    found = threads(stage.gateway)
    assert len(found) >= 6, f"main loop, three workers, trail, admin: {found.keys()}"
    for name, fields in found.items():
        assert fields["NoNewPrivs"] == "1", name
        assert fields["Seccomp"] == "2", name


@needs_root
def test_no_thread_of_root_has_a_capability(make_stage):
    stage = make_stage()
    for name, fields in threads(stage.gateway).items():
        for which in CAPABILITIES:
            assert capabilities(fields, which) == 0, f"{name}: {which}"


@needs_root
@pytest.mark.parametrize("member", ["listen", "address", "metrics_address"])
def test_a_low_port_keeps_the_right_to_bind_it_and_no_other(make_stage, member):
    address = f"127.0.0.1:{free_low_port()}"
    if member == "listen":
        config = {"listen": [{"address": address}]}
    else:
        config = {"admin": {"address": "127.0.0.1:0", member: address}}
    stage = make_stage(config=config)
    for name, fields in threads(stage.gateway).items():
        assert capabilities(fields, "CapEff") == NET_BIND_SERVICE, name


def test_unconfined_nothing_is_given_up(make_stage):
    stage = make_stage(start=False)
    stage.gateway.start("--unconfined")
    for name, fields in threads(stage.gateway).items():
        assert fields["Seccomp"] == "0", name
    assert stage.get(b"/v1/a").status == 200


def test_open_descriptors_are_those_that_it_needs(make_stage):
    """None is inherited, and none is a file of secrets that is still open."""
    stage = make_stage()
    secret = {str(stage.gateway.key_file), str(stage.gateway.clients_file)}
    folder = f"/proc/{stage.gateway.pid}/fd"
    names = {os.readlink(f"{folder}/{number}") for number in os.listdir(folder)}
    assert not names & secret
    expected = re.compile(r"(socket|pipe):|anon_inode:|/dev/null|" + re.escape(str(stage.gateway.folder)))
    assert [name for name in names if not expected.match(name)] == []


def test_the_key_is_not_in_the_environment_nor_in_the_arguments(make_stage):
    stage = make_stage()
    for name in ("environ", "cmdline"):
        with open(f"/proc/{stage.gateway.pid}/{name}", "rb") as file:
            text = file.read()
        for secret in stage.gateway.secrets:
            assert secret.encode() not in text, name


# -- files ------------------------------------------------------------------------------------------------


@pytest.fixture
def elsewhere(tmp_path):
    """A folder that no configuration has named yet, with a key that would be right."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    return folder


def test_a_reload_that_names_another_folder_is_refused_and_says_why(make_stage, elsewhere):
    stage = make_stage()
    write_private(elsewhere / "key", stage.gateway.key + "\n")
    rename_key(stage, elsewhere / "key")
    message = stage.gateway.refused_reload()
    assert str(elsewhere / "key") in message
    wait_until(lambda: "out of reach until a restart" in stage.gateway.stderr(), "what to do about it")
    assert stage.get(b"/v1/a").status == 200, "what was in force goes on"
    stage.gateway.stop()
    stage.gateway.start()
    assert stage.get(b"/v1/a").status == 200


def test_unconfined_a_reload_may_name_any_folder(make_stage, elsewhere):
    stage = make_stage(start=False)
    stage.gateway.start("--unconfined")
    write_private(elsewhere / "key", "another-key\n")
    rename_key(stage, elsewhere / "key")
    stage.gateway.hang_up()
    wait_until(lambda: "configuration reloaded" in stage.gateway.stderr(), "the reload")


def test_a_file_that_takes_the_place_of_another_is_read(make_stage):
    """As a rotation does it: a new file, renamed over the old one; or a link that turns elsewhere in the folder."""
    stage = make_stage()
    fresh = write_private(stage.gateway.folder / "fresh", "another-key\n")
    os.replace(fresh, stage.gateway.key_file)
    stage.gateway.hang_up()
    wait_until(lambda: "configuration reloaded" in stage.gateway.stderr(), "the reload")
    assert stage.get(b"/v1/a").status == 200
    assert stage.origin.requests[-1].value("Authorization") == b"Bearer another-key"


def test_hundreds_of_credentials_in_folders_of_their_own_start(make_stage):
    stage = make_stage(start=False)
    config = stage.gateway.config
    for number in range(300):
        folder = stage.gateway.folder / f"team-{number}"
        folder.mkdir()
        write_private(folder / "key", f"key-of-{number}\n")
        config["credentials"][f"team-{number}"] = {"api_key_file": str(folder / "key")}
    stage.gateway.write_config(config)
    last = stage.gateway.add_client("last", credential="team-299")
    stage.start()
    assert stage.get(b"/v1/a", token=last).status == 200
    assert stage.origin.requests[-1].value("Authorization") == b"Bearer key-of-299"


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
def test_authorities_that_the_environment_names_are_within_reach(make_stage, authority, elsewhere, name):
    stage = make_stage(start=False, tls=authority.server_context("right"), upstream_host="localhost")
    hashed = elsewhere / "store"
    hashed.mkdir()
    shutil.copy(authority.ca_file, elsewhere / "authorities.pem")
    shutil.copy(authority.ca_file, hashed / f"{authority.ca_hash()}.0")
    where = elsewhere / "authorities.pem" if name == "SSL_CERT_FILE" else hashed
    stage.gateway.environment = {**os.environ, name: str(where)}
    stage.start()
    assert stage.get(b"/v1/a").status == 200


def test_a_trail_whose_folder_is_made_again_goes_on(make_stage):
    """What must heal by itself is within reach: the folder around the trail."""
    stage = make_stage(config={"audit": {"directory": "trail"}}, start=False)
    stage.start()
    trail = stage.gateway.folder / "trail"
    shutil.rmtree(trail)
    trail.mkdir(mode=0o700)
    assert json.loads(stage.get(b"/.psgate/whoami").body)["client"] == "tester"
    stage.gateway.hang_up()
    wait_until(lambda: "configuration reloaded" in stage.gateway.stderr(), "the reload")
