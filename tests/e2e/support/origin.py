"""A scripted upstream server: one thread a connection, every received byte recorded.

What it answers is `origin.answer`: bytes, sent once the request is complete, or a callable
`answer(peer, request)` that is called once the head is complete and does as it likes.
"""

import re
import socket
import ssl
import struct
import threading

from support import wire
from support.waiting import DEADLINE, wait_event, wait_until
from support.wire import Ended, Reader, is_readable

RECORD_LIMIT = 4 << 20
OK = wire.response()


class Request(wire.Message):
    """One request as it was received; `complete` once the whole body has come."""

    def __init__(self, head, peer):
        super().__init__(head)
        self.peer = peer
        self.complete = False
        self.method, self.target, self.version = self.start.split(b" ")

    def forwarded_lines(self):
        """The field lines but the framing, which is the gateway's own, and the Via it adds."""
        own = re.compile(rb"(content-length|transfer-encoding):", re.I)
        lines = [line for line in self.lines if not own.match(line)]
        added = [at for at, line in enumerate(lines) if line.lower() == b"via: 1.1 psgate"]
        assert len(added) == 1, f"Via: 1.1 psgate is there {len(added)} times: {self.lines}"
        del lines[added[0]]
        return lines


class Peer:
    """The server side of one connection."""

    def __init__(self, origin, sock, name):
        self.origin = origin
        self.name = name
        self.sock = sock
        self.received = bytearray()  # at most RECORD_LIMIT bytes
        self.total = 0
        self.sent = 0
        self.secured = False
        self.is_between = True  # no request begun
        self.lock = threading.Lock()
        self.ended = threading.Event()
        self.reader = None

    def _record(self, data):
        self.total += len(data)
        if len(self.received) < RECORD_LIMIT:
            self.received += data

    def serve(self):
        try:
            self._secure()
            self.reader = Reader(self.sock, self._record, None if self.origin.tls else self.lock)
            while self._serve_one():
                pass
        except (Ended, ConnectionError, ssl.SSLError, ValueError) as failure:
            if isinstance(failure, ValueError) and self.sock.fileno() >= 0:
                self.origin.errors.append(failure)
        except BaseException as failure:  # the test's thread must see it
            self.origin.errors.append(failure)
        finally:
            self.close()

    def _secure(self):
        self.sock.settimeout(DEADLINE)
        if self.origin.tls:
            self.sock = self.origin.tls.wrap_socket(self.sock, server_side=True)
        self.sock.settimeout(None)
        self.secured = True

    def _serve_one(self):
        head = self.reader.until(b"\r\n\r\n")
        self.is_between = False
        request = Request(head, self)
        self.origin.requests.append(request)
        answer = self.origin.answer
        if callable(answer):
            answer(self, request)
        else:
            self.read_body(request)
            self.send(answer)
        if self.sock.fileno() >= 0 and not request.complete:
            self.read_body(request)
        self.is_between = True
        return self.sock.fileno() >= 0

    def is_settled(self):
        """Ended, or idle between two requests with nothing unread."""
        if self.ended.is_set():
            return True
        with self.lock:
            return self.reader is not None and self.is_between and self.is_quiet()

    def body_pieces(self, request):
        """The body piece by piece; the request is complete afterwards."""
        if request.is_chunked:
            yield from wire.chunk_pieces(self.reader, request.trailers)
        elif request.value("Content-Length"):
            yield from self.reader.pieces(int(request.value("Content-Length")))
        request.complete = True

    def read_body(self, request):
        if not request.complete:
            request.body = b"".join(self.body_pieces(request))
        return request.body

    def send(self, *pieces):
        """Sends each piece with a write of its own and counts what was accepted."""
        for piece in pieces:
            view = memoryview(piece)
            while view:
                count = self.sock.send(view[:65536])
                self.sent += count
                view = view[count:]

    def is_quiet(self):
        """Nothing unread and not ended, right now."""
        try:
            return not self.reader.buffer and not is_readable(self.sock, 0)
        except ValueError:  # closed meanwhile
            return False

    def wait_end(self):
        """Blocks the handler until the gateway has ended the connection."""
        self.sock.settimeout(DEADLINE)
        self.reader.rest()

    def finish(self):
        """Ends our direction properly, in TLS with a close_notify, and closes."""
        if self.origin.tls:
            try:
                self.sock.unwrap()
            except OSError:
                pass
        self.close()

    def reset(self):
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self):
        self.sock.close()
        self.ended.set()


