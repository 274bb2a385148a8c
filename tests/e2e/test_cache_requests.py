"""What a request may demand of the cache (RFC 9111 5.2.1), and the requests that bypass it."""

import pytest
from support import wire
from support.cache import (FRESH, STALE, Answer, age_of, assert_forwarded, assert_hit, cache_status,
                           number_of)
from support.stage import assert_gateway_error

pytest_plugins = ["support.cache"]


def cc(value):
    return b"Cache-Control: " + value


SLIGHTLY_STALE = (cc(b"max-age=1500"), b"Age: 2000")
HALF_WAY = (cc(b"max-age=3600"), b"Age: 1800")
MET = [
    (HALF_WAY, cc(b"max-age=3600")), (HALF_WAY, cc(b"max-age=2000")), (HALF_WAY, cc(b"MAX-AGE=2000")), (HALF_WAY, cc(b'max-age="2000"')),
    (HALF_WAY, cc(b"max-age=99999999999999999999")), (HALF_WAY, cc(b"min-fresh=1000")), (HALF_WAY, cc(b"min-fresh=0")), (HALF_WAY, cc(b"max-stale")),
    (HALF_WAY, cc(b"max-stale=0")), (HALF_WAY, cc(b"only-if-cached")), (HALF_WAY, cc(b"ONLY-IF-CACHED")), (HALF_WAY, cc(b"no-transform")), (HALF_WAY, cc(b"foobar")),
    (HALF_WAY, cc(b'foobar="no-cache, max-age=0"')), (HALF_WAY, cc(b"")), (HALF_WAY, b"Pragma: foobar"), (HALF_WAY, b"X-Cache-Control: no-cache"),
    (HALF_WAY, cc(b"public")), (HALF_WAY, cc(b"private")), (HALF_WAY, cc(b"s-maxage=0")), (HALF_WAY, cc(b"must-revalidate")),
    (SLIGHTLY_STALE, cc(b"max-stale")), (SLIGHTLY_STALE, cc(b"max-stale=1000")), (SLIGHTLY_STALE, cc(b"MAX-STALE=1000")), (SLIGHTLY_STALE, cc(b'max-stale="1000"')),
    (SLIGHTLY_STALE, cc(b"max-stale=99999999999999999999")), (SLIGHTLY_STALE, cc(b"max-age=3000, max-stale=1000")), (SLIGHTLY_STALE, cc(b"only-if-cached, max-stale")),
]


def ids(table):
    return [f"{row[1].decode()} on {row[0][0].decode()} {row[0][1].decode()}" for row in table]


@pytest.mark.parametrize("stored, line", MET, ids=ids(MET))
def test_a_stored_answer_that_meets_the_requests_demand_is_used(cache, stored, line):
    target, _, answer = cache.asked_twice(Answer(*stored), lines_again=[line])
    assert_hit(answer, 1, ttl=1800 if stored is HALF_WAY else -500)
    assert len(cache.seen(target)) == 1


NOT_MET = [
    (HALF_WAY, cc(b"no-cache"), "request"), (HALF_WAY, cc(b"NO-CACHE"), "request"), (HALF_WAY, cc(b"foobar, no-cache"), "request"), (HALF_WAY, cc(b"max-age=600"), "request"),
    (HALF_WAY, cc(b"max-age=0"), "request"), (HALF_WAY, cc(b"Max-Age=0"), "request"), (HALF_WAY, cc(b'max-age="0"'), "request"), (HALF_WAY, cc(b"max-age=1000, max-stale=600"), "request"),
    (HALF_WAY, cc(b"min-fresh=2000"), "request"), (HALF_WAY, cc(b'Min-Fresh="2000"'), "request"), (HALF_WAY, cc(b"min-fresh=99999999999999999999"), "request"),
    (HALF_WAY, cc(b"max-stale, no-cache"), "request"), (HALF_WAY, cc(b"min-fresh=2000, max-stale"), "request"),
    (SLIGHTLY_STALE, cc(b"max-stale=100"), "stale"), (SLIGHTLY_STALE, cc(b"max-stale=0"), "stale"), (SLIGHTLY_STALE, cc(b"max-age=3000"), "stale"), (SLIGHTLY_STALE, cc(b"foobar"), "stale"),
    ((cc(b"max-age=1500, must-revalidate"), b"Age: 2000"), cc(b"max-stale"), "stale"), ((cc(b"max-age=1500, proxy-revalidate"), b"Age: 2000"), cc(b"max-stale"), "stale"),
    ((cc(b"s-maxage=1500"), b"Age: 2000"), cc(b"max-stale"), "stale"), ((cc(b"max-age=3600, no-cache"), b"Age: 0"), cc(b"max-stale"), "stale"),
]


