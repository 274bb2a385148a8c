"""A server that speaks Redis's protocol as a gateway needs it, or lies at one step."""

import socket
import threading
import time
from contextlib import suppress

EPOCH = b"0123456789abcdef"
HANG, CLOSE = object(), object()
STEPS = ("SELECT", "SUBSCRIBE", "PING", "SYNC", "RAISE", "TAKE")


def bulk(text):
    return b"$%d\r\n%b\r\n" % (len(text), text)


TRUTH = {
    "AUTH": b"+OK\r\n",
    "SELECT": b"+OK\r\n",
    "SUBSCRIBE": b"*3\r\n" + bulk(b"subscribe") + bulk(b"psgate:raised") + b":1\r\n",
    "PING": b"*2\r\n" + bulk(b"pong") + bulk(b""),
    "SYNC": b"*4\r\n" + bulk(EPOCH) + b"*0\r\n*0\r\n:0\r\n",
    "RAISE": b":1\r\n",
    "TAKE": b"*2\r\n:1\r\n:0\r\n",
}


def step_of(words):
    """Which of the gateway's scripts an EVAL is, by what only that one says."""
    if words[0] != b"EVAL":
        return words[0].decode()
    if b"'epoch'" in words[1]:
        return "SYNC"
    return "RAISE" if b"PUBLISH" in words[1] else "TAKE"


class LyingRedis:
    """Truthful until `lies` has something for a step; one byte at a time if is_slow."""

    def __init__(self):
        self.lies = {}
        self.is_slow = False
        self.received = []
        self.has_stopped = threading.Event()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}"
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        with suppress(OSError):
            while True:
                threading.Thread(target=self.serve, args=self.listener.accept()[:1], daemon=True).start()

    def serve(self, sock):
        with sock, suppress(OSError), sock.makefile("rb") as stream:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while words := self.read(stream):
                step = step_of(words)
                self.received.append(step)
                answer = self.lies.get(step, TRUTH[step])
                if answer is HANG:
                    self.has_stopped.wait()
                if answer in (HANG, CLOSE):
                    return
                self.send(sock, answer)

    @staticmethod
    def read(stream):
        head = stream.readline()
        return [stream.read(int(stream.readline()[1:]) + 2)[:-2] for _ in range(int(head[1:]))] if head else []

    def send(self, sock, answer):
        if not self.is_slow:
            sock.sendall(answer)
            return
        for byte in answer:
            sock.sendall(bytes([byte]))
            time.sleep(0.0005)

    def start(self):
        return self

    def settle(self):
        return self

    def stop(self):
        self.has_stopped.set()
        with suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
