"""Conditions: of clients on what is stored, and the gateway's own on upstream (RFC 9111 4.3)."""

import pytest
from support.cache import (FRESH, STALE, Answer, age_of, assert_forwarded, assert_hit, cache_status, dated,
                           not_modified, number_of)

pytest_plugins = ["support.cache"]
TAG = b'ETag: "abc"'

# -- clients' conditions on a fresh answer -----------------------------------------------------------------

NOT_MODIFIED = {
    "strong": ([TAG], [b'If-None-Match: "abc"']), "weak-asked": ([TAG], [b'If-None-Match: W/"abc"']), "weak-stored": ([b'ETag: W/"abc"'], [b'If-None-Match: "abc"']),
    "weak-both": ([b'ETag: W/"abc"'], [b'If-None-Match: W/"abc"']), "first": ([TAG], [b'If-None-Match: "abc", "1", "2"']), "middle": ([TAG], [b'If-None-Match: "1", "abc", "2"']),
    "last": ([TAG], [b'If-None-Match: "1","2","abc"']), "two-lines": ([TAG], [b'If-None-Match: "1"', b'If-None-Match: "abc"']), "empty-members": ([TAG], [b'If-None-Match: , ,"abc",']),
    "comma-in-a-tag": ([b'ETag: "a,b"'], [b'If-None-Match: "x", "a,b"']), "star": ([TAG], [b"If-None-Match: *"]), "star-without-a-tag": ([], [b"If-None-Match: *"]),
    "empty-tag": ([b'ETag: ""'], [b'If-None-Match: ""']), "precedence": ([TAG, b"Last-Modified: @-5000@"], [b'If-None-Match: "abc"', b"If-Modified-Since: @-10000@"]),
    "since-equal": ([b"Last-Modified: Sat, 01 Mar 2025 00:00:00 GMT"], [b"If-Modified-Since: Sat, 01 Mar 2025 00:00:00 GMT"]),
    "since-later": ([b"Last-Modified: @-3000@"], [b"If-Modified-Since: @-2000@"]), "since-rfc850": ([b"Last-Modified: Sat, 01 Mar 2025 00:00:00 GMT"], [b"If-Modified-Since: Saturday, 01-Mar-25 00:00:00 GMT"]),
    "since-asctime": ([b"Last-Modified: Sat, 01 Mar 2025 00:00:00 GMT"], [b"If-Modified-Since: Sat Mar  1 00:00:00 2025"]),
    "since-after-the-date": ([b"Date: @-100@"], [b"If-Modified-Since: @-50@"]),
}


@pytest.mark.parametrize("stored, lines", NOT_MODIFIED.values(), ids=NOT_MODIFIED.keys())
def test_a_client_that_has_the_stored_answer_gets_304(cache, stored, lines):
    target, _, answer = cache.asked_twice(Answer(FRESH, *stored), lines_again=[dated(line) for line in lines])
    assert (answer.status, answer.body) == (304, b"")
    assert cache_status(answer).get("hit") and age_of(answer) >= 0
    assert len(cache.seen(target)) == 1


MODIFIED = {
    "other-tag": ([TAG], [b'If-None-Match: "abd"']), "prefix": ([TAG], [b'If-None-Match: "ab"']), "case": ([TAG], [b'If-None-Match: "ABC"']), "none-of-them": ([TAG], [b'If-None-Match: "1", "2"']),
    "tag-within-a-tag": ([TAG], [b'If-None-Match: "x, abc"']), "no-tag-stored": ([], [b'If-None-Match: "abc"']), "star-in-quotes": ([TAG], [b'If-None-Match: "*"']),
    "precedence": ([TAG, b"Last-Modified: @-5000@"], [b'If-None-Match: "x"', b"If-Modified-Since: @-10@"]), "since-earlier": ([b"Last-Modified: @-3000@"], [b"If-Modified-Since: @-4000@"]),
    "since-nonsense": ([b"Last-Modified: @-3000@"], [b"If-Modified-Since: yesterday"]), "since-number": ([b"Last-Modified: @-3000@"], [b"If-Modified-Since: 4102444800"]),
    "since-before-the-date": ([b"Date: @-100@"], [b"If-Modified-Since: @-3000@"]),
}


@pytest.mark.parametrize("stored, lines", MODIFIED.values(), ids=MODIFIED.keys())
def test_a_client_that_has_something_else_gets_the_stored_answer(cache, stored, lines):
    target, _, answer = cache.asked_twice(Answer(FRESH, *stored), lines_again=[dated(line) for line in lines])
    assert answer.status == 200
    assert_hit(answer, 1)
    assert len(cache.seen(target)) == 1


