"""Large bodies both ways, slow readers, and memory that stays bounded."""

import hashlib
import threading

import pytest
from support import wire
from support.gateway import is_sanitized
from support.waiting import Stillness, wait_until

MIB = 1 << 20
BLOCK = hashlib.shake_256(b"a block of bytes without any pattern").digest(MIB)
GROWTH_KIB = 8 * 1024
needs_true_memory = pytest.mark.skipif(is_sanitized(), reason="memory figures mean nothing under sanitizers")
long = pytest.mark.long


def digest_of(pieces):
    """The SHA-256 of the pieces together, which are not kept."""
    total = hashlib.sha256()
    for piece in pieces:
        total.update(piece)
    return total.hexdigest()


def digest_of_blocks(count):
    return digest_of(BLOCK for _ in range(count))


def sending_blocks(count, chunks):
    """Answers with so many blocks, each a chunk, or all framed by one length."""

    def answer(peer, request):
        framing = b"Transfer-Encoding: chunked" if chunks else b"Content-Length: %d" % (count * MIB)
        peer.send(wire.head(b"HTTP/1.1 200 OK", wire.DATE, framing))
        for _ in range(count):
            peer.send(*((b"%x\r\n" % MIB, BLOCK, b"\r\n") if chunks else (BLOCK,)))
        peer.send(b"0\r\n\r\n" if chunks else b"")

    return answer


def digesting(peer, request):
    """Answers with the digest of the request's body."""
    peer.send(wire.response(body=digest_of(peer.body_pieces(request)).encode()))


def upload(stage, count, chunks):
    with stage.connect() as client:
        framing = b"Transfer-Encoding: chunked" if chunks else b"Content-Length: %d" % (count * MIB)
        client.send(stage.request(b"POST /v1/upload HTTP/1.1", framing))
        for _ in range(count):
            client.send(b"%x\r\n%b\r\n" % (MIB, BLOCK) if chunks else BLOCK)
        return client.ask(b"0\r\n\r\n" if chunks else b"").body.decode()


def download(stage, client):
    client.send(stage.request(b"GET /v1/download HTTP/1.1"))
    return digest_of(client.body_pieces(client.read_head()))


@pytest.mark.parametrize("chunks", [False, True], ids=["length", "chunked"])
def test_a_large_answer_goes_through(stage, chunks):
    stage.origin.answer = sending_blocks(64, chunks)
    with stage.connect() as client:
        assert download(stage, client) == digest_of_blocks(64)


@pytest.mark.parametrize("chunks", [False, True], ids=["length", "chunked"])
def test_a_large_request_goes_through(stage, chunks):
    stage.origin.answer = digesting
    assert upload(stage, 64, chunks) == digest_of_blocks(64)


def test_large_bodies_go_both_ways_at_once(stage):
    def answer(peer, request):
        peer.send(wire.head(b"HTTP/1.1 200 OK", wire.DATE, b"Content-Length: %d" % (32 * MIB)))
        for piece in peer.body_pieces(request):
            peer.send(piece)

    stage.origin.answer = answer
    with stage.connect() as client:
        client.send(stage.request(b"POST /v1/echo HTTP/1.1", b"Content-Length: %d" % (32 * MIB)))
        sender = threading.Thread(target=lambda: [client.send(BLOCK) for _ in range(32)], daemon=True)
        sender.start()
        assert digest_of(client.body_pieces(client.read_head())) == digest_of_blocks(32)
        sender.join()


class Memory:
    """How much the gateway's resident memory grows at most within a `with` block."""

    def __init__(self, stage):
        self.gateway = stage.gateway
        assert stage.get(b"/v1/warm-up").status == 200

    def __enter__(self):
        self.gateway.reset_peak()
        self.before = self.gateway.resident_kib()
        return self

    def __exit__(self, *failure):
        self.growth = self.gateway.peak_kib() - self.before


@long
@needs_true_memory
@pytest.mark.timeout(600)
@pytest.mark.parametrize("chunks", [False, True], ids=["length", "chunked"])
def test_a_gibibyte_goes_down_within_bounded_memory(make_stage, chunks):
    stage = make_stage()
    memory = Memory(stage)
    stage.origin.answer = sending_blocks(1024, chunks)
    with stage.connect() as client, memory:
        assert download(stage, client) == digest_of_blocks(1024)
    assert memory.growth < GROWTH_KIB


@long
@needs_true_memory
@pytest.mark.timeout(600)
@pytest.mark.parametrize("chunks", [False, True], ids=["length", "chunked"])
def test_a_gibibyte_goes_up_within_bounded_memory(make_stage, chunks):
    stage = make_stage()
    memory = Memory(stage)
    stage.origin.answer = digesting
    with memory:
        assert upload(stage, 1024, chunks) == digest_of_blocks(1024)
    assert memory.growth < GROWTH_KIB


# -- back-pressure -----------------------------------------------------------------------------


def test_a_client_that_does_not_read_stops_the_origin_and_then_gets_everything(stage):
    stage.origin.answer = sending_blocks(64, chunks=False)
    with stage.connect(receive_buffer=65536) as client:
        client.send(stage.request(b"GET /v1/download HTTP/1.1"))
        peer = stage.origin.wait_request().peer
        wait_until(Stillness(lambda: peer.sent), "the origin to be held back")
        assert peer.sent < 32 * MIB
        assert digest_of(client.body_pieces(client.read_head())) == digest_of_blocks(64)


def test_an_origin_that_does_not_read_stops_the_client_and_then_gets_everything(stage):
    leave = threading.Event()
    sent = []

    def answer(peer, request):
        leave.wait(60)
        digesting(peer, request)

    def send():
        for _ in range(64 * 16):
            client.send(BLOCK[: MIB // 16])
            sent.append(1)

    stage.origin.answer = answer
    with stage.connect() as client:
        client.send(stage.request(b"POST /v1/upload HTTP/1.1", b"Content-Length: %d" % (64 * MIB)))
        sender = threading.Thread(target=send, daemon=True)
        sender.start()
        wait_until(Stillness(lambda: len(sent)), "the client to be held back")
        held_at = len(sent)
        leave.set()
        sender.join()
        assert client.read_response().body.decode() == digest_of(BLOCK[: MIB // 16] for _ in range(64 * 16))
        assert held_at < 32 * 16


@needs_true_memory
def test_memory_stays_bounded_while_many_clients_do_not_read(make_stage):
    stage = make_stage()
    memory = Memory(stage)
    stage.origin.answer = sending_blocks(64, chunks=True)
    clients = [stage.connect(receive_buffer=65536) for _ in range(8)]
    with memory:
        for client in clients:
            client.send(stage.request(b"GET /v1/download HTTP/1.1"))
        stage.origin.wait_request(1 + len(clients))
        wait_until(Stillness(lambda: sum(peer.sent for peer in stage.origin.peers)), "the origin to be held back")
    for client in clients:
        client.reset()
    assert memory.growth < GROWTH_KIB


def test_a_slow_reader_gets_everything(stage):
    stage.origin.answer = sending_blocks(4, chunks=True)
    with stage.connect(receive_buffer=4096) as client:
        client.send(stage.request(b"GET /v1/download HTTP/1.1"))
        answer = client.read_head()
        small = digest_of(client.body_pieces(answer))
    assert small == digest_of_blocks(4)


def test_many_answers_at_once_go_through(stage):
    stage.origin.answer = sending_blocks(2, chunks=False)
    expected, results = digest_of_blocks(2), []

    def one():
        with stage.connect() as client:
            results.append(download(stage, client) == expected)

    threads = [threading.Thread(target=one, daemon=True) for _ in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True] * 32
