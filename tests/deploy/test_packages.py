"""deploy/lib/packages.sh: what is missing is said and installed, once; else apt is not asked."""

import os

import pytest

from conftest import ROOT

# Stand-ins for Debian's tools: a package is installed if the file of its name is there.
DPKG_QUERY = """#!/bin/sh
for last; do :; done
test -e "$INSTALLED/$last" && echo installed
"""
APT_GET = """#!/bin/sh
echo "apt-get $*" >>"$CALLS"
echo "words of apt"
case "$*" in *broken*) exit 100;; esac
"""


@pytest.fixture
def need(run, tmp_path):
    """Runs need_packages; its result, and how apt-get was called."""
    tools, installed, calls = tmp_path / "tools", tmp_path / "installed", tmp_path / "calls"
    tools.mkdir()
    installed.mkdir()
    for name, text in (("dpkg-query", DPKG_QUERY), ("apt-get", APT_GET), ("sudo", '#!/bin/sh\nexec "$@"\n')):
        (tools / name).write_text(text)
        (tools / name).chmod(0o755)
    script = tmp_path / "script.sh"
    script.write_text(f'set -euo pipefail\nsource "{ROOT}/deploy/lib/messages.sh"\n'
                      f'source "{ROOT}/deploy/lib/packages.sh"\nneed_packages "$@"\necho went on\n')
    environment = {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}", "INSTALLED": str(installed),
                   "CALLS": str(calls)}

    def need(*packages, there=()):
        for name in there:
            (installed / name).touch()
        result = run("bash", script, *packages, environment=environment)
        return result, calls.read_text().splitlines() if calls.exists() else []

    return need


def test_nothing_is_asked_of_apt_when_all_are_there(need):
    result, calls = need("cmake", "curl", there=["cmake", "curl"])
    assert (result.returncode, result.stdout, calls) == (0, "went on\n", [])


def test_what_is_missing_is_said_and_installed(need):
    result, calls = need("cmake", "libevhtp-dev", "curl", there=["cmake"])
    assert result.returncode == 0
    assert "Missing packages: libevhtp-dev curl" in result.stdout
    assert "words of apt" not in result.stdout
    assert len(calls) == 2
    assert calls[0].endswith("update")
    assert calls[1].endswith("--no-install-recommends libevhtp-dev curl")


def test_a_failure_of_apt_is_shown_and_ends_it(need):
    result, _ = need("broken")
    assert result.returncode == 1
    assert "words of apt" in result.stderr
    assert "could not install: broken" in result.stderr
    assert "went on" not in result.stdout
