"""Upstream fails at each byte of its answer, lies about lengths, talks without end, or never reads.

What a client is told must be true each time: an error of the gateway as long as nothing of the
answer was passed on, a visible cut after that, and never a cut answer that looks complete.
"""

import itertools
import re
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from support import wire
from support.admin import AdminStage
from support.audited import parsed
from support.gateway import is_sanitized
from support.origin import OK
from support.stage import SharedStage, assert_gateway_error
from support.waiting import wait_event, wait_until
from support.wire import Ended, chunked

pytest_plugins = ["support.admin"]

CHUNKED = b"Transfer-Encoding: chunked"
BODY = b'{"a":"b"}'


def head(*lines):
    return wire.head(b"HTTP/1.1 200 OK", *lines)


EARLY = wire.head(b"HTTP/1.1 103 Early Hints")
ANSWERS = {  # all that there is to cut: heads, sizes, data, trailers; interim answers
    b"length": head(b"Content-Length: %d" % len(BODY)) + BODY,
    b"chunked": EARLY + head(CHUNKED) + chunked(BODY[:4], BODY[4:], trailers=(b"X-Sum: 1",)),
}
HEAD_LENGTHS = {name: answer.index(b"OK\r\n") + answer[answer.index(b"OK\r\n"):].index(b"\r\n\r\n") + 4
                for name, answer in ANSWERS.items()}
KINDS = {b"plain": b"GET", b"things": b"GET", b"changes": b"POST"}  # passed through, stored, recorded
OPERATIONS = [
    {"id": "lookup", "method": "GET", "path": "/v1/things/{name}", "cache": {"scope": "things", "ttl": "1h"}},
    {"id": "change", "method": "POST", "path": "/v1/changes/{name}", "audit": {},
     "resource": {"type": "change", "name": "name"}},
]
ALL_CUTS = [(kind, name, at) for kind in KINDS for name in ANSWERS for at in range(len(ANSWERS[name]))]


def target_of(cut):
    return b"/v1/%b/%b-%d" % cut


class CutShort:
    """Answers with the first bytes of an answer, as many as the target says, and then fails."""

    def __init__(self, end):
        self.end = end
        self.seen = []
        self.release = threading.Event()
        self.is_well = False

    def __call__(self, peer, request):
        peer.read_body(request)
        match = re.search(rb"/(length|chunked)-(\d+)\Z", request.target)
        self.seen.append(request.target)
        if self.is_well:
            return peer.send(ANSWERS[match[1]])
        peer.send(ANSWERS[match[1]][:int(match[2])])
        if self.end == "hang":
            wait_event(self.release, "the end of all cuts")
        return peer.reset() if self.end == "reset" else peer.close()


def ask(stage, cut):
    """What the client is told: a whole answer, or (head or None, what came of the body)."""
    method = KINDS[cut[0]]
    with stage.connect() as client:
        client.send(stage.request(b"%b %b HTTP/1.1" % (method, target_of(cut)), b"Content-Length: 0"))
        answer, body = None, b""
        try:
            answer = client.read_head()
            while answer.status < 200:
                answer = client.read_head()
            for piece in client.body_pieces(answer):
                body += piece
        except Ended:
            return answer, body, True
        answer.body = body
        return answer, body, False


def judge(cut, told, end, error_status):
    """A cut answer is an error of the gateway, or visibly cut; what came of it came so from upstream."""
    (kind, name, at), (answer, body, is_cut) = cut, told
    if not is_cut:
        assert answer.value("Proxy-Status"), \
            f"{cut}: a cut answer looks complete: {answer.head!r} {body!r}"
        assert_gateway_error(answer, error_status)
        assert at < HEAD_LENGTHS[name] or kind == b"things" or end != "fin", f"{cut}: what had come was kept from the client"
        return
    assert at >= HEAD_LENGTHS[name], f"{cut}: cut before there was an answer to cut: {body!r}"
    assert answer is None or (answer.status == 200 and BODY.startswith(body)), (cut, body)
    assert answer is None or answer.value("Proxy-Status") is None


def assert_recorded(cut, told, records):
    """The trail says what the client was told: upstream's status once there was one, else not known."""
    phases = {record["proxy.phase"]: record for record in records}
    assert sorted(phases) == ["intent", "result"] and len(records) == 2, (cut, records)
    answer, result = told[0], phases["result"]
    if answer is None or answer.status == 200:
        assert (result["event.outcome"], result["http.response.status_code"]) == ("success", 200), (cut, result)
    else:
        assert result["event.outcome"] == "unknown" and "http.response.status_code" not in result, (cut, result)
        assert result["event.reason"], cut


def make_upstream(make_admin, authority, is_secure, upstream, limits=()):
    config = {"upstream": upstream, "limits": dict(limits), "cache": {"unknown_hold": "1ms"}, "log": {"level": "info", "access": False}}
    tls = authority.server_context("right") if is_secure else None
    if is_secure:
        config["upstream"]["ca_file"] = str(authority.ca_file)
    return make_admin(config=config, operations=OPERATIONS, tls=tls)


