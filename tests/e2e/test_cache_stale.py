"""Stale answers: while revalidating, when upstream fails or is slow, and where they are forbidden."""

import threading

import pytest
from support.cache import (FRESH, Answer, Dropped, Silent, age_of, assert_forwarded, assert_hit, cache_status, not_modified,
                           number_of)
from support.stage import assert_gateway_error
from support.waiting import wait_until
from support.wire import Ended

pytest_plugins = ["support.cache"]
TAG = b'ETag: "abc"'


def aged(directives, age=3700):
    """An answer whose lifetime of an hour ended 100 seconds ago, if not told otherwise."""
    return Answer(b"Cache-Control: max-age=3600, " + directives, b"Age: %d" % age, TAG)


# -- stale-while-revalidate (RFC 5861 3) ---------------------------------------------------------------


@pytest.mark.parametrize("directives", [b"stale-while-revalidate=600", b"STALE-WHILE-REVALIDATE=600", b'stale-while-revalidate="600"', b"stale-while-revalidate=99999999999"])
def test_a_stale_answer_is_served_at_once_while_one_fetch_goes_on(cache, directives):
    release = threading.Event()
    target = cache.answers(aged(directives), Answer(FRESH, after=release))
    cache.ask(target)
    try:
        for _ in range(3):
            answer = cache.ask(target)
            assert_hit(answer, 1, ttl=-100)
            assert age_of(answer) >= 3700
        cache.wait_seen(target, 2)
        assert cache.seen(target)[1].values("If-None-Match") == [b'"abc"']
    finally:
        release.set()
    wait_until(lambda: number_of(cache.ask(target)) == 2, "the new answer")
    assert len(cache.seen(target)) == 2


def test_a_304_in_the_background_makes_the_answer_fresh(cache):
    target = cache.answers(aged(b"stale-while-revalidate=600"), not_modified(FRESH, TAG))
    cache.ask(target)
    assert_hit(cache.ask(target), 1, ttl=-100)
    wait_until(lambda: cache_status(cache.ask(target))["ttl"] > 0, "the refreshed answer")
    assert_hit(cache.ask(target), 1, ttl=3600)


def test_a_failure_in_the_background_keeps_the_stale_answer(cache):
    target = cache.answers(aged(b"stale-while-revalidate=600"), Answer(status=b"503 Service Unavailable"))
    cache.ask(target)

    def asks_again(number):
        """Served as it is, whatever the last fetch brought; the one before may still be under way."""
        assert_hit(cache.ask(target), 1, ttl=-100)
        return len(cache.seen(target)) >= number

    for number in (2, 3):
        wait_until(lambda: asks_again(number), f"fetch {number} behind the stale answer")


def test_head_within_stale_while_revalidate_is_served_at_once(cache):
    release = threading.Event()
    target = cache.answers(aged(b"stale-while-revalidate=600"), Answer(FRESH, after=release))
    cache.ask(target)
    assert cache_status(cache.ask(target, method=b"HEAD")).get("hit")
    release.set()


BEYOND = {"window": aged(b"stale-while-revalidate=50"), "zero": aged(b"stale-while-revalidate=0"), "nonsense": aged(b"stale-while-revalidate=abc"), "no-value": aged(b"stale-while-revalidate"),
          "negative": aged(b"stale-while-revalidate=-600"), "must-revalidate": aged(b"stale-while-revalidate=600, must-revalidate"), "proxy-revalidate": aged(b"proxy-revalidate, stale-while-revalidate=600"),
          "no-cache": aged(b"stale-while-revalidate=600, no-cache"), "none": aged(b"public")}


@pytest.mark.parametrize("answer", BEYOND.values(), ids=BEYOND.keys())
def test_a_stale_answer_beyond_what_is_allowed_is_revalidated_first(cache, answer):
    target, _, second = cache.asked_twice(answer, again=Answer(FRESH))
    assert_forwarded(second, "stale", 2)


@pytest.mark.parametrize("line", [b"Cache-Control: max-age=60", b"Cache-Control: no-cache", b"Cache-Control: min-fresh=10", b"Cache-Control: max-stale=10"])
def test_a_client_may_refuse_the_stale_answer(cache, line):
    target, _, second = cache.asked_twice(aged(b"stale-while-revalidate=600"), again=Answer(FRESH), lines_again=[line])
    assert "fwd" in cache_status(second) and number_of(second) == 2


# -- stale-if-error (RFC 5861 4) -----------------------------------------------------------------------

ERRORS = {status.decode(): Answer(b"Cache-Control: no-store", status=status) for status in
          (b"500 Internal Server Error", b"502 Bad Gateway", b"503 Service Unavailable", b"504 Gateway Timeout")}
ERRORS |= {"closed": Dropped(), "cut-in-the-head": Dropped(count=30)}


@pytest.mark.parametrize("failure", ERRORS.values(), ids=ERRORS.keys())
def test_a_stale_answer_is_served_when_upstream_fails(cache, failure):
    target = cache.answers(aged(b"stale-if-error=600"), failure)
    cache.ask(target)
    for number in (2, 3):
        answer = cache.ask(target)
        assert (answer.status, number_of(answer)) == (200, 1)
        assert age_of(answer) >= 3700
        assert not cache_status(answer).get("stored")
    assert len(cache.seen(target)) >= 3


