"""What the scripts show on a terminal, and that it is plain in a pipe."""

import sys

import pytest

from conftest import ROOT

sys.path.insert(0, str(ROOT / "tests" / "e2e"))
from support.terminal import run_on_terminal  # noqa: E402

QUICKSTART = ROOT / "deploy" / "quickstart.sh"
FOLLOWED = f"""
set -euo pipefail
source {ROOT}/deploy/lib/messages.sh
source {ROOT}/deploy/lib/build.sh
followed bash -c 'echo one; echo two >&2; exit '"$1" || echo "failed"
"""


@pytest.fixture
def environment(monkeypatch, tmp_path):
    monkeypatch.delenv("PAPERSPACE_API_KEY", raising=False)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path


def test_quickstart_colours_its_steps_on_a_terminal(binary, environment):
    shown = run_on_terminal(QUICKSTART, "--binary", binary, "--once", "--port", "0")
    assert shown.returncode == 0
    assert "\x1b[1m==> Starting the gateway\x1b[0m" in shown.terminal and "\x1b[32mright\x1b[0m" in shown.terminal
    assert "\x1b[32mAll " in shown.terminal


@pytest.mark.parametrize("options", [{"stdout": False, "stderr": False}, {"environment": {"NO_COLOR": "1"}},
                                     {"environment": {"TERM": "dumb"}}], ids=["pipe", "NO_COLOR", "dumb"])
def test_quickstart_is_plain_where_nobody_looks_or_wants_it(binary, environment, options):
    shown = run_on_terminal(QUICKSTART, "--binary", binary, "--once", "--port", "0", **options)
    said = shown.terminal + (shown.stdout or "") + (shown.stderr or "")
    assert shown.returncode == 0 and "\x1b" not in said and "==> All " in said


def test_a_build_shows_its_last_line_and_leaves_none(environment):
    shown = run_on_terminal("bash", "-c", FOLLOWED, "bash", "0")
    assert "\r\x1b[K    one" in shown.terminal and "\r\x1b[K    two" in shown.terminal
    assert shown.screen() == [""] and list(environment.iterdir()) == []


def test_a_build_that_failed_shows_all_that_it_said(environment):
    shown = run_on_terminal("bash", "-c", FOLLOWED, "bash", "3")
    assert shown.screen() == ["one", "two", "failed", ""] and list(environment.iterdir()) == []


def test_a_build_in_a_pipe_says_nothing_unless_it_failed(environment):
    assert run_on_terminal("bash", "-c", FOLLOWED, "bash", "0", stdout=False, stderr=False).stdout == ""
    shown = run_on_terminal("bash", "-c", FOLLOWED, "bash", "3", stdout=False, stderr=False)
    assert (shown.stdout, shown.stderr) == ("failed\n", "one\ntwo\n")
