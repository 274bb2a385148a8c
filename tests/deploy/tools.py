"""Programs that check the samples: installed, or unpacked from Debian packages without being installed.

So a package that brings a service (prometheus, haproxy) changes nothing on the machine.
"""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from conftest import BUILDING, ROOT, one_at_a_time

FOLDERS = ("/usr/sbin", "/usr/bin")


class Tool:
    """A program and the environment that it needs."""

    def __init__(self, path, libraries=()):
        self.path = str(path)
        self.libraries = libraries
        self.environment = {**os.environ, "LD_LIBRARY_PATH": ":".join(map(str, libraries))} if libraries else None

    def run(self, *arguments, folder="/", text=""):
        return subprocess.run([self.path, *map(str, arguments)], cwd=folder, env=self.environment, text=True,
                              input=text, capture_output=True, timeout=60)


def must(*command, folder):
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=BUILDING)
    if result.returncode != 0:
        pytest.fail(f"not installed, and cannot be had: {' '.join(map(str, command))}: {result.stderr}", pytrace=False)


def unpack(folder, packages):
    """Downloads Debian packages and unpacks them into the folder, all or nothing."""
    with tempfile.TemporaryDirectory(dir=folder.parent) as parent:
        os.chmod(parent, 0o755)  # apt downloads as a user of its own
        must("apt-get", "-q", "download", *packages, folder=parent)
        for package in Path(parent).glob("*.deb"):
            must("dpkg-deb", "--extract", package, "root", folder=parent)
        (Path(parent) / "root").rename(folder)


def find_tool(command, *packages, is_unpacked=False):
    """A tool of these Debian packages; the first is the one that brings the command.

    is_unpacked: not the installed one, for want of what the other packages bring.
    """
    installed = shutil.which(command, path=":".join(FOLDERS))
    if installed and not is_unpacked:
        return Tool(installed)
    folder = ROOT / "build" / "tools" / packages[0]
    with one_at_a_time("tools"):
        if not folder.exists():
            folder.parent.mkdir(parents=True, exist_ok=True)
            unpack(folder, packages)
    found = shutil.which(command, path=":".join(f"{folder}{part}" for part in FOLDERS))
    return Tool(found, [path for path in (folder / "usr" / "lib").glob("*-linux-gnu*") if path.is_dir()])
