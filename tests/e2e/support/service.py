"""The other side of sd_notify(3) and sd_listen_fds(3): what systemd is to a service."""

import copy
import fcntl
import os
import secrets
import socket
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from support import wire
from support.raw import Client
from support.waiting import DEADLINE, wait_until
from support.wire import Ended

# Sets LISTEN_PID, which only the process itself knows, and puts the sockets at 3 and up.
HAND_OVER = 'eval "exec $0"; LISTEN_PID=$$ exec "$@"'

EPOLL_WAITS = {232, 281, 441}  # epoll_wait, epoll_pwait, epoll_pwait2


class Notices:
    """The socket that a service tells its state to; each message is a dict."""

    def __init__(self, folder, is_abstract=False):
        self.name = "@psgate-" + secrets.token_hex(8) if is_abstract else str(folder / "notify")
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.settimeout(DEADLINE)
        self.sock.bind(self.name.replace("@", "\0", 1) if is_abstract else self.name)

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        self.sock.close()

    def take(self):
        """The next message."""
        data = self.sock.recv(65536).decode()
        return dict(line.split("=", 1) for line in data.split("\n") if line)

    def wait(self, member):
        """The next message that has this member; those before it are dropped."""
        while True:
            message = self.take()
            if member in message:
                return message

    def drain(self):
        """What has come so far."""
        messages = []
        while wire.is_readable(self.sock, 0):
            messages.append(self.take())
        return messages


def environment(**members):
    """Ours, without what a service manager may have left in it."""
    mine = {name: value for name, value in os.environ.items()
            if not name.startswith(("LISTEN_", "NOTIFY_", "WATCHDOG_"))}
    return {**mine, **members}


def hand_over(gateway, *files, names=None, is_ours=True):
    """Lets the gateway's next starts get these sockets; without is_ours for somebody else."""
    sources = [fcntl.fcntl(file, fcntl.F_DUPFD, 60) for file in files]
    moves = " ".join(f"{3 + i}<&{source}-" for i, source in enumerate(sources))
    gateway.handed_on = tuple(sources)
    gateway.launcher = ["bash", "-c", HAND_OVER if is_ours else HAND_OVER.replace("$$", "1"), moves]
    gateway.environment = environment(LISTEN_FDS=str(len(files)))
    if names:
        gateway.environment["LISTEN_FDNAMES"] = ":".join(names)


def second_of(gateway, name):
    """Another process of the same configuration, with an output of its own."""
    other = copy.copy(gateway)
    other.output = gateway.folder / name
    other.output.mkdir()
    other.process = None
    return other


def loops(pid, workers):
    """The main thread and its workers, which wait in event loops; the admin endpoint's, made last, does too."""

    def waiting():
        found = []
        for task in Path(f"/proc/{pid}/task").iterdir():
            try:
                number = (task / "syscall").read_text().split()[0]
            except PermissionError:
                pytest.skip("only root reads /proc/PID/syscall of a process that is not dumpable")
            if number.isdigit() and int(number) in EPOLL_WAITS:
                found.append(int(task.name))
        return len(found) == workers + 2 and sorted(found)[:-1]

    return wait_until(waiting, "the loops to be idle")


class Load:
    """Clients that ask one thing after the other on new connections, and judge each answer."""

    def __init__(self, connect, requests, clients=4):
        """requests makes, from a number, the bytes of a request, its method and the status it must get."""
        self.connect, self.requests = connect, requests
        self.ending = threading.Event()
        self.wrong, self.answered = [], []
        self.threads = [threading.Thread(target=self._ask, args=(number,), daemon=True) for number in range(clients)]

    def _ask(self, number):
        while not self.ending.is_set():
            number += len(self.threads)
            try:
                data, method, status = self.requests(number)
                self._ask_once(number, data, method, status)
            except Exception as failure:  # whatever it is: a client has failed
                self.wrong.append((number, repr(failure)))

    def _ask_once(self, number, data, method, status):
        while True:
            begin = time.monotonic()
            with self.connect() as client:
                connected = time.monotonic()
                try:
                    client.send(data)
                    answer = client.read_response(method)
                except (Ended, ConnectionError) as end:
                    # A connection that said nothing for a while may be closed at a stop, whoever is slow.
                    was_idle = time.monotonic() - connected > 0.2 and not getattr(end, "partial", b"")
                    if was_idle and data[:4] == b"GET ":
                        continue
                    self.wrong.append((number, repr(end)))
                    return
            self.answered.append((number, time.monotonic() - begin))
            if answer.status != status:
                self.wrong.append((number, answer.start, answer.body))
            return

    def wait(self, count=50):
        """Until so many more have been answered."""
        wanted = len(self.answered) + count
        wait_until(lambda: len(self.answered) >= wanted or self.wrong, f"{count} more answers")

    @contextmanager
    def running(self):
        for thread in self.threads:
            thread.start()
        try:
            self.wait()
            yield self
            self.wait()
        finally:
            self.ending.set()
            for thread in self.threads:
                thread.join()
        assert self.wrong == []


class UnixClient(Client):
    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(DEADLINE)
        self.sock.connect(str(path))
        self.reader = wire.Reader(self.sock)