def test_a_304_has_the_fields_that_a_cache_needs_and_none_about_a_body(cache):
    lines = [FRESH, TAG, b"Date: @-30@", b"Expires: @+60@", b"Vary: Foo", b"Content-Location: /v1/x", b"Content-Type: text/plain"]
    _, first, answer = cache.asked_twice(Answer(*lines), lines_again=[b'If-None-Match: "abc"'])
    assert answer.status == 304
    for name in ("Cache-Control", "ETag", "Date", "Expires", "Vary", "Content-Location"):
        assert answer.values(name) == first.values(name), name
    assert not answer.values("Transfer-Encoding") and answer.value("Content-Length") in (None, b"6")


def test_a_connection_goes_on_after_a_304(cache):
    target = cache.answers(Answer(FRESH, TAG))
    cache.ask(target)
    with cache.connect() as client:
        for _ in range(3):
            assert client.ask(cache.request(b"GET %b HTTP/1.1" % target, b'If-None-Match: "abc"')).status == 304
            assert_hit(client.ask(cache.request(b"GET %b HTTP/1.1" % target)))


def test_head_with_a_matching_condition_is_304(cache):
    target = cache.answers(Answer(FRESH, TAG))
    cache.ask(target)
    answer = cache.ask(target, b'If-None-Match: "abc"', method=b"HEAD")
    assert (answer.status, answer.body) == (304, b"") and cache_status(answer).get("hit")


def test_a_condition_does_not_turn_another_status_into_304(cache):
    _, _, answer = cache.asked_twice(Answer(FRESH, TAG, status=b"404 Not Found"), lines_again=[b'If-None-Match: "abc"'])
    assert answer.status == 404 and number_of(answer) == 1


class Conditional(Answer):
    """An origin that keeps to conditions: 304 when the request names the tag, else 200."""

    def give(self, peer, request, number):
        matches = b'"abc"' in b",".join(request.values("If-None-Match"))
        answer = not_modified(FRESH, TAG) if matches else Answer(*self.lines)
        answer.give(peer, request, number)


def test_a_condition_on_what_is_not_stored_never_gives_others_a_304(cache):
    target = cache.answers(Conditional(FRESH, TAG))
    first = cache.ask(target, b'If-None-Match: "abc"')
    assert first.status == 304 and first.body == b"" or first.status == 200 and first.body == b"body 1"
    second = cache.ask(target)
    assert second.status == 200 and second.body.startswith(b"body ")
    assert cache.ask(target, b'If-None-Match: "abc"').status == 304


@pytest.mark.parametrize("line, status", [(b'If-None-Match: "abc"', 304), (b'If-None-Match: "x", "abc"', 304), (b'If-None-Match: "x"', 200)])
def test_a_clients_condition_on_a_stale_answer_is_judged_after_revalidation(cache, line, status):
    target = cache.answers(Answer(*STALE, TAG), not_modified(FRESH, TAG))
    cache.ask(target)
    answer = cache.ask(target, line)
    assert answer.status == status
    assert b'"abc"' in b",".join(cache.seen(target)[1].values("If-None-Match"))
    assert status == 304 or number_of(answer) == 1
    assert_hit(cache.ask(target), 1)


def test_a_client_that_has_the_new_answer_already_is_not_sent_an_older_one(cache):
    target = cache.answers(Answer(*STALE, TAG), Answer(FRESH, b'ETag: "new"'))
    cache.ask(target)
    answer = cache.ask(target, b'If-None-Match: "new"')
    assert answer.status == 304 or number_of(answer) == 2
    assert_hit(cache.ask(target), 2)


# -- revalidation -----------------------------------------------------------------------------------------------

LAST_MODIFIED = b"Last-Modified: Sat, 01 Mar 2025 00:00:00 GMT"
VALIDATORS = {
    "strong": ([TAG], {"If-None-Match": [b'"abc"']}), "weak": ([b'ETag: W/"abc"'], {"If-None-Match": [b'W/"abc"']}), "odd": ([b'ETag: "a,b\xfc"'], {"If-None-Match": [b'"a,b\xfc"']}),
    "date": ([LAST_MODIFIED], {"If-Modified-Since": [b"Sat, 01 Mar 2025 00:00:00 GMT"]}),
    "both": ([TAG, LAST_MODIFIED], {"If-None-Match": [b'"abc"']}), "none": ([], {"If-None-Match": [], "If-Modified-Since": []}),
}
VALIDATED = {"stale": (list(STALE), []), "no-cache": ([b"Cache-Control: max-age=3600, no-cache"], []), "asked": ([FRESH], [b"Cache-Control: no-cache"]), "asked-max-age": ([FRESH], [b"Cache-Control: max-age=0"]),
             "no-freshness": ([b"Cache-Control: public, no-cache"], []), "must-revalidate": ([b"Cache-Control: max-age=1, must-revalidate", b"Age: 10"], [])}


