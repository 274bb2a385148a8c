"""The access log: one line a request, and what it says of each kind."""

import re
import secrets
import threading

import pytest
from support import wire
from support.cache import FRESH, STALE, Answer, assert_forwarded, not_modified
from support.logs import Log
from support.origin import dropping, holding

pytest_plugins = ["support.cache", "support.audited"]
TAG = b'ETag: "abc"'
SECOND = 1_000_000_000


def lines_of(target, log, count):
    """The access lines of that target, of which there are so many."""
    return log.wait(count, url_path=target.decode())


def asked_in_turn(stage, target, count, *lines):
    """Asks so many times, each time when the line of the last is there; the lines."""
    log = Log(stage.gateway)
    for number in range(count):
        assert stage.ask(target, *lines).status == 200
        found = lines_of(target, log, number + 1)
    return found


# -- the cache's word ----------------------------------------------------------------------------------

TWICE = {
    "hit": ([Answer(FRESH)], [], ["miss", "hit"]),
    "expired": ([Answer(*STALE), Answer(FRESH)], [], ["miss", "expired"]),
    "revalidated": ([Answer(*STALE, TAG), not_modified(FRESH, TAG)], [], ["miss", "revalidated"]),
    "stale while revalidating": ([Answer(FRESH + b", stale-while-revalidate=600", b"Age: 3700"), Answer(FRESH)], [],
                                 ["miss", "stale"]),
    "stale because of an error": ([Answer(FRESH + b", stale-if-error=600", b"Age: 3700"),
                                   Answer(status=b"503 Service Unavailable")], [], ["miss", "stale"]),
    "stale as the client allows": ([Answer(*STALE)], [b"Cache-Control: max-stale=9999"], ["miss", "stale"]),
    "asked for anew": ([Answer(FRESH)], [b"Cache-Control: no-cache"], ["bypass", "bypass"]),
    "with a cookie": ([Answer(FRESH)], [b"Cookie: a=b"], ["bypass", "bypass"]),
}


@pytest.mark.parametrize("answers, lines, words", TWICE.values(), ids=TWICE.keys())
def test_a_line_says_what_the_cache_did(cache, answers, lines, words):
    found = asked_in_turn(cache, cache.answers(*answers), len(words), *lines)
    assert [line["proxy.cache"] for line in found] == words


def test_who_waits_for_the_fetch_of_another_is_collapsed_and_has_waited_for_upstream(make_cache):
    cache = make_cache(config={"workers": 1})
    release, log = threading.Event(), Log(cache.gateway)
    target = cache.answers(Answer(FRESH, after=release))
    clients = [cache.send(target)]
    cache.wait_seen(target, 1)
    clients.append(cache.send(target))
    for _ in range(2):  # the one worker reads in turn: then it has read that request
        assert cache.get(b"/.psgate/healthz").status == 200
    assert not clients[1].is_readable(0.3)
    release.set()
    for client in clients:
        assert client.read_response().status == 200
        client.close()
    found = {line["proxy.cache"]: line for line in lines_of(target, log, 2)}
    assert set(found) == {"miss", "collapsed"}
    for line in found.values():
        assert 0.25 * SECOND < line["proxy.upstream_duration"] <= line["event.duration"]


def test_a_fetch_behind_a_stale_answer_is_no_request(cache):
    log = Log(cache.gateway)
    target = cache.answers(Answer(FRESH + b", stale-while-revalidate=600", b"Age: 3700"), Answer(FRESH))
    for _ in range(2):
        cache.ask(target)
    fetch, = log.wait(1, "background fetch", url_path=target.decode())
    assert fetch["proxy.cache"] == "expired" and fetch["proxy.upstream_duration"] > 0
    assert "source.address" not in fetch
    assert len(lines_of(target, log, 2)) == len(log.lines("request", url_path=target.decode()))


def test_without_a_cache_rule_nothing_is_said_of_the_cache(stage):
    log = Log(stage.gateway)
    assert stage.get(b"/v1/plain").status == 200
    line, = log.wait(url_path="/v1/plain")
    assert "proxy.cache" not in line


# -- times ---------------------------------------------------------------------------------------------


def test_a_hit_has_not_waited_for_upstream(cache):
    miss, hit = asked_in_turn(cache, cache.answers(Answer(FRESH)), 2)
    assert 0 < miss["proxy.upstream_duration"] <= miss["event.duration"]
    assert "proxy.upstream_duration" not in hit and hit["event.duration"] > 0
    assert "proxy.audit_duration" not in miss and "proxy.audit_duration" not in hit


