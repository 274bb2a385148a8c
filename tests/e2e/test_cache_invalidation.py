"""Invalidation by unsafe methods of the same URI, Location and Content-Location (RFC 9111 4.4)."""

import pytest
from support.cache import FRESH, SHARED_CONFIG, Answer, Dropped, assert_hit, cache_status, number_of

pytest_plugins = ["support.cache"]
METHODS = [b"POST", b"PUT", b"PATCH", b"DELETE", b"M-SEARCH", b"PROPPATCH"]


def change(cache, target, *lines, method=b"POST"):
    return cache.ask(target, *lines, b"Content-Length: 3", method=method, body=b"abc")


def stored(cache, *answers):
    target = cache.answers(*(answers or [Answer(FRESH)]))
    cache.ask(target)
    assert_hit(cache.ask(target))
    return target


def assert_gone(cache, target):
    assert "fwd" in cache_status(cache.ask(target)), "it is still served from the store"


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("status", [b"200 OK", b"201 Created", b"204 No Content", b"303 See Other"])
def test_a_successful_unsafe_request_invalidates_its_own_target(cache, method, status):
    target = stored(cache, Answer(FRESH), Answer(status=status), Answer(FRESH))
    change(cache, target, method=method)
    assert_gone(cache, target)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("status", [b"400 Bad Request", b"404 Not Found", b"500 Internal Server Error", b"503 Service Unavailable"])
def test_a_failed_unsafe_request_invalidates_nothing(cache, method, status):
    target = stored(cache, Answer(FRESH), Answer(status=status), Answer(FRESH))
    change(cache, target, method=method)
    assert_hit(cache.ask(target), 1)


@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"OPTIONS"])
def test_a_safe_request_invalidates_nothing(cache, method):
    target = stored(cache)
    cache.ask(target, b"Cookie: a=b", method=method)
    assert_hit(cache.ask(target), 1)


def test_another_target_stays(cache):
    target, query = stored(cache), b"?a=1"
    cache.ask(target + query)
    change(cache, target)
    assert_gone(cache, target)
    assert_hit(cache.ask(target + query), 1)


def test_all_variants_of_the_target_go(cache):
    target = cache.answers(Answer(FRESH, b"Vary: Foo"))
    for value in (b"1", b"2"):
        cache.ask(target, b"Foo: " + value)
        assert cache_status(cache.ask(target, b"Foo: " + value)).get("hit")
    change(cache, target, b"Foo: 1")
    for value in (b"1", b"2"):
        assert "fwd" in cache_status(cache.ask(target, b"Foo: " + value))


SAME_HOST = {"path": b"%(path)b", "relative": b"../cached/%(name)b", "dotted": b"./../cached/%(name)b", "absolute": b"http://@HOST@%(path)b", "scheme-less": b"//@HOST@%(path)b", "host-in-capitals": b"HTTP://@HOST@%(path)b"}
OTHER_HOST = {"host": b"http://elsewhere.test%(path)b", "port": b"http://127.0.0.1:1%(path)b", "scheme-less": b"//elsewhere.test%(path)b", "scheme": b"ftp://@HOST@%(path)b",
              "user-info": b"http://@HOST@@elsewhere.test%(path)b", "host-prefix": b"http://@HOST@.elsewhere.test%(path)b"}


def location(cache, template, target):
    return cache.fill(template % {b"path": target, b"name": target.rpartition(b"/")[2]})


@pytest.mark.parametrize("template", SAME_HOST.values(), ids=SAME_HOST.keys())
@pytest.mark.parametrize("field", [b"Location: ", b"Content-Location: "])
@pytest.mark.parametrize("method", [b"POST", b"M-SEARCH"])
def test_what_location_names_on_the_same_host_is_invalidated(cache, template, field, method):
    target = stored(cache)
    changed = cache.answers(Answer(field + location(cache, template, target), status=b"201 Created"), under=b"changes")
    change(cache, changed, method=method)
    assert_gone(cache, target)


@pytest.mark.parametrize("template", OTHER_HOST.values(), ids=OTHER_HOST.keys())
@pytest.mark.parametrize("field", [b"Location: ", b"Content-Location: "])
def test_what_location_names_on_another_host_stays(cache, template, field):
    target = stored(cache)
    changed = cache.answers(Answer(field + location(cache, template, target), status=b"201 Created"), under=b"changes")
    change(cache, changed)
    assert_hit(cache.ask(target), 1)


def test_a_location_of_a_failed_change_invalidates_nothing(cache):
    target = stored(cache)
    changed = cache.answers(Answer(b"Location: " + target, b"Content-Location: " + target, status=b"409 Conflict"), under=b"changes")
    change(cache, changed)
    assert_hit(cache.ask(target), 1)


def test_a_location_of_a_get_invalidates_nothing(cache):
    target = stored(cache)
    cache.ask(cache.answers(Answer(b"Location: " + target, status=b"302 Found")))
    assert_hit(cache.ask(target), 1)


@pytest.mark.parametrize("value", [b"", b"http://", b"//", b"\\\\", b"/" + b"x" * 9000, b"http://[::1", b"/v1/%zz"], ids=["empty", "no-host", "slashes", "backslashes", "long", "bracket", "encoding"])
def test_a_location_that_is_none_does_no_harm(cache, value):
    target = stored(cache)
    changed = cache.answers(Answer(b"Location: " + value, status=b"201 Created"), under=b"changes")
    assert change(cache, changed).status == 201
    assert_hit(cache.ask(target), 1)


def test_a_stored_answer_is_not_served_again_after_an_unsafe_request_with_an_unknown_end(make_cache):
    stage = make_cache(config=SHARED_CONFIG)
    target = stored(stage, Answer(FRESH), Dropped(), Answer(FRESH))
    assert change(stage, target).status == 502
    assert number_of(stage.ask(target)) != 1
