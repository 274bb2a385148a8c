"""Flights: one fetch for all who want the same thing at the same time, over all workers."""

import socket
import threading

import pytest
from support import wire
from support.cache import FRESH, Answer, Dropped, Silent, assert_forwarded, assert_hit, cache_status, number_of
from support.origin import shut
from support.stage import assert_gateway_error
from support.waiting import wait_event, wait_until
from support.wire import Ended

pytest_plugins = ["support.cache"]
CROWD = 24
MODES = {"upstream": b"cached", "fixed": b"fixed"}


def connections(stage):
    """The gateway's ends of its clients' connections: the client's port, and the bytes unread."""
    with open("/proc/net/tcp") as table:
        rows = [line.split() for line in table][1:]
    own = [(row[2], row[4]) for row in rows if row[3] in ("01", "08") and int(row[1].partition(":")[2], 16) == stage.gateway.port]
    return {int(remote.partition(":")[2], 16): int(queues.partition(":")[2], 16) for remote, queues in own}


class Crowd:
    """Connections that the workers have taken, and others to see that they have done their work."""

    def __init__(self, stage, count=CROWD):
        self.stage = stage
        self.clients = [stage.connect() for _ in range(count)]
        self.probes = [stage.connect() for _ in range(12)]
        self.greet(self.clients + self.probes)

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        for client in self.clients + self.probes:
            client.close()

    def greet(self, clients):
        for client in clients:
            assert client.ask(b"GET /.psgate/healthz HTTP/1.1\r\nHost: gateway.test\r\n\r\n").status == 200

    def ask(self, target, *lines, **options):
        """All ask, and what they asked has been looked at by the workers."""
        for client in self.clients:
            client.send(self.stage.request(b"GET %b HTTP/1.1" % target, *lines, **options))
        self.wait_taken()

    def wait_taken(self):
        """What was sent is read; and the workers, one thread each, have done something after it."""
        wait_until(lambda: not any(connections(self.stage).values()), "the gateway to read all requests")
        self.greet(self.probes)

    def read(self):
        return [client.read_response() for client in self.clients]

    def assert_waiting(self):
        assert not any(client.is_readable() for client in self.clients)


def leave(stage, client):
    """Resets the connection; the gateway has noticed."""
    port = client.sock.getsockname()[1]
    client.reset()
    wait_until(lambda: port not in connections(stage), "the gateway to notice that a client has left")


def assert_collapsed(answer, number=1):
    status = cache_status(answer)
    assert (answer.status, number_of(answer)) == (200, number)
    assert status.get("fwd") == "miss" and status.get("collapsed") is True, status


class Flight:
    """A fetch that the origin holds: its leader has asked, the request is there."""

    def __init__(self, stage, *answers, under=b"cached", lines=()):
        self.stage = stage
        self.target = stage.answers(*answers, under=under)
        self.leader = stage.send(self.target, *lines)
        stage.wait_seen(self.target, 1)

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        self.leader.close()

    def assert_fetches(self, count):
        assert len(self.stage.seen(self.target)) == count


@pytest.fixture
def release():
    """Lets the origin answer, after a failed test too."""
    event = threading.Event()
    yield event
    event.set()


# -- one fetch for all ----------------------------------------------------------------------------------


@pytest.mark.parametrize("under", MODES.values(), ids=MODES.keys())
def test_many_requests_at_a_time_make_one_fetch(cache, release, under):
    with Crowd(cache) as crowd, Flight(cache, Answer(FRESH, after=release), under=under) as flight:
        crowd.ask(flight.target)
        crowd.assert_waiting()
        release.set()
        assert_forwarded(flight.leader.read_response(), "miss", 1, stored=True)
        for answer in crowd.read():
            assert_collapsed(answer)
        flight.assert_fetches(1)
        crowd.ask(flight.target)
        for answer in crowd.read():
            assert_hit(answer, 1)


def test_who_is_first_of_many_is_the_one_who_fetches(cache, release):
    target = cache.answers(Answer(FRESH, after=release))
    with Crowd(cache) as crowd:
        crowd.ask(target)
        cache.wait_seen(target, 1)
        release.set()
        answers = crowd.read()
    assert {number_of(answer) for answer in answers} == {1} and len(cache.seen(target)) == 1
    statuses = [cache_status(answer) for answer in answers]
    assert sum(status.get("stored", False) for status in statuses) == 1
    assert sum(status.get("collapsed", False) for status in statuses) == CROWD - 1


