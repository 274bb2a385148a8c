"""An audited change goes nowhere before its intent is durable, its answer not before the result."""

import threading

import pytest
from support import wire
from support.audited import find_writer, held_still, noticed_leaving
from support.kernel import wait_taken
from support.stage import assert_gateway_error
from support.waiting import wait_event, wait_until
from support.wire import chunked

pytest_plugins = ["support.audited"]

CREATE = b"POST /v1/teams/t/secrets"
UPDATE = b"PATCH /v1/teams/t/secrets/DB_PASSWORD"
DELETE = b"DELETE /v1/teams/t/secrets/DB_PASSWORD"
BODY = b'{"name": "KEY", "value": "a value"}'
LENGTH = b"Content-Length: %d" % len(BODY)
CHUNKED = b"Transfer-Encoding: chunked"
OTHER = b"POST /v1/elsewhere"


# -- the order on the wire ----------------------------------------------------------------------------


class Watching(list):
    """The origin's connections; notes what the trail held when each came."""

    def __init__(self, stage):
        super().__init__(stage.origin.peers)
        self.stage, self.seen = stage, []

    def append(self, peer):
        self.seen.append(self.stage.trail.phases())
        super().append(peer)


@pytest.mark.parametrize("kind", ["no-body", "body", "tls"])
def test_a_connection_is_made_only_after_the_intent(make_recorded, authority, kind):
    over_tls = {"config": {"upstream": {"ca_file": str(authority.ca_file)}}, "upstream_host": "localhost",
                "tls": authority.server_context("right")} if kind == "tls" else {}
    stage = make_recorded(**over_tls)
    stage.origin.peers = Watching(stage)
    assert stage.change(DELETE if kind == "no-body" else CREATE, body=None if kind == "no-body" else BODY).status == 200
    assert stage.origin.peers.seen == [["intent"]]
    assert stage.trail.phases() == ["intent", "result"]


def test_the_trail_has_the_intent_when_upstream_sees_the_head_and_the_result_when_the_client_does(audited):
    seen = []

    def answer(peer, request):
        seen.append(audited.trail.phases())
        peer.read_body(request)
        peer.send(wire.response())
        seen.append("answered")

    audited.origin.answer = answer
    with audited.connect() as client:
        for number in range(1, 21):
            client.send(audited.request(CREATE + b" HTTP/1.1", LENGTH) + BODY)
            client.reader.fill(1)
            assert audited.trail.phases() == ["intent", "result"] * number
            assert client.read_response().status == 200
    assert [phases for phases in seen if phases != "answered"] == [
        ["intent", "result"] * number + ["intent"] for number in range(20)]


def passes_by(stage, count=3):
    """Requests of other kinds make the whole way: what was under way would have come."""
    for _ in range(count):
        assert stage.get(b"/v1/passing-by").status == 200
    return True


def changes_at(stage):
    return [request for request in stage.origin.requests if request.method != b"GET"]


def one_worker(make_recorded, **audit):
    return make_recorded(config={"workers": 1, "audit": {"timeout": "60s", **audit}})


@pytest.mark.parametrize("start, lines, body", [(DELETE, [], b""), (CREATE, [LENGTH], BODY)], ids=["no-body", "body"])
def test_nothing_goes_upstream_while_the_intent_is_not_durable(make_recorded, start, lines, body):
    stage = one_worker(make_recorded)
    writer = find_writer(stage)
    stage.origin.forget()
    with stage.connect() as client:
        with held_still(writer):
            client.send(stage.request(start + b" HTTP/1.1", *lines, body=body))
            wait_taken(client.sock)
            assert passes_by(stage) and changes_at(stage) == [] and stage.trail.records() == []
            assert not client.is_readable()
        assert client.read_response().status == 200
    assert len(changes_at(stage)) == 1
    stage.trail.mutation()


ANSWERS = {
    "whole": wire.response(body=b"done"),
    "interim": wire.head(b"HTTP/1.1 103 Early Hints", b"Link: </a>") * 2 + wire.response(body=b"done"),
    "processing-only": wire.head(b"HTTP/1.1 102 Processing"),
    "head-only": wire.head(b"HTTP/1.1 200 OK", wire.DATE, b"Content-Length: 4"),
    "error": wire.response(b"HTTP/1.1 500 Oh", body=b"oops"),
    "unauthorized": wire.response(b"HTTP/1.1 401 Who", body=b"oops"),
}