def test_the_time_upstream_ends_with_its_head(stage):
    """The body takes its time; the head was there at once."""
    release, log = threading.Event(), Log(stage.gateway)

    def head_first(peer, request):
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no")
        release.wait(30)
        peer.send(b"k")

    stage.origin.answer = head_first
    with stage.connect() as client:
        client.send(stage.request(b"GET /v1/slow-body HTTP/1.1"))
        client.read_head()
        client.reader.exactly(1)
        assert not client.is_readable(0.5)
        assert not log.lines("request", url_path="/v1/slow-body")
        release.set()
        client.reader.exactly(1)
    line, = log.wait(url_path="/v1/slow-body")
    assert line["event.duration"] - line["proxy.upstream_duration"] > 0.4 * SECOND


def test_a_time_of_waiting_for_a_head_is_upstreams(stage):
    release, log = threading.Event(), Log(stage.gateway)
    stage.origin.answer = holding(release)
    with stage.connect() as client:
        client.send(stage.request(b"GET /v1/slow-head HTTP/1.1"))
        stage.origin.wait_request()
        assert not client.is_readable(0.3)
        release.set()
        assert client.read_response().status == 200
    line, = log.wait(url_path="/v1/slow-head")
    assert 0.25 * SECOND < line["proxy.upstream_duration"] <= line["event.duration"]


def test_an_audited_change_says_how_long_it_waited_for_the_trail(audited):
    log = Log(audited.gateway)
    assert audited.change(b"DELETE /v1/teams/t/secrets/timed").status == 200
    line, = log.wait(event_action="deleteTeamSecret")
    assert line["proxy.audit_duration"] > 0 and line["proxy.upstream_duration"] > 0
    assert line["proxy.audit_duration"] + line["proxy.upstream_duration"] <= line["event.duration"]


# -- what stands in a line of each kind -----------------------------------------------------------------

ALWAYS = set("@timestamp log.level message source.address http.request.method http.request.id"
             " http.response.status_code event.duration".split())
KNOWN = ALWAYS | set("url.path user.name event.action event.id trace.id error.type http.request.body.bytes"
                     " http.response.body.bytes proxy.cache proxy.upstream_duration proxy.audit_duration".split())
CHANGE = b"PATCH /v1/teams/t/secrets/A"
CREATE = b"POST /v1/teams/t/secrets"
JSON = b"Content-Type: application/json"


def assert_members(line, *members):
    """It has these beyond those of every line, and no others."""
    assert ALWAYS <= set(line) and set(line) - ALWAYS == set(members), line


def test_the_line_of_a_request_that_was_passed_on(stage):
    log = Log(stage.gateway)
    stage.origin.answer = wire.response(body=b"x" * 10)
    assert stage.get(b"/v1/passed?api-key=hidden", b"Content-Length: 3", method=b"POST", body=b"abc").status == 200
    line, = log.wait(url_path="/v1/passed")
    assert_members(line, "url.path", "user.name", "event.action", "proxy.upstream_duration", "http.request.body.bytes",
                   "http.response.body.bytes", "event.id")
    assert (line["user.name"], line["event.action"], line["http.request.method"]) == ("tester", "other", "POST")
    assert (line["http.request.body.bytes"], line["http.response.body.bytes"]) == (3, 10)
    assert line["http.response.status_code"] == 200 and line["log.level"] == "info"
    assert "hidden" not in log.text()


def test_the_line_of_a_hit(cache):
    line = asked_in_turn(cache, cache.answers(Answer(FRESH)), 2)[1]
    assert_members(line, "url.path", "user.name", "event.action", "proxy.cache", "http.request.body.bytes",
                   "http.response.body.bytes")
    assert (line["event.action"], line["http.response.body.bytes"]) == ("lookup", len(b"body 1"))


def test_the_line_of_an_audited_change_has_no_length(audited):
    log = Log(audited.gateway)
    assert audited.change(CREATE, JSON, body=b'{"name": "A", "value": "%b"}' % audited.secret().encode()).status == 200
    line, = log.wait()
    assert_members(line, "url.path", "user.name", "event.action", "proxy.upstream_duration", "proxy.audit_duration", "event.id")
    assert line["event.action"] == "createTeamSecret"
    assert line["event.id"] == audited.trail.mutation()[0]["event.id"]


