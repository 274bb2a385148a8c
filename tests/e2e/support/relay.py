"""A TCP relay of the tests: a network between gateway and upstream that delays, splits, joins and loses.

Each direction of each connection has a course, which a test chooses: how bytes go on, and what
becomes of them after so many. Nothing is reordered within a direction, as TCP never does; but an
end may come as a reset, or before what the other direction still has to say.
"""

import ctypes
import random
import socket
import struct
import threading
import time

from support.origin import shut
from support.waiting import wait_until


class Course:
    """How one direction of one connection goes.

    size: bytes of each write (None: as they came); pause: longest pause before a write, in seconds;
    gather: waits so long for company before it passes anything on; limit: after so many bytes comes
    `then`: "reset" or "fin" to both sides, "stall": nothing more goes on; end: how the sender's end is
    passed on: "fin" (its direction only), "close" (both), "reset", "late" (after a pause).
    """

    def __init__(self, size=None, pause=0, gather=0, limit=None, then="reset", end="fin"):
        self.size, self.pause, self.gather = size, pause, gather
        self.limit, self.then, self.end = limit, then, end


PLAIN = Course()
libc = ctypes.CDLL(None)


class Link:
    """One relayed connection."""

    def __init__(self, relay, near, up, down):
        self.near = near
        self.far = socket.create_connection(("127.0.0.1", relay.to_port))
        for sock in (self.near, self.far):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.random = random.Random(relay.serial)
        self.lock = threading.Lock()
        self.open_directions = 2
        self.is_stalled = threading.Event()
        self.threads = [threading.Thread(target=self._run, args=args, daemon=True)
                        for args in ((self.near, self.far, up), (self.far, self.near, down))]
        for thread in self.threads:
            thread.start()

    def _run(self, source, sink, course):
        try:
            if self._carry(source, sink, course):
                self._pass_on_end(sink, course.end)
            else:
                self._break(course.then)
        except OSError:  # one of the sides has gone: so is the other
            self._break("reset")
        with self.lock:
            self.open_directions -= 1
            if not self.open_directions:
                self.near.close()
                self.far.close()

    def _carry(self, source, sink, course):
        """Until the source ends (true) or the limit is reached."""
        left = course.limit
        while left is None or left > 0:
            data = source.recv(65536 if left is None else min(left, 65536))
            if not data:
                return True
            if course.gather:
                time.sleep(course.gather)
                data += self._waiting(source)
            left = None if left is None else left - len(data)
            size = course.size or len(data)
            for at in range(0, len(data), size):
                if course.pause:
                    time.sleep(self.random.random() * course.pause)
                sink.sendall(data[at : at + size])
        return False

    @staticmethod
    def _waiting(source):
        try:
            return source.recv(1 << 20, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return b""

    def _pass_on_end(self, sink, end):
        if end == "late":
            time.sleep(0.05)
        if end in ("fin", "late"):
            sink.shutdown(socket.SHUT_WR)
        else:
            self._break("reset" if end == "reset" else "fin")

    def _break(self, how):
        if how == "stall":
            self.is_stalled.wait()
        for sock in (self.near, self.far):
            if how == "reset":
                disconnect(sock)
            else:
                shut(sock)

    def stop(self):
        self.is_stalled.set()
        shut(self.near)
        shut(self.far)
        for thread in self.threads:
            thread.join()


def disconnect(sock):
    """Ends a connection by a reset, though another thread may be waiting for its bytes."""
    nobody = struct.pack("H14x", socket.AF_UNSPEC)
    libc.connect(sock.fileno(), nobody, len(nobody))


class Relay:
    """Listens on a free port and relays to `to_port`; `choose(number)` gives a connection's courses (up, down)."""

    def __init__(self, to_port, choose=lambda number: (PLAIN, PLAIN)):
        self.to_port = to_port
        self.choose = choose
        self.links = []
        self.serial = 0
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self._accept, daemon=True)
        self.thread.start()

    def _accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            self.serial += 1
            try:
                self.links.append(Link(self, near, *self.choose(self.serial)))
            except OSError:
                near.close()

    def stop(self):
        shut(self.listener)
        self.thread.join()
        self.listener.close()
        for link in self.links:
            link.stop()

    def wait_links(self, count):
        wait_until(lambda: len(self.links) >= count, f"{count} connections at the relay")