@pytest.mark.parametrize("stored, line, reason", NOT_MET, ids=ids(NOT_MET))
def test_a_stored_answer_that_does_not_meet_the_requests_demand_is_fetched_again(cache, stored, line, reason):
    target, _, answer = cache.asked_twice(Answer(*stored), lines_again=[line])
    assert_forwarded(answer, reason, 2)
    assert len(cache.seen(target)) == 2


def test_two_fields_of_cache_control_are_one_list(cache):
    _, _, answer = cache.asked_twice(Answer(FRESH), lines_again=[cc(b"foobar"), cc(b"no-cache")])
    assert_forwarded(answer, "request", 2)


def test_what_a_forced_fetch_brings_is_stored(cache):
    target = cache.answers(Answer(FRESH))
    cache.ask(target)
    assert_forwarded(cache.ask(target, cc(b"no-cache")), "request", 2, stored=True)
    assert_hit(cache.ask(target), 2)


def test_a_forced_fetch_of_what_is_not_stored_is_stored(cache):
    target = cache.answers(Answer(FRESH))
    assert cache_status(cache.ask(target, cc(b"no-cache"))).get("stored")
    assert_hit(cache.ask(target), 1)


@pytest.mark.parametrize("line", [cc(b"no-store"), cc(b"No-Store"), cc(b"max-age=10, no-store")])
def test_the_answer_to_a_request_with_no_store_is_not_stored(cache, line):
    target = cache.answers(Answer(FRESH))
    first = cache.ask(target, line)
    assert number_of(first) == 1 and "fwd" in cache_status(first) and not cache_status(first).get("stored")
    assert_forwarded(cache.ask(target), "miss", 2)


def test_a_request_with_no_store_leaves_what_is_stored_alone(cache):
    target = cache.answers(Answer(FRESH))
    cache.ask(target)
    cache.ask(target, cc(b"no-store"))
    assert_hit(cache.ask(target), 1)


@pytest.mark.parametrize("line", [cc(b"only-if-cached"), cc(b"only-if-cached, max-stale=10"), cc(b"max-age=10, Only-If-Cached")])
def test_only_if_cached_of_what_is_not_stored_is_504(cache, line):
    target = cache.answers(Answer(FRESH))
    answer = cache.ask(target, line)
    assert_gateway_error(answer, 504)
    assert not {"hit", "stored"} & set(cache_status(answer))
    assert cache.seen(target) == []


UNUSABLE = {"stale": (STALE, b"only-if-cached"), "too-stale": (SLIGHTLY_STALE, b"only-if-cached, max-stale=10"), "too-old": (HALF_WAY, b"only-if-cached, max-age=10"),
            "not-fresh-enough": (HALF_WAY, b"only-if-cached, min-fresh=2000"), "no-cache": (HALF_WAY, b"only-if-cached, no-cache"),
            "to-be-validated": ((cc(b"max-age=3600, no-cache"), b'ETag: "a"'), b"only-if-cached")}


@pytest.mark.parametrize("stored, directives", UNUSABLE.values(), ids=UNUSABLE.keys())
def test_only_if_cached_of_what_may_not_be_used_is_504(cache, stored, directives):
    target, _, answer = cache.asked_twice(Answer(*stored), lines_again=[cc(directives)])
    assert_gateway_error(answer, 504)
    assert len(cache.seen(target)) == 1


