"""The log as such: where it goes, that it holds nobody up, what is said of lines that were lost, levels at run time."""

import gzip
import json
import os
import pty
import re
import select
import shutil
import signal
import socket
import subprocess
import termios
import tty
from pathlib import Path

import pytest
from support.logs import Log, parsed
from support.waiting import DEADLINE, wait_until

LOGROTATE = Path(__file__).resolve().parents[2] / "deploy/logrotate/psgate"
OWN = b"/.psgate/"
LOST = re.compile(r"log: (\d+) lines were dropped, .* \((.*)\)")


# -- standard error that takes nothing --------------------------------------------------------------------


class Pipe:
    """A pipe that nobody reads until the test does."""

    def __init__(self):
        self.reader, self.writer = os.pipe()

    def release(self):
        pass

    def read(self):
        assert select.select([self.reader], [], [], DEADLINE)[0], "waited in vain for more"
        try:
            return os.read(self.reader, 1 << 20)
        except OSError:  # a terminal whose other end is closed
            return b""

    def close(self):
        for end in (self.reader, self.writer):
            if end is not None:
                os.close(end)


class Socket(Pipe):
    def __init__(self):
        self.reader, self.writer = (end.detach() for end in socket.socketpair())


class Terminal(Pipe):
    """A terminal that was stopped with Ctrl-S."""

    def __init__(self):
        self.reader, self.writer = pty.openpty()
        tty.setraw(self.writer)
        termios.tcflow(self.writer, termios.TCOOFF)

    def release(self):
        termios.tcflow(self.writer, termios.TCOON)


@pytest.fixture(params=[Pipe, Socket, Terminal], ids=["pipe", "socket", "terminal"])
def stuck(request):
    output = request.param()
    yield output
    output.close()


def start_with(stage, output):
    """Starts the gateway with that standard error, of which we keep only the reading end."""
    stage.gateway.error_output = output.writer
    return stage.start()


def read_rest(stage, output, until=b""):
    """Lets it flow, reads until there is that text, stops the gateway and reads to the end.

    What was read stands in the file then where standard error mostly goes.
    """
    output.release()
    data = b""
    while until not in data:
        data += output.read()
    stage.gateway.process.terminate()
    os.close(output.writer)
    output.writer = None
    while more := output.read():
        data += more
    (stage.gateway.folder / "stderr").write_bytes(data)
    return data.decode()


def ask_for_long_lines(stage, count, length=8000):
    """So many requests whose access lines have that length, one after the other; all are answered."""
    with stage.connect() as client:
        for number in range(count):
            target = OWN + b"%d-" % number + b"x" * length
            assert client.ask(b"GET %b HTTP/1.1\r\nHost: gateway.test\r\n\r\n" % target).status in (401, 404)


def test_standard_error_that_nobody_reads_holds_up_no_request_and_what_was_dropped_is_told(make_stage, stuck):
    stage = start_with(make_stage(start=False, config={"workers": 1}), stuck)
    ask_for_long_lines(stage, 2500)
    lines = parsed(read_rest(stage, stuck, until=b" lines were dropped"))
    written = [int(re.match(r"/.psgate/(\d+)-", line["url.path"])[1]) for line in lines if line["message"] == "request"]
    notices = [match for line in lines if (match := LOST.match(line["message"]))]
    assert written == sorted(written) and written[0] == 0
    assert len(notices) == 1 and int(notices[0][1]) > 0
    by_level = dict(part.split() for part in notices[0][2].split(", "))
    assert sum(map(int, by_level.values())) == int(notices[0][1])
    assert len(written) + int(by_level["info"]) == 2500
    assert lines[-1]["message"] == "stopped"


def test_every_line_is_whole_whatever_was_dropped(make_stage, stuck):
    stage = start_with(make_stage(start=False), stuck)
    ask_for_long_lines(stage, 600)
    for line in read_rest(stage, stuck).splitlines():
        if line.startswith("{"):
            assert {"@timestamp", "log.level", "message"} <= set(json.loads(line))
        else:
            assert re.match(r"\d{4}-\d\d-\d\dT[0-9:.]{12}Z (error|warn|info|debug) ", line), line[:200]


def test_standard_error_that_nobody_reads_does_not_hold_up_the_end(make_stage, stuck):
    stage = start_with(make_stage(start=False), stuck)
    ask_for_long_lines(stage, 100)
    stage.gateway.stop()


def test_a_full_disk_holds_up_nobody(make_stage):
    stage = make_stage(start=False)
    with open("/dev/full", "w") as full:
        stage.gateway.error_output = full.fileno()
        stage.start()
        for _ in range(100):
            assert stage.get(b"/v1/anything").status == 200
        stage.gateway.stop()