def test_the_line_of_a_refused_change_names_its_record(audited):
    log = Log(audited.gateway)
    answer, record = audited.refuse(CREATE, token="psgate_" + "x" * 50)
    line, = log.wait()
    assert answer.status == 401 == line["http.response.status_code"]
    assert_members(line, "url.path", "error.type", "event.id")
    assert line["event.id"] == record["event.id"] and line["error.type"] == "http_request_denied"


def test_the_line_of_what_is_no_request_says_only_why(stage):
    log = Log(stage.gateway)
    with stage.connect() as client:
        client.send(b"GET /v1/\x00 HTTP/1.1\r\n\r\n")
        assert client.read_response().status == 400
    line, = log.wait()
    assert line["http.response.status_code"] == 400 and line["error.type"] == "http_request_error"
    assert not {"url.path", "user.name", "event.action"} & set(line)


def test_a_gateway_that_cannot_reach_upstream_says_why(stage):
    log = Log(stage.gateway)
    stage.origin.answer = dropping(b"HTTP/1.1 2")
    assert stage.get(b"/v1/dropped", method=b"POST", body=b"").status == 502
    line, = log.wait(url_path="/v1/dropped")
    assert line["error.type"] == "connection_terminated" and line["proxy.upstream_duration"] > 0


@pytest.mark.parametrize("start", [b"GET /v1/other", CHANGE + b"-logged"])
def test_nothing_secret_is_in_a_line_wherever_a_client_puts_it(audited, start):
    log, hidden = Log(audited.gateway), b"hidden-" + secrets.token_hex(12).encode()
    answer = audited.change(start + b"?token=" + hidden, b"Cookie: " + hidden, b"User-Agent: a " + hidden, b"X-Other: " + hidden,
                            b"Referer: http://a/?" + hidden, b"X-Request-Id: " + audited.token, JSON, body=b'{"value": "%b"}' % hidden)
    assert answer.status == 200
    line, = log.wait()
    assert set(line) <= KNOWN and line["http.request.id"] == "(withheld)"
    assert hidden.decode() not in log.text() and audited.token.decode() not in log.text()


# -- ids and traces --------------------------------------------------------------------------------------


def test_a_clients_request_id_is_in_the_line_and_in_the_trail(audited):
    log = Log(audited.gateway)
    assert audited.change(CHANGE, "X-Request-Id: deploy-42/é".encode()).status == 200
    line, = log.wait()
    assert line["http.request.id"] == audited.trail.mutation()[0]["http.request.id"] == "deploy-42/é"


def test_a_long_request_id_is_cut(stage):
    log = Log(stage.gateway)
    assert stage.get(b"/v1/long-id", b"X-Request-Id: " + b"i" * 1000).status == 200
    line, = log.wait(url_path="/v1/long-id")
    assert line["http.request.id"] == "i" * 128


def test_without_one_each_request_gets_an_id_of_its_own(audited):
    log = Log(audited.gateway)
    for number in range(3):
        assert audited.get(b"/v1/plain").status == 200
        log.wait(number + 1)
    assert audited.change(CHANGE).status == 200
    ids = [line["http.request.id"] for line in log.wait(4)]
    assert len(set(ids)) == 4 and all(re.fullmatch("[0-9a-f]{32}", one) for one in ids)
    assert ids[3] == audited.trail.mutation()[0]["event.id"]
    assert not audited.origin.requests[0].values("X-Request-Id")


TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SOUND = b"traceparent: 00-%b-00f067aa0ba902b7-01" % TRACE.encode()
TRACES = {"sound": ([SOUND, b"tracestate: a=b"], TRACE), "upper case": ([SOUND.upper()], None), "nonsense": ([b"TraceParent: x"], None),
          "repeated": ([SOUND, SOUND], None), "none": ([], None), "version ff": ([SOUND.replace(b" 00", b" ff")], None)}


@pytest.mark.parametrize("start", [b"GET /v1/traced", CHANGE])
@pytest.mark.parametrize("sent, logged", TRACES.values(), ids=TRACES.keys())
def test_traceparent_goes_on_as_it_came_and_a_sound_ones_trace_is_logged(audited, sent, logged, start):
    log = Log(audited.gateway)
    assert audited.change(start, *sent).status == 200
    line, = log.wait()
    assert line.get("trace.id") == logged
    request, = audited.origin.requests
    assert [line for line in request.forwarded_lines() if line.lower().startswith(b"trace")] == sent
    if start == CHANGE:
        assert audited.trail.mutation()[0].get("trace.id") == logged

