"""A client that sends raw bytes and reads answers strictly."""

import re
import socket
import struct

from support import wire
from support.waiting import DEADLINE
from support.wire import Ended, Reader

STATUS_LINE = re.compile(rb"HTTP/1\.1 ([1-5][0-9][0-9]) [\t -~\x80-\xff]*\Z")


class Response(wire.Message):
    """One answer: status, fields in order, body, trailers, the interim answers before it."""

    def __init__(self, head):
        super().__init__(head)
        match = STATUS_LINE.match(self.start)
        assert match, f"not a status line: {self.start!r}"
        self.status = int(match[1])
        self.interim = []
        for name, value in self.fields:
            assert wire.TOKEN.match(name), f"not a field name: {name!r}"
            assert not re.search(rb"[\0-\x08\x0a-\x1f\x7f]", value), f"control bytes in {value!r}"

    def framing(self, method="GET"):
        """How the end of the body is found: none, chunked, length or close."""
        coded, lengths = self.values("Transfer-Encoding"), self.values("Content-Length")
        assert not (coded and lengths), f"ambiguous framing: {self.fields}"
        assert len(coded) + len(lengths) <= 1, f"repeated framing: {self.fields}"
        if method == "HEAD" or self.status < 200 or self.status in (204, 304):
            return "none"
        if coded:
            assert coded == [b"chunked"], f"unknown framing: {coded}"
            return "chunked"
        return "length" if lengths else "close"


class Client:
    """One connection; every read is bounded by the deadline."""

    def __init__(self, port, host="127.0.0.1", receive_buffer=None):
        self.sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        if receive_buffer:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.sock.settimeout(DEADLINE)
        self.sock.connect((host, port))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.reader = Reader(self.sock)

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        self.close()

    def send(self, data):
        self.sock.sendall(data)

    def send_unheeded(self, data):
        """Sends as much as the other side, which may refuse it half-way, lets us send."""
        try:
            self.sock.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass

    def send_byte_by_byte(self, data):
        """Sends single bytes until all are sent or the other side has answered or gone."""
        for at in range(len(data)):
            if self.is_readable():
                return
            try:
                self.sock.send(data[at : at + 1])
            except (BrokenPipeError, ConnectionResetError):
                return

    def is_readable(self, timeout=0.0):
        return bool(self.reader.buffer) or wire.is_readable(self.sock, timeout)

    def read_head(self):
        """The next head, interim or final, without its body."""
        return Response(self.reader.until(b"\r\n\r\n"))

    def read_response(self, method="GET"):
        """The next final answer, whole; Ended when it is cut short."""
        interim = []
        answer = self.read_head()
        while answer.status < 200:
            interim.append(answer)
            answer = self.read_head()
        answer.interim = interim
        answer.body = b"".join(self.body_pieces(answer, method))
        return answer

    def body_pieces(self, answer, method="GET"):
        """The body of an answer whose head has been read, piece by piece."""
        framing = answer.framing(method)
        if framing == "length":
            yield from self.reader.pieces(int(answer.value("Content-Length")))
        elif framing == "chunked":
            yield from wire.chunk_pieces(self.reader, answer.trailers)
        elif framing == "close":
            yield from self._until_close()

    def _until_close(self):
        while self.reader.buffer or self.reader.fill(262144):
            yield self.reader.take(len(self.reader.buffer))
        if self.reader.end == "reset":
            raise Ended(b"", True)

    def ask(self, data, method="GET"):
        self.send(data)
        return self.read_response(method)

    def read_to_end(self):
        return self.reader.rest()

    def assert_closed(self):
        """The gateway ends the connection and says nothing more."""
        left = self.read_to_end()
        assert left == b"", f"more bytes before the close: {left[:300]!r}"

    def half_close(self):
        self.sock.shutdown(socket.SHUT_WR)

    def reset(self):
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def close(self):
        self.sock.close()


class UnixClient(Client):
    """The same at a unix socket."""

    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(DEADLINE)
        self.sock.connect(str(path))
        self.reader = Reader(self.sock)