@pytest.mark.parametrize("sent", ANSWERS.values(), ids=ANSWERS.keys())
def test_the_client_gets_no_byte_while_the_result_is_not_durable(make_recorded, sent):
    stage = one_worker(make_recorded)
    writer, asked, leave, answered = find_writer(stage), threading.Event(), threading.Event(), threading.Event()

    def answer(peer, request):
        peer.read_body(request)
        if request.method == b"GET":
            return peer.send(wire.response())
        asked.set()
        wait_event(leave, "the writer to be held")
        peer.send(sent)
        answered.set()
        if sent in (ANSWERS["processing-only"], ANSWERS["head-only"]):
            wait_event(rest, "the end")
            peer.send(wire.response(body=b"done") if sent == ANSWERS["processing-only"] else b"done")

    rest = threading.Event()
    stage.origin.answer = answer
    with stage.connect() as client:
        client.send(stage.request(CREATE + b" HTTP/1.1", LENGTH) + BODY)
        wait_event(asked, "the change at the origin")
        with held_still(writer):
            leave.set()
            wait_event(answered, "the origin's answer")
            assert passes_by(stage) and not client.is_readable()
            assert stage.trail.phases() == ["intent"]
            rest.set()
            assert passes_by(stage) and not client.is_readable()
        client.reader.fill(1)
        assert stage.trail.phases() == ["intent", "result"]
        answer = client.read_response()
    expected = {"error": (500, b"oops"), "unauthorized": (502, None)}
    status, body = next((expected[key] for key in expected if ANSWERS[key] == sent), (200, b"done"))
    assert answer.status == status and body in (None, answer.body)
    if sent == ANSWERS["interim"]:
        assert [(head.status, head.value("Link")) for head in answer.interim] == [(103, b"</a>")] * 2


def test_an_interim_answer_waits_for_the_result(make_recorded):
    stage = one_worker(make_recorded)
    leave, sent = threading.Event(), threading.Event()

    def answer(peer, request):
        peer.read_body(request)
        if request.method != b"GET":
            peer.send(wire.head(b"HTTP/1.1 103 Early Hints", b"Link: </a>"))
            sent.set()
            wait_event(leave, "leave to answer")
        peer.send(wire.response())

    stage.origin.answer = answer
    with stage.connect() as client:
        client.send(stage.request(CREATE + b" HTTP/1.1", LENGTH) + BODY)
        wait_event(sent, "the interim answer")
        assert passes_by(stage) and not client.is_readable() and stage.trail.phases() == ["intent"]
        leave.set()
        assert client.read_head().status == 103 and stage.trail.phases() == ["intent", "result"]
        assert client.read_response().status == 200


def test_reads_and_unaudited_changes_do_not_wait_for_the_trail(make_recorded):
    stage = one_worker(make_recorded)
    with held_still(find_writer(stage)):
        assert stage.change(OTHER, body=b"x" * 100000).status == 200
        assert stage.get(b"/v1/teams/t/secrets").status == 200
    assert {record["proxy.phase"] for record in stage.trail.wait(2)} == {"intent", "result"}


def test_an_unaudited_change_waits_too_where_that_is_required(make_recorded):
    stage = one_worker(make_recorded, other_mutations="require")
    writer = find_writer(stage)
    stage.origin.forget()
    with stage.connect() as client:
        with held_still(writer):
            client.send(stage.request(OTHER + b" HTTP/1.1", LENGTH) + BODY)
            assert passes_by(stage) and changes_at(stage) == [] and not client.is_readable()
        assert client.read_response().status == 200
    assert stage.origin.requests[-1].body == BODY
    stage.trail.mutation()


# -- the body, byte for byte ----------------------------------------------------------------------------


