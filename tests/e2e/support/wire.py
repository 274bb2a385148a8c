"""HTTP/1.1 messages as bytes: a buffered reader and what both ends of a test share."""

import re
import select
from contextlib import nullcontext

from support.waiting import DEADLINE

TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")
CRLF = b"\r\n"
DATE = b"Date: Tue, 04 Mar 2025 10:00:00 GMT"


def is_readable(sock, timeout):
    """Whether a read would not block; waits so many seconds, or for ever with None."""
    poll = select.poll()  # which has no limit on descriptors, other than select
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(None if timeout is None else timeout * 1000))


class Ended(Exception):
    """The other side ended the connection before what was asked for had come."""

    def __init__(self, partial, was_reset):
        super().__init__(f"ended by {'reset' if was_reset else 'FIN'} after {bytes(partial[:200])!r}")
        self.partial = bytes(partial)
        self.was_reset = was_reset


class Reader:
    """Reads lines and counted bytes from a socket and remembers how the stream ended."""

    def __init__(self, sock, on_bytes=None, lock=None):
        self.sock = sock
        self.lock = lock
        self.buffer = bytearray()
        self.end = None  # None, "eof" or "reset"
        self.on_bytes = on_bytes or (lambda data: None)

    def fill(self, size=65536):
        """Takes one read's worth from the socket; False at the end of the stream."""
        if self.end:
            return False
        if self.lock:  # so that whoever holds it sees each byte either unread or in the buffer
            is_readable(self.sock, self.sock.gettimeout())
        with self.lock or nullcontext():
            return self._receive(size)

    def _receive(self, size):
        try:
            data = self.sock.recv(size)
        except TimeoutError:
            raise AssertionError(f"nothing came for {DEADLINE:.0f} s after {bytes(self.buffer[:200])!r}")
        except OSError:
            self.end = "reset"
            return False
        if not data:
            self.end = "eof"
            return False
        self.buffer += data
        self.on_bytes(data)
        return True

    def until(self, mark):
        """All bytes up to and including the mark."""
        start = 0
        while True:
            at = self.buffer.find(mark, start)
            if at >= 0:
                return self.take(at + len(mark))
            start = max(0, len(self.buffer) - len(mark) + 1)
            if not self.fill():
                raise Ended(self.buffer, self.end == "reset")

    def take(self, count):
        data = bytes(self.buffer[:count])
        del self.buffer[:count]
        return data

    def exactly(self, count):
        while len(self.buffer) < count:
            if not self.fill():
                raise Ended(self.buffer, self.end == "reset")
        return self.take(count)

    def pieces(self, count):
        """The next count bytes, piece by piece, without gathering them."""
        while count:
            if not self.buffer and not self.fill(262144):
                raise Ended(b"", self.end == "reset")
            data = self.take(min(count, len(self.buffer)))
            count -= len(data)
            yield data

    def rest(self):
        """Everything up to the end of the stream."""
        while self.fill():
            pass
        return self.take(len(self.buffer))


def split_field(line):
    """A field line as (name, value), the optional white space around the value left out."""
    name, colon, value = line.partition(b":")
    assert colon, f"a field line without a colon: {line!r}"
    return name, value.strip(b" \t")


class Message:
    """The head of a request or response: its lines as they came, and the fields in order."""

    def __init__(self, head):
        self.head = head
        lines = head[: -len(CRLF + CRLF)].split(CRLF)
        self.start = lines[0]
        self.lines = lines[1:]
        self.fields = [split_field(line) for line in self.lines]
        self.body = b""
        self.trailers = []

    def values(self, name):
        """The values of all fields of that name, in order."""
        wanted = name.lower().encode()
        return [value for key, value in self.fields if key.lower() == wanted]

    def value(self, name):
        """The value of the one field of that name, or None."""
        found = self.values(name)
        assert len(found) <= 1, f"{name} is repeated: {found}"
        return found[0] if found else None

    def others(self, *names):
        """The fields but those of the given names."""
        left_out = {name.lower().encode() for name in names}
        return [field for field in self.fields if field[0].lower() not in left_out]

    @property
    def is_chunked(self):
        return any(value.lower() == b"chunked" for value in self.values("Transfer-Encoding"))


def chunk_pieces(reader, trailers):
    """The data of a chunked body, chunk by chunk; its trailer fields go into the list."""
    while True:
        size = chunk_size(reader.until(CRLF)[:-2])
        if size == 0:
            break
        yield from reader.pieces(size)
        end = reader.exactly(2)
        assert end == CRLF, f"a chunk ends with {end!r}"
    while line := reader.until(CRLF)[:-2]:
        trailers.append(split_field(line))


def chunk_size(line):
    digits = line.partition(b";")[0].strip(b" \t")
    assert re.fullmatch(rb"[0-9A-Fa-f]+", digits), f"a bad chunk size line: {line!r}"
    return int(digits, 16)


def chunked(*parts, trailers=()):
    """A chunked body of the given chunks."""
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)
    return chunks + b"0\r\n" + b"".join(line + CRLF for line in trailers) + CRLF


def head(start, *lines):
    return CRLF.join((start, *lines)) + CRLF + CRLF


def response(start=b"HTTP/1.1 200 OK", *lines, body=b"ok"):
    """A response with a Date, the given lines, and its body framed by length."""
    return head(start, DATE, *lines, b"Content-Length: %d" % len(body)) + body
