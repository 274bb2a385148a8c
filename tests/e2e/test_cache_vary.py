"""Vary: which stored answer, if any, a request selects (RFC 9111 4.1)."""

import pytest
from support.cache import FRESH, Answer, assert_forwarded, assert_hit, cache_status

pytest_plugins = ["support.cache"]

# What Vary says, the fields of the first request, those of the second.
MATCHING = {
    "same": (b"Foo", [b"Foo: 1"], [b"Foo: 1"]),
    "name-in-another-case": (b"fOO", [b"Foo: 1"], [b"fOo: 1"]),
    "missing-in-both": (b"Foo", [], []),
    "other-fields-differ": (b"Foo", [b"Foo: 1", b"Other: 2"], [b"Foo: 1", b"Other: 3"]),
    "two": (b"Foo, Bar", [b"Foo: 1", b"Bar: abc"], [b"Foo: 1", b"Bar: abc"]),
    "two-in-another-order": (b"Foo, Bar", [b"Foo: 1", b"Bar: abc"], [b"Bar: abc", b"Foo: 1"]),
    "three": (b"Foo, Bar,Baz", [b"Foo: 1", b"Bar: abc", b"Baz: 789"], [b"Foo: 1", b"Bar: abc", b"Baz: 789"]),
    "three-one-missing-in-both": (b"Foo, Bar, Baz", [b"Foo: 1", b"Baz: 789"], [b"Foo: 1", b"Baz: 789"]),
    "repeated-name": (b"Foo, Foo", [b"Foo: 1"], [b"Foo: 1"]),
    "empty-members": (b", Foo ,,", [b"Foo: 1"], [b"Foo: 1"]),
    "empty": (b"", [b"Foo: 1"], [b"Foo: 2"]),
    "lines-combined": (b"Foo", [b"Foo: 1, 2"], [b"Foo: 1", b"Foo: 2"]),
    "lines-combined-and-apart": (b"Foo", [b"Foo: 1", b"Bar: x", b"Foo: 2"], [b"Foo: 1, 2", b"Bar: y"]),
    "spacing": (b"Foo", [b"Foo: 1,2"], [b"Foo:  1, 2 "]),
    "spacing-around": (b"Foo", [b"Foo: 1 ,\t2"], [b"Foo:1,2"]),
    "outer-spacing": (b"Foo", [b"Foo:1"], [b"Foo: \t 1\t "]),
    "language-order": (b"Accept-Language", [b"Accept-Language: en, de"], [b"Accept-Language: de, en"]),
    "language-case": (b"Accept-Language", [b"Accept-Language: en, de"], [b"Accept-Language: eN, De"]),
    "language-spacing": (b"Accept-Language", [b"Accept-Language: en, de"], [b"Accept-Language:  en ,   de"]),
    "language-lines": (b"Accept-Language", [b"Accept-Language: en, de"], [b"Accept-Language: de", b"Accept-Language: en"]),
    "encoding-order": (b"Accept-Encoding", [b"Accept-Encoding: gzip, br"], [b"Accept-Encoding: br,gzip"]),
    "encoding-case": (b"Accept-Encoding", [b"Accept-Encoding: gzip"], [b"Accept-Encoding: GZIP"]),
    "hop-by-hop": (b"Keep-Alive", [b"Keep-Alive: timeout=1"], [b"Keep-Alive: timeout=2"]),
    "named-by-connection": (b"X-Hop", [b"Connection: X-Hop", b"X-Hop: 1"], [b"Connection: X-Hop", b"X-Hop: 2"]),
    "named-by-connection-or-missing": (b"X-Hop", [b"Connection: X-Hop", b"X-Hop: 1"], []),
    "the-gateways-own-credential": (b"Authorization, X-Api-Key, Host", [], []),
}


@pytest.mark.parametrize("vary, first, second", MATCHING.values(), ids=MATCHING.keys())
def test_a_request_that_says_the_same_in_the_fields_of_vary_is_answered(cache, vary, first, second):
    target, _, answer = cache.asked_twice(Answer(FRESH, b"Vary: " + vary), *first, lines_again=second)
    assert_hit(answer, 1)
    assert answer.value("Vary") == vary and len(cache.seen(target)) == 1


DIFFERENT = {
    "value": (b"Foo", [b"Foo: 1"], [b"Foo: 2"]),
    "prefix": (b"Foo", [b"Foo: 1"], [b"Foo: 12"]),
    "case-of-an-unknown-value": (b"Foo", [b"Foo: a"], [b"Foo: A"]),
    "order-of-an-unknown-list": (b"Foo", [b"Foo: 1, 2"], [b"Foo: 2, 1"]),
    "missing-first": (b"Foo", [], [b"Foo: 1"]),
    "missing-second": (b"Foo", [b"Foo: 1"], []),
    "one-of-two": (b"Foo, Bar", [b"Foo: 1", b"Bar: abc"], [b"Foo: 2", b"Bar: abc"]),
    "the-other-of-two": (b"Foo, Bar", [b"Foo: 1", b"Bar: abc"], [b"Foo: 1", b"Bar: abd"]),
    "both-of-two-missing": (b"Foo, Bar", [b"Foo: 1", b"Bar: abc"], []),
    "swapped": (b"Foo, Bar", [b"Foo: 1", b"Bar: 2"], [b"Foo: 2", b"Bar: 1"]),
    "shifted": (b"Foo, Bar", [b"Foo: 1"], [b"Bar: 1"]),
    "one-of-three-in-another-order": (b"Foo, Bar, Baz", [b"Foo: 1", b"Bar: abc", b"Baz: 789"], [b"Foo: 1", b"Baz: 789", b"Bar: abcde"]),
    "a-line-more": (b"Foo", [b"Foo: 1"], [b"Foo: 1", b"Foo: 1"]),
    "inner-spacing-of-a-word": (b"Foo", [b"Foo: a b"], [b"Foo: a  b"]),
    "comma-in-quotes": (b"Foo", [b'Foo: "1,2"'], [b'Foo: "1, 2"']),
    "language-weight": (b"Accept-Language", [b"Accept-Language: en;q=0.5, de"], [b"Accept-Language: en, de;q=0.5"]),
    "user-agent-case": (b"User-Agent", [b"User-Agent: curl"], [b"User-Agent: Curl"]),
}


