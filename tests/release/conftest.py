"""Fixtures of the tests of the release build, as packages install it."""

import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "e2e"))


@pytest.fixture(scope="session")
def binary():
    """The program under test: $PSGATE_BINARY, or the release build."""
    path = Path(os.environ.get("PSGATE_BINARY", ROOT / "build" / "release" / "psgate")).resolve()
    if not os.access(path, os.X_OK):
        pytest.fail(f"no program at {path}: cmake --preset release && cmake --build --preset release", pytrace=False)
    return path
