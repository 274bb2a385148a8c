"""What is stored, and for how long it is fresh: upstream's own fields rule (RFC 9111)."""

import pytest
from support.cache import FRESH, STALE, Answer, age_of, assert_forwarded, assert_hit, cache_status

pytest_plugins = ["support.cache"]


def ids(table):
    return [b" | ".join(row).decode("latin-1") if isinstance(row, tuple) else str(row) for row in table]


def cc(*values):
    return tuple(b"Cache-Control: " + value for value in values)


def assert_reused(cache, answer):
    target, first, second = cache.asked_twice(answer)
    assert_forwarded(first, "miss", 1, stored=True)
    assert_hit(second, 1)
    assert len(cache.seen(target)) == 1
    return second


def assert_not_reused(cache, answer):
    target, first, second = cache.asked_twice(answer)
    assert "fwd" in cache_status(first) and "fwd" in cache_status(second)
    assert len(cache.seen(target)) == 2
    return first, second


# -- Cache-Control of the answer -----------------------------------------------------------------------

MAKES_FRESH = [
    cc(b"max-age=3600"), cc(b"MaX-aGe=3600"), cc(b"s-maxage=3600"), cc(b"S-MAXAGE=3600"),
    cc(b'max-age="3600"'), cc(b's-maxage="3600"'), cc(b"max-age=003600"),
    cc(b"foobar, max-age=3600"), cc(b"max-age=3600, foobar"), cc(b"foobar=1, max-age=3600"),
    cc(b'foobar="a, b", max-age=3600'), cc(b'foobar="max-age=0", max-age=3600'), cc(b'max-age=3600, foobar="max-age=0"'),
    cc(b'foobar="no-store", max-age=3600'), cc(b'foobar="private, no-cache", max-age=3600'),
    cc(b'foobar="a\\"b, no-store, c", max-age=3600'), cc(b'foobar="\\\\", max-age=3600'),
    cc(b",max-age=3600"), cc(b"max-age=3600,"), cc(b" , , max-age=3600 , "), cc(b"\tmax-age=3600\t,\tpublic"),
    cc(b"public,max-age=3600"), cc(b"public", b"max-age=3600"), cc(b"max-age=3600", b"public"), cc(b"", b"max-age=3600"),
    cc(b"max-age=2147483647"), cc(b"max-age=2147483648"), cc(b"max-age=2147483649"), cc(b"max-age=4294967296"),
    cc(b"max-age=99999999999"), cc(b"max-age=18446744073709551616"), cc(b"max-age=1" + b"0" * 40),
    cc(b"max-age=0, s-maxage=3600"), cc(b"s-maxage=3600, max-age=0"), cc(b"max-age=0", b"s-maxage=3600"),
    (*cc(b"max-age=3600"), b"Expires: @-7200@"), (*cc(b"max-age=3600"), b"Expires: 0"),
    (*cc(b"max-age=0, s-maxage=3600"), b"Expires: @-10@"),
    cc(b"max-age=3600, must-revalidate"), cc(b"max-age=3600, proxy-revalidate"), cc(b"max-age=3600, immutable"),
    cc(b"max-age=3600, no-transform"), cc(b"max-age=3600, stale-if-error=60, stale-while-revalidate=60"),
    cc(b"max-age=3600, max-age=3600"), cc(b"max-age=3600", b"max-age=3600"),
    cc(b"max-age=3600, no-storex"), cc(b"max-age=3600, xno-store"), cc(b"max-age=3600, no_store"),
    cc(b"max-age=3600, privately"), cc(b"max-age=3600, no-cachet"),
    cc(b"max-age=3600, must-understand"), cc(b"max-age=3600, no-store, must-understand"),
    cc(b"must-understand, no-store, max-age=3600"), cc(b"max-age=3600, only-if-cached"), cc(b"max-age=3600, max-stale=0"),
    (FRESH, b"Pragma: no-cache"), (FRESH, b"Pragma: foobar"), (FRESH, b"Content-Disposition: attachment; filename=a.txt"),
    (b"cache-control: max-age=3600",), (b"CACHE-CONTROL:max-age=3600",), (FRESH, b"Warning: 110 - \"Response is Stale\""),
]