@pytest.mark.parametrize("stored, sent", VALIDATORS.values(), ids=VALIDATORS.keys())
@pytest.mark.parametrize("lines, asked", VALIDATED.values(), ids=VALIDATED.keys())
def test_upstream_is_asked_with_the_stored_validators(cache, stored, sent, lines, asked):
    target = cache.answers(Answer(*lines, *stored))
    cache.ask(target)
    cache.ask(target, *asked)
    seen = cache.seen(target)[1]
    assert {name: seen.values(name) for name in sent} == sent


@pytest.mark.parametrize("validator", [TAG, b'ETag: W/"abc"', LAST_MODIFIED])
def test_a_304_makes_the_stored_answer_fresh_again(cache, validator):
    target = cache.answers(Answer(*STALE, validator), not_modified(FRESH, validator))
    cache.ask(target)
    answer = cache.ask(target)
    assert answer.status == 200 and number_of(answer) == 1
    status = cache_status(answer)
    assert (status["fwd"], status["fwd-status"]) == ("stale", 304), status
    assert_hit(cache.ask(target), 1, ttl=3600)
    assert len(cache.seen(target)) == 2


def test_a_304_ends_the_age_of_what_it_validates(cache):
    target = cache.answers(Answer(FRESH, b"Age: 7200", b"Date: @-8000@", TAG), not_modified(TAG))
    cache.ask(target)
    answer = cache.ask(target)
    assert answer.values("Age") == [] or age_of(answer) < 60
    again = cache.ask(target)
    assert_hit(again, 1, ttl=3600)
    assert age_of(again) < 60


def test_the_age_of_a_304_counts(cache):
    target = cache.answers(Answer(*STALE, TAG), not_modified(TAG, b"Age: 1000"))
    cache.ask(target)
    cache.ask(target)
    again = cache.ask(target)
    assert_hit(again, 1, ttl=2600)
    assert 1000 <= age_of(again) < 1060


def test_a_304_that_is_stale_itself_is_followed_by_another_revalidation(cache):
    target = cache.answers(Answer(*STALE, TAG), not_modified(b"Cache-Control: max-age=0", TAG))
    for _ in range(3):
        assert number_of(cache.ask(target)) == 1
    assert [len(request.values("If-None-Match")) for request in cache.seen(target)] == [0, 1, 1]


# A field of the stored answer, the same field of the 304, and what is served afterwards.
UPDATED = [(b"Test-Header", b"a", b"b"), (b"X-Test-Header", b"a", b"b"), (b"Content-Foo", b"a", b"b"), (b"X-Content-Foo", b"a", b"b"), (b"Expires", b"Fri, 01 Jan 2038 01:01:01 GMT", b"Mon, 11 Jan 2038 11:11:11 GMT"),
           (b"Content-Security-Policy", b"default-src 'self'", b"default-src 'none'"), (b"X-Frame-Options", b"deny", b"sameorigin"), (b"Server", b"a", b"b"), (b"Content-Location", b"/foo", b"/bar"), (b"Link", b"</a>", b"</b>")]


@pytest.mark.parametrize("name, old, new", UPDATED, ids=[row[0].decode() for row in UPDATED])
def test_a_304_updates_the_stored_fields(cache, name, old, new):
    target = cache.answers(Answer(*STALE, TAG, name + b": " + old), not_modified(FRESH, TAG, name.lower() + b": " + new))
    cache.ask(target)
    assert cache.ask(target).values(name.decode()) == [new]
    again = cache.ask(target)
    assert_hit(again)
    assert again.values(name.decode()) == [new] and again.values("X-Kept") == []


