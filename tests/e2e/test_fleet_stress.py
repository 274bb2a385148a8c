"""The stress of several gateways: clients that read and change through all of them while Redis fares badly."""

import re
import shutil
import subprocess
import sys

import pytest
from conftest import ROOT

sys.path.insert(0, str(ROOT / "tests" / "stress"))

from fleet import STALENESS, FleetHistory  # noqa: E402

SCRIPT = ROOT / "tests" / "stress" / "fleet.py"


def run_stress(binary, *options, timeout):
    if shutil.which("redis-server") is None:
        pytest.skip("no redis-server: it is in the package redis-server")
    result = subprocess.run([sys.executable, SCRIPT, "--binary", binary, *options], capture_output=True, text=True, timeout=timeout)
    assert result.returncode == 0, (result.stdout + result.stderr)[-20000:]
    seed, chaos, summary = result.stdout.splitlines()
    assert re.fullmatch(r"seed \d+", seed) and chaos.startswith("chaos: ")
    assert summary.endswith(" 0 violations"), summary
    counts = {name: int(count) for count, name in re.findall(r"(\d+) (reads|hits|changes|refused)\b", summary)}
    assert counts["reads"] > 500 and counts["changes"] > 10, f"it was too slow to test anything: {chaos} {summary}"
    assert counts["hits"] > 0.02 * counts["reads"], f"too few hits to test anything: {chaos} {summary}"


@pytest.mark.timeout(180)
def test_whatever_becomes_of_redis_no_read_is_too_old_and_no_change_unrecorded(binary):
    run_stress(binary, timeout=150)


@pytest.mark.long
@pytest.mark.timeout(500)
def test_whatever_becomes_of_redis_no_read_is_too_old_and_no_change_unrecorded_in_three_minutes(binary):
    run_stress(binary, "--long", timeout=450)


# -- the judge itself -----------------------------------------------------------------------------------


def test_a_gateways_own_changes_count_at_once_and_those_of_others_after_the_bound():
    history = FleetHistory()
    history.land(1.0)
    history.land(1.1)
    history.answer_by(0, 2.0, 2)
    assert [history.least_through(0, began) for began in (1.9, 2.1)] == [0, 2]
    assert [history.least_through(1, 2.0 + delay * STALENESS) for delay in (0.1, 0.9, 1.1)] == [0, 0, 2]
