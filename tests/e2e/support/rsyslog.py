"""A real rsyslogd with a configuration of its own; the machine's, if there is one, is left alone."""

import json
import os
import shutil
import subprocess
from pathlib import Path

from support.waiting import wait_until

PACKAGES = ("rsyslog", "rsyslog-gnutls", "libestr0", "libfastjson4", "liblognorm5")
FIELDS = {"msg": "msg", "pri": "pri", "version": "protocol-version", "host": "hostname", "app": "app-name",
          "pid": "procid", "phase": "msgid", "data": "structured-data", "tag": "programname"}


class Program:
    """The program and its modules: those installed, or those of Debian packages in a folder."""

    def __init__(self, root):
        self.path = root / "usr/sbin/rsyslogd"
        libraries = [path for path in (root / "usr/lib").glob("*-linux-gnu*") if (path / "rsyslog").is_dir()]
        self.modules = libraries[0] / "rsyslog" if libraries else root / "usr/lib/rsyslog"
        self.environment = {**os.environ, "LD_LIBRARY_PATH": str(self.modules.parent)} if root != Path("/") else None

    def is_whole(self):
        return self.path.exists() and all((self.modules / name).exists()
                                          for name in ("imtcp.so", "imuxsock.so", "lmnsd_gtls.so"))


def find_program(folder):
    """Installed, or unpacked into the folder without being installed; None: neither can be had."""
    installed = Program(Path("/"))
    if installed.is_whole():
        return installed
    if shutil.which("apt-get") is None:
        return None
    download = subprocess.run(["apt-get", "-q", "download", *PACKAGES], cwd=folder, capture_output=True)
    if download.returncode != 0:
        return None
    for package in folder.glob("*.deb"):
        subprocess.run(["dpkg", "-x", package, folder], check=True, capture_output=True)
    unpacked = Program(folder)
    return unpacked if unpacked.is_whole() else None


class Rsyslog:
    """One server that writes what it understood, a JSON object a message."""

    def __init__(self, program, folder):
        self.program = program
        self.folder = folder
        self.process = None
        self.received_file = folder / "received.jsonl"
        self.socket = folder / "log"
        self.port = 0

    def _start(self, lines):
        properties = "".join(f'property(outname="{outname}" name="{name}" format="jsonf")'
                             for outname, name in FIELDS.items())
        config = "\n".join([
            f'global(workDirectory="{self.folder}" maxMessageSize="64k")', *lines,
            f'template(name="all" type="list" option.jsonf="on") {{ {properties} }}',
            f'action(type="omfile" file="{self.received_file}" template="all")', ""])
        (self.folder / "rsyslog.conf").write_text(config)
        with open(self.folder / "rsyslogd.txt", "a") as output:
            self.process = subprocess.Popen(
                [self.program.path, "-n", "-i", "NONE", "-f", self.folder / "rsyslog.conf", "-M", self.program.modules],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=self.program.environment)

    def _start_tcp(self, *module):
        chosen = self.folder / "port"
        self._start([*module, f'input(type="imtcp" address="127.0.0.1" port="{self.port}" '
                              f'listenPortFileName="{chosen}")'])
        if self.port == 0:
            self.port = int(wait_until(lambda: chosen.exists() and chosen.read_text().strip(), "rsyslogd to listen"))
        return self

    def start_tcp(self):
        """Listens on a free port on return; when started again, on the same port some time later."""
        return self._start_tcp('module(load="imtcp")')

    def start_tls(self, authority, certificate):
        files = {"CA": "ca.pem", "Cert": f"{certificate}.pem", "Key": f"{certificate}.key"}
        drivers = " ".join(f'defaultNetstreamDriver{kind}File="{authority.folder / name}"' for kind, name in files.items())
        return self._start_tcp(f"global({drivers})", 'module(load="imtcp" StreamDriver.Name="gtls" '
                               'StreamDriver.Mode="1" StreamDriver.AuthMode="anon")')

    def start_local(self):
        self._start(['module(load="imuxsock" SysSock.Use="off")', f'input(type="imuxsock" Socket="{self.socket}")'])
        wait_until(self.socket.exists, "rsyslogd to listen")
        return self

    def stop(self):
        if self.process is not None:
            self.process.terminate()
            self.process.wait(20)
            self.process = None

    def received(self):
        """The whole lines so far."""
        text = self.received_file.read_text(errors="replace") if self.received_file.exists() else ""
        return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]

    def wait_received(self, count):
        wait_until(lambda: len(self.received()) >= count, f"{count} messages at rsyslogd")
        return self.received()
