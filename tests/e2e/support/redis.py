"""A real Redis server of the test's own: stopped, paused, emptied and rolled back at will."""

import os
import shutil
import signal
import socket
import subprocess

import pytest
from support.waiting import DEADLINE, wait_until


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Redis:
    """Not started. Its port stays the same over all starts."""

    def __init__(self, folder, *options):
        self.program = shutil.which("redis-server")
        if self.program is None:
            pytest.skip("no redis-server: it is in the package redis-server")
        self.folder = folder
        self.port = free_port()
        self.options = options
        self.process = None

    @property
    def url(self):
        return f"redis://127.0.0.1:{self.port}"

    def start(self):
        with open(self.folder / "redis.log", "a") as log:
            self.process = subprocess.Popen(
                [self.program, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
                 "--dir", str(self.folder), *self.options],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_until(self._answers, "Redis to answer")
        return self

    def _answers(self):
        assert self.process.poll() is None, (self.folder / "redis.log").read_text()[-2000:]
        try:
            return self.ask("PING").startswith(("PONG", "NOAUTH"))
        except OSError:
            return False

    def ask(self, *words):
        """One command on a connection of its own; the first line of the answer, without its mark."""
        command = b"".join([b"*%d\r\n" % len(words), *(b"$%d\r\n%b\r\n" % (len(word), word)
                                                        for word in (str(word).encode() for word in words))])
        with socket.create_connection(("127.0.0.1", self.port), timeout=DEADLINE) as sock:
            sock.sendall(command)
            return sock.makefile("rb").readline().strip().decode()[1:]

    def settle(self, prefix="psgate:"):
        """Makes a fleet's data look as if it had been here for long, so that it is trusted at once."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=DEADLINE) as sock:
            sock.sendall(b"INFO server\r\n")
            run = next(line for line in sock.makefile("rb") if line.startswith(b"run_id:"))
        run = run.strip().removeprefix(b"run_id:").decode()
        self.ask("HSET", prefix + "generations", "epoch", "0123456789abcdef", "server", run, "lost", "0")

    def flush(self):
        assert self.ask("FLUSHALL") == "OK"

    def save(self):
        """Writes what there is now where `start` will find it."""
        assert self.ask("SAVE") == "OK"

    def kill(self):
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(DEADLINE)

    def pause(self):
        os.kill(self.process.pid, signal.SIGSTOP)

    def resume(self):
        os.kill(self.process.pid, signal.SIGCONT)

    def stop(self):
        if self.process is not None and self.process.poll() is None:
            self.resume()
        self.kill()