def test_pragma_is_ignored_beside_cache_control(cache):
    _, _, answer = cache.asked_twice(Answer(FRESH), lines_again=[cc(b"max-age=3600"), b"Pragma: no-cache"])
    assert_hit(answer, 1)


# -- HEAD --------------------------------------------------------------------------------------------------


def test_head_is_answered_from_a_stored_get(cache):
    target = cache.answers(Answer(FRESH, b"X-Kept: 1", b'ETag: "a"'))
    got = cache.ask(target)
    answer = cache.ask(target, method=b"HEAD")
    assert cache_status(answer).get("hit") and age_of(answer) >= 0
    own = ("Age", "Cache-Status")
    assert (answer.start, answer.others(*own)) == (got.start, got.others(*own))
    assert answer.value("Content-Length") == b"6" and len(cache.seen(target)) == 1


def test_head_of_what_is_not_stored_is_forwarded_as_head_and_stores_nothing_for_get(cache):
    target = cache.answers(Answer(FRESH))
    answer = cache.ask(target, method=b"HEAD")
    assert (answer.status, answer.body) == (200, b"") and cache_status(answer)["fwd"] == "miss"
    assert [request.method for request in cache.seen(target)] == [b"HEAD"]
    assert_forwarded(cache.ask(target), "miss", 2, stored=True)


def test_head_of_a_stale_answer_is_forwarded(cache):
    target = cache.answers(Answer(*STALE))
    cache.ask(target)
    answer = cache.ask(target, method=b"HEAD")
    assert cache_status(answer)["fwd"] == "stale" and answer.value("X-Number") == b"2"


def test_head_on_the_same_connection_leaves_it_usable(cache):
    target = cache.answers(Answer(FRESH))
    cache.ask(target)
    with cache.connect() as client:
        for _ in range(3):
            assert client.ask(cache.request(b"HEAD %b HTTP/1.1" % target), "HEAD").status == 200
            assert_hit(client.ask(cache.request(b"GET %b HTTP/1.1" % target)))


def test_a_forwarded_head_that_shows_another_validator_makes_the_stored_get_stale(cache):
    target = cache.answers(Answer(FRESH, b'ETag: "a"'), Answer(FRESH, b'ETag: "b"'), Answer(FRESH, b'ETag: "b"'))
    cache.ask(target)
    cache.ask(target, cc(b"no-cache"), method=b"HEAD")
    assert "fwd" in cache_status(cache.ask(target))


# -- bypass ------------------------------------------------------------------------------------------------

BYPASSING = {"cookie": [b"Cookie: a=b"], "empty-cookie": [b"Cookie:"], "range": [b"Range: bytes=0-1"], "odd-range": [b"range: lines=1-2"],
             "if-match": [b'If-Match: "a"'], "if-unmodified-since": [b"If-Unmodified-Since: Tue, 04 Mar 2025 10:00:00 GMT"],
             "if-range": [b"Range: bytes=0-1", b'If-Range: "a"']}


@pytest.mark.parametrize("lines", BYPASSING.values(), ids=BYPASSING.keys())
def test_a_request_that_only_upstream_can_answer_bypasses_the_cache_both_ways(cache, lines):
    target = cache.answers(Answer(FRESH, b'ETag: "a"'))
    first = cache.ask(target, *lines)
    assert_forwarded(first, "bypass", 1, stored=False)
    assert_forwarded(cache.ask(target), "miss", 2, stored=True)
    assert_forwarded(cache.ask(target, *lines), "bypass", 3, stored=False)
    assert_hit(cache.ask(target), 2)
    for line in lines:
        assert wire.split_field(line) in cache.seen(target)[2].fields


@pytest.mark.parametrize("lines, body", [([b"Content-Length: 3"], b"abc"), ([b"Transfer-Encoding: chunked"], b"3\r\nabc\r\n0\r\n\r\n")], ids=["length", "chunked"])
def test_a_get_with_a_body_bypasses_the_cache(cache, lines, body):
    target = cache.answers(Answer(FRESH))
    cache.ask(target)
    assert_forwarded(cache.ask(target, *lines, body=body), "bypass", 2, stored=False)
    assert cache.seen(target)[1].body == b"abc"
    assert_hit(cache.ask(target), 1)