@pytest.mark.parametrize("lines", MAKES_FRESH, ids=ids(MAKES_FRESH))
def test_a_fresh_answer_is_reused(cache, lines):
    assert_reused(cache, Answer(*lines))


NEVER_REUSED = [
    cc(b"max-age=0"), cc(b"s-maxage=0"), cc(b"max-age=-1"), cc(b"max-age=-3600"), cc(b"max-age=a3600"), cc(b"max-age=3600a"),
    cc(b"max-age=3600.5"), cc(b"max-age=0x3600"), cc(b"max-age=+3600"), cc(b"max-age='3600'"), cc(b"max-age"), cc(b"max-age="), cc(b'max-age=""'),
    cc(b"max-age =3600"), cc(b"max-age= 3600"), cc(b"max-age:3600"), cc(b"max-age;3600"), cc(b"maxage=3600"),
    cc(b"max-age=1 2"), cc(b'max-age="3600'), cc(b"public"), cc(b"foobar"), cc(b"must-revalidate"), cc(b""), cc(b","), cc(b"immutable"),
    cc(b"max-age=3600, s-maxage=0"), cc(b"s-maxage=0, max-age=3600"), cc(b"max-age=3600", b"s-maxage=0"),
    cc(b"max-age=3600, s-maxage=abc"), cc(b"max-age=3600, s-maxage"), cc(b"max-age=3600, S-MaxAge=0"),
    cc(b"max-age=0, max-age=3600"), cc(b"max-age=0", b"max-age=3600"), cc(b"s-maxage=0, s-maxage=3600"),
    cc(b'foobar="max-age=3600", max-age=0'), cc(b'max-age=0, foobar="max-age=3600"'), cc(b'foobar="max-age=3600"'),
    (*cc(b"max-age=0"), b"Expires: @+3600@"), (*cc(b"max-age=abc"), b"Expires: @+3600@"), (*cc(b"s-maxage=0"), b"Expires: @+3600@"),
    cc(b"no-store"), cc(b"nO-StOrE"), cc(b"max-age=3600, no-store"), cc(b"no-store, max-age=3600"), cc(b"max-age=3600", b"no-store"),
    cc(b"no-store", b"max-age=3600"), cc(b"max-age=3600,no-store"), cc(b"max-age=3600 , no-store "), cc(b"max-age=3600,\tNO-STORE"),
    cc(b"max-age=3600, no-store=1"), cc(b"max-age=3600, public, no-store"), cc(b'max-age=3600, foobar="a", no-store'),
    cc(b'max-age=3600, foobar="a\\\\", no-store'), (*cc(b"max-age=3600, no-store"), b"Expires: @+3600@"),
    cc(b"private"), cc(b"private, max-age=3600"), cc(b"max-age=3600, PRIVATE"), cc(b"max-age=3600", b"private"),
    cc(b"private, s-maxage=3600"), cc(b"private, public, max-age=3600"), (*cc(b"private"), b"Expires: @+3600@"),
    cc(b"no-cache"), cc(b"max-age=3600, no-cache"), cc(b"No-CaChE, max-age=3600"), cc(b"max-age=3600", b"no-cache"),
    (*cc(b"no-cache"), b"Expires: @+3600@"), cc(b"s-maxage=3600, no-cache"),
    (*cc(b"no-cache"), b"Expires: @+3600@", b"Last-Modified: @-86400@"),
]


@pytest.mark.parametrize("lines", NEVER_REUSED, ids=ids(NEVER_REUSED))
def test_an_answer_that_is_not_fresh_is_fetched_again(cache, lines):
    assert_not_reused(cache, Answer(*lines))


@pytest.mark.parametrize("lines", [cc(b"max-age=3600, max-age=0"), cc(b"max-age=3600", b"max-age=0")], ids=str)
def test_of_repeated_directives_the_first_counts_or_the_answer_is_stale(cache, lines):
    _, first, second = cache.asked_twice(Answer(*lines))
    assert_forwarded(first, "miss", 1)
    assert cache_status(second).get("hit") or cache_status(second)["fwd"] in ("stale", "miss")


