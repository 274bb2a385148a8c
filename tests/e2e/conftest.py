"""Fixtures of the end-to-end tests: the real binary, real sockets, a scripted upstream."""

import os
from contextlib import ExitStack
from pathlib import Path

import pytest

pytest.register_assert_rewrite("support")

from support.raw import Client  # noqa: E402
from support.origin import Origin  # noqa: E402
from support.stage import SharedStage, Stage  # noqa: E402
from support.tls import Authority  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]


def pytest_addoption(parser):
    parser.addoption("--long", action="store_true", help="run the slow tests too")
    parser.addoption("--soak-seconds", type=float, default=600, help="how long the soak lasts with --long (600)")


def pytest_collection_modifyitems(config, items):
    if config.getoption("--long"):
        return
    for item in items:
        if item.get_closest_marker("long"):
            item.add_marker(pytest.mark.skip(reason="needs --long"))


@pytest.fixture(scope="session")
def binary():
    """The program under test: $PSGATE_BINARY, or the developer build."""
    path = Path(os.environ.get("PSGATE_BINARY", ROOT / "build" / "dev" / "psgate")).resolve()
    if not os.access(path, os.X_OK):
        pytest.fail(f"no program at {path}: build it, or set PSGATE_BINARY", pytrace=False)
    return path


@pytest.fixture(scope="session")
def shared_stage(binary, tmp_path_factory):
    shared = SharedStage(lambda: Stage(binary, tmp_path_factory.mktemp("shared")))
    yield shared
    shared.stop()


@pytest.fixture
def stage(shared_stage):
    """A gateway with the default settings, shared by the tests of a process, and its origin."""
    yield shared_stage.take()
    shared_stage.give_back()


@pytest.fixture
def make_stage(binary, tmp_path_factory):
    """Makes stages with settings of their own; each is stopped and checked after the test."""
    with ExitStack() as stages:

        def make(start=True, **options):
            stage = Stage(binary, tmp_path_factory.mktemp("stage"), **options)
            stages.callback(stage.origin.check)
            stages.callback(stage.stop)
            return stage.start() if start else stage

        yield make


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    """A test CA and its certificates."""
    return Authority(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def lone_origin():
    """An origin without a gateway, for the tests of the tests."""
    origin = Origin()
    yield origin
    origin.stop()
    origin.check()


@pytest.fixture
def direct(lone_origin):
    """A raw client that talks to the lone origin itself."""
    with Client(lone_origin.port) as client:
        yield client
