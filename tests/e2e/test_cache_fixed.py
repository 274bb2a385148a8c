"""The mode with fixed rules: the fetch is the gateway's own, and what it may bring into the store."""

import gzip
import threading

import pytest
from support.cache import Answer, Dropped, Silent, age_of, assert_forwarded, assert_hit, cache_status, number_of
from support.gateway import write_private
from support.stage import assert_gateway_error
from support.waiting import wait_until

pytest_plugins = ["support.cache"]
OPERATIONS = [
    {"id": "session", "method": "GET", "path": "/v1/auth/session", "cache": {"scope": "session", "ttl": "1h"}},
    {"id": "fixed", "method": "GET", "path": "/v1/fixed/{name}", "cache": {"scope": "fixed", "ttl": "1h"}},
    {"id": "brief", "method": "GET", "path": "/v1/brief/{name}", "cache": {"scope": "brief", "ttl": "50ms", "stale_if_error": "1h"}},
    {"id": "bounded", "method": "GET", "path": "/v1/bounded/{name}", "cache": {"scope": "brief", "ttl": "50ms", "stale_if_error": "300ms"}},
    {"id": "strict", "method": "GET", "path": "/v1/strict/{name}", "cache": {"scope": "brief", "ttl": "50ms"}},
    {"id": "revalidated", "method": "GET", "path": "/v1/revalidated/{name}",
     "cache": {"scope": "brief", "ttl": "50ms", "stale_while_revalidate": "1h"}},
]
LARGE = b"x" * 1500000  # more than the whole memory of the caches that get it


def fixed(cache, *answers):
    return cache.answers(*answers, under=b"fixed")


# -- the request --------------------------------------------------------------------------------------------

COLOURS = [b"User-Agent: someone/1.0", b"Accept: text/html", b"Accept-Encoding: gzip, br", b"Accept-Language: de", b"accept: */*", b"Origin: http://elsewhere.test",
           b"Referer: http://elsewhere.test/", b"X-Forwarded-For: 192.0.2.1", b"X-Anything: 1", b"Via: 1.1 before", b"traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
           b"Connection: X-Anything", b"Prefer: return=minimal", b"Cache-Control: no-cache", b"Pragma: no-cache", b'If-None-Match: "a"', b"TE: trailers", b"X-Api-Key: @TOKEN@"]


def assert_own_request(cache, request, target):
    expected = [b"Host: @HOST@", b"Accept: application/json", b"Accept-Encoding: identity", b"Authorization: Bearer @KEY@", b"Via: 1.1 psgate"]
    assert request.start == b"GET %b HTTP/1.1" % target
    assert sorted(request.lines) == sorted(map(cache.fill, expected))
    assert request.body == b""


@pytest.mark.parametrize("query", [b"", b"?a=1&b=%20;c", b"?"])
def test_the_fetch_is_the_gateways_own_request(cache, query):
    target = fixed(cache) + query
    assert_forwarded(cache.ask(target), "miss", 1, stored=True)
    assert_own_request(cache, cache.seen(target)[0], target)


@pytest.mark.parametrize("line", COLOURS, ids=lambda line: line.partition(b":")[0].decode())
def test_nothing_that_a_client_sends_is_in_the_fetch(cache, line):
    target = fixed(cache)
    assert number_of(cache.ask(target, cache.fill(line))) == 1
    assert_own_request(cache, cache.seen(target)[0], target)
    assert_hit(cache.ask(target), 1)


def test_the_clients_spelling_of_a_request_is_not_in_the_fetch(cache):
    target = fixed(cache)
    with cache.connect() as client:
        answer = client.ask(cache.fill(b"GET http://gateway.test" + target + b" HTTP/1.0\r\nhost:gateway.test\r\nAUTHORIZATION:  bearer @TOKEN@\r\n\r\n"))
    assert number_of(answer) == 1
    assert_own_request(cache, cache.seen(target)[0], target)


@pytest.mark.parametrize("line", [b"Cookie: a=b", b"Range: bytes=0-1"])
def test_a_request_that_may_not_be_answered_from_the_cache_goes_through_as_it_is(cache, line):
    target = fixed(cache)
    cache.ask(target)
    assert_forwarded(cache.ask(target, line, b"X-Anything: 1"), "bypass", 2, stored=False)
    assert {line, b"X-Anything: 1"} <= set(cache.seen(target)[1].lines)
    assert_hit(cache.ask(target), 1)


