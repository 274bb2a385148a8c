"""The stress of the cache: clients that read and change members at the same time, for a while."""

import re
import subprocess
import sys

import pytest
from conftest import ROOT
from support.gateway import is_sanitized

sys.path.insert(0, str(ROOT / "tests" / "stress"))

from stress import HOLD, TICK, History  # noqa: E402

SCRIPT = ROOT / "tests" / "stress" / "stress.py"


def run_stress(binary, mode, *options, timeout=90):
    result = subprocess.run([sys.executable, SCRIPT, "--binary", binary, "--mode", mode, *options],
                            capture_output=True, text=True, timeout=timeout)
    assert result.returncode == 0, (result.stdout + result.stderr)[-20000:]
    seed, summary = result.stdout.splitlines()
    assert re.fullmatch(r"seed \d+", seed)
    assert summary.endswith(" 0 violations"), summary
    counts = {name: int(count) for count, name in re.findall(r"(\d+) (reads|hits|fetches|changes|with an unknown end)\b", summary)}
    assert counts["reads"] > 500 and counts["changes"] > 20, f"it was too slow to test anything: {summary}"
    least = 0.15 if mode == "failing" and is_sanitized() else 0.3
    assert counts["hits"] > least * counts["reads"], f"too few hits to test anything: {summary}"
    return counts


@pytest.mark.parametrize("mode", ["plain", "failing"])
def test_no_read_is_older_than_the_changes_answered_before_it(binary, mode):
    counts = run_stress(binary, mode)
    assert mode == "plain" or counts["with an unknown end"] > 0


@pytest.mark.long
@pytest.mark.timeout(300)
@pytest.mark.parametrize("mode", ["plain", "failing"])
def test_no_read_is_older_than_the_changes_answered_before_it_in_a_minute(binary, mode):
    run_stress(binary, mode, "--long", timeout=240)


# -- the judge itself -----------------------------------------------------------------------------------


def test_a_read_may_be_as_old_as_what_was_answered_before_it_began():
    history = History()
    assert history.least(5.0) == 0
    history.land(1.0)
    history.land(1.5)
    history.answer(2.0, 2)
    history.answer(3.0, 1)
    assert [history.least(began) for began in (1.9, 2.0, 2.1, 9.0)] == [0, 0, 2, 2]


def test_what_landed_before_the_end_of_a_hold_counts_once_the_hold_is_over():
    history = History()
    history.land(1.0)
    history.lose(1.2, 1.1)
    history.land(1.1 + HOLD - 2 * TICK)
    history.land(1.1 + HOLD + TICK)
    assert [history.least(1.2 + HOLD + delay) for delay in (0, TICK, 2 * TICK)] == [0, 0, 2]