NOT_STORED = [cc(b"no-store"), cc(b"no-store, max-age=0"), cc(b"private"), cc(b"private, max-age=0"), cc(b"no-store, no-cache, private, max-age=0")]


@pytest.mark.parametrize("lines", NOT_STORED, ids=ids(NOT_STORED))
def test_an_answer_that_may_not_be_stored_leaves_no_validator_behind(cache, lines):
    target, first, second = cache.asked_twice(Answer(*lines, b'ETag: "a"', b"Last-Modified: @-86400@"))
    assert_forwarded(first, "miss", 1, stored=False)
    assert_forwarded(second, "miss", 2, stored=False)
    assert not cache.seen(target)[1].values("If-None-Match") + cache.seen(target)[1].values("If-Modified-Since")


STORED_FIELD_NAMES = [
    (b'Cache-Control: max-age=3600, no-cache="x-a"', {"X-A"}), (b'Cache-Control: no-cache="X-A", max-age=3600', {"X-A"}),
    (b'Cache-Control: no-cache="x-a, X-B", max-age=3600', {"X-A", "X-B"}), (b'Cache-Control: no-cache="x-a,,  x-b ", max-age=3600', {"X-A", "X-B"}),
    (b"Cache-Control: no-cache=x-a, max-age=3600", {"X-A"}), (b'Cache-Control: private="x-a", max-age=3600', {"X-A"}),
    (b'Cache-Control: PRIVATE="x-a, x-b", max-age=3600', {"X-A", "X-B"}), (b'Cache-Control: no-cache="x-a", private="x-b", max-age=3600', {"X-A", "X-B"}),
]


@pytest.mark.parametrize("line, names", STORED_FIELD_NAMES, ids=[line.decode() for line, _ in STORED_FIELD_NAMES])
def test_fields_that_no_cache_or_private_names_are_never_served_from_the_store(cache, line, names):
    _, first, second = cache.asked_twice(Answer(line, b"X-A: 1", b"X-B: 2", b"X-C: 3"))
    assert [first.value(name) for name in ("X-A", "X-B", "X-C")] == [b"1", b"2", b"3"]
    if cache_status(second).get("hit"):
        assert {name for name in ("X-A", "X-B", "X-C") if not second.values(name)} == names


# -- Expires, Date and Age -------------------------------------------------------------------------------

FRESH_BY_DATES = [
    (b"Expires: @+3600@",), (b"Expires: @+2592000@",), (b"Expires: Tue, 19 Jan 2038 14:14:08 GMT",), (b"Expires: Sun, 21 Nov 2286 04:46:39 GMT",),
    (b"Expires: Fri, 31 Dec 9999 23:59:59 GMT",), (b"Expires: Thursday, 18-Aug-50 02:01:18 GMT",), (b"Expires: Thu Aug  8 02:01:18 2050",),
    (b"Expires: Thu Aug 18 02:01:18 2050",), (b"Expires: THU, 18 Aug 2050 02:01:18 GMT",), (b"Expires: Thu, 18 AUG 2050 02:01:18 GMT",),
    (b"Expires: Thu, 18 Aug 2050 02:01:18 gMT",), (b"Date: foo", b"Expires: @+3600@"), (b"Expires: @+3600@", b"Cache-Control: public"),
    (b"Expires: @+3600@", b"Cache-Control: foobar"), (b"Date: @+7200@", FRESH), (b"Date: foo", FRESH), (b"Date: @-3000@", FRESH),
    (b"Date: @-100@", b"Expires: @+3600@"), (b"Date: @+500@", b"Expires: @+4000@"), (FRESH, b"Age: 3000"), (b"Expires: @+3600@", b"Age: 3000"),
    (FRESH, b"Age: 0"), (FRESH, b"Age: abc"), (FRESH, b"Age: -7200"), (FRESH, b"Age: 7200.0"), (FRESH, b"Age:"), (FRESH, b"Age: 0, 7200"),
    (FRESH, b"Age: 0", b"Age: 7200"), (FRESH, b"Age: 0, 0"), (FRESH, b"Age: 0", b"Age: 0"), (FRESH, b"Age: 3000", b"Age: 3000"), (FRESH, b"Age: \t 10 "),
]