LONG = b'{"name": "KEY", "value": "%b"}' % (b"\\u00e9 x" * 3000)
FRAMINGS = {
    "length": ([b"Content-Length: %d" % len(LONG)], LONG, LONG, []),
    "chunked": ([CHUNKED], chunked(LONG), LONG, []),
    "tiny-chunks": ([CHUNKED], chunked(*(LONG[at:at + 1] for at in range(len(LONG)))), LONG, []),
    "uneven-chunks": ([CHUNKED], chunked(*(LONG[at:at + 997] for at in range(0, len(LONG), 997))), LONG, []),
    "extensions": ([CHUNKED], b'5;a=b;c="d;\\"e"\r\n{"nam\r\n00000d;x\r\ne": "K", "v":\r\n2 \r\n1}\r\n000;last\r\n\r\n'
                   .replace(b"2 \r\n", b"2\r\n"), b'{"name": "K", "v":1}', []),
    "upper-case-sizes": ([CHUNKED], b"%X\r\n%b\r\n0\r\n\r\n" % (len(LONG), LONG), LONG, []),
    "trailers": ([CHUNKED, b"Trailer: X-Sum"], chunked(BODY, trailers=[b"X-Sum: 1", b"X-More: 2"]), BODY,
                 [(b"X-Sum", b"1"), (b"X-More", b"2")]),
    "white-space-around": ([b"Content-Length: %d" % (len(BODY) + 6)], b" \r\n" + BODY + b"\t\n ", b" \r\n" + BODY + b"\t\n ", []),
}


@pytest.mark.parametrize("lines, sent, body, trailers", FRAMINGS.values(), ids=FRAMINGS.keys())
def test_a_held_body_arrives_byte_for_byte(audited, lines, sent, body, trailers):
    with audited.connect() as client:
        assert client.ask(audited.request(CREATE + b" HTTP/1.1", *lines) + sent).status == 200
    request = audited.origin.wait_complete()
    assert (request.body, request.trailers) == (body, trailers)
    assert request.is_chunked == (CHUNKED in lines)
    assert audited.trail.mutation()[0]["proxy.resource.name"] == "K" + "EY" * (body[9:14] != b'"K", ')


SLOWLY = {"length": (LENGTH, BODY), "chunked": (CHUNKED, chunked(BODY[:7], BODY[7:8], BODY[8:], trailers=[b"X-A: b"]))}


@pytest.mark.parametrize("framing, sent", SLOWLY.values(), ids=SLOWLY.keys())
def test_a_body_that_comes_byte_by_byte_is_held_until_its_end(audited, framing, sent):
    with audited.connect() as client:
        client.send_byte_by_byte(audited.request(CREATE + b" HTTP/1.1", framing) + sent[:-1])
        wait_taken(client.sock)
        assert passes_by(audited) and changes_at(audited) == [] and audited.trail.records() == []
        client.send(sent[-1:])
        assert client.read_response().status == 200
    assert changes_at(audited)[0].body == BODY
    audited.trail.mutation()


def test_bytes_of_every_value_arrive_where_the_body_is_not_read(audited):
    body = bytes(range(256)) * 400
    assert audited.change(UPDATE, b"Content-Type: application/octet-stream", body=body).status == 200
    assert audited.origin.requests[0].body == body
    audited.trail.mutation()


@pytest.mark.parametrize("lines, sent", [([], b""), ([b"Content-Length: 0"], b""), ([CHUNKED], b"0\r\n\r\n")],
                         ids=["none", "length", "chunked"])
def test_a_change_without_a_body_is_recorded_and_forwarded(audited, lines, sent):
    with audited.connect() as client:
        assert client.ask(audited.request(DELETE + b" HTTP/1.1", *lines) + sent).status == 200
    assert audited.origin.wait_complete().body == b""
    audited.trail.mutation()


def test_pipelined_requests_wait_behind_an_audited_one(audited):
    def answer(peer, request):
        peer.read_body(request)
        peer.send(wire.response(body=request.target))

    audited.origin.answer = answer
    with audited.connect() as client:
        client.send(audited.request(b"POST /v1/teams/one/secrets HTTP/1.1", LENGTH) + BODY
                    + audited.request(b"GET /v1/two HTTP/1.1")
                    + audited.request(b"POST /v1/teams/three/secrets HTTP/1.1", CHUNKED) + chunked(BODY)
                    + audited.request(b"DELETE /v1/teams/four/secrets/A HTTP/1.1")
                    + audited.request(b"GET /v1/five HTTP/1.1"))
        bodies = [client.read_response().body for _ in range(5)]
    targets = [b"/v1/teams/one/secrets", b"/v1/two", b"/v1/teams/three/secrets", b"/v1/teams/four/secrets/A", b"/v1/five"]
    assert bodies == targets == [request.target for request in audited.origin.requests]
    assert [intent["organization.id"] for intent, _ in audited.trail.mutations()] == ["one", "three", "four"]
    assert audited.trail.phases() == ["intent", "result"] * 3


