"""deploy/quickstart.sh: what it prints, starts, keeps to itself and leaves behind."""

import json
import os
import re
import signal
import socket
import subprocess
import threading
from contextlib import ExitStack, contextmanager
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from conftest import DEADLINE, ROOT

QUICKSTART = ROOT / "deploy" / "quickstart.sh"
KEY = "the-key-of-the-team"


@pytest.fixture
def environment(tmp_path):
    """The environment of a user without a key, whose temporary folders can be looked at."""
    (tmp_path / "tmp").mkdir()
    environment = {**os.environ, "TMPDIR": str(tmp_path / "tmp")}
    environment.pop("PAPERSPACE_API_KEY", None)
    return environment


@pytest.fixture
def upstream(binary, tmp_path):
    """A sandbox of its own that takes only KEY: an upstream as real as it gets here."""
    key = tmp_path / "upstream-key"
    key.touch(0o600)
    key.write_text(KEY)
    with subprocess.Popen([binary, "sandbox", "--api-key-file", key], stdout=subprocess.PIPE, text=True) as sandbox:
        yield re.fullmatch(r"listening on (\S+)\n", sandbox.stdout.readline())[1]
        sandbox.terminate()


@pytest.fixture
def quickstart(binary, run, environment):
    """Runs quickstart.sh to its end."""

    def quickstart(*options, **variables):
        return run(QUICKSTART, "--binary", binary, *options, environment={**environment, **variables})

    return quickstart


class Serving:
    """quickstart.sh while it serves: what it said, and the two variables for clients."""

    def __init__(self, process):
        self.process = process
        self.said = ""
        watchdog = threading.Timer(DEADLINE, process.kill)
        watchdog.start()
        for line in process.stdout:
            self.said += line
            if "Serving until Ctrl-C" in line:
                break
        watchdog.cancel()
        self.variables = dict(re.findall(r"export (\w+)=(\S+)", self.said))

    def get(self, path, token):
        request = Request(self.variables["PAPERSPACE_API_URL"] + path, headers={"Authorization": "Bearer " + token})
        try:
            with urlopen(request, timeout=DEADLINE) as answer:
                return answer.status, answer.read()
        except HTTPError as error:
            return error.code, error.read()

    def interrupt(self):
        """Ctrl-C: the signal goes to the whole group, as a terminal sends it."""
        os.killpg(self.process.pid, signal.SIGINT)
        rest, _ = self.process.communicate(timeout=DEADLINE)
        self.said += rest
        return self.process.returncode


def interruptible():
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def serving(binary, environment, tmp_path):
    @contextmanager
    def serving(*options, **variables):
        process = subprocess.Popen([QUICKSTART, "--binary", binary, *map(str, options)], cwd=tmp_path,
                                   env={**environment, **variables}, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                   start_new_session=True, preexec_fn=interruptible)
        try:
            yield Serving(process)
        finally:
            process.terminate()
            process.wait(DEADLINE)
            process.stdout.close()

    return serving


def everything_under(folder):
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def test_help_names_every_option(quickstart):
    result = quickstart("--help")
    assert result.returncode == 0
    for option in ("--once", "--port", "--listen", "--state", "--upstream", "--binary"):
        assert option in result.stdout


@pytest.mark.parametrize("options", [["--twice"], ["--port"], ["--port", "http"], ["--listen", '"'],
                                     ["--upstream", "https://127.0.0.1"]])
def test_a_wrong_use_is_said(quickstart, options):
    result = quickstart(*options)
    assert result.returncode == 64
    assert len(result.stderr.splitlines()) == 1
    assert result.stdout == ""


def test_once_shows_right_answers_of_the_sandbox(quickstart, tmp_path):
    result = quickstart("--once", "--port", "0")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "All 11 answers were right" in result.stdout
    assert '201 {"name":"QUICKSTART"' in result.stdout
    assert "export PAPERSPACE_API_KEY=psgate_" in result.stdout
    assert not any((tmp_path / "tmp").iterdir())


