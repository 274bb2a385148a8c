"""A machine with a systemd of its own, in namespaces: see machine.sh."""

import ctypes
import os
import subprocess
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.waiting import DEADLINE, wait_until

BOOT = Path(__file__).with_name("machine.sh")
TARGETS = ("test", "sysinit", "basic", "sockets", "network", "multi-user", "shutdown", "umount")
CLONE_NEWNET = 0x40000000
NOT_ALLOWED = 77


def children(pid):
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


class Machine:
    """Runs from the start on; its files are under `root`."""

    def __init__(self, folder):
        (folder / "units").mkdir()
        (folder / "root").mkdir()
        for name in TARGETS:
            (folder / "units" / f"{name}.target").write_text("[Unit]\nDefaultDependencies=no\n")
        self.said = folder / "said"
        with open(self.said, "w") as said:
            self.process = subprocess.Popen([BOOT, folder], stdin=subprocess.DEVNULL, stdout=said, stderr=said)
        self.pid = wait_until(self._find_systemd, "systemd to start")
        self.root = Path(f"/proc/{self.pid}/root")
        wait_until(lambda: self.run("systemctl", "is-active", "test.target", check=False).returncode == 0,
                   "systemd to come up")

    def _find_systemd(self):
        if self.process.poll() == NOT_ALLOWED:
            pytest.skip(f"no systemd of its own here: {self.said.read_text().strip()}")
        assert self.process.poll() is None, self.said.read_text()
        for unshare in children(self.process.pid):
            for child in children(unshare):
                if Path(f"/proc/{child}/comm").read_text() == "systemd\n":
                    return child
        return None

    def run(self, *command, check=True, **options):
        """A command on the machine, to its end."""
        result = subprocess.run(["nsenter", "-t", str(self.pid), "-a", *map(str, command)], text=True,
                                stdin=subprocess.DEVNULL, capture_output=True, timeout=3 * DEADLINE, **options)
        assert not check or result.returncode == 0, f"{command}: {result.stdout}{result.stderr}"
        return result

    def show(self, unit, name):
        """One of the unit's properties."""
        return self.run("systemctl", "show", "--value", "-p", name, unit).stdout.strip()

    def write(self, path, text, mode=0o644, group="root"):
        path = self.root / path.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(text)
        self.run("chgrp", group, "/" + str(path.relative_to(self.root)))
        path.chmod(mode)
        return path

    @contextmanager
    def network(self):
        """Sockets that this thread makes in this block are the machine's."""
        libc = ctypes.CDLL(None, use_errno=True)
        with open("/proc/thread-self/ns/net") as own, open(f"/proc/{self.pid}/ns/net") as other:
            assert libc.setns(other.fileno(), CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
            try:
                yield
            finally:
                assert libc.setns(own.fileno(), CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())

    def stop(self):
        """All its processes end with its first one."""
        os.kill(self.pid, 9)
        self.process.wait(DEADLINE)
