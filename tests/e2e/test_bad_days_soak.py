"""The soak: mixed load with faults, after which clients, metrics, log, trail and sandbox say the same."""

import subprocess
import sys

import pytest
from conftest import ROOT

SCRIPT = ROOT / "tests" / "stress" / "soak.py"


def run_soak(binary, seconds, *options):
    result = subprocess.run([sys.executable, SCRIPT, "--binary", binary, "--seconds", str(seconds), *options],
                            capture_output=True, text=True, timeout=seconds * 1.5 + 120)
    print(result.stdout)
    assert result.returncode == 0, (result.stdout + result.stderr)[-20000:]


@pytest.mark.timeout(200)
def test_after_a_short_soak_all_accounts_agree(binary):
    run_soak(binary, 15)


@pytest.mark.long
@pytest.mark.timeout(0)  # the script's own bound holds
def test_after_a_long_soak_all_accounts_agree_and_memory_is_flat(binary, request):
    run_soak(binary, request.config.getoption("--soak-seconds"), "--pause", "0.1")
