"""A DNS server of the tests on a loopback address of its own, and a gateway that asks no other.

A server listens on port 53, and the gateway runs in a mount namespace with a resolv.conf that
names it: both need root.
"""

import itertools
import os
import socket
import struct
import subprocess
import threading

import pytest
from support.waiting import DEADLINE

NAME = "up.psgate.test"
A, AAAA = 1, 28
NO_ERROR, SERVFAIL, NXDOMAIN = 0, 2, 3
RESOLV_CONF = "nameserver {address}\noptions timeout:{patience} attempts:1\n"
NSSWITCH = "hosts: files dns\n"
WRAPPER = """#!/bin/sh
exec unshare --mount sh -c 'mount --bind "{folder}/resolv.conf" /etc/resolv.conf &&
mount --bind "{folder}/nsswitch.conf" /etc/nsswitch.conf && exec "$@"' sh "{binary}" "$@"
"""
numbers = itertools.count(1)


class NameServer:
    """Answers questions about NAME with `addresses`, after `delay`, or as `code` says; silent: not at all."""

    def __init__(self):
        self.address = f"127.53.{os.getpid() % 250}.{next(numbers)}"
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind((self.address, 53))
        self.addresses = []
        self.code = NO_ERROR
        self.is_silent = False
        self.garbage = None  # what comes in the place of an answer
        self.released = None  # an event to be waited for before an answer
        self.patience = 1  # seconds until the gateway's side gives up
        self.asked = 0
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self):
        while True:
            question, peer = self.sock.recvfrom(4096)
            if not question:
                return
            self.asked += 1
            if not self.is_silent:
                threading.Thread(target=self._answer, args=(question, peer), daemon=True).start()

    def _answer(self, question, peer):
        if self.released and not self.released.wait(DEADLINE):
            return
        answer = self.reply(question) if self.garbage is None else question[:2] + self.garbage
        try:
            self.sock.sendto(answer, peer)
        except OSError:
            pass  # stopped meanwhile

    def reply(self, question):
        end = question.index(b"\0", 12) + 1
        kind = struct.unpack("!H", question[end : end + 2])[0]
        addresses = self.addresses if kind == A and self.code == NO_ERROR else []
        records = b"".join(struct.pack("!HHHIH", 0xC00C, A, 1, 0, 4) + socket.inet_aton(address)
                           for address in addresses)
        return (question[:2] + struct.pack("!HHHHH", 0x8180 | self.code, 1, len(addresses), 0, 0)
                + question[12 : end + 4] + records)

    def stop(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
            own.sendto(b"", self.sock.getsockname())
        self.thread.join()
        self.sock.close()


def wrapped(binary, folder, server):
    """A program that is the gateway's, in a namespace whose names come from the server alone."""
    (folder / "resolv.conf").write_text(RESOLV_CONF.format(address=server.address, patience=server.patience))
    (folder / "nsswitch.conf").write_text(NSSWITCH)
    wrapper = folder / "psgate"
    wrapper.write_text(WRAPPER.format(folder=folder, binary=binary))
    wrapper.chmod(0o755)
    return wrapper


@pytest.fixture
def name_server():
    try:
        server = NameServer()
    except PermissionError:
        pytest.skip("only root may listen on port 53")
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode != 0:
        server.stop()
        pytest.skip("no mount namespace can be made here")
    yield server
    server.stop()