# -- files --------------------------------------------------------------------------------------------------


@pytest.fixture
def filed(make_stage):
    """A gateway that logs to a file."""
    stage = make_stage(config={"log": {"file": "psgate.log"}})
    stage.file = stage.gateway.folder / "psgate.log"
    return stage


def messages(path):
    return [line["message"] for line in parsed(path.read_text())]


def test_a_log_file_gets_every_line_and_standard_error_none(filed):
    log = Log(filed.gateway, filed.file)
    assert filed.get(b"/v1/filed").status == 200
    log.wait(url_path="/v1/filed")
    filed.gateway.stop()
    assert messages(filed.file)[-1] == "stopped"
    assert filed.file.stat().st_mode & 0o777 == 0o640
    assert filed.gateway.stderr() == ""


def test_a_log_file_is_appended_to(filed):
    filed.gateway.stop()
    before = filed.file.read_text()
    filed.start()
    filed.gateway.stop()
    assert filed.file.read_text().startswith(before) and messages(filed.file).count("stopped") == 2


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGHUP], ids=["usr1", "hup"])
def test_a_renamed_log_file_is_left_at_the_signal(filed, number):
    """As logrotate does it; not a line is lost, and none stands in both."""
    old = filed.file.with_suffix(".log.1")
    with filed.connect() as client:
        for count in range(300):
            if count == 100:
                filed.file.rename(old)
            if count == 200:
                filed.gateway.process.send_signal(number)
                wait_until(filed.file.exists, "the new log file")
            target = b"/v1/numbered/%d" % count
            assert client.ask(filed.request(b"GET %b HTTP/1.1" % target)).status == 200
    wait_until(lambda: "/v1/numbered/299" in filed.file.read_text(), "the last line")
    paths = [[line["url.path"] for line in parsed(path.read_text()) if "url.path" in line] for path in (old, filed.file)]
    assert paths[0] + paths[1] == [f"/v1/numbered/{count}" for count in range(300)]
    assert len(paths[0]) > 100


def test_a_log_file_may_be_in_a_folder_of_its_own(make_stage, tmp_path):
    """That is within reach of the confined process, at the start and for a new file."""
    file = tmp_path / "psgate.log"
    stage = make_stage(config={"log": {"file": str(file)}})
    wait_until(file.exists, "the log file")
    file.unlink()
    stage.gateway.process.send_signal(signal.SIGUSR1)
    wait_until(file.exists, "the new log file")


def test_a_log_file_that_cannot_be_reopened_stays_and_it_is_said(filed):
    old = filed.file.with_suffix(".log.1")
    filed.file.rename(old)
    filed.file.mkdir()
    filed.gateway.process.send_signal(signal.SIGUSR1)
    wait_until(lambda: "the log stays in the old file" in old.read_text(), "a word of it")
    filed.gateway.hang_up()
    wait_until(lambda: "reload refused: cannot open the log file" in old.read_text(), "the refused reload")
    assert filed.get(b"/v1/still-there").status == 200
    wait_until(lambda: "/v1/still-there" in old.read_text(), "a line in the old file")


def test_the_logrotate_sample_begins_a_new_log_and_loses_nothing(filed, tmp_path):
    if shutil.which("logrotate") is None:
        pytest.skip("logrotate is not installed")
    text = re.sub(r"^ *su .*\n", "", LOGROTATE.read_text(), flags=re.M)  # the service's user, who is not here
    text = text.replace("/var/lib/psgate/audit/", f"{tmp_path}/none/").replace("/var/log/psgate/psgate.log", str(filed.file))
    text, count = re.subn(r"systemctl kill .*", f"kill -USR1 {filed.gateway.pid}", text)
    assert count == 1
    (tmp_path / "logrotate.conf").write_text(text)
    (tmp_path / "logrotate.conf").chmod(0o644)
    for number in range(3):
        assert filed.get(b"/v1/rotated/%d" % number).status == 200
        wait_until(lambda: f"/v1/rotated/{number}" in filed.file.read_text(), "the line")  # an empty file is not rotated
        if number < 2:
            subprocess.run(["logrotate", "--force", "--state", tmp_path / "state", tmp_path / "logrotate.conf"], check=True)
            wait_until(filed.file.exists, "the new log file")
    filed.gateway.stop()
    names = sorted(path.name for path in filed.file.parent.glob("psgate.log*"))
    assert names == ["psgate.log", "psgate.log.1", "psgate.log.2.gz"]
    whole = "".join([gzip.decompress((filed.file.parent / names[2]).read_bytes()).decode(),
                     (filed.file.parent / names[1]).read_text(), filed.file.read_text()])
    assert [line["url.path"] for line in parsed(whole) if "url.path" in line] == [f"/v1/rotated/{number}" for number in range(3)]