FORBIDDEN = {"window": aged(b"stale-if-error=50"), "zero": aged(b"stale-if-error=0"), "nonsense": aged(b"stale-if-error=x"), "must-revalidate": aged(b"stale-if-error=600, must-revalidate"),
             "proxy-revalidate": aged(b"stale-if-error=600, proxy-revalidate"), "no-cache": aged(b"stale-if-error=600, no-cache"), "s-maxage": aged(b"s-maxage=3600, stale-if-error=600"), "none": aged(b"public")}


@pytest.mark.parametrize("answer", FORBIDDEN.values(), ids=FORBIDDEN.keys())
def test_an_error_goes_through_where_stale_is_forbidden(cache, answer):
    target = cache.answers(answer, Answer(status=b"503 Service Unavailable"))
    cache.ask(target)
    second = cache.ask(target)
    assert (second.status, number_of(second)) == (503, 2)
    assert cache_status(second)["fwd"] == "stale"


@pytest.mark.parametrize("answer", FORBIDDEN.values(), ids=FORBIDDEN.keys())
def test_a_closed_connection_is_an_error_where_stale_is_forbidden(cache, answer):
    target = cache.answers(answer, Dropped())
    cache.ask(target)
    assert_gateway_error(cache.ask(target), 502, 504)


@pytest.mark.parametrize("status", [b"404 Not Found", b"410 Gone", b"400 Bad Request", b"301 Moved Permanently", b"429 Too Many Requests"])
def test_an_answer_that_is_no_server_failure_goes_through(cache, status):
    target = cache.answers(aged(b"stale-if-error=600"), Answer(status=status))
    cache.ask(target)
    second = cache.ask(target)
    assert second.start == b"HTTP/1.1 " + status


def test_a_fresh_answer_outlives_upstream_and_a_stale_one_its_window(make_cache):
    stage = make_cache()
    targets = {}
    for name, answer in {"fresh": Answer(FRESH), "within": aged(b"stale-if-error=600"), "beyond": aged(b"stale-if-error=50"), "none": aged(b"public"), "no-cache": aged(b"no-cache, stale-if-error=600")}.items():
        targets[name] = stage.answers(answer)
        stage.ask(targets[name])
    stage.origin.stop()
    for _ in range(3):
        assert_hit(stage.ask(targets["fresh"]), 1)
        within = stage.ask(targets["within"])
        assert (within.status, number_of(within)) == (200, 1) and age_of(within) >= 3700
        for name in ("beyond", "none", "no-cache"):
            assert_gateway_error(stage.ask(targets[name]), 502, 503, 504)


@pytest.mark.parametrize("directives, status", [(b"stale-if-error=600", 200), (b"must-revalidate", 504), (b"public", 504)])
def test_a_timeout_upstream_is_a_failure(make_cache, directives, status):
    stage = make_cache(config={"upstream": {"response_timeout": "300ms"}, "cache": {"stale_after": "20s"}})
    target = stage.answers(aged(directives), Silent())
    stage.ask(target)
    answer = stage.ask(target)
    assert answer.status == status
    assert status != 200 or number_of(answer) == 1


@pytest.mark.parametrize("directives, is_served", [(b"stale-if-error=600", True), (b"stale-if-error=50", False), (b"must-revalidate, stale-if-error=600", False), (b"public", False)])
def test_a_slow_upstream_is_bridged_with_what_may_be_served_on_errors(make_cache, directives, is_served):
    stage = make_cache(config={"cache": {"stale_after": "100ms"}})
    release = threading.Event()
    target = stage.answers(aged(directives), Answer(FRESH, after=release))
    stage.ask(target)
    client = stage.send(target)
    stage.wait_seen(target, 2)
    if is_served:
        answer = client.read_response()
        assert number_of(answer) == 1 and age_of(answer) >= 3700
        release.set()
        wait_until(lambda: number_of(stage.ask(target)) == 2, "the slow answer")
        assert len(stage.seen(target)) == 2
    else:
        assert not client.is_readable(0.5)
        release.set()
        assert number_of(client.read_response()) == 2
    client.close()


# -- answers that never became whole ---------------------------------------------------------------------


def assert_never_whole(cache, target):
    """The client gets a visibly short answer, or an error of the gateway instead."""
    with cache.send(target) as client:
        try:
            answer = client.read_response()
        except Ended:
            return
        assert_gateway_error(answer, 502)


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_an_answer_cut_short_is_never_stored(cache, framing):
    whole = Answer(FRESH, body=b"x" * 1000, framing=framing)
    target = cache.answers(Dropped(FRESH, body=b"x" * 1000, framing=framing, count=-3), whole)
    assert_never_whole(cache, target)
    answer = cache.ask(target)
    assert (answer.status, answer.body) == (200, b"x" * 1000)
    assert cache_status(answer)["fwd"] == "miss"


def test_an_answer_cut_short_does_not_replace_a_stale_one(cache):
    target = cache.answers(Answer(FRESH, b"Age: 7200", TAG), Dropped(FRESH, count=-2), not_modified(FRESH, TAG))
    cache.ask(target)
    assert_never_whole(cache, target)
    assert number_of(cache.ask(target)) == 1


def test_an_interim_answer_is_not_stored(cache):
    class Hinting(Answer):
        def data(self, number, method):
            return b"HTTP/1.1 103 Early Hints\r\nX-Hint: 1\r\n\r\n" + super().data(number, method)

    target, first, second = cache.asked_twice(Hinting(FRESH))
    assert_hit(second, 1)
    assert not second.interim and not second.values("X-Hint")