def test_a_request_with_a_body_goes_through_as_it_is(cache):
    target = fixed(cache)
    cache.ask(target)
    assert_forwarded(cache.ask(target, b"Content-Length: 3", body=b"abc"), "bypass", 2, stored=False)
    assert cache.seen(target)[1].body == b"abc"


# -- what is stored -----------------------------------------------------------------------------------------

WHATEVER = [b"Cache-Control: no-store", b"Cache-Control: private", b"Cache-Control: max-age=0", b"Cache-Control: no-cache", b"Expires: 0", b"Vary: *", b"Vary: Accept", b"Age: 7200", b"Pragma: no-cache"]


@pytest.mark.parametrize("line", WHATEVER, ids=lambda line: line.decode())
def test_the_rules_ttl_counts_whatever_upstream_says(cache, line):
    target = fixed(cache, Answer(line))
    assert_forwarded(cache.ask(target), "miss", 1, stored=True)
    assert cache_status(cache.ask(target)).get("hit") is True
    assert len(cache.seen(target)) == 1


OTHERS = [b"201 Created", b"202 Accepted", b"203 Non-Authoritative Information", b"204 No Content", b"206 Partial Content", b"301 Moved Permanently", b"304 Not Modified", b"400 Bad Request",
          b"404 Not Found", b"410 Gone", b"429 Too Many Requests", b"500 Internal Server Error", b"503 Service Unavailable"]


@pytest.mark.parametrize("status", OTHERS, ids=lambda status: status[:3].decode())
def test_only_200_is_stored(cache, status):
    target = fixed(cache, Answer(b"Cache-Control: max-age=3600", status=status))
    for number in (1, 2):
        answer = cache.ask(target)
        assert answer.start == b"HTTP/1.1 " + status and answer.value("X-Number") == b"%d" % number
        assert cache_status(answer)["fwd"] == "miss" and not cache_status(answer).get("stored")


def assert_never_stored(cache, target, body=None):
    for number in (1, 2):
        answer = cache.ask(target)
        assert answer.status == 200 and answer.value("X-Number") == b"%d" % number, "it was stored"
        assert cache_status(answer)["fwd"] == "miss" and not cache_status(answer).get("stored")
        assert body is None or answer.body == body


@pytest.mark.parametrize("line", [b"Set-Cookie: a=b", b"set-cookie: a=b; Secure", b"SET-COOKIE:"])
def test_an_answer_with_set_cookie_is_never_stored(cache, line):
    assert_never_stored(cache, fixed(cache, Answer(line)))


BOM = "\ufeff"
NULLS = {"plain": b"null", "spaces": b" \r\n\t null \n", "bom": (BOM + "null").encode(), "utf-16": (BOM + "null").encode("utf-16-le"), "utf-16-be": (BOM + "null").encode("utf-16-be"),
         "utf-16-without-bom": "null".encode("utf-16-le"), "utf-16-be-without-bom": " null ".encode("utf-16-be"), "utf-32": (BOM + "null").encode("utf-32-le"), "utf-32-be": "null".encode("utf-32-be")}
CODED = {"gzip": b"gzip", "x-gzip": b"x-gzip", "capitals": b"GZIP", "listed": b"identity, gzip"}


@pytest.mark.parametrize("framing", ["length", "chunked"])
@pytest.mark.parametrize("body", NULLS.values(), ids=NULLS.keys())
def test_a_null_session_is_never_stored(make_null, body, framing):
    make_null(b"Content-Type: application/json", body=body, framing=framing)


@pytest.mark.parametrize("coding", CODED.values(), ids=CODED.keys())
def test_a_null_session_is_never_stored_when_it_is_encoded(make_null, coding):
    make_null(b"Content-Encoding: " + coding, body=gzip.compress(b"null"))


@pytest.mark.parametrize("line", [b"Content-Encoding: identity", b"Content-Encoding:", b"Content-Type: text/plain", b"Cache-Control: max-age=3600, public"])
def test_a_null_session_is_never_stored_whatever_is_said_of_it(make_null, line):
    make_null(line, body=b"null")


@pytest.fixture
def make_null(cache):
    def check(*lines, body, **options):
        assert_never_stored(cache, fixed(cache, Answer(*lines, body=body, **options)), body)

    return check


