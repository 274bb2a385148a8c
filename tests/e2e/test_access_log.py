"""The access log: one line a request, and what it says of each kind."""

import threading

import pytest
from support.cache import FRESH, STALE, Answer, assert_forwarded, not_modified
from support.logs import Log
from support.origin import holding

pytest_plugins = ["support.cache", "support.audited"]
TAG = b'ETag: "abc"'
SECOND = 1_000_000_000


def lines_of(target, log, count):
    """The access lines of that target, of which there are so many."""
    return log.wait(count, url_path=target.decode())


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
    log, target = Log(cache.gateway), cache.answers(*answers)
    for _ in words:
        assert cache.ask(target, *lines).status == 200
    assert [line["proxy.cache"] for line in lines_of(target, log, 2)] == words


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
    log, target = Log(cache.gateway), cache.answers(Answer(FRESH))
    for _ in range(2):
        cache.ask(target)
    miss, hit = lines_of(target, log, 2)
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