def test_another_query_is_another_flight(cache, release):
    with Flight(cache, Answer(FRESH, after=release)) as flight:
        assert_forwarded(cache.ask(flight.target + b"?a=1"), "miss", 1, stored=True)


def test_a_request_that_bypasses_the_cache_joins_no_flight(cache, release):
    with Flight(cache, Answer(FRESH, after=release), Answer(FRESH)) as flight:
        assert_forwarded(cache.ask(flight.target, b"Cookie: a=b"), "bypass", 2, stored=False)


def test_who_asks_for_another_variant_goes_upstream_and_the_others_do_not(cache, release):
    with Crowd(cache, 4) as same, Crowd(cache, 4) as other:
        with Flight(cache, Answer(FRESH, b"Vary: Foo", after=release), Answer(FRESH, b"Vary: Foo"), lines=[b"Foo: 1"]) as flight:
            same.ask(flight.target, b"Foo: 1")
            other.ask(flight.target, b"Foo: 2")
            release.set()
            for answer in same.read():
                assert_collapsed(answer)
            for answer in other.read():
                assert number_of(answer) > 1
            assert {value for seen in cache.seen(flight.target)[1:] for value in seen.values("Foo")} == {b"2"}


# -- clients that leave, or may not --------------------------------------------------------------------


@pytest.mark.parametrize("under", MODES.values(), ids=MODES.keys())
def test_a_flight_survives_its_first_client(cache, release, under):
    with Crowd(cache, 4) as early, Crowd(cache, 4) as late:
        with Flight(cache, Answer(FRESH, after=release), under=under) as flight:
            early.ask(flight.target)
            leave(cache, flight.leader)
            late.ask(flight.target)
            late.assert_waiting()
            release.set()
            for answer in early.read() + late.read():
                assert_collapsed(answer)
            flight.assert_fetches(1)
            assert_hit(cache.ask(flight.target), 1)


def test_waiters_that_leave_do_no_harm(cache, release):
    with Crowd(cache, 6) as leaving, Crowd(cache, 6) as staying:
        with Flight(cache, Answer(FRESH, after=release)) as flight:
            leaving.ask(flight.target)
            staying.ask(flight.target)
            for client in leaving.clients:
                leave(cache, client)
            release.set()
            assert_forwarded(flight.leader.read_response(), "miss", 1, stored=True)
            for answer in staying.read():
                assert_collapsed(answer)
            flight.assert_fetches(1)


@pytest.mark.parametrize("count", [0, 6])
def test_a_flight_that_everybody_left_goes_on_and_is_stored(cache, release, count):
    with Crowd(cache, count) as crowd, Flight(cache, Answer(FRESH, after=release)) as flight:
        crowd.ask(flight.target)
        for client in [flight.leader, *crowd.clients]:
            leave(cache, client)
        release.set()
        cache.origin.settle()
        wait_until(lambda: cache_status(cache.ask(flight.target)).get("hit"), "the answer to be stored")
        flight.assert_fetches(1)


@pytest.mark.parametrize("under", MODES.values(), ids=MODES.keys())
def test_who_may_not_do_the_operation_never_joins(make_cache, release, under):
    stage = make_cache(start=False)
    narrow = stage.gateway.add_client("narrow", allow=["other"])
    denied = stage.gateway.add_client("denied", deny=["lookup", "fixed"])
    stage.start()
    with Flight(stage, Answer(FRESH, after=release), under=under) as flight:
        for token, status in ((narrow, 403), (denied, 403), ("psgate_wrong", 401)):
            assert_gateway_error(stage.ask(flight.target, token=token), status)
        release.set()
        flight.leader.read_response()
        for token, status in ((narrow, 403), (denied, 403), ("psgate_wrong", 401)):
            assert_gateway_error(stage.ask(flight.target, token=token), status)
        flight.assert_fetches(1)


# -- flights that fail ----------------------------------------------------------------------------------