def test_once_only_reads_the_real_api(quickstart, upstream):
    result = quickstart("--once", "--port", "0", "--upstream", upstream, PAPERSPACE_API_KEY=KEY)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "All 6 answers were right" in result.stdout
    assert "/teams/tsandbox01/users" in result.stdout
    assert " -X " not in result.stdout


def test_once_fails_when_the_key_is_wrong(quickstart, upstream):
    result = quickstart("--once", "--port", "0", "--upstream", upstream, PAPERSPACE_API_KEY="a-wrong-key")
    assert result.returncode == 1
    assert "WRONG" in result.stdout
    assert "a-wrong-key" not in result.stdout + result.stderr


def test_a_token_is_not_taken_for_a_key(quickstart):
    result = quickstart("--once", PAPERSPACE_API_KEY="psgate_" + "a" * 43 + "_abcdef")
    assert result.returncode == 1
    assert "unset it" in result.stderr
    assert "aaaa" not in result.stderr


def test_a_taken_port_is_said(quickstart, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        result = quickstart("--once", "--port", taken.getsockname()[1])
    assert result.returncode == 1
    assert "did not start" in result.stderr
    assert not any((tmp_path / "tmp").iterdir())


def test_it_serves_until_ctrl_c_and_leaves_nothing(serving, tmp_path):
    with serving("--port", "0") as gateway:
        token = gateway.variables["PAPERSPACE_API_KEY"]
        assert gateway.get("/auth/session", token)[0] == 200
        assert gateway.get("/auth/session", "wrong")[0] == 401
        (folder,) = (tmp_path / "tmp").iterdir()
        assert folder.stat().st_mode & 0o777 == 0o700
        assert gateway.interrupt() == 0
        assert "Stopped" in gateway.said
        assert "signal 2" not in gateway.said  # the gateway got one signal, from the script
        assert not any((tmp_path / "tmp").iterdir())
        with pytest.raises(OSError):
            gateway.get("/auth/session", token)


def test_the_key_reaches_the_upstream_and_nothing_else(serving, upstream, tmp_path):
    with serving("--port", "0", "--upstream", upstream, PAPERSPACE_API_KEY=KEY) as gateway:
        status, body = gateway.get("/auth/session", gateway.variables["PAPERSPACE_API_KEY"])
        assert (status, json.loads(body)["team"]["id"]) == (200, "tsandbox01")
        assert KEY.encode() not in everything_under(tmp_path / "tmp")
        assert gateway.interrupt() == 0
        assert KEY not in gateway.said


def test_state_is_kept_where_it_is_asked_for(quickstart, tmp_path, binary, run):
    state = tmp_path / "state"
    for count in (1, 2):
        result = quickstart("--once", "--port", "0", "--state", state)
        assert result.returncode == 0, result.stdout + result.stderr
        listed = run(binary, "token", "list", "--clients", state / "clients.json").stdout
        assert listed.count("first-client") == count
    assert state.stat().st_mode & 0o777 == 0o700
    assert (state / "clients.json").stat().st_mode & 0o777 == 0o600


def test_another_listen_address(quickstart):
    result = quickstart("--once", "--listen", "127.0.0.2:0")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "export PAPERSPACE_API_URL=http://127.0.0.2:" in result.stdout


def test_another_port_is_found_when_8080_is_taken(quickstart):
    with ExitStack() as stack:
        try:
            stack.enter_context(socket.create_server(("127.0.0.1", 8080)))
        except OSError:
            pass  # somebody else has it: that is what is wanted
        result = quickstart("--once")
    assert result.returncode == 0, result.stdout + result.stderr
    port = re.search(r"export PAPERSPACE_API_URL=http://127.0.0.1:(\d+)/v1", result.stdout)[1]
    assert port not in ("8080", "0")
