"""The same sources give the same program: two builds, in folders of different names, one hash."""

import hashlib
import os
import shutil
import subprocess

import pytest

from conftest import ROOT

MADE = ("psgate", "deploy/psgate.cdx.json")


def build(folder, **environment):
    """The digests of what a build makes of a copy of the sources there, with nothing taken from a cache."""
    shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns("build", ".git", "__pycache__", "node_modules"))
    ours = {key: value for key, value in os.environ.items() if not key.startswith(("CCACHE", "CMAKE"))}
    for command in (["--preset", "release"], ["--build", "--preset", "release"]):
        result = subprocess.run(["cmake", *command], cwd=folder, env={**ours, "CCACHE_DISABLE": "1", **environment},
                                capture_output=True, text=True)
        assert result.returncode == 0, result.stdout + result.stderr
    made = folder / "build" / "release"
    return {name: hashlib.sha256((made / name).read_bytes()).hexdigest() for name in MADE}


@pytest.mark.timeout(1800)
def test_two_builds_have_one_hash(tmp_path):
    """They differ in folder, home, language, time zone and time."""
    assert build(tmp_path / "one") == build(tmp_path / "a-folder-of-another-name", HOME=str(tmp_path), LC_ALL="C",
                                            TZ="Pacific/Chatham")