@pytest.mark.parametrize("body", [b'"null"', b"nullable", b'{"user":null}', b"[null]"])
def test_what_only_resembles_null_is_stored(cache, body):
    target = fixed(cache, Answer(body=body))
    assert cache_status(cache.ask(target)).get("stored") is True
    answer = cache.ask(target)
    assert cache_status(answer).get("hit") and answer.body == body


def test_a_session_is_fetched_until_there_is_one(make_cache):
    stage, target = make_cache(operations=OPERATIONS), b"/v1/auth/session"
    stage.answers(Answer(body=b"null"), Answer(body=b"null\n"), Answer(), target=target)
    assert [stage.ask(target).body for _ in range(3)] == [b"null", b"null\n", b"body 3"]
    assert_hit(stage.ask(target), 3, ttl=3600)


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_an_oversize_answer_is_given_whole_but_not_stored(make_cache, framing):
    stage = make_cache(config={"cache": {"memory": "1MiB"}})
    assert_never_stored(stage, fixed(stage, Answer(body=LARGE, framing=framing)), LARGE)


# -- whose it is ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_an_oversize_answer_drops_the_older_one(make_cache, framing):
    stage = make_cache(config={"cache": {"memory": "1MiB"}})
    target = stage.answers(Answer(), Answer(body=LARGE, framing=framing), Dropped(), under=b"fixed")
    stage.ask(target)
    assert_hit(stage.ask(target), 1)
    assert stage.ask(target, b"Cache-Control: no-cache").body == LARGE
    assert_gateway_error(stage.ask(target), 502)


def test_a_hit_is_as_old_as_upstream_said_and_then_some(cache):
    target = fixed(cache, Answer(b"Age: 100"))
    cache.ask(target)
    hit = cache.ask(target)
    assert_hit(hit, 1, ttl=3600)
    assert 100 <= age_of(hit) <= 160
    assert_forwarded(cache.ask(target, b"Cache-Control: max-age=99"), "request", 2, stored=True)


def test_the_query_as_sent_is_part_of_the_key(cache):
    path = fixed(cache)
    targets = [path + query for query in (b"", b"?", b"?a=1", b"?a=2", b"?A=1", b"?a=1&b=2", b"?b=2&a=1", b"?a=%31", b"?a=1&")]
    for target in targets:
        assert_forwarded(cache.ask(target), "miss", 1, stored=True)
    for target in targets:
        assert_hit(cache.ask(target), 1)
        assert len(cache.seen(target)) == 1


def test_different_credentials_never_share_and_clients_of_one_do(make_cache):
    stage = make_cache(start=False)
    second = write_private(stage.gateway.folder / "second-key", "key-of-the-second-credential\n")
    stage.gateway.config["credentials"]["second"] = {"api_key_file": second.name}
    stage.gateway.write_config(stage.gateway.config)
    colleague = stage.gateway.add_client("colleague")
    other = stage.gateway.add_client("other", credential="second")
    stage.start()
    target = fixed(stage)
    assert_forwarded(stage.ask(target), "miss", 1, stored=True)
    assert_forwarded(stage.ask(target, token=other), "miss", 2, stored=True)
    keys = [seen.value("Authorization") for seen in stage.seen(target)]
    assert keys == [stage.fill(b"Bearer @KEY@"), b"Bearer key-of-the-second-credential"]
    assert_hit(stage.ask(target), 1)
    assert_hit(stage.ask(target, token=colleague), 1)
    assert_hit(stage.ask(target, token=other), 2)


SPELLINGS = {"case": lambda target: target.replace(b"/fixed/", b"/Fixed/"), "version": lambda target: target.replace(b"/v1/", b"/V1/"), "slash": lambda target: target + b"/",
             "encoded": lambda target: target.replace(b"/fixed/", b"/f%69xed/")}


@pytest.mark.parametrize("respell", SPELLINGS.values(), ids=SPELLINGS.keys())
def test_only_the_exact_spelling_is_cached(cache, respell):
    target = fixed(cache)
    cache.ask(target)
    other = respell(target)
    for number in (1, 2):
        assert_forwarded(cache.ask(other, b"X-Anything: 1"), "bypass", number, stored=False)
        assert b"X-Anything: 1" in cache.seen(other)[number - 1].lines
    assert_hit(cache.ask(target), 1)