FAILURES = {"closed": (Dropped, {}, 502), "cut-in-the-head": (Dropped, {"count": 20}, 502), "cut-in-the-body": (Dropped, {"count": -2}, 502)}


def assert_all_fail(crowd, flight, status):
    for answer in [flight.leader.read_response(), *crowd.read()]:
        assert_gateway_error(answer, status)
    flight.assert_fetches(1)


@pytest.mark.parametrize("under", MODES.values(), ids=MODES.keys())
@pytest.mark.parametrize("kind, options, status", FAILURES.values(), ids=FAILURES.keys())
def test_a_flight_whose_connection_is_cut_fails_for_everyone_once(make_cache, release, kind, options, status, under):
    stage = make_cache()
    with Crowd(stage) as crowd, Flight(stage, kind(FRESH, after=release, **options), Answer(FRESH), under=under) as flight:
        crowd.ask(flight.target)
        release.set()
        assert_all_fail(crowd, flight, status)
        assert_forwarded(stage.ask(flight.target), "miss", 2, stored=True)


def test_a_flight_that_times_out_fails_for_everyone_once(make_cache):
    stage = make_cache(config={"upstream": {"response_timeout": "3s"}})
    with Crowd(stage) as crowd, Flight(stage, Silent(), Answer(FRESH)) as flight:
        crowd.ask(flight.target)
        assert_all_fail(crowd, flight, 504)
        assert_forwarded(stage.ask(flight.target), "miss", 2, stored=True)


def test_a_flight_that_gets_no_connection_fails_for_everyone_once(make_cache):
    taken = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=accept_all, args=(listener, taken), daemon=True).start()
        port = listener.getsockname()[1]
        stage = make_cache(config={"upstream": {"url": f"https://127.0.0.1:{port}"}})
        with Crowd(stage) as crowd:
            crowd.ask(b"/v1/cached/a")
            wait_until(lambda: taken, "the gateway to connect upstream")
            crowd.assert_waiting()
            shut(taken[0])  # in the middle of the TLS handshake
            for answer in crowd.read():
                assert_gateway_error(answer, 502, 503)
            assert len(taken) == 1
        shut(listener)
    for sock in taken:
        sock.close()


def accept_all(listener, taken):
    try:
        while True:
            taken.append(listener.accept()[0])
    except OSError:
        pass


def test_everyone_is_answered_while_connections_are_refused(make_cache):
    stage = make_cache()
    stage.origin.stop()
    with Crowd(stage) as crowd:
        for _ in range(3):
            crowd.ask(b"/v1/cached/a")
            for answer in crowd.read():
                assert_gateway_error(answer, 502, 503)


# -- answers that cannot be shared ------------------------------------------------------------------------

LARGE = b"x" * 1500000  # more than the whole memory of these caches
UNSTORABLE = {
    "private": (b"cached", [b"Cache-Control: private, max-age=3600"], {}),
    "no-store": (b"cached", [b"Cache-Control: no-store"], {}),
    "vary-any": (b"cached", [FRESH, b"Vary: *"], {}),
    "oversize": (b"cached", [FRESH], {"body": LARGE}),
    "oversize-chunked": (b"cached", [FRESH], {"body": LARGE, "framing": "chunked"}),
    "fixed-set-cookie": (b"fixed", [b"Set-Cookie: a=b"], {}),
    "fixed-null": (b"fixed", [], {"body": b"null"}),
    "fixed-oversize": (b"fixed", [], {"body": LARGE}),
    "fixed-oversize-chunked": (b"fixed", [], {"body": LARGE, "framing": "chunked"}),
}


@pytest.mark.parametrize("under, lines, options", UNSTORABLE.values(), ids=UNSTORABLE.keys())
def test_when_the_answer_cannot_be_stored_the_waiters_go_upstream_side_by_side(make_cache, release, under, lines, options):
    stage = make_cache(config={"cache": {"memory": "1MiB"}})
    second = threading.Event()
    answers = [Answer(*lines, after=each, **options) for each in (release, second)]
    try:
        with Crowd(stage) as crowd, Flight(stage, *answers, under=under) as flight:
            crowd.ask(flight.target)
            crowd.assert_waiting()
            release.set()
            first = flight.leader.read_response()
            assert not cache_status(first).get("stored") and first.value("X-Number") == b"1"
            stage.wait_seen(flight.target, 1 + CROWD)
            crowd.assert_waiting()
            second.set()
            answers = crowd.read()
            assert {int(answer.value("X-Number")) for answer in answers} == set(range(2, 2 + CROWD))
            for answer in answers:
                assert answer.body == options.get("body", answer.body)
                assert not {"stored", "collapsed", "hit"} & set(cache_status(answer))
            flight.assert_fetches(1 + CROWD)
    finally:
        second.set()