@pytest.mark.parametrize("vary, first, second", DIFFERENT.values(), ids=DIFFERENT.keys())
def test_a_request_that_says_something_else_is_forwarded_as_a_vary_miss(cache, vary, first, second):
    target, _, answer = cache.asked_twice(Answer(FRESH, b"Vary: " + vary), *first, lines_again=second)
    assert_forwarded(answer, "vary-miss", 2, stored=True)
    assert len(cache.seen(target)) == 2


NOTHING_MATCHES = {"star": [b"Vary: *"], "two-stars": [b"Vary: *, *"], "two-lines": [b"Vary: *", b"Vary: *"],
                   "after-nothing": [b"Vary: , *"], "after-an-empty-line": [b"Vary:", b"Vary: *"], "star-first": [b"Vary: *, Foo"],
                   "star-last": [b"Vary: Foo, *"], "star-on-another-line": [b"Vary: Foo", b"Vary: *"], "star-before-a-line": [b"Vary: *", b"Vary: Foo"]}


@pytest.mark.parametrize("lines", NOTHING_MATCHES.values(), ids=NOTHING_MATCHES.keys())
def test_vary_with_a_star_matches_no_request(cache, lines):
    target, _, answer = cache.asked_twice(Answer(FRESH, *lines), b"Foo: 1")
    assert "fwd" in cache_status(answer) and len(cache.seen(target)) == 2


def test_two_lines_of_vary_are_one_list(cache):
    answer = Answer(FRESH, b"Vary: Foo", b"Vary: Bar")
    target = cache.answers(answer)
    cache.ask(target, b"Foo: 1", b"Bar: 1")
    assert_hit(cache.ask(target, b"Foo: 1", b"Bar: 1"))
    assert_forwarded(cache.ask(target, b"Foo: 1", b"Bar: 2"), "vary-miss", 2)
    assert_forwarded(cache.ask(target, b"Foo: 2", b"Bar: 1"), "vary-miss", 3)


def test_several_variants_are_kept_side_by_side(cache):
    target = cache.answers(Answer(FRESH, b"Vary: Foo"))
    for number in range(1, 6):
        cache.ask(target, b"Foo: %d" % number)
    for number in (3, 1, 5, 2, 4):
        assert_hit(cache.ask(target, b"Foo: %d" % number), number)
    assert len(cache.seen(target)) == 5


def test_an_answer_with_another_vary_is_selected_by_its_own_fields(cache):
    target = cache.answers(Answer(FRESH, b"Vary: Foo"), Answer(FRESH, b"Vary: Foo, Bar"))
    cache.ask(target, b"Foo: 1", b"Bar: 1")
    assert_forwarded(cache.ask(target, b"Foo: 2", b"Bar: 1"), "vary-miss", 2)
    assert_hit(cache.ask(target, b"Foo: 2", b"Bar: 1"), 2)
    assert number_or_forwarded(cache.ask(target, b"Foo: 2", b"Bar: 2")) != 2


def number_or_forwarded(answer):
    return 0 if "fwd" in cache_status(answer) else int(answer.body.removeprefix(b"body "))


def test_an_answer_without_vary_does_not_serve_what_an_earlier_vary_told_apart(cache):
    target = cache.answers(Answer(FRESH, b"Vary: Foo"), Answer(FRESH))
    cache.ask(target, b"Foo: 1")
    assert_forwarded(cache.ask(target, b"Foo: 2"), "vary-miss", 2)
    assert_hit(cache.ask(target, b"Foo: 2"), 2)


def test_a_variant_is_revalidated_with_its_own_validator_and_fields(cache):
    tagged = [Answer(FRESH, b"Vary: Foo", b"Age: 7200", b'ETag: "%d"' % number) for number in (1, 2)]
    target = cache.answers(*tagged, Answer(FRESH, status=b"304 Not Modified", date=True))
    cache.ask(target, b"Foo: 1")
    cache.ask(target, b"Foo: 2")
    answer = cache.ask(target, b"Foo: 1")
    seen = cache.seen(target)[2]
    assert seen.values("Foo") == [b"1"] and b'"1"' in b",".join(seen.values("If-None-Match"))
    assert answer.status == 200 and answer.body == b"body 1"


def test_only_a_get_of_the_same_variant_is_answered_for_head(cache):
    target = cache.answers(Answer(FRESH, b"Vary: Foo"))
    cache.ask(target, b"Foo: 1")
    assert cache_status(cache.ask(target, b"Foo: 1", method=b"HEAD")).get("hit")
    assert cache_status(cache.ask(target, b"Foo: 2", method=b"HEAD"))["fwd"] == "vary-miss"


def test_clients_with_the_same_credential_share_what_varies_by_authorization(make_cache):
    stage = make_cache(start=False)
    other = stage.gateway.add_client("other")
    stage.start()
    target = stage.answers(Answer(FRESH, b"Vary: Authorization, X-Api-Key, Host"))
    stage.ask(target)
    assert_hit(stage.ask(target, token=other))