def test_a_reload_changes_where_the_log_goes(filed):
    def reload(name):
        filed.gateway.write_config({**filed.gateway.config, "log": {"level": "debug", "file": name}})
        filed.gateway.hang_up()

    reload(None)
    wait_until(lambda: "configuration reloaded" in filed.gateway.stderr(), "standard error to be used")
    reload("other.log")
    wait_until(lambda: (filed.file.parent / "other.log").exists(), "the other file")
    assert filed.get(b"/v1/elsewhere").status == 200
    wait_until(lambda: "/v1/elsewhere" in (filed.file.parent / "other.log").read_text(), "a line there")
    assert "/v1/elsewhere" not in filed.gateway.stderr() + filed.file.read_text()


def test_without_its_log_file_the_gateway_does_not_start(make_stage):
    stage = make_stage(start=False, config={"log": {"file": "missing/psgate.log"}})
    result = stage.gateway.serve_in_vain()
    assert result.returncode == 1
    assert result.stderr == f"psgate: cannot open the log file {stage.gateway.folder}/missing/psgate.log: No such file or directory\n"


# -- levels and formats at run time -----------------------------------------------------------------------------


@pytest.fixture
def quiet(make_stage):
    return make_stage(config={"log": {"level": "info"}})


def test_sigusr2_raises_the_level_and_then_it_is_as_configured(quiet):
    for level in ("debug", "info", "debug", "info"):
        log = Log(quiet.gateway)
        quiet.gateway.process.send_signal(signal.SIGUSR2)
        log.wait(1, f"log level: {level} from now on")
        log = Log(quiet.gateway)
        assert quiet.get(b"/v1/some").status == 200
        log.wait()
        if level == "debug":
            wait_until(lambda: log.lines(log_level="debug"), "a line of level debug")
    quiet.gateway.stop()
    after = parsed(quiet.gateway.stderr())
    assert all(line["log.level"] != "debug" for line in after[after.index(log.lines()[0]):])


def test_a_raised_level_outlasts_a_change_of_clients_but_not_a_reload(quiet):
    log = Log(quiet.gateway)
    quiet.gateway.process.send_signal(signal.SIGUSR2)
    log.wait(1, "log level: debug from now on")
    quiet.gateway.add_client("another")
    wait_until(lambda: "clients reloaded" in log.text(), "the new client")
    log = Log(quiet.gateway)
    assert quiet.get(b"/v1/some").status == 200
    wait_until(lambda: log.lines(log_level="debug"), "a line of level debug")
    log = Log(quiet.gateway)
    quiet.gateway.hang_up()
    wait_until(lambda: "configuration reloaded" in log.text(), "the reload")
    log = Log(quiet.gateway)
    quiet.gateway.process.send_signal(signal.SIGUSR2)  # from info it goes to debug again
    log.wait(1, "log level: debug from now on")


def test_a_reload_changes_level_format_and_access_lines(quiet):
    def reload(**settings):
        log = Log(quiet.gateway)
        quiet.gateway.write_config({**quiet.gateway.config, "log": settings})
        quiet.gateway.hang_up()
        wait_until(lambda: "configuration reloaded" in log.text(), "the reload")
        return Log(quiet.gateway)

    log = reload(level="info", access=False)
    assert quiet.get(b"/v1/unlogged").status == 200
    log = reload(level="info", format="text")
    assert quiet.get(b"/v1/readable").status == 200
    wait_until(lambda: "/v1/readable" in log.text(), "the line")
    line = next(line for line in log.text().splitlines() if "/v1/readable" in line)
    assert re.fullmatch(r"\S{24} info  request source.address=127\S+ http.request.method=GET url.path=/v1/readable user.name=tester"
                        r" event.action=other http.response.status_code=200 event.duration=\d+ proxy.upstream_duration=\d+"
                        r" http.request.body.bytes=0 http.response.body.bytes=2 http.request.id=[0-9a-f]{32}", line), line
    assert "/v1/unlogged" not in quiet.gateway.stderr()
    reload(level="info")
    log = reload(level="debug")
    assert quiet.get(b"/v1/some").status == 200
    wait_until(lambda: log.lines(log_level="debug"), "a line of level debug")


def test_a_client_cannot_make_up_fields_of_a_readable_line(make_stage):
    stage = make_stage(config={"log": {"format": "text"}})
    assert stage.get(b"/v1/forged", b'X-Request-Id: x" user.name=admin').status == 200
    wait_until(lambda: "/v1/forged" in stage.gateway.stderr(), "the line")
    assert r'http.request.id="x\" user.name=admin"' in stage.gateway.stderr()