@pytest.mark.parametrize("end, error_status", [("fin", 502), ("reset", 502), ("hang", 504)], ids=["fin", "reset", "hang"])
@pytest.mark.parametrize("is_secure", [False, True], ids=["http", "https"])
def test_an_answer_that_ends_at_any_byte_is_never_taken_for_a_whole_one(make_admin, authority, is_secure, end, error_status):
    timeout = {"response_timeout": "1500ms"} if end == "hang" else {}
    stage = make_upstream(make_admin, authority, is_secure, {"max_connections": 1024, **timeout})
    stage.origin.answer = cutter = CutShort(end)
    with ThreadPoolExecutor(128 if end == "hang" else 8) as crowd:
        told = dict(zip(ALL_CUTS, crowd.map(lambda cut: ask(stage, cut), ALL_CUTS)))
    cutter.release.set()
    for cut in ALL_CUTS:
        judge(cut, told[cut], end, error_status)
    assert {target_of(cut) for cut in ALL_CUTS} == set(cutter.seen)
    changes = [target_of(cut) for cut in ALL_CUTS if cut[0] == b"changes"]
    assert sorted(target for target in cutter.seen if target in set(changes)) == sorted(changes), "a change was sent twice"
    check_records(stage, told)
    check_recovery(stage, cutter)


def check_records(stage, told):
    wait_until(lambda: stage.trail.count_open() == 0, "the results of all changes")
    mutations = {}
    for record in map(parsed, stage.trail.lines()):
        if record.get("event.action") == "change":
            mutations.setdefault(record["proxy.resource.name"].encode(), []).append(record)
    for cut in ALL_CUTS:
        if cut[0] == b"changes":
            assert_recorded(cut, told[cut], mutations[target_of(cut).rpartition(b"/")[2]])


def check_recovery(stage, cutter):
    """Nothing of a cut answer was stored, no connection is left in use, and all goes on as ever."""
    cutter.is_well = True
    for cut in ALL_CUTS[::7]:
        answer, body, is_cut = ask(stage, cut)
        assert not is_cut and (answer.status, body) == (200, BODY), (cut, answer and answer.head, body)
        assert b"hit" not in (answer.value("Cache-Status") or b""), cut
    wait_until(lambda: stage.metrics().of("psgate_upstream_connections", state="active")
               and stage.metrics().sum("psgate_upstream_connections", state="active") == 0, "all connections to be idle")


# -- an upstream that talks without end ------------------------------------------------------------------

MIB = 1 << 20
LINE = b"X-Line: " + b"x" * 1000 + b"\r\n"


def many(piece):
    """The piece again and again, 10 MiB of it."""
    return itertools.repeat(piece * 64, 10 * MIB // len(piece) // 64)


ENDLESS = {  # what begins, what comes again and again, and whether an answer has begun before it
    "fields": (b"HTTP/1.1 200 OK\r\n", LINE, False),
    "one-field": (b"HTTP/1.1 200 OK\r\nX-Line: ", b"x" * 1000, False),
    "reason": (b"HTTP/1.1 200 ", b"x" * 1000, False),
    "empty-lines": (b"", b"\r\n" * 500, False),
    "interim-fields": (b"HTTP/1.1 103 Early Hints\r\n", LINE, False),
    "trailers": (head(CHUNKED) + b"2\r\nok\r\n0\r\n", LINE, True),
    "chunk-extension": (head(CHUNKED) + b"2;a=", b"x" * 1000, True),
    "chunk-size": (head(CHUNKED), b"0" * 1000, True),
}


def flooding(begin, piece, ended):
    """Sends without end what was agreed, until it was sent or the gateway has had enough."""

    def answer(peer, request):
        peer.read_body(request)
        try:
            peer.send(begin)
            for pieces in many(piece):
                peer.send(pieces)
        except OSError:
            pass
        ended.append(peer.sent)
        peer.close()

    return answer


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.decode())
@pytest.mark.parametrize("begin, piece, has_begun", ENDLESS.values(), ids=ENDLESS.keys())
def test_ten_mebibytes_of_head_are_not_gathered_and_the_client_is_told(talked_to, kind, begin, piece, has_begun):
    stage, ended = talked_to, []
    stage.trail.forget()
    stage.origin.answer = flooding(begin, piece, ended)
    answer, body, is_cut = ask(stage, (kind, b"endless", 0))
    if is_cut:
        assert has_begun and b"ok".startswith(body)
    else:
        assert_gateway_error(answer, 502)
    wait_until(lambda: ended, "the end of the flood")
    assert ended[0] < 8 * MIB, "the gateway took all of it"
    if kind == b"changes":
        wait_until(lambda: len(stage.trail.records()) >= 2, "the result")
        assert_recorded((kind, begin), (answer,), stage.trail.records())
    stage.origin.answer = OK
    assert stage.get(b"/v1/plain/after").status == 200


