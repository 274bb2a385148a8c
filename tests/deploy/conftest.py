"""Fixtures of the tests of conf/ and deploy/."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DEADLINE = 60

sys.path.append(str(ROOT / "tests/e2e"))
pytest.register_assert_rewrite("support", "machine")


@pytest.fixture(scope="session")
def binary():
    """The program under test: $PSGATE_BINARY, or the developer build."""
    path = Path(os.environ.get("PSGATE_BINARY", ROOT / "build" / "dev" / "psgate")).resolve()
    if not os.access(path, os.X_OK):
        pytest.fail(f"no program at {path}: build it, or set PSGATE_BINARY", pytrace=False)
    return path


@pytest.fixture
def run(tmp_path):
    """Runs a command to its end, from a folder that is not the project's."""

    def run(*command, environment=None):
        return subprocess.run([*map(str, command)], cwd=tmp_path, env=environment,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=DEADLINE)

    return run
