"""The copy of the audit records as a real rsyslog receives it, over each transport."""

import socket
import subprocess

import pytest
from support.rsyslog import Rsyslog, find_program
from support.waiting import DEADLINE, wait_until

pytest_plugins = ["support.audit"]
RECORDS = ['{"event.action":"createTeamSecret","proxy.resource.name":"é€😀"}', '{"a":"\\"\\\\\\u001b<34>1 - - - - -"}',
           "plain", '{"long":"%s"}' % ("x" * 6000)]


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    return find_program(tmp_path_factory.mktemp("rsyslog")) or pytest.skip("rsyslog cannot be had here")


@pytest.fixture
def rsyslog(program, tmp_path):
    server = Rsyslog(program, tmp_path)
    yield server
    server.stop()


class Driver:
    """The module under test behind a pipe: a line in, a record out."""

    def __init__(self, path, folder, arguments):
        self.log_file = folder / "driver.txt"
        with open(self.log_file, "w") as log:
            self.process = subprocess.Popen([path, *map(str, arguments)], stdin=subprocess.PIPE,
                                            stdout=subprocess.PIPE, stderr=log, text=True)

    def send(self, *records, phase="intent"):
        self.process.stdin.writelines(f"{phase} {record}\n" for record in records)
        self.process.stdin.flush()

    def counts(self):
        """[sent, dropped], once all are one or the other."""
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return [int(number) for number in self.process.stdout.readline().split()]

    def log(self):
        return self.log_file.read_text()

    def wait_log(self, text):
        wait_until(lambda: text in self.log(), f"'{text}' in the log")

    def end(self):
        self.process.stdin.close()
        assert self.process.wait(DEADLINE) == 0, self.log()


@pytest.fixture
def drive(binary, tmp_path):
    path = binary.parent / "tests" / "syslog_driver"
    drivers = []

    def drive(*arguments):
        drivers.append(Driver(path, tmp_path, arguments))
        return drivers[-1]

    yield drive
    for driver in drivers:
        driver.process.kill()
        driver.process.wait()


def check_all_arrive(rsyslog, driver, facility):
    driver.send(*RECORDS)
    driver.send(*RECORDS, phase="result")
    assert driver.counts() == [8, 0]
    received = rsyslog.wait_received(8)
    assert [message["msg"].removeprefix(" ") for message in received] == RECORDS * 2
    assert [message["phase"] for message in received] == ["intent"] * 4 + ["result"] * 4
    for message in received:
        assert message["version"] == "1"
        assert message["pri"] == str(facility * 8 + 5)
        assert message["host"] == socket.gethostname()
        assert message["app"] == "psgate"
        assert message["pid"] == str(driver.process.pid)
        assert message["data"] == "-"
    driver.end()
    assert "down" not in driver.log()


def test_rsyslog_understands_what_comes_over_tcp(rsyslog, drive):
    rsyslog.start_tcp()
    check_all_arrive(rsyslog, drive(f"tcp://127.0.0.1:{rsyslog.port}"), facility=4)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_rsyslog_understands_what_comes_over_tls(rsyslog, drive, authority, host):
    rsyslog.start_tls(authority, "right")
    check_all_arrive(rsyslog, drive(f"tls://{host}:{rsyslog.port}", authority.ca_file, "local3"), facility=19)


def test_rsyslog_understands_what_comes_to_the_local_socket(rsyslog, drive):
    rsyslog.start_local()
    driver = drive(f"unix:{rsyslog.socket}", "", "audit")
    driver.send(*RECORDS)
    assert driver.counts() == [4, 0]
    received = rsyslog.wait_received(4)
    assert [message["msg"].removeprefix(" ") for message in received] == RECORDS
    assert {(message["tag"], message["pid"], message["pri"]) for message in received} == \
        {("psgate", str(driver.process.pid), str(13 * 8 + 5))}
    driver.end()


@pytest.mark.parametrize("certificate", ["wrong-name", "expired", "self-signed"])
def test_nothing_is_sent_to_a_server_with_a_bad_certificate(rsyslog, drive, authority, certificate):
    rsyslog.start_tls(authority, certificate)
    driver = drive(f"tls://localhost:{rsyslog.port}", authority.ca_file)
    driver.send("secret")
    driver.wait_log("the server's certificate is refused")
    driver.end()
    assert "records not sent before the end: 1" in driver.log()
    rsyslog.stop()
    assert rsyslog.received() == []


def test_a_certificate_is_not_trusted_without_its_authority(rsyslog, drive, authority):
    rsyslog.start_tls(authority, "right")
    driver = drive(f"tls://localhost:{rsyslog.port}")
    driver.wait_log("the server's certificate is refused")
    driver.end()


def test_a_server_without_tls_gets_nothing(drive, authority):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(DEADLINE)
        driver = drive(f"tls://localhost:{listener.getsockname()[1]}", authority.ca_file)
        driver.send("secret")
        with listener.accept()[0] as peer:
            peer.settimeout(DEADLINE)
            hello = peer.recv(65536)
            assert hello.startswith(b"\x16\x03") and b"secret" not in hello
            peer.sendall(b"this is no TLS\n")
            driver.wait_log("is down: the TLS handshake failed")
    driver.end()


@pytest.mark.parametrize("transport", ["tcp", "tls"])
def test_records_wait_while_rsyslog_restarts(rsyslog, drive, authority, transport):
    start = rsyslog.start_tcp if transport == "tcp" else lambda: rsyslog.start_tls(authority, "right")
    start()
    driver = drive(f"{transport}://localhost:{rsyslog.port}", *([authority.ca_file] if transport == "tls" else []))
    driver.send("before")
    assert driver.counts() == [1, 0]
    rsyslog.wait_received(1)
    rsyslog.stop()
    driver.wait_log("is down")
    driver.send("between", "them")
    start()
    driver.send("after")
    assert driver.counts() == [4, 0]
    received = rsyslog.wait_received(4)
    assert [message["msg"].removeprefix(" ") for message in received] == ["before", "between", "them", "after"]
    assert driver.log().count("is down") == driver.log().count("is back") == 1
    driver.end()


def test_rsyslog_has_each_line_of_a_gateways_trail(rsyslog, make_audited):
    rsyslog.start_tcp()
    stage = make_audited(audit={"syslog": f"tcp://127.0.0.1:{rsyslog.port}"})
    stage.assert_created("one")
    stage.rotate()
    stage.assert_created("two")
    stage.wait_finished("one", "two")
    lines = [line.decode() for file in stage.files() for line in file.lines]
    assert len(lines) == 4
    assert [message["msg"].removeprefix(" ") for message in rsyslog.wait_received(4)] == lines
