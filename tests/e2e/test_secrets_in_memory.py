"""The API key and the tokens in the memory of the running gateway, and in core files of it."""

import re
import shutil
import subprocess

import pytest
from support.gateway import is_sanitized
from support.waiting import wait_until

GET = b"GET /v1/a HTTP/1.1"
RANGE = re.compile(rb"([0-9a-f]+)-([0-9a-f]+) (\S+) ")
LARGEST = 256 << 20  # what is larger is a sanitizer's shadow


class Mapping:
    """One mapping of /proc/PID/smaps: where it is and what the kernel says of it."""

    def __init__(self, match):
        self.start, self.end = int(match[1], 16), int(match[2], 16)
        self.is_readable = match[3].startswith(b"r")
        self.flags = set()
        self.resident = 0

    @property
    def is_secret(self):
        return b"dd" in self.flags


def mappings(pid):
    found = []
    for line in read_proc(pid, "smaps").splitlines():
        if match := RANGE.match(line):
            found.append(Mapping(match))
        elif line.startswith(b"VmFlags:"):
            found[-1].flags = set(line.split()[1:])
        elif line.startswith(b"Rss:"):
            found[-1].resident = int(line.split()[1])
    return found


def read_proc(pid, name):
    """A file of /proc/PID; that the kernel does not let us read it is a fact as good as any."""
    try:
        with open(f"/proc/{pid}/{name}", "rb") as file:
            return file.read()
    except PermissionError:
        pytest.skip(f"only root reads /proc/PID/{name} of a process that is not dumpable")


def read_memory(pid, wanted):
    """The bytes of each resident mapping that is wanted."""
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for mapping in mappings(pid):
            size = mapping.end - mapping.start
            if not (mapping.is_readable and mapping.resident and size < LARGEST and wanted(mapping)):
                continue
            memory.seek(mapping.start)
            try:
                yield mapping, memory.read(size)
            except OSError:  # [vvar] and its like
                pass


@pytest.fixture(params=["plain", "tls"])
def used(request, make_stage, authority):
    """A gateway whose key and token were used: kept connections, large bodies, refusals, a reload."""
    over_tls = {"config": {"upstream": {"ca_file": str(authority.ca_file)}}, "upstream_host": "localhost",
                "tls": authority.server_context("right")} if request.param == "tls" else {}
    stage = make_stage(**over_tls)
    with stage.connect() as client:
        for number in range(20):
            assert client.ask(stage.request(b"GET /v1/%d HTTP/1.1" % number)).status == 200
    body = b"x" * 300000
    assert stage.get(b"/v1/a", b"Content-Length: %d" % len(body), method=b"POST", body=body).status == 200
    assert stage.get(b"/v1/a?k=" + stage.token).status == 200
    assert stage.get(b"/v1/a", token="psgate_unknown").status == 401
    stage.gateway.add_client("late")
    stage.gateway.hang_up()
    wait_until(lambda: stage.get(b"/v1/a", token=stage.gateway.tokens["late"]).status == 200, "the reload")
    assert stage.origin.requests[0].values("Authorization") == [stage.fill(b"Bearer @KEY@")]
    return stage


def test_the_keys_pages_are_locked_and_kept_out_of_core_files(used):
    secret = [mapping.flags for mapping in mappings(used.gateway.pid) if mapping.is_secret]
    assert secret, "no mapping is kept out of core files"
    if not is_sanitized():  # whose mlock() does nothing
        assert any(b"lo" in flags for flags in secret)
        assert used.gateway.resident_kib("VmLck") > 0


def test_the_key_stands_in_locked_pages_and_nowhere_else(used):
    key = used.gateway.key.encode()
    found = [mapping for mapping, data in read_memory(used.gateway.pid, lambda mapping: True) if key in data]
    assert found, "the key is nowhere: this test looks in the wrong places"
    assert [hex(mapping.start) for mapping in found if not mapping.is_secret] == []
    if not is_sanitized():
        assert all(b"lo" in mapping.flags for mapping in found)


def test_no_mapping_goes_into_a_core_file(used):
    assert int(read_proc(used.gateway.pid, "coredump_filter"), 16) == 0
    assert re.search(rb"Max core file size +0 +0 ", read_proc(used.gateway.pid, "limits"))


def test_a_core_file_taken_on_purpose_holds_neither_key_nor_token(used, tmp_path):
    if not shutil.which("gcore"):
        pytest.skip("needs gcore (Debian package gdb)")
    pid = used.gateway.pid
    result = subprocess.run(["gcore", "-o", tmp_path / "core", str(pid)], capture_output=True, timeout=120)
    core = tmp_path / f"core.{pid}"
    if not core.exists():
        pytest.skip(f"gcore may not: {result.stderr[-200:]!r}")
    data = core.read_bytes()
    assert data.startswith(b"\x7fELF")
    for secret in used.gateway.secrets:
        assert secret.encode() not in data, "a secret is in the core file"


def test_the_process_shows_no_secret_in_its_environment_or_arguments(make_stage, monkeypatch):
    stage = make_stage(start=False)
    monkeypatch.setenv("TEST_API_KEY", stage.gateway.key)
    stage.gateway.write_config({**stage.gateway.config, "credentials": {"default": {"api_key_env": "TEST_API_KEY"}}})
    stage.start()
    assert stage.get(b"/v1/a").status == 200
    shown = read_proc(stage.gateway.pid, "environ")
    assert b"TEST_API_KEY=" in shown, "the wrong process"
    for secret in stage.gateway.secrets:
        assert secret.encode() not in shown + read_proc(stage.gateway.pid, "cmdline")


@pytest.mark.skipif(is_sanitized(), reason="a sanitizer keeps a copy of the environment")
def test_a_key_from_the_environment_stands_in_locked_pages_and_nowhere_else(make_stage, monkeypatch):
    stage = make_stage(start=False)
    monkeypatch.setenv("TEST_API_KEY", stage.gateway.key)
    stage.gateway.write_config({**stage.gateway.config, "credentials": {"default": {"api_key_env": "TEST_API_KEY"}}})
    stage.start()
    assert stage.get(b"/v1/a").status == 200
    key = stage.gateway.key.encode()
    read_proc(stage.gateway.pid, "smaps")
    left = [mapping for mapping, data in read_memory(stage.gateway.pid, lambda mapping: not mapping.is_secret)
            if key in data]
    assert [hex(mapping.start) for mapping in left] == []