def test_another_spelling_of_a_parameter_is_fetched_as_it_is_spelled(cache):
    target = fixed(cache)
    cache.ask(target)
    other = target.replace(b"/thing-", b"/%74hing-")
    assert number_of(cache.ask(other)) == 1 and len(cache.seen(other)) == 1
    assert_hit(cache.ask(target), 1)


# -- stale answers ---------------------------------------------------------------------------------------------


def stored_and_stale(stage, under, *answers):
    """A target whose answer was stored and has become stale."""
    target = stage.answers(Answer(), *answers, under=under)
    assert_forwarded(stage.ask(target), "miss", 1, stored=True)
    wait_until(lambda: stage.ask(target, b"Cache-Control: only-if-cached").status == 504, "the answer to become stale")
    return target


def assert_bridged(stage, target):
    answer = stage.ask(target)
    assert (answer.status, number_of(answer)) == (200, 1) and age_of(answer) >= 0
    assert not cache_status(answer).get("stored")


@pytest.fixture
def make_brief(make_cache):
    def make(**config):
        return make_cache(operations=OPERATIONS, config={"cache": {"stale_after": "20s"}, **config})

    return make


def test_hits_go_on_when_upstream_is_gone(make_brief):
    stage = make_brief()
    target = fixed(stage)
    stage.ask(target)
    stage.origin.stop()
    for _ in range(3):
        assert_hit(stage.ask(target), 1, ttl=3600)
    assert_gateway_error(stage.ask(target + b"?a=1"), 502, 503)


def test_a_stale_answer_is_served_while_upstream_is_down(make_brief):
    stage = make_brief()
    target = stored_and_stale(stage, b"brief")
    stage.origin.stop()
    for _ in range(3):
        assert_bridged(stage, target)


FAILURES = {"500": Answer(status=b"500 Internal Server Error"), "503": Answer(status=b"503 Service Unavailable"), "closed": Dropped(), "cut": Dropped(count=20)}


@pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES.keys())
def test_a_stale_answer_is_served_when_upstream_fails(make_brief, failure):
    stage = make_brief()
    target = stored_and_stale(stage, b"brief", failure)
    for _ in range(3):
        assert_bridged(stage, target)


def test_a_stale_answer_is_served_when_upstream_takes_too_long(make_brief):
    stage = make_brief(upstream={"response_timeout": "300ms"})
    assert_bridged(stage, stored_and_stale(stage, b"brief", Silent()))


@pytest.mark.parametrize("under", [b"bounded", b"strict"])
def test_no_stale_answer_is_served_beyond_stale_if_error(make_brief, under):
    stage = make_brief()
    target = stored_and_stale(stage, under)
    stage.origin.stop()
    wait_until(lambda: stage.ask(target).status != 200, "the end of stale_if_error")
    assert_gateway_error(stage.ask(target), 502, 503)


@pytest.mark.parametrize("under, is_served", [(b"brief", True), (b"strict", False)], ids=["allowed", "forbidden"])
def test_a_slow_upstream_is_bridged_after_stale_after(make_brief, under, is_served):
    stage, release = make_brief(cache={"stale_after": "100ms"}), threading.Event()
    target = stored_and_stale(stage, under, Answer(after=release))
    try:
        with stage.send(target) as client:
            stage.wait_seen(target, 2)
            if is_served:
                assert number_of(client.read_response()) == 1
            else:
                assert not client.is_readable(0.5)
            release.set()
            if is_served:
                wait_until(lambda: number_of(stage.ask(target)) > 1, "the slow answer")
            else:
                assert number_of(client.read_response()) == 2
    finally:
        release.set()


def test_a_stale_answer_is_served_while_one_fetch_goes_on_behind_it(make_brief):
    stage, release = make_brief(), threading.Event()
    target = stage.answers(Answer(), Answer(after=release), under=b"revalidated")
    stage.ask(target)
    try:
        wait_until(lambda: cache_status(stage.ask(target)).get("ttl", 0) < 0, "the answer to become stale")
        stage.wait_seen(target, 2)
        for _ in range(3):
            assert_hit(stage.ask(target), 1)
        assert len(stage.seen(target)) == 2
        assert_own_request(stage, stage.seen(target)[1], target)
    finally:
        release.set()
    wait_until(lambda: number_of(stage.ask(target)) > 1, "the new answer")
