"""What people see while and after a long trail is verified, and programs do not."""

import re
import shutil
import time
from pathlib import Path

import pytest
from support.terminal import run_on_terminal, uncolored

from test_audit_verify import Trail

PROGRESS = re.compile(r"\r *(\d+) % of ([\d.]+) MiB, (\d+) records, (\d+) records/s\x1b\[K")
INTACT = re.compile(r"(\d+) records, \d+ mutations, 0 unfinished, chain intact")


class LongTrail:
    """A trail that grows until verifying it takes long enough for progress to show."""

    def __init__(self, binary, folder):
        self.binary, self.folder = binary, folder
        self.trail = Trail(folder, None)
        self.trail.begin("audit.jsonl")
        self.mutations = 0

    def grow(self, mutations):
        for _ in range(mutations):
            self.trail.mutation("intent", self.mutations)
            self.trail.mutation("result", self.mutations)
            self.mutations += 1
        self.trail.file.flush()

    def verify(self, **options):
        return run_on_terminal(self.binary, "audit", "verify", self.folder, **options)

    def grow_until_shown(self):
        while True:
            self.grow(10000 + self.mutations)
            begun = time.monotonic()
            shown = self.verify()
            seconds = time.monotonic() - begun
            if PROGRESS.search(shown.terminal) or self.mutations > 2000000:
                return shown, seconds


@pytest.fixture(scope="module")
def long_trail(binary, tmp_path_factory):
    folder = tmp_path_factory.mktemp("long")
    yield LongTrail(binary, folder)
    shutil.rmtree(folder)


def test_a_long_trail_shows_how_far_it_is_and_leaves_only_the_verdict(long_trail):
    shown, seconds = long_trail.grow_until_shown()
    updates = PROGRESS.findall(shown.terminal)
    assert 0 < len(updates) <= seconds * 10
    assert [int(update[0]) for update in updates] == sorted(int(update[0]) for update in updates)
    assert all(0 <= int(update[0]) <= 100 and int(update[3]) > 0 for update in updates)
    size = Path(long_trail.folder, "audit.jsonl").stat().st_size
    assert {float(update[1]) for update in updates} == {round(size / 2**20, 1)}
    records = 2 * long_trail.mutations
    assert shown.screen() == [f"{records} records, {long_trail.mutations} mutations, 0 unfinished, chain intact",
                              "no checkpoint in the trail: nothing in it is signed", ""]


@pytest.mark.parametrize("options", [{"stderr": False}, {"environment": {"TERM": "dumb"}}], ids=["pipe", "dumb"])
def test_a_pipe_and_a_dumb_terminal_get_no_progress(long_trail, options):
    shown = long_trail.verify(**options)
    assert "%" not in shown.terminal and (shown.stderr or "") == "" and INTACT.search(uncolored(shown.terminal))


@pytest.fixture
def short(binary, tmp_path):
    trail = LongTrail(binary, tmp_path)
    trail.grow(2)
    return trail


def test_a_short_trail_shows_no_progress_but_a_coloured_verdict(short):
    assert short.verify().terminal.startswith("4 records, 2 mutations, 0 unfinished, \x1b[32mchain intact\x1b[0m\r\n")


@pytest.mark.parametrize("options", [{"stdout": False}, {"environment": {"NO_COLOR": "1"}}], ids=["pipe", "NO_COLOR"])
def test_a_verdict_is_plain_where_nobody_looks_or_wants_it(short, options):
    shown = short.verify(**options)
    assert (shown.stdout or shown.terminal).startswith("4 records, 2 mutations, 0 unfinished, chain intact")


def test_a_broken_chain_is_red_on_a_terminal_and_plain_in_a_pipe(short):
    path = short.folder / "audit.jsonl"
    path.write_bytes(path.read_bytes().replace(b"J\xc3\xb6rg", b"J\xc3\xb6rn", 1))
    shown, piped = short.verify(), short.verify(stderr=False)
    assert re.match(r"\x1b\[31mpsgate audit: .*audit.jsonl:\d+: .*\x1b\[0m\r\n$", shown.terminal) and shown.returncode == 1
    assert re.match(r"psgate audit: .*audit.jsonl:\d+: .*\n$", piped.stderr) and piped.returncode == 1