def test_a_connection_is_kept_over_many_changes(make_recorded):
    stage = make_recorded(config={"workers": 1})
    with stage.connect() as client:
        for number in range(30):
            assert client.ask(stage.request(CREATE + b" HTTP/1.1", LENGTH) + BODY).status == 200
            assert client.ask(stage.request(b"GET /v1/%d HTTP/1.1" % number)).status == 200
    assert len({request.peer for request in stage.origin.requests}) == 1
    assert len(stage.trail.mutations()) == 30


@pytest.mark.parametrize("keep", [False, True], ids=["closed", "kept"])
def test_a_change_over_http_1_0_is_held_and_recorded(audited, keep):
    lines = [LENGTH, b"Connection: keep-alive"] if keep else [LENGTH]
    with audited.connect() as client:
        for _ in range(1 + keep):
            answer = client.ask(audited.request(CREATE + b" HTTP/1.0", *lines) + BODY)
            assert (answer.status, answer.body) == (200, b"ok")
        if not keep:
            client.assert_closed()
    assert {request.body for request in audited.origin.requests} == {BODY}
    assert len(audited.trail.mutations()) == 1 + keep


def test_a_chunked_answer_to_http_1_0_ends_with_the_connection(audited):
    audited.origin.answer = (wire.head(b"HTTP/1.1 103 Early Hints") + wire.head(b"HTTP/1.1 200 OK", wire.DATE, CHUNKED)
                             + chunked(b"one", b"two", trailers=[b"X-A: b"]))
    with audited.connect() as client:
        answer = client.ask(audited.request(CREATE + b" HTTP/1.0", LENGTH) + BODY)
        assert (answer.framing(), answer.body, answer.interim) == ("close", b"onetwo", [])
    audited.trail.mutation()


# -- Expect: 100-continue -------------------------------------------------------------------------------


EXPECT = b"Expect: 100-continue"


@pytest.mark.parametrize("framing, sent", SLOWLY.values(), ids=SLOWLY.keys())
def test_the_gateway_itself_lets_a_held_body_come(audited, framing, sent):
    with audited.connect() as client:
        client.send(audited.request(CREATE + b" HTTP/1.1", EXPECT, framing))
        assert client.read_head().status == 100
        assert passes_by(audited) and changes_at(audited) == [] and audited.trail.records() == []
        answer = client.ask(sent)
        assert (answer.status, answer.interim) == (200, [])
    request = changes_at(audited)[0]
    assert request.body == BODY and request.values("Expect") == []
    audited.trail.mutation()


def test_an_expectation_with_its_body_behind_it_is_answered_once_at_most(audited):
    with audited.connect() as client:
        answer = client.ask(audited.request(CREATE + b" HTTP/1.1", b"expect: 100-Continue", LENGTH) + BODY)
    assert answer.status == 200 and [head.status for head in answer.interim] in ([], [100])
    assert audited.origin.requests[0].values("Expect") == []


def test_an_expectation_over_http_1_0_is_ignored(audited):
    with audited.connect() as client:
        answer = client.ask(audited.request(CREATE + b" HTTP/1.0", EXPECT, LENGTH) + BODY)
    assert (answer.status, answer.interim) == (200, [])
    assert audited.origin.requests[0].values("Expect") == []


def test_upstreams_own_100_comes_not_before_the_result(audited):
    audited.origin.answer = wire.head(b"HTTP/1.1 100 Continue") + wire.response()
    with audited.connect() as client:
        client.send(audited.request(CREATE + b" HTTP/1.1", EXPECT, LENGTH))
        assert client.read_head().status == 100
        client.send(BODY)
        client.reader.fill(1)
        assert audited.trail.phases() == ["intent", "result"]
        assert client.read_response().status == 200


# -- limits ---------------------------------------------------------------------------------------------


def small(make_recorded, **limits):
    return make_recorded(config={"workers": 1, "limits": {"audited_body": "1KiB", **limits}})


def body_of(length):
    return b'{"name": "KEY", "value": "%b"}' % (b"v" * (length - 28))


def test_a_body_of_just_the_limit_passes_and_a_byte_more_is_refused(make_recorded):
    stage = small(make_recorded)
    for lines, wrap in ([b"Content-Length: 1024"], bytes), ([CHUNKED], chunked):
        with stage.connect() as client:
            assert client.ask(stage.request(CREATE + b" HTTP/1.1", *lines) + wrap(body_of(1024))).status == 200
    assert len(stage.trail.mutations()) == 2
    for lines, sent in ([b"Content-Length: 1025"], b""), ([CHUNKED], b"401\r\n" + body_of(1025)):
        stage.trail.forget()
        with stage.connect() as client:
            client.send(stage.request(CREATE + b" HTTP/1.1", *lines) + sent)
            assert_gateway_error(client.read_response(), 413)
        record = stage.trail.refusal()
        assert record["http.response.status_code"] == 413 and record["user.name"] == "tester"
    assert passes_by(stage) and len(changes_at(stage)) == 2