# -- large answers ------------------------------------------------------------------------------------------

BODY = bytes(range(256)) * 1024  # 256 KiB


class Halting(Answer):
    """Sends the first half, and the rest after the event, or ends there."""

    def __init__(self, *lines, is_cut=False, **options):
        super().__init__(*lines, **options)
        self.is_cut = is_cut

    def give(self, peer, request, number):
        peer.read_body(request)
        data = self.data(number, request.method)
        if self.framing == "chunked":
            half = len(self.body) // 2
            head = data[: data.index(b"\r\n\r\n") + 4]
            data = head + wire.chunked(self.body[:half], self.body[half:])
        peer.send(data[: len(data) // 2])
        wait_event(self.after, "the test's leave to go on")
        if self.is_cut:
            peer.close()
        else:
            peer.send(data[len(data) // 2 :])


def read_some(client, count=100000):
    """The head and that many bytes of the body at least, and the pieces that follow."""
    head = client.read_head()
    pieces, data = client.body_pieces(head), b""
    while len(data) < count:
        data += next(pieces)
    return head, data, pieces


@pytest.mark.parametrize("framing", ["length", "chunked"])
@pytest.mark.parametrize("under", MODES.values(), ids=MODES.keys())
def test_a_large_answer_streams_to_the_first_client_before_it_is_complete(cache, release, under, framing):
    with Crowd(cache, 6) as crowd:
        with Flight(cache, Halting(FRESH, body=BODY, framing=framing, after=release), under=under) as flight:
            head, data, pieces = read_some(flight.leader)
            crowd.ask(flight.target)
            release.set()
            assert data + b"".join(pieces) == BODY
            assert head.status == 200 and cache_status(head)["fwd"] == "miss"
            for answer in crowd.read():
                assert answer.body == BODY and cache_status(answer).get("collapsed") is True
            flight.assert_fetches(1)
            last = cache.ask(flight.target)
            assert last.body == BODY and cache_status(last).get("hit")


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_large_answer_that_is_cut_is_never_whole_to_anyone(make_cache, release, framing):
    stage = make_cache()
    with Crowd(stage, 6) as crowd:
        with Flight(stage, Halting(FRESH, body=BODY, framing=framing, after=release, is_cut=True), Answer(FRESH)) as flight:
            _, _, pieces = read_some(flight.leader)
            crowd.ask(flight.target)
            release.set()
            with pytest.raises(Ended):
                list(pieces)
            for answer in crowd.read():
                assert_gateway_error(answer, 502)
            flight.assert_fetches(1)
            assert_forwarded(stage.ask(flight.target), "miss", 2, stored=True)


def test_a_large_answer_survives_its_first_client(cache, release):
    with Crowd(cache, 6) as crowd, Flight(cache, Halting(FRESH, body=BODY, after=release)) as flight:
        read_some(flight.leader)
        crowd.ask(flight.target)
        leave(cache, flight.leader)
        release.set()
        for answer in crowd.read():
            assert answer.body == BODY and cache_status(answer).get("collapsed") is True
        flight.assert_fetches(1)


def test_a_first_client_that_reads_nothing_holds_up_nobody(make_cache, release):
    stage = make_cache(config={"cache": {"memory": "512MiB"}})
    body = b"y" * (7 << 20)  # more than the kernel holds for a connection, less than the limit of an entry
    with Crowd(stage, 3) as crowd:
        target = stage.answers(Answer(FRESH, body=body, after=release))
        with stage.connect(receive_buffer=4096) as leader:
            leader.send(stage.request(b"GET %b HTTP/1.1" % target))
            stage.wait_seen(target, 1)
            crowd.ask(target)
            release.set()
            assert all(answer.body == body for answer in crowd.read())
        assert len(stage.seen(target)) == 1