@pytest.fixture(scope="module")
def shared_talk(binary, tmp_path_factory):
    shared = SharedStage(lambda: AdminStage(binary, tmp_path_factory.mktemp("talk"), operations=OPERATIONS,
                                            config={"cache": {"unknown_hold": "1ms"}}))
    yield shared
    shared.stop()


@pytest.fixture
def talked_to(shared_talk):
    yield shared_talk.take()
    shared_talk.give_back()


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.decode())
def test_interim_answers_without_end_are_given_up(talked_to, kind):
    stage, ended = talked_to, []
    stage.origin.answer = flooding(b"", EARLY, ended)
    answer, _, is_cut = ask(stage, (kind, b"interim", 0))
    assert is_cut or answer.status == 502
    if kind != b"plain":  # nothing was passed on: there is room for an answer
        assert not is_cut
        assert_gateway_error(answer, 502)
    wait_until(lambda: ended, "the end of the flood")
    assert ended[0] < 8 * MIB, "the gateway took all of it"
    stage.origin.answer = OK
    assert stage.get(b"/v1/plain/after").status == 200


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.decode())
def test_a_head_that_comes_byte_by_byte_is_given_up_in_time(make_admin, authority, kind):
    stage = make_upstream(make_admin, authority, False, {"response_timeout": "1s"})
    ended = []

    def trickle(peer, request):
        peer.read_body(request)
        try:
            for byte in itertools.chain(b"HTTP/1.1 200 OK\r\nX-Slow: ", itertools.repeat(ord("x"), 1000)):
                peer.send(bytes([byte]))
                if wire.is_readable(peer.sock, 0.1):  # the gateway's end
                    break
        except OSError:
            pass
        ended.append(peer.sent)
        peer.close()

    stage.origin.answer = trickle
    answer, _, is_cut = ask(stage, (kind, b"trickle", 0))
    assert not is_cut
    assert_gateway_error(answer, 504)
    wait_until(lambda: ended, "the end of the trickle")
    assert ended[0] < 900, "it was taken to its end"


# -- lengths that are not true -----------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.decode())
@pytest.mark.parametrize("is_secure", [False, True], ids=["http", "https"])
def test_what_exceeds_the_announced_length_reaches_nobody(make_admin, authority, is_secure, kind):
    stage = make_upstream(make_admin, authority, is_secure, {})
    other = wire.response(b"HTTP/1.1 200 OK", b"X-Smuggled: yes", body=b"smuggled")
    stage.origin.answer = head(b"Content-Length: 2") + b"ok" + other
    for number in range(20):
        answer, body, is_cut = ask(stage, (kind, b"long", number))
        assert not is_cut and (answer.status, body) == (200, b"ok"), (number, answer and answer.head, body)
        assert answer.value("X-Smuggled") is None


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.decode())
@pytest.mark.parametrize("is_secure", [False, True], ids=["http", "https"])
def test_an_answer_that_stays_below_its_length_is_given_up_in_time(make_admin, authority, is_secure, kind):
    stage = make_upstream(make_admin, authority, is_secure, {"response_timeout": "300ms"})
    stage.origin.answer = head(b"Content-Length: 100") + b"ok"
    answer, body, is_cut = ask(stage, (kind, b"short", 0))
    if is_cut:
        assert answer.status == 200 and body == b"ok"
    else:
        assert_gateway_error(answer, 504)
    stage.origin.answer = OK
    assert stage.get(b"/v1/plain/after").status == 200


# -- an upstream that never reads --------------------------------------------------------------------------


def deaf(leave):
    def answer(peer, request):
        wait_event(leave, "the test's leave to hear")
        peer.reset()

    return answer


@pytest.mark.parametrize("is_secure", [False, True], ids=["http", "https"])
@pytest.mark.parametrize("kind, size", [(b"plain", 64 * MIB), (b"changes", MIB)], ids=["streamed", "recorded"])
def test_an_upstream_that_reads_nothing_is_given_up_and_its_body_is_not_gathered(make_admin, authority, is_secure, kind, size):
    stage = make_upstream(make_admin, authority, is_secure, {"response_timeout": "1s"}, {"send_timeout": "1s"})
    assert stage.get(b"/v1/plain/before").status == 200
    stage.origin.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    leave = threading.Event()
    stage.origin.answer = deaf(leave)
    before = stage.gateway.resident_kib()
    try:
        with stage.connect() as client:
            start = b"POST /v1/%b/deaf HTTP/1.1" % kind
            client.send(stage.request(start, b"Content-Length: %d" % size))
            client.send_unheeded(bytes(size))
            assert_gateway_error(client.read_response(), 502, 504)
    finally:
        leave.set()
    assert is_sanitized() or stage.gateway.peak_kib() - before < 16 * 1024
    if kind == b"changes":
        _, result = stage.trail.wait(2)
        assert result["event.outcome"] == "unknown"
    stage.origin.answer = OK
    assert stage.get(b"/v1/plain/after").status == 200