def test_a_body_too_long_is_refused_before_it_is_asked_for(make_recorded):
    stage = small(make_recorded)
    with stage.connect() as client:
        client.send(stage.request(CREATE + b" HTTP/1.1", EXPECT, b"Content-Length: 1025"))
        answer = client.read_response()
        assert answer.interim == []
        assert_gateway_error(answer, 413)
    stage.trail.refusal()


def test_endless_small_chunks_are_refused_at_the_limit(make_recorded):
    stage = small(make_recorded)
    with stage.connect() as client:
        client.send_unheeded(stage.request(CREATE + b" HTTP/1.1", CHUNKED) + b"1\r\nx\r\n" * 20000)
        assert_gateway_error(client.read_response(), 413)
    stage.trail.refusal()
    assert passes_by(stage) and changes_at(stage) == []


def test_other_bodies_know_no_such_limit(make_recorded):
    stage = small(make_recorded)
    assert stage.change(OTHER, body=b"x" * 300000).status == 200
    assert stage.origin.requests[0].body == b"x" * 300000
    stage.trail.wait(2)


def announced(stage, length, *lines):
    """A client whose body the gateway waits for, and has counted."""
    client = stage.connect()
    client.send(stage.request(CREATE + b" HTTP/1.1", EXPECT, b"Content-Length: %d" % length, *lines))
    assert client.read_head().status == 100
    return client


def test_bodies_over_the_limit_of_all_together_are_refused_until_others_are_through(make_recorded):
    stage = small(make_recorded, audited_bodies_total="2KiB")
    first, second = announced(stage, 1024), announced(stage, 1024)
    answer, record = stage.refuse(CREATE, body=body_of(64))
    assert_gateway_error(answer, 503)
    assert answer.value("Retry-After") and record["event.action"] == "createTeamSecret"
    assert stage.change(OTHER, body=BODY).status == 200 and stage.change(DELETE).status == 200
    for client in first, second:
        assert client.ask(body_of(1024)).status == 200
        client.close()
    assert stage.change(CREATE, body=body_of(1024)).status == 200


def test_chunked_bodies_count_as_they_come(make_recorded):
    stage = small(make_recorded, audited_bodies_total="1KiB")
    with stage.connect() as first, stage.connect() as second:
        for client in first, second:
            client.send(stage.request(CREATE + b" HTTP/1.1", EXPECT, CHUNKED))
            assert client.read_head().status == 100
        first.send(b"258\r\n" + body_of(600))
        wait_taken(first.sock)
        assert passes_by(stage)
        second.send(b"258\r\n" + body_of(600))
        assert_gateway_error(second.read_response(), 503)
        assert first.ask(b"\r\n0\r\n\r\n").status == 200


# -- clients that leave -----------------------------------------------------------------------------------


@pytest.mark.parametrize("leave", ["reset", "close"])
@pytest.mark.parametrize("framing, sent", [(LENGTH, BODY[:-1]), (CHUNKED, chunked(BODY)[:-2])], ids=["length", "chunked"])
def test_a_client_that_leaves_while_its_body_is_held_has_changed_nothing(make_recorded, framing, sent, leave):
    stage = small(make_recorded, audited_bodies_total="1KiB")
    client = stage.connect()
    client.send(stage.request(CREATE + b" HTTP/1.1", framing) + sent)
    wait_taken(client.sock)
    with noticed_leaving(stage, client):
        getattr(client, leave)()
    assert passes_by(stage) and changes_at(stage) == []
    assert [phase for phase in stage.trail.phases() if phase != "refused"] == []
    assert stage.change(CREATE, body=body_of(1024)).status == 200, "what was held still counts"