def test_a_304_replaces_all_lines_of_a_field_and_keeps_those_it_omits(cache):
    stored = Answer(*STALE, TAG, b"X-A: 1", b"X-B: 1", b"X-A: 2", b"X-C: 1")
    target = cache.answers(stored, not_modified(FRESH, TAG, b"x-a: 3", b"X-D: 4", b"X-D: 5"))
    cache.ask(target)
    for answer in (cache.ask(target), cache.ask(target)):
        assert [answer.values(name) for name in ("X-A", "X-B", "X-C", "X-D")] == [[b"3"], [b"1"], [b"1"], [b"4", b"5"]]


def test_a_304_never_changes_the_length_or_framing(cache):
    target = cache.answers(Answer(*STALE, TAG), not_modified(FRESH, TAG, b"Content-Length: 3"))
    cache.ask(target)
    for _ in range(2):
        answer = cache.ask(target)
        assert (answer.body, answer.value("Content-Length")) == (b"body 1", b"6")


@pytest.mark.parametrize("line", [b"Connection: close", b"Keep-Alive: timeout=77", b"Proxy-Connection: x", b"Upgrade: h2c", b"Set-Cookie: a=b"])
def test_a_304_leaves_nothing_stored_that_may_not_be(cache, line):
    target = cache.answers(Answer(*STALE, TAG), not_modified(FRESH, TAG, line))
    cache.ask(target)
    cache.ask(target)
    assert line not in cache.ask(target).lines


def test_fields_that_connection_names_in_a_304_are_not_stored(cache):
    target = cache.answers(Answer(*STALE, TAG, b"X-Named: old"), not_modified(FRESH, TAG, b"Connection: X-Named", b"X-Named: new"))
    cache.ask(target)
    for _ in range(2):
        assert b"new" not in cache.ask(target).values("X-Named")


@pytest.mark.parametrize("lines", [[b"Cache-Control: no-store"], [b"Cache-Control: private, max-age=3600"], [b"Cache-Control: max-age=3600, no-cache"], [b"Vary: *", FRESH]], ids=["no-store", "private", "no-cache", "vary"])
def test_a_304_that_forbids_reuse_is_heeded(cache, lines):
    target = cache.answers(Answer(*STALE, TAG), not_modified(*lines, TAG), Answer(FRESH))
    cache.ask(target)
    assert number_of(cache.ask(target)) == 1
    assert "fwd" in cache_status(cache.ask(target))


def test_a_304_for_another_answer_updates_nothing(cache):
    target = cache.answers(Answer(*STALE, TAG), not_modified(FRESH, b'ETag: "other"'), Answer(FRESH, b'ETag: "other"'))
    cache.ask(target)
    answer = cache.ask(target)
    assert answer.status in (200, 502)
    last = cache.ask(target)
    assert number_of(last) != 1 or last.value("ETag") == b'"abc"' and "fwd" in cache_status(last)


def test_a_304_that_was_not_asked_for_is_not_stored(cache):
    target = cache.answers(not_modified(FRESH, TAG), Answer(FRESH, TAG))
    cache.ask(target)
    assert_forwarded(cache.ask(target), "miss", 2)
    assert_hit(cache.ask(target), 2)


REPLACING = [b"200 OK", b"404 Not Found", b"410 Gone", b"301 Moved Permanently"]


@pytest.mark.parametrize("status", REPLACING)
def test_a_full_answer_to_a_revalidation_replaces_what_was_stored(cache, status):
    target = cache.answers(Answer(*STALE, TAG, b"X-Old: 1"), Answer(FRESH, b'ETag: "new"', status=status))
    cache.ask(target)
    answer = cache.ask(target)
    assert_forwarded(answer, "stale", 2, stored=True)
    assert cache_status(answer).get("fwd-status", answer.status) == answer.status
    again = cache.ask(target)
    assert_hit(again, 2)
    assert (again.start, again.values("X-Old"), again.values("ETag")) == (b"HTTP/1.1 " + status, [], [b'"new"'])


def test_an_error_upstream_does_not_replace_what_was_stored(cache):
    target = cache.answers(Answer(*STALE, TAG), Answer(status=b"503 Service Unavailable"), not_modified(FRESH, TAG))
    cache.ask(target)
    assert cache.ask(target).status == 503
    assert number_of(cache.ask(target)) == 1
    assert cache.seen(target)[2].values("If-None-Match") == [b'"abc"']


def test_head_of_a_stale_answer_is_never_304_without_a_condition(cache):
    target = cache.answers(Answer(*STALE, TAG), Conditional(FRESH, TAG))
    cache.ask(target)
    answer = cache.ask(target, method=b"HEAD")
    assert (answer.status, answer.body) == (200, b"")
