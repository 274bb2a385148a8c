"""`psgate audit tail`: the last mutations, and with -f those that come."""

import json
import os
import pty
import queue
import signal
import subprocess
import threading
import time

import pytest
from support.gateway import SANITIZER
from support.trail import Trail
from support.waiting import DEADLINE

OUTCOME = 5


@pytest.fixture
def trail(tmp_path):
    return Trail(tmp_path / "audit")


class Tail:
    """A `psgate audit tail` that runs; its lines are waited for."""

    def __init__(self, binary, *arguments, **options):
        self.process = subprocess.Popen([binary, "audit", "tail", *arguments], stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True, **options)
        self.lines = queue.Queue()
        self.thread = threading.Thread(target=self._read)
        self.thread.start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.put(line.rstrip("\n"))

    def line(self):
        return self.lines.get(timeout=DEADLINE)

    def event(self):
        """The next row's event.id and phase."""
        members = json.loads(self.line())
        return members["event.id"], members["proxy.phase"]

    def row(self):
        """The next row's cells; the header is left out."""
        cells = self.line().split()
        return cells if cells[0] != "TIME" else self.row()

    def end(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        return self.ended()

    def ended(self):
        status = self.process.wait(DEADLINE)
        self.thread.join()
        stderr = self.process.stderr.read()
        self.process.stdout.close()
        self.process.stderr.close()
        assert not SANITIZER.search(stderr), stderr
        assert self.lines.empty(), list(self.lines.queue)
        return status, stderr


@pytest.fixture
def follow(binary, trail):
    running = []

    def follow(*arguments, folder=trail.folder, **options):
        running.append(Tail(binary, "-f", folder, *arguments, **options))
        return running[-1]

    yield follow
    for tail in running:
        if tail.process.poll() is None:
            assert tail.end() == (0, "")


@pytest.fixture
def ids(binary, trail):
    """The event ids that tail without -f shows."""

    def ids(*arguments):
        result = subprocess.run([binary, "audit", "tail", trail.folder, "--json", *arguments],
                                capture_output=True, timeout=DEADLINE)
        assert result.returncode == 0 and not SANITIZER.search(result.stderr.decode()), result
        return [json.loads(line)["event.id"] for line in result.stdout.splitlines()]

    return ids


# -- the last ones -----------------------------------------------------------------------------


def test_ten_are_shown_or_as_many_as_asked_for(trail, ids):
    made = [trail.mutation() for _ in range(25)]
    assert ids() == made[-10:]
    assert ids("-n", "3") == made[-3:]
    assert ids("--lines", "100") == made
    assert ids("-n0") == []


def test_those_of_earlier_files_are_found(trail, ids):
    made = []
    for _ in range(9):
        made += [trail.mutation() for _ in range(3)]
        trail.compress(trail.rotate())
    made.append(trail.mutation())
    for count in (1, 2, 4, 5, 10, 20, 27, 28, 100):
        assert ids("-n", str(count)) == made[-count:]


def test_an_intent_and_its_result_in_different_files_are_one(trail, ids):
    early, late = trail.intent(), trail.intent()
    trail.rotate()
    trail.result(late)
    trail.rotate()
    other = trail.mutation()
    trail.result(early)
    another = trail.mutation()
    assert ids("-n", "4") == [early, late, other, another]
    assert ids("-n", "2") == [other, another]
    assert ids("-n", "3") == [late, other, another]


def test_filters_reach_back_over_files(trail, ids):
    wanted = [trail.mutation(user="dev")]
    for _ in range(5):
        trail.mutation()
        trail.rotate()
    wanted.append(trail.mutation(user="dev"))
    trail.mutation()
    assert ids("--user", "dev") == wanted
    assert ids("--user", "dev", "-n", "1") == wanted[1:]


def test_unfinished_ones_are_shown_in_their_place(trail, ids):
    made = [trail.intent(), trail.mutation(), trail.refused()]
    assert ids() == made


def test_a_part_that_is_unreadable_is_said(binary, trail):
    trail.mutation()
    trail.write(b"rubbish\n")
    trail.mutation()
    (trail.folder / "audit-old.jsonl").write_text("rubbish\n")
    result = subprocess.run([binary, "audit", "tail", trail.folder], capture_output=True, timeout=DEADLINE)
    assert result.returncode == 1 and result.stdout.count(b"DB_PASSWORD") == 2
    assert result.stderr.count(b"\n") == 1 and b"audit.jsonl:3: " in result.stderr


def test_a_torn_last_line_is_said(binary, trail):
    trail.mutation()
    trail.write(b"{")
    result = subprocess.run([binary, "audit", "tail", trail.folder], capture_output=True, timeout=DEADLINE)
    assert result.returncode == 0 and b"the last line is incomplete" in result.stderr


def test_a_folder_that_is_not_there_is_a_failure(binary, tmp_path):
    for option in ("--json", "-f"):
        result = subprocess.run([binary, "audit", "tail", option, tmp_path / "nowhere"], capture_output=True,
                                timeout=DEADLINE)
        assert result.returncode == 1 and b"nowhere" in result.stderr


def test_a_pipe_gets_no_color(trail, follow):
    trail.mutation()
    tail = follow()
    assert "\x1b" not in tail.line() + tail.line()


@pytest.mark.parametrize("arguments", [["-n", "x"], ["-n", "-1"], ["-n", "1000001"], ["--since", "x"], ["-x"]])
def test_usage(binary, trail, arguments):
    result = subprocess.run([binary, "audit", "tail", trail.folder, *arguments], capture_output=True)
    assert result.returncode == 64 and result.stdout == b""


# -- following ---------------------------------------------------------------------------------


def test_a_mutation_is_shown_when_its_result_comes(trail, follow):
    shown = trail.mutation()
    tail = follow("--json")
    assert tail.event() == (shown, "result")
    event_id = trail.mutation()
    assert tail.event() == (event_id, "result")
    refused = trail.refused()
    assert tail.event() == (refused, "refused")


def test_an_empty_folder_is_followed(trail, follow):
    trail.current.unlink()
    tail = follow("--json")
    event_id = trail.mutation()
    assert tail.event() == (event_id, "result")


def test_a_new_folder_of_no_rows_shows_only_new_ones(trail, follow):
    trail.mutation()
    event_id = trail.intent()
    tail = follow("--json", "-n", "0")
    assert tail.event() == (event_id, "intent")
    trail.result(event_id)
    assert tail.event() == (event_id, "result")


def test_a_slow_one_is_pending_first(trail, follow):
    tail = follow()
    begun = time.monotonic()
    event_id = trail.intent(resource="SLOW")
    assert tail.row()[3:6] == ["SLOW", "tABC", "pending"]
    assert time.monotonic() - begun > 1.9
    trail.result(event_id, "failure", 422, event_reason="upstream_status")
    assert tail.row()[3:8] == ["SLOW", "tABC", "failure", "422", "upstream_status"]


def test_a_fast_one_is_not_pending(trail, follow):
    tail = follow("--json")
    for _ in range(20):
        event_id = trail.mutation()
        assert tail.event() == (event_id, "result")


def test_a_line_is_waited_for_until_it_is_whole(trail, follow):
    tail = follow("--json")
    before = trail.mutation()
    assert tail.event() == (before, "result")
    event_id = trail.intent()
    size = trail.current.stat().st_size
    trail.result(event_id)
    line = trail.current.read_bytes()[size:]
    with open(trail.current, "r+b") as file:
        file.truncate(size)
    # The program may see any of these lengths; it must show one row in the end.
    for at in range(0, len(line), 97):
        trail.write(line[at : at + 97])
    assert tail.event() == (event_id, "result")


def test_rotations_are_followed(trail, follow):
    tail = follow("--json")
    for number in range(6):
        event_id = trail.mutation()
        assert tail.event() == (event_id, "result")
        open_id = trail.intent()
        closed = trail.rotate()
        if number % 2:
            trail.compress(closed)
        trail.result(open_id)
        assert tail.event() == (open_id, "result")


def test_several_rotations_at_once_lose_nothing(trail, follow):
    tail = follow("--json")
    for _ in range(5):
        made = []
        for _ in range(4):
            made += [trail.mutation(), trail.mutation()]
            trail.rotate()
        assert [tail.event()[0] for _ in made] == made


def test_a_deleted_current_file_is_followed_by_the_next(trail, follow):
    tail = follow("--json")
    event_id = trail.mutation()
    assert tail.event() == (event_id, "result")
    trail.delete()
    event_id = trail.mutation()
    assert tail.event() == (event_id, "result")


def test_lines_that_are_repeated_are_shown_once(trail, follow):
    tail = follow("--json")
    trail.mutation()
    trail.acknowledge()
    made = [trail.mutation(), trail.refused()]
    open_id = trail.intent()
    for event_id in ["0" * 31 + "1", *made]:
        assert tail.event()[0] == event_id
    trail.resume(b'{"torn')
    trail.result(open_id)
    after = trail.mutation()
    assert tail.event() == (open_id, "result")
    assert tail.event() == (after, "result")


def test_filters_apply(trail, follow):
    tail = follow("--json", "--user", "d*", "--outcome", "failure")
    trail.mutation(user="dev")
    trail.mutation("failure", user="ci")
    wanted = trail.mutation("failure", user="dev")
    refused = trail.refused(user="dev")
    assert [tail.event()[0], tail.event()[0]] == [wanted, refused]


def test_a_broken_line_is_said_and_it_goes_on(trail, follow):
    tail = follow("--json")
    for _ in range(2):
        event_id = trail.mutation()
        assert tail.event() == (event_id, "result")
        trail.write(b"rubbish\n")
    event_id = trail.mutation()
    assert tail.event() == (event_id, "result")
    status, stderr = tail.end()
    assert status == 0 and "audit.jsonl:" in stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_it_cleanly(trail, follow, number):
    trail.mutation()
    tail = follow("--json")
    tail.event()
    assert tail.end(number) == (0, "")


def test_it_ends_when_nobody_reads(binary, trail):
    trail.mutation()
    process = subprocess.Popen([binary, "audit", "tail", "-f", trail.folder, "--json"],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(DEADLINE) == 0
    assert process.stderr.read() == b""
    process.stderr.close()


def read_terminal(binary, folder, **environment):
    """What tail prints on a terminal."""
    master, slave = pty.openpty()
    env = {name: value for name, value in os.environ.items() if name != "NO_COLOR"} | {"TERM": "xterm"} | environment
    process = subprocess.Popen([binary, "audit", "tail", folder], stdout=slave, stderr=subprocess.DEVNULL, env=env)
    os.close(slave)
    shown = b""
    try:
        while data := os.read(master, 4096):
            shown += data
    except OSError:  # the last one closed the terminal
        pass
    os.close(master)
    assert process.wait(DEADLINE) == 0
    return shown.decode()


def test_outcomes_have_colors_on_a_terminal(binary, trail):
    trail.mutation()
    trail.mutation("failure", 500, "upstream_status")
    trail.refused()
    trail.mutation("unknown", None, "timeout")
    shown = read_terminal(binary, trail.folder)
    assert "\x1b[32msuccess\x1b[0m" in shown and "\x1b[31mfailure\x1b[0m" in shown
    assert "\x1b[31mrefused\x1b[0m" in shown and "\x1b[33munknown\x1b[0m" in shown
    lines = shown.splitlines()
    assert "\x1b" not in lines[0] and len(lines) == 5


def test_no_color_is_honoured(binary, trail):
    trail.mutation()
    assert "\x1b" not in read_terminal(binary, trail.folder, NO_COLOR="1")
