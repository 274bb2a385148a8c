"""The way of a gateway to its Redis: bytes go through, late, not at all, or are cut off."""

import socket
import threading
import time
from contextlib import suppress


class RedisRelay:
    """Listens from the start, and connects to the port for each that comes."""

    def __init__(self, port):
        self.port = port
        self.delay = 0
        self.is_cut = False
        self.is_open = threading.Event()  # clear: what comes is held
        self.is_open.set()
        self.lock = threading.Lock()
        self.sockets = set()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"redis://127.0.0.1:{self.listener.getsockname()[1]}"
        self.start(self.accept)

    def start(self, work, *arguments):
        threading.Thread(target=work, args=arguments, daemon=True).start()

    def accept(self):
        with suppress(OSError):
            while True:
                near, _ = self.listener.accept()
                self.start(self.connect, near)

    def connect(self, near):
        far = None
        with suppress(OSError):
            far = None if self.is_cut else socket.create_connection(("127.0.0.1", self.port))
        with self.lock:
            if far is None or self.is_cut:
                near.close()
                return
            self.sockets |= {near, far}
        self.start(self.carry, near, far)
        self.start(self.carry, far, near)

    def carry(self, source, target):
        with suppress(OSError):
            while data := source.recv(65536):
                time.sleep(self.delay)
                self.is_open.wait()
                target.sendall(data)
        self.end(source, target)

    def end(self, *sockets):
        """Wakes whoever reads from them; they are freed with the last that has them."""
        with self.lock:
            self.sockets -= set(sockets)
        for sock in sockets:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def hold(self):
        self.is_open.clear()

    def cut(self):
        with self.lock:
            self.is_cut = True
            sockets = list(self.sockets)
        self.end(*sockets)

    def mend(self):
        self.delay, self.is_cut = 0, False
        self.is_open.set()

    def stop(self):
        with suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.cut()
        self.is_open.set()
