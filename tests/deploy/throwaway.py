"""Machines to install a package on, thrown away afterwards: an overlay over a Debian, and chroot."""

import os
import re
import subprocess
import tempfile
from pathlib import Path

DEADLINE = 60
# Runs in a mount namespace of its own: nothing of it outlives the process that holds it.
HOLD = """
set -e
mount -t tmpfs none "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay overlay -o "lowerdir=$2,upperdir=$1/upper,workdir=$1/work" "$1/root"
mount --rbind /dev "$1/root/dev"
mount -t proc proc "$1/root/proc"
mount -t tmpfs none "$1/root/run"
echo ready
read -r end
"""
# Says that systemd runs, and notes what is asked of it.
SYSTEMCTL = """#!/bin/sh
echo "$@" >>/var/log/systemctl
"""


def can_be_made():
    """Whether this process may make mount namespaces and overlays."""
    return os.geteuid() == 0 and subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode == 0


class Machine:
    """Changes nothing below `lower`, not even when it is the machine's own root."""

    def __init__(self, folder, lower=Path("/")):
        folder.mkdir()
        self.lower = lower
        self.root = folder / "root"
        self.holder = subprocess.Popen(["unshare", "--mount", "--propagation", "private",
                                        "sh", "-c", HOLD, "sh", folder, lower],
                                       stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.holder.stdout.readline() == "ready\n", "no overlay could be mounted"
        self.must("mkdir", "-p", "/run/systemd/system")
        # Of an image maker's that forbids starting services: here they may, and are not.
        self.must("rm", "-f", "/usr/sbin/policy-rc.d")
        # The index of all manual pages would be made anew by each command.
        self.must("rm", "-f", "/var/lib/man-db/auto-update")
        self.write("/usr/local/sbin/systemctl", SYSTEMCTL, mode="0755")

    def close(self):
        self.holder.communicate(timeout=DEADLINE)

    def arguments(self, *command):
        """What runs a command there."""
        return ["nsenter", "--mount", "--target", str(self.holder.pid), "chroot", str(self.root),
                "/usr/bin/env", "-i", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                "LC_ALL=C.UTF-8", *map(str, command)]

    def run(self, *command, text=None):
        return subprocess.run(self.arguments(*command), input=text, capture_output=True, text=True, timeout=DEADLINE,
                              stdin=subprocess.DEVNULL if text is None else None)

    def must(self, *command, text=None):
        """Runs a command that must go well; all that it said."""
        result = self.run(*command, text=text)
        assert result.returncode == 0, f"{command}: {result.stdout}{result.stderr}"
        return result.stdout + result.stderr

    def write(self, path, text, mode="0644", group="root"):
        self.must("install", "-m", mode, "-g", group, "/dev/null", path)
        self.must("tee", path, text=text)

    def exists(self, path):
        return self.run("test", "-e", path).returncode == 0

    def install(self, package):
        """As `apt install ./package` does it, once what it depends on is there."""
        with open(package, "rb") as content:
            subprocess.run(self.arguments("tee", "/tmp/psgate.deb"), stdin=content, stdout=subprocess.DEVNULL,
                           check=True, timeout=DEADLINE)
        said = self.must("dpkg", "--force-confdef", "--install", "/tmp/psgate.deb")
        self.must("rm", "/tmp/psgate.deb")
        return said

    def added(self):
        """Every file and folder that is there now and was not before; dpkg's notes and logs aside."""
        upper = self.root.parent / "upper"
        held = subprocess.run(["nsenter", "--mount", "--target", str(self.holder.pid), "find", upper, "-mindepth", "1",
                               "!", "(", "-type", "c", "-links", "1", ")", "-printf", "%P\n"],
                              capture_output=True, text=True, check=True, timeout=DEADLINE).stdout
        notes = ("var/lib/dpkg", "var/log", "tmp")
        return {name for name in held.splitlines()
                if not os.path.lexists(self.lower / name) and not name.startswith(notes)}

    def asked_of_systemd(self):
        """What systemctl was asked for so far, but for reading the units again."""
        asked = self.run("cat", "/var/log/systemctl").stdout.splitlines()
        return [line for line in asked if "daemon-reload" not in line]


def make_debian(folder, packages):
    """A minimal Debian 12 with these packages in the folder, from where this machine has its own."""
    if folder.exists():
        return folder
    with tempfile.TemporaryDirectory(dir=folder.parent) as parent:
        making = Path(parent) / folder.name
        # In a mount namespace of its own: what debootstrap mounts there goes with it.
        result = subprocess.run(["unshare", "--mount", "--propagation", "private", "debootstrap", "--variant=minbase",
                                 f"--include={','.join(packages)}", "bookworm", making, mirror()],
                                capture_output=True, text=True, timeout=600)
        log = making / "debootstrap" / "debootstrap.log"
        assert result.returncode == 0, result.stderr + (log.read_text()[-2000:] if log.exists() else "")
        making.rename(folder)
    return folder


def mirror():
    """Where the machine's own packages come from."""
    sources = [Path("/etc/apt/sources.list"), *sorted(Path("/etc/apt/sources.list.d").iterdir())]
    for source in sources:
        if source.exists():
            for paragraph in re.split(r"\n(?=deb |Types:)|\n\s*\n", source.read_text()):
                found = re.search(r"^(?:deb\s(?:\[.*?\]\s)?\s*|URIs:\s*)(\S+)", paragraph, re.MULTILINE)
                if found and re.search(r"\sbookworm(\s|$)", paragraph):
                    return found[1]
    raise AssertionError("the machine's apt sources name no Debian bookworm")