@pytest.mark.parametrize("lines", FRESH_BY_DATES, ids=ids(FRESH_BY_DATES))
def test_an_answer_fresh_by_its_dates_is_reused(cache, lines):
    assert_reused(cache, Answer(*lines))


STALE_BY_DATES = [
    (b"Expires: @-2592000@",), (b"Expires: @0@",), (b"Date: @+400@", b"Expires: @+300@"), (b"Expires: 0",), (b"Expires: -1",), (b"Expires:",), (b"Expires: soon",),
    (b"Expires: Thu, 18 Aug 2050 02:01:18 UTC",), (b"Expires: Thu, 18 Aug 2050 02:01:18 AEST",), (b"Expires: Thu, 18 Aug 2050 02:01:18 +0000",),
    (b"Expires: Thu, 18 Aug 2050 02:01:18",), (b"Expires: Thu, 18 Aug 50 02:01:18 GMT",), (b"Expires: Thu 18 Aug 2050 02:01:18 GMT",),
    (b"Expires: Thu, 18  Aug  2050 02:01:18 GMT",), (b"Expires: Thu, 18-Aug-2050 02:01:18 GMT",), (b"Expires: Thu, 18 Aug 2050 02.01.18 GMT",),
    (b"Expires: Thu, 18 Aug 2050 2:01:18 GMT",), (b"Expires: Thu, 18 Aug 2050 25:01:18 GMT",), (b"Expires: Thu, 38 Aug 2050 02:01:18 GMT",),
    (b"Expires: Thu, 18 Avg 2050 02:01:18 GMT",), (b"Expires: 2050-08-18T02:01:18Z",), (b"Expires: 2544573678",), (b"Expires: Thu, 18 Aug 2050 02:01:18 GMT x",),
    (b"Expires: @-3600@", b"Expires: @+3600@"), (b"Expires: 0", b"Expires: @+3600@"), (b"Expires: Sunday, 06-Nov-94 08:49:37 GMT",), (b"Expires: Sun Nov  6 08:49:37 1994",),
    (b"Date: @-10@", b"Expires: @+10@", b"Age: 25"), (b"Date: @+10@", b"Expires: @+20@", b"Age: 15"), (b"Date: @-7200@", FRESH), (b"Date: @-7200@", b"Expires: @-3600@"),
    (FRESH, b"Age: 7200"), (FRESH, b"Age: 3600"), (FRESH, b"Age: 2147483647"), (FRESH, b"Age: 2147483648"), (FRESH, b"Age: 2147483649"), (FRESH, b"Age: 99999999999999999999999"),
    (FRESH, b"Age: 7200, 0"), (FRESH, b"Age: 7200", b"Age: 0"), (b"Cache-Control: s-maxage=3600, max-age=9000", b"Age: 7200"), (b"Expires: @+3600@", b"Age: 7200"),
]


@pytest.mark.parametrize("lines", STALE_BY_DATES, ids=ids(STALE_BY_DATES))
def test_an_answer_stale_by_its_dates_is_fetched_again(cache, lines):
    assert_not_reused(cache, Answer(*lines))


def test_an_answer_without_a_date_is_stored_with_one(cache):
    second = assert_reused(cache, Answer(FRESH, date=False))
    assert len(second.values("Date")) == 1


HEURISTIC = [b"200 OK", b"203 Non-Authoritative Information", b"204 No Content", b"301 Moved Permanently", b"404 Not Found",
             b"405 Method Not Allowed", b"410 Gone", b"414 URI Too Long", b"501 Not Implemented", b"500 Internal Server Error", b"503 Service Unavailable", b"299 Odd"]