class Origin:
    """Listens on a free loopback port from the start; `stop` ends all its connections."""

    def __init__(self, tls=None, answer=OK):
        self.tls = tls
        self.answer = answer
        self.peers = []
        self.requests = []
        self.errors = []
        self.port = 0
        self.open()
        self.authority = b"127.0.0.1:%d" % self.port

    def open(self):
        """Listens, after a stop on the same port again."""
        self.listener = socket.create_server(("127.0.0.1", self.port), backlog=1024)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(self.listener,), daemon=True).start()

    def url(self, host="127.0.0.1"):
        return f"{'https' if self.tls else 'http'}://{host}:{self.port}"

    def _accept(self, listener):
        while True:
            try:
                sock, name = listener.accept()
            except OSError:
                return
            peer = Peer(self, sock, name)
            self.peers.append(peer)
            threading.Thread(target=peer.serve, daemon=True).start()

    def forget(self):
        """Starts a new record: the default answer again, and nothing received so far."""
        self.answer = OK
        self.errors.clear()
        self.requests.clear()
        self.peers[:] = [peer for peer in self.peers if not peer.ended.is_set()]
        for peer in self.peers:
            peer.received.clear()
            peer.total = peer.sent = 0

    def received(self):
        """All recorded bytes of all connections."""
        return b"".join(bytes(peer.received) for peer in self.peers)

    def wait_request(self, number=1):
        """The request of that number, once its head has come."""
        wait_until(lambda: len(self.requests) >= number, f"request {number} at the origin")
        return self.requests[number - 1]

    def wait_complete(self, number=1):
        request = self.wait_request(number)
        wait_until(lambda: request.complete, f"the body of request {number} at the origin")
        return request

    def settle(self):
        """Waits until every connection has ended or is idle: nothing is left half done."""
        with socket.create_connection(self.listener.getsockname()) as own:
            name = own.getsockname()
            wait_until(lambda: name in [peer.name for peer in self.peers], "the origin to accept")
        wait_until(lambda: all(peer.is_settled() for peer in self.peers), "the end of all exchanges upstream")

    def check(self):
        assert not self.errors, f"the origin's script failed: {self.errors}"

    def stop(self):
        shut(self.listener)  # wakes the accepting thread, which a close alone does not
        self.listener.close()
        for peer in list(self.peers):
            shut(peer.sock)


def shut(sock):
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass


def closing(data):
    """Answers with these bytes and then closes."""

    def answer(peer, request):
        peer.read_body(request)
        peer.send(data)
        peer.finish()

    return answer


def dropping(data):
    """Answers with these bytes and then closes without any farewell, whatever was asked."""

    def answer(peer, request):
        peer.send(data)
        peer.close()

    return answer


def resetting(data, after):
    """Answers with these bytes and, once the event is set, resets the connection."""

    def answer(peer, request):
        peer.read_body(request)
        peer.send(data)
        wait_event(after, "the test's leave to reset")
        peer.reset()

    return answer


def holding(release, data=OK):
    """Answers with these bytes once the event is set."""

    def answer(peer, request):
        peer.read_body(request)
        wait_event(release, "the test's leave to answer")
        peer.send(data)

    return answer


def piecewise(data, size=1):
    """Answers with these bytes in small writes."""

    def answer(peer, request):
        peer.read_body(request)
        peer.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        peer.send(*(data[at : at + size] for at in range(0, len(data), size)))

    return answer


def by_target(answers, default=OK):
    """Answers each target (without its query) in its own way."""

    def answer(peer, request):
        chosen = answers.get(request.target.partition(b"?")[0], default)
        if callable(chosen):
            return chosen(peer, request)
        peer.read_body(request)
        peer.send(chosen)

    return answer