def test_a_client_that_leaves_while_the_intent_is_not_durable_has_changed_nothing_or_all(make_recorded):
    stage = one_worker(make_recorded)
    writer = find_writer(stage)
    stage.origin.forget()
    client = stage.connect()
    with held_still(writer):
        client.send(stage.request(CREATE + b" HTTP/1.1", LENGTH) + BODY)
        wait_taken(client.sock)
        assert passes_by(stage)
        with noticed_leaving(stage, client):
            client.reset()
    assert stage.change(DELETE).status == 200
    changes = changes_at(stage)
    assert [request.method for request in changes] == [b"DELETE"], "forwarded for a client that had left"
    wait_until(lambda: stage.trail.count_open() == 0, "the result of what was begun")
    for intent, result in stage.trail.mutations():
        if intent["event.action"] == "createTeamSecret":
            assert (result["event.outcome"], result["event.reason"]) == ("failure", "not_forwarded")


@pytest.mark.parametrize("leave", ["reset", "close"])
@pytest.mark.parametrize("status, outcome", [(200, "success"), (500, "failure")])
def test_a_change_that_was_sent_gets_its_result_though_the_client_has_left(make_recorded, leave, status, outcome):
    stage = make_recorded(config={"workers": 1})
    go = threading.Event()

    def answer(peer, request):
        peer.read_body(request)
        if request.method == b"GET":
            return peer.send(wire.response())
        wait_event(go, "the client to leave")
        assert peer.is_quiet(), "the gateway gave the change up"
        peer.send(wire.response(b"HTTP/1.1 %d Some" % status, body=b"x" * 300000))

    stage.origin.answer = answer
    client = stage.connect()
    client.send(stage.request(CREATE + b" HTTP/1.1", LENGTH) + BODY)
    stage.origin.wait_complete()
    if leave == "reset":
        with noticed_leaving(stage, client):
            client.reset()
    client.close()  # which alone looks to the gateway like a client that still reads
    assert passes_by(stage) and stage.trail.phases() == ["intent"]
    go.set()
    stage.trail.wait(2)
    _, result = stage.trail.mutation()
    assert (result["event.outcome"], result["http.response.status_code"]) == (outcome, status)


def test_a_client_that_leaves_while_the_result_is_not_durable_changes_nothing_about_it(make_recorded):
    stage = one_worker(make_recorded)
    writer, asked, go, answered = find_writer(stage), threading.Event(), threading.Event(), threading.Event()

    def answer(peer, request):
        peer.read_body(request)
        if request.method == b"GET":
            return peer.send(wire.response())
        asked.set()
        wait_event(go, "the writer to be held")
        peer.send(wire.response(b"HTTP/1.1 201 Made", body=b"x" * 100000))
        answered.set()

    stage.origin.answer = answer
    client = stage.connect()
    client.send(stage.request(CREATE + b" HTTP/1.1", LENGTH) + BODY)
    wait_event(asked, "the change at the origin")
    with held_still(writer):
        go.set()
        wait_event(answered, "the answer")
        assert passes_by(stage)
        with noticed_leaving(stage, client):
            client.reset()
    stage.trail.wait(2)
    _, result = stage.trail.mutation()
    assert (result["event.outcome"], result["http.response.status_code"]) == ("success", 201)


def test_a_half_closed_client_still_gets_the_answer_to_its_change(audited):
    with audited.connect() as client:
        client.send(audited.request(CREATE + b" HTTP/1.1", LENGTH) + BODY)
        client.half_close()
        assert client.read_response().status == 200
        client.assert_closed()
    audited.trail.mutation()


@pytest.mark.parametrize("framing, sent", [(LENGTH, BODY[:-1]), (CHUNKED, chunked(BODY)[:-2])], ids=["length", "chunked"])
def test_a_body_that_ends_early_is_refused_and_not_forwarded(audited, framing, sent):
    with audited.connect() as client:
        client.send(audited.request(CREATE + b" HTTP/1.1", framing) + sent)
        client.half_close()
        assert_gateway_error(client.read_response(), 400)
        client.assert_closed()
    assert passes_by(audited) and changes_at(audited) == []
    assert "intent" not in audited.trail.phases()


@pytest.mark.parametrize("sent", [b"zz\r\n", b"1\r\nxy\r\n", b"-1\r\n", b"ffffffffffffffff1\r\n", b"1\nx\n"],
                         ids=["not-hex", "longer-chunk", "negative", "overflow", "bare-lf"])
def test_a_malformed_body_is_refused_and_not_forwarded(audited, sent):
    with audited.connect() as client:
        client.send(audited.request(CREATE + b" HTTP/1.1", CHUNKED) + sent)
        assert_gateway_error(client.read_response(), 400)
        client.assert_closed()
    assert passes_by(audited) and changes_at(audited) == []
    assert "intent" not in audited.trail.phases()