@pytest.mark.parametrize("status", HEURISTIC)
@pytest.mark.parametrize("lines", [(b"Last-Modified: @-8640000@",), ()], ids=["last-modified", "nothing"])
def test_freshness_is_never_guessed(cache, status, lines):
    assert_not_reused(cache, Answer(*lines, status=status))


# -- status codes -------------------------------------------------------------------------------------------

REUSED_STATUSES = [b"200 OK", b"201 Created", b"202 Accepted", b"203 Non-Authoritative Information", b"299 Odd", b"300 Multiple Choices",
                   b"301 Moved Permanently", b"302 Found", b"303 See Other", b"307 Temporary Redirect", b"308 Permanent Redirect", b"400 Bad Request", b"404 Not Found",
                   b"405 Method Not Allowed", b"410 Gone", b"414 URI Too Long", b"418 Odd", b"451 Unavailable", b"499 Odd", b"500 Internal Server Error",
                   b"501 Not Implemented", b"502 Bad Gateway", b"503 Service Unavailable", b"504 Gateway Timeout", b"599 Odd"]


@pytest.mark.parametrize("status", REUSED_STATUSES)
def test_any_complete_answer_with_explicit_freshness_is_reused(cache, status):
    second = assert_reused(cache, Answer(FRESH, b"Location: /v1/elsewhere", status=status))
    assert second.start == b"HTTP/1.1 " + status


def test_a_204_is_reused(cache):
    target, first, second = cache.asked_twice(Answer(FRESH, status=b"204 No Content"))
    assert (first.status, second.status, second.body) == (204, 204, b"")
    assert cache_status(second).get("hit") and len(cache.seen(target)) == 1


@pytest.mark.parametrize("status", REUSED_STATUSES)
def test_a_stale_answer_of_any_status_is_fetched_again(cache, status):
    assert_not_reused(cache, Answer(b"Expires: @-5000@", status=status))


# RFC 6585 forbids storing its four; 206 and 304 are no whole answers to a plain GET.
UNSTORABLE_STATUSES = [b"206 Partial Content", b"304 Not Modified", b"416 Range Not Satisfiable", b"428 Precondition Required", b"429 Too Many Requests",
                       b"431 Request Header Fields Too Large", b"511 Network Authentication Required"]


@pytest.mark.parametrize("status", [status for status in UNSTORABLE_STATUSES if not status.startswith(b"416")])
def test_an_answer_that_its_status_forbids_to_store_is_not_reused(cache, status):
    assert_not_reused(cache, Answer(FRESH, b"Content-Range: bytes 0-5/10", status=status))


@pytest.mark.parametrize("status", [b"299 Odd", b"499 Odd", b"599 Odd"])
@pytest.mark.parametrize("line", cc(b"max-age=3600, must-understand", b"max-age=3600, no-store, must-understand"), ids=["alone", "no-store"])
def test_must_understand_keeps_unknown_statuses_out(cache, status, line):
    assert_not_reused(cache, Answer(line, status=status))


# -- other reasons not to store --------------------------------------------------------------------------------


@pytest.mark.parametrize("lines", [(b"Set-Cookie: a=b",), (b"set-cookie: a=b", b"SET-COOKIE: c=d")], ids=["one", "two"])
def test_an_answer_that_sets_a_cookie_is_not_reused(cache, lines):
    first, second = assert_not_reused(cache, Answer(FRESH, b"Cache-Control: public", *lines))
    assert first.values("Set-Cookie") == [line.partition(b": ")[2] for line in lines]
    assert cache_status(first).get("stored") is None


@pytest.mark.parametrize("extra", [(), (b"Cache-Control: public",), (b"Cache-Control: must-revalidate",)], ids=["none", "public", "must-revalidate"])
def test_the_operators_rule_permits_storing_what_needed_the_key(cache, extra):
    target = cache.answers(Answer(FRESH, *extra))
    cache.ask(target)
    assert cache.seen(target)[0].values("Authorization") == [b"Bearer " + cache.gateway.key.encode()]
    assert_hit(cache.ask(target))


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_an_answer_is_reused_however_it_was_framed(cache, framing):
    assert_reused(cache, Answer(FRESH, framing=framing))


