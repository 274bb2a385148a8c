"""Fixtures of the tests of conf/ and deploy/."""

import fcntl
import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DEADLINE = 60
BUILDING = 600

# The gateway, its upstream and the servers beside them, as the end-to-end tests start them.
sys.path.insert(0, str(ROOT / "tests" / "e2e"))
pytest.register_assert_rewrite("support", "machine", "throwaway")


def pytest_addoption(parser):
    parser.addoption("--long", action="store_true", help="run the slow tests too")


def pytest_collection_modifyitems(config, items):
    if config.getoption("--long"):
        return
    for item in items:
        if item.get_closest_marker("long"):
            item.add_marker(pytest.mark.skip(reason="needs --long"))


@contextmanager
def one_at_a_time(name):
    """Test processes side by side take turns at what they share in build/."""
    (ROOT / "build").mkdir(exist_ok=True)
    with open(ROOT / "build" / f"{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


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


@pytest.fixture(scope="session")
def make_package(tmp_path_factory):
    """Makes the Debian package with deploy/package.sh; its path."""

    def make_package(*options):
        folder = tmp_path_factory.mktemp("package")
        with one_at_a_time("package"):
            result = subprocess.run([ROOT / "deploy" / "package.sh", "--output", folder, *options], cwd="/",
                                    stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=BUILDING)
        assert result.returncode == 0, result.stdout + result.stderr
        return Path(result.stdout.splitlines()[-1])

    return make_package


@pytest.fixture(scope="session")
def package(make_package):
    return make_package()
