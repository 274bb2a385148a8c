"""`psgate check`: what it says of a configuration once it has asked the upstream."""

import re
import socket
import subprocess
import threading

import pytest
from support import wire
from support.gateway import write_private
from support.waiting import DEADLINE, wait_until
from support.wire import is_readable


@pytest.fixture
def idle(make_stage):
    """A stage whose gateway does not run; its origin does."""
    return make_stage(start=False)


@pytest.fixture
def sandbox(idle):
    """The URL of a sandbox that takes the gateway's key and no other."""
    out = idle.gateway.folder / "sandbox-out"
    with open(out, "w") as stdout:
        process = subprocess.Popen([idle.gateway.binary, "sandbox", "--listen", "127.0.0.1:0", "--api-key-file",
                                    str(idle.gateway.key_file)], stdout=stdout, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: process.poll() is not None or "\n" in out.read_text(), "the sandbox to listen")
        assert process.poll() is None
        yield out.read_text().split()[-1]
    finally:
        process.terminate()
        assert process.wait(DEADLINE) == 0


def check(gateway, *options, url=None, **upstream):
    """Runs it; no secret may be in what it says, and the files must be as they were."""
    if url or upstream:
        own = {**gateway.config["upstream"], **upstream, **({"url": url} if url else {})}
        gateway.write_config({**gateway.config, "upstream": own})
    before = {path.name: path.read_bytes() for path in gateway.folder.iterdir()}
    result = gateway.command("check", "-c", gateway.config_file, *options)
    assert {path.name: path.read_bytes() for path in gateway.folder.iterdir()} == before
    for secret in gateway.secrets:
        assert secret not in result.stdout + result.stderr
    return result


def test_the_right_key_is_accepted(idle, sandbox):
    result = check(idle.gateway, url=sandbox)
    assert result.returncode == 0, result.stderr
    assert "accepted" in result.stdout and result.stderr == ""


def test_a_wrong_key_is_a_failure_and_is_said(idle, sandbox):
    write_private(idle.gateway.key_file, "another-key\n")
    result = check(idle.gateway, url=sandbox)
    assert result.returncode == 1
    assert re.search(r"credentials\.default: .*key", result.stderr), result.stderr
    assert "another-key" not in result.stdout + result.stderr and "good" not in result.stdout


def test_every_key_is_tried_and_the_wrong_one_is_named(idle, sandbox):
    write_private(idle.gateway.folder / "second-key", "another-key\n")
    credentials = {**idle.gateway.config["credentials"], "second": {"api_key_file": "second-key"}}
    idle.gateway.write_config({**idle.gateway.config, "credentials": credentials})
    result = check(idle.gateway, url=sandbox)
    assert result.returncode == 1
    assert "credentials.second: " in result.stderr and "credentials.default: " not in result.stderr
    assert re.search(r"^ok +credentials\.default +accepted$", result.stdout, re.M)


@pytest.mark.parametrize("status, code", [(b"401 Unauthorized", 1), (b"403 Forbidden", 1), (b"200 OK", 0),
                                          (b"500 Internal Server Error", 0), (b"404 Not Found", 0)])
def test_only_an_answer_about_the_key_is_a_failure(idle, status, code):
    idle.origin.answer = wire.response(b"HTTP/1.1 " + status, body=b'{"user":{}}')
    result = check(idle.gateway)
    assert result.returncode == code, result.stderr
    assert ("warning" in result.stderr) == (status[:3] in (b"500", b"404"))


@pytest.mark.parametrize("body", [b"null", b" null\n"])
def test_a_session_that_is_null_is_a_refused_key(idle, body):
    idle.origin.answer = wire.response(body=body)
    assert check(idle.gateway).returncode == 1


def test_it_asks_once_for_the_session_with_the_key_alone(idle):
    idle.origin.answer = wire.response(body=b'{"user":{}}')
    check(idle.gateway)
    assert [request.start for request in idle.origin.requests] == [b"GET /v1/auth/session HTTP/1.1"]
    seen = idle.origin.requests[0]
    assert seen.values("Authorization") == [idle.fill(b"Bearer @KEY@")]
    assert seen.values("Host") == [idle.origin.authority]
    assert {name.lower() for name, _ in seen.fields} <= {
        b"host", b"authorization", b"accept", b"accept-encoding", b"user-agent", b"via"}


@pytest.mark.parametrize("leaf, trusts", [("wrong-name", True), ("expired", True), ("self-signed", True),
                                          ("right", False)])
def test_a_certificate_that_is_not_verified_is_a_failure_and_gets_no_key(make_stage, authority, leaf, trusts):
    upstream = {"ca_file": str(authority.ca_file)} if trusts else {}
    stage = make_stage(start=False, tls=authority.server_context(leaf), upstream_host="localhost")
    result = check(stage.gateway, **upstream)
    assert result.returncode == 1 and "certificate" in result.stderr and "upstream" in result.stderr
    assert stage.origin.received() == b""


def test_a_verified_certificate_is_fine(make_stage, authority):
    stage = make_stage(start=False, tls=authority.server_context("right"), upstream_host="localhost")
    stage.origin.answer = wire.response(body=b'{"user":{}}')
    assert check(stage.gateway, ca_file=str(authority.ca_file)).returncode == 0


def assert_warned(result):
    assert result.returncode == 0, result.stderr
    assert "warning" in result.stderr and "good" in result.stdout


def test_where_nobody_listens_the_configuration_is_still_good(idle):
    idle.origin.stop()
    assert_warned(check(idle.gateway))


def test_a_name_that_does_not_resolve_is_no_fault_of_the_configuration(idle):
    assert_warned(check(idle.gateway, url="https://no-such-host.invalid"))


def test_an_upstream_that_does_not_answer_in_time_is_no_fault_of_the_configuration(idle):
    idle.origin.answer = lambda peer, request: peer.wait_end()
    assert_warned(check(idle.gateway, response_timeout="300ms"))


def test_an_upstream_that_speaks_no_http_is_no_fault_of_the_configuration(idle):
    idle.origin.answer = lambda peer, request: (peer.send(b"220 mail.test ESMTP\r\n"), peer.close())
    assert_warned(check(idle.gateway))


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_offline_contacts_nobody(idle, scheme):
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"{scheme}://127.0.0.1:{server.getsockname()[1]}"
        result = check(idle.gateway, "--offline", url=url)
        assert result.returncode == 0 and result.stderr == ""
        assert not is_readable(server, 0), "somebody has connected"


def test_online_it_would_have_connected(idle):
    """So the test above looks at the right place."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        accepted = threading.Event()
        threading.Thread(target=lambda: (server.accept()[0].close(), accepted.set()), daemon=True).start()
        assert_warned(check(idle.gateway, url=f"http://127.0.0.1:{server.getsockname()[1]}"))
        assert accepted.wait(DEADLINE)


def test_a_bad_configuration_contacts_nobody(idle):
    idle.gateway.write_config({**idle.gateway.config, "workers": "two"})
    assert idle.gateway.command("check", "-c", idle.gateway.config_file).returncode == 78
    assert idle.origin.received() == b""