def test_an_empty_body_is_reused(cache):
    target, first, second = cache.asked_twice(Answer(FRESH, body=b""))
    assert (second.status, second.body, len(cache.seen(target))) == (200, b"", 1)


def test_hop_by_hop_fields_are_not_stored(cache):
    _, _, second = cache.asked_twice(Answer(FRESH, b"Connection: keep-alive, X-Named", b"X-Named: 1", b"Keep-Alive: timeout=9",
                                            b"Proxy-Connection: keep-alive", b"Upgrade: h2c", b"X-Kept: 1"))
    assert_hit(second)
    assert second.values("X-Kept") == [b"1"]
    for name in ("X-Named", "Proxy-Connection", "Upgrade", "Transfer-Encoding"):
        assert not second.values(name), name


KEPT_FIELDS = [b"Test-Header: v", b"X-Test: v", b"Content-Foo: v", b"Content-Encoding: odd", b"Content-Location: /foo", b"Content-MD5: rL0Y20zC+Fzt72VPzMSk2A==",
               b"Content-Security-Policy: default-src 'self'", b"Content-Type: text/plain;charset=utf-8", b"Content-Language: de", b'ETag: "abc"', b"Expires: Fri, 01 Jan 2038 01:01:01 GMT",
               b"X-Frame-Options: deny", b"Clear-Site-Data: cache", b"Server: up", b"Link: </a>; rel=next", b"X-Empty:", b"Warning: 199 - \"x\"", b"Last-Modified: Fri, 01 Jan 2021 01:01:01 GMT",
               b"X-Latin: caf\xe9", b"Vary: X-Other"]


@pytest.mark.parametrize("line", KEPT_FIELDS, ids=[line.decode("latin-1") for line in KEPT_FIELDS])
def test_a_field_is_stored_as_it_came(cache, line):
    target, first, second = cache.asked_twice(Answer(FRESH, line))
    assert line in first.lines and line in second.lines
    assert len(cache.seen(target)) == 1


def test_repeated_fields_keep_their_order_and_the_date_stays(cache):
    lines = [b"Date: @-100@", b"X-A: 1", b"X-B: 2", b"x-a: 3", b"X-A: 1", FRESH]
    _, first, second = cache.asked_twice(Answer(*lines))
    own = ("Age", "Cache-Status", "Connection", "Keep-Alive", "Content-Length")
    assert first.others(*own) == second.others(*own)
    assert [field for field in second.fields if field[0].lower() == b"x-a"] == [(b"X-A", b"1"), (b"x-a", b"3"), (b"X-A", b"1")]
    assert age_of(second) >= 100


# -- the table's ttl, where upstream says nothing ----------------------------------------------------------------


@pytest.mark.parametrize("lines", [(), (b"Cache-Control: public",), (b"Cache-Control: foobar=1",), (b"Last-Modified: @-100@",), (b"Cache-Control:",)], ids=str)
def test_the_rules_ttl_serves_where_upstream_says_nothing(cache, lines):
    target = cache.answers(Answer(*lines), under=b"kept")
    assert_forwarded(cache.ask(target), "miss", 1, stored=True)
    assert_hit(cache.ask(target), 1, ttl=3600)


@pytest.mark.parametrize("lines", [cc(b"max-age=0"), cc(b"no-store"), cc(b"private"), cc(b"no-cache"), (b"Expires: 0",), (b"Expires: @-10@",), cc(b"max-age=abc"), STALE], ids=str)
def test_upstreams_own_word_outranks_the_rules_ttl(cache, lines):
    target = cache.answers(Answer(*lines), under=b"kept")
    cache.ask(target)
    assert "fwd" in cache_status(cache.ask(target))
    assert len(cache.seen(target)) == 2


def test_upstreams_own_lifetime_outranks_the_rules_ttl(cache):
    target = cache.answers(Answer(b"Cache-Control: max-age=100000"), under=b"kept")
    cache.ask(target)
    assert_hit(cache.ask(target), 1, ttl=100000)