def test_a_partial_answer_never_serves_a_whole_request(cache):
    partial = Answer(FRESH, b"Content-Range: bytes 0-1/6", status=b"206 Partial Content", body=b"bo")
    target = cache.answers(partial, Answer(FRESH), partial)
    assert cache.ask(target, b"Range: bytes=0-1").status == 206
    assert_forwarded(cache.ask(target), "miss", 2)
    assert cache.ask(target, b"Range: bytes=0-1").body == b"bo"
    assert_hit(cache.ask(target), 2)


@pytest.mark.parametrize("spelling", [b"/v1/Cached/%b", b"/V1/cached/%b", b"/v1/cached/%b/", b"/v1/%%63ached/%b"], ids=["case", "case-too", "slash", "encoded"])
def test_a_target_that_is_not_spelled_exactly_is_never_cached(cache, spelling):
    exact = cache.answers(Answer(FRESH))
    target = spelling % exact.rpartition(b"/")[2]
    cache.ask(exact)
    assert_forwarded(cache.ask(target), "bypass", 1, stored=False)
    assert_forwarded(cache.ask(target), "bypass", 2, stored=False)
    assert_hit(cache.ask(exact), 1)


@pytest.mark.parametrize("query", [b"?", b"?a=1", b"?a=1&b=2", b"?b=2&a=1", b"?A=1", b"?a=%31", b"?a=1&", b"?" + b"q" * 2000])
def test_each_spelling_of_the_query_is_a_thing_of_its_own(cache, query):
    plain = cache.answers(Answer(FRESH))
    other = plain + b"?a=2"
    for target in (plain, other, plain + query):
        assert_forwarded(cache.ask(target), "miss", 1, stored=True)
    for target in (plain, other, plain + query):
        assert_hit(cache.ask(target), 1)


@pytest.mark.parametrize("method", [b"POST", b"OPTIONS"])
def test_other_methods_of_a_cached_target_are_not_answered_from_the_cache(cache, method):
    target = cache.answers(Answer(FRESH))
    cache.ask(target)
    answer = cache.ask(target, b"Content-Length: 0", method=method)
    assert number_of(answer) == 2
    assert cache.seen(target)[1].method == method


def test_an_operation_without_a_cache_rule_says_nothing_about_the_cache(cache):
    target = cache.answers(Answer(FRESH), under=b"uncached")
    for number in (1, 2):
        answer = cache.ask(target)
        assert number_of(answer) == number
        assert not answer.values("Cache-Status") and not answer.values("Age")


# -- Age and Cache-Status -------------------------------------------------------------------------------------


def test_a_fetched_answer_has_upstreams_age_and_a_hit_its_own(cache):
    target, first, second = cache.asked_twice(Answer(FRESH))
    assert first.values("Age") == [] or first.values("Age") == [b"0"]
    assert 0 <= age_of(second) < 60


def test_the_age_of_a_hit_goes_on_from_upstreams_age(cache):
    target, first, second = cache.asked_twice(Answer(FRESH, b"Age: 1000"))
    assert 1000 <= age_of(first) < 1060 and 1000 <= age_of(second) < 1060
    assert_hit(second, 1, ttl=2600)


def test_the_ttl_of_a_hit_is_what_is_left_of_the_lifetime(cache):
    _, _, second = cache.asked_twice(Answer(b"Cache-Control: s-maxage=500, max-age=9000", b"Age: 200"))
    assert_hit(second, 1, ttl=300)
    assert cache_status(second)["ttl"] + age_of(second) in (499, 500)


def test_upstreams_own_cache_status_stays_before_the_gateways(cache):
    _, first, second = cache.asked_twice(Answer(FRESH, b"Cache-Status: cdn; hit; ttl=5"))
    for answer in (first, second):
        members = [member.strip() for value in answer.values("Cache-Status") for member in value.split(b",")]
        assert members[0] == b"cdn; hit; ttl=5" and members[1].startswith(b"psgate") and len(members) == 2
    assert_hit(second)
