"""Rates, places and the limit towards upstream. Rates of an hour: nothing here depends on time."""

import json
import threading

from support.cache import Answer, FRESH, cache_status
from support.origin import OK, holding
from support.stage import assert_gateway_error
from support.waiting import wait_until

pytest_plugins = ["support.cache"]

PLAIN = b"/v1/plain"
WHOAMI = b"/.psgate/whoami"
CREATE = {"id": "createTeamSecret", "method": "POST", "path": "/v1/teams/{id}/secrets", "team": "id",
          "resource": {"type": "secret", "name": "body.name"}, "audit": {"record": ["name"]}}


def limited(make_stage, config=None, operations=None, start=True, **members):
    """A gateway and the token of a client `limited` with these members."""
    stage = make_stage(start=False, config=config, operations=operations)
    token = stage.gateway.add_client("limited", **members)
    if start:
        stage.start()
    return stage, token


def statuses(stage, token, count, target=PLAIN, **options):
    return [stage.get(target, token=token, **options).status for _ in range(count)]


def assert_refused(answer, policy, name, retry=None):
    """A 429 that says all that a client needs."""
    assert_gateway_error(answer, 429)
    assert json.loads(answer.body)["code"] == "TOO_MANY_REQUESTS"
    assert answer.value("Proxy-Status") == b"psgate; error=http_request_denied"
    assert answer.values("RateLimit-Policy") == [policy]
    wait = int(answer.value("Retry-After"))
    assert len(answer.values("Retry-After")) == 1 and wait >= 1
    limit = dict(part.split(b"=") for part in answer.value("RateLimit").split(b";")[1:])
    assert answer.value("RateLimit").startswith(b'"%b";' % name) and limit[b"r"] == b"0"
    if retry:
        low, high = retry
        assert low <= wait <= high and int(limit[b"t"]) >= wait
    return wait


def reload(stage, name="marker"):
    """Reloads; the effect is waited for by a client that is new."""
    token = stage.gateway.add_client(name)
    stage.gateway.hang_up()
    wait_until(lambda: stage.get(WHOAMI, token=token).status == 200, "the reload")


def restock(stage):
    stage.origin.answer = OK
    return stage


# -- a client's rate -----------------------------------------------------------------------------


def test_a_client_gets_its_burst_and_then_429(make_stage):
    stage, token = limited(make_stage, rate="1/h", burst=3)
    assert statuses(stage, token, 3) == [200] * 3
    answer = stage.get(PLAIN, token=token)
    assert_refused(answer, b'"client";q=1;w=3600', b"client", (3000, 3600))
    assert b"asks more often" in answer.body
    assert len(stage.origin.requests) == 3
    assert stage.get(PLAIN).status == 200, "another client is not concerned"


def test_the_burst_is_the_rates_number_by_default(make_stage):
    stage, token = limited(make_stage, rate="4/h")
    assert statuses(stage, token, 6) == [200] * 4 + [429] * 2
    assert_refused(stage.get(PLAIN, token=token), b'"client";q=4;w=3600', b"client", (600, 900))


def test_a_refusal_leaves_the_connection_open(make_stage):
    stage, token = limited(make_stage, rate="1/h")
    with stage.connect() as client:
        request = stage.request(b"GET /v1/plain HTTP/1.1", token=token)
        assert [client.ask(request).status for _ in range(3)] == [200, 429, 429]


def test_an_admitted_answer_says_nothing_of_rates(make_stage):
    stage, token = limited(make_stage, rate="1/h")
    answer = stage.get(PLAIN, token=token)
    assert not [name for name, _ in answer.fields if name.lower().startswith((b"ratelimit", b"retry-after"))]


def test_what_is_not_the_clients_does_not_count(make_stage):
    stage, token = limited(make_stage, rate="1/h", burst=2, deny=["other"],
                           operations=[{"id": "plain", "method": "GET", "path": "/v1/plain"}])
    assert statuses(stage, token, 3, WHOAMI) == [200] * 3
    assert statuses(stage, token, 3, b"/v1/forbidden") == [403] * 3
    assert statuses(stage, token[:-1] + ("a" if token[-1] != "a" else "b"), 3) == [401] * 3
    assert statuses(stage, token, 3) == [200, 200, 429]
    assert statuses(stage, token, 2, WHOAMI) == [200] * 2


def test_the_burst_holds_over_workers_and_connections(make_stage):
    stage, token = limited(make_stage, rate="1/h", burst=20, config={"workers": 4})
    results = []

    def ask():
        results.extend(statuses(stage, token, 10))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == [200] * 20 + [429] * 20


def test_a_reload_does_not_fill_the_bucket(make_stage):
    stage, token = limited(make_stage, rate="1/h", burst=3)
    assert statuses(stage, token, 2) == [200] * 2
    reload(stage)
    assert statuses(stage, token, 2) == [200, 429]
    stage.gateway.change_client("limited", rate="2/h", burst=4)
    reload(stage, "another")
    assert statuses(stage, token, 2) == [200, 429], "three were taken already"
    stage.gateway.change_client("limited", rate=None, burst=None)
    reload(stage, "third")
    assert statuses(stage, token, 5) == [200] * 5


def test_a_refused_reload_leaves_the_limits(make_stage):
    stage, token = limited(make_stage, rate="1/h", burst=1)
    stage.gateway.change_client("limited", rate="9/d")
    assert "clients[1].rate: is not a rate" in stage.gateway.refused_reload()
    assert statuses(stage, token, 2) == [200, 429]


def test_hits_count_for_the_client(make_cache):
    cache = make_cache(start=False)
    token = cache.gateway.add_client("limited", rate="1/h", burst=2)
    cache.start()
    target = cache.answers(Answer(FRESH))
    assert [cache.ask(target, token=token).status for _ in range(3)] == [200, 200, 429]
    assert cache.ask(target).status == 200
    assert len(cache.seen(target)) == 1


def test_a_refused_change_is_recorded(make_stage):
    stage, token = limited(make_stage, rate="1/h", operations=[CREATE])
    body = b'{"name":"n","value":"v"}'
    post = {"method": b"POST", "body": body}
    lines = (b"Content-Type: application/json", b"Content-Length: %d" % len(body))
    answers = [stage.get(b"/v1/teams/t/secrets", *lines, token=token, **post) for _ in range(2)]
    assert [answer.status for answer in answers] == [200, 429]
    trail = stage.gateway.folder / "audit" / "audit.jsonl"
    wait_until(lambda: '"refused"' in trail.read_text(), "the record of the refusal")
    refused = [line for line in map(json.loads, trail.read_text().splitlines())
               if line.get("proxy.phase") == "refused"]
    assert [(line["event.reason"], line["http.response.status_code"], line["user.name"]) for line in refused] == [
        ("rate_limited", 429, "limited")]
    assert len(stage.origin.requests) == 1


# -- at once ---------------------------------------------------------------------------------------


def hold(stage, token, clients, release):
    """So many requests of the client that are at the origin until the event is set."""
    stage.origin.answer = holding(release)
    for number, client in enumerate(clients, len(stage.origin.requests) + 1):
        client.send(stage.request(b"GET /v1/plain HTTP/1.1", token=token))
        stage.origin.wait_request(number)


def test_a_client_has_only_so_many_requests_under_way(make_stage):
    stage, token = limited(make_stage, concurrency=2)
    release = threading.Event()
    with stage.connect() as one, stage.connect() as two:
        hold(stage, token, (one, two), release)
        for _ in range(3):
            answer = stage.get(PLAIN, token=token)
            assert_refused(answer, b'"concurrency";q=2;qu="concurrent-requests"', b"concurrency")
            assert b"under way" in answer.body
        assert stage.get(WHOAMI, token=token).status == 200
        release.set()
        assert [client.read_response().status for client in (one, two)] == [200, 200]
        assert statuses(restock(stage), token, 4) == [200] * 4


def test_a_refusal_for_want_of_a_place_costs_no_token(make_stage):
    stage, token = limited(make_stage, rate="1/h", burst=2, concurrency=1)
    release = threading.Event()
    with stage.connect() as client:
        hold(stage, token, (client,), release)
        assert statuses(stage, token, 5) == [429] * 5
        release.set()
        assert client.read_response().status == 200
    assert statuses(restock(stage), token, 2) == [200, 429]


def test_a_client_that_leaves_gives_its_place_back(make_stage):
    stage, token = limited(make_stage, concurrency=1)
    release = threading.Event()
    with stage.connect() as client:
        hold(stage, token, (client,), release)
        client.reset()
    restock(stage)
    wait_until(lambda: stage.get(PLAIN, token=token).status == 200, "the place")
    release.set()


def test_a_change_without_its_client_keeps_its_place_until_it_ends(make_stage):
    stage, token = limited(make_stage, concurrency=1)
    release = threading.Event()
    stage.origin.answer = holding(release)
    with stage.connect() as client:
        client.send(stage.request(b"DELETE /v1/plain HTTP/1.1", token=token))
        stage.origin.wait_request()
        client.reset()
    restock(stage)
    assert statuses(stage, token, 3) == [429] * 3
    release.set()
    wait_until(lambda: stage.get(PLAIN, token=token).status == 200, "the place")


def test_a_broken_request_gives_its_place_back(make_stage):
    stage, token = limited(make_stage, concurrency=1)
    with stage.connect() as client:
        client.send_unheeded(stage.request(b"POST /v1/plain HTTP/1.1", b"Transfer-Encoding: chunked", token=token,
                                           body=b"no chunk\r\n"))
        assert client.read_response().status == 400
    assert statuses(stage, token, 2) == [200] * 2


# -- towards upstream ------------------------------------------------------------------------------


def upstream_limit(rate, burst=None):
    return {"limits": {"upstream_rate": rate, "upstream_burst": burst}}


def test_all_clients_share_the_limit_towards_upstream(make_stage):
    stage, token = limited(make_stage, config=upstream_limit("1/h", 3))
    assert statuses(stage, token, 2) == [200] * 2
    assert [stage.get(PLAIN).status for _ in range(2)] == [200, 429]
    answer = stage.get(PLAIN, token=token)
    assert_refused(answer, b'"upstream";q=1;w=3600', b"upstream", (3000, 3600))
    assert b"limits.upstream_rate" in answer.body
    assert stage.get(WHOAMI).status == 200
    assert len(stage.origin.requests) == 3
    reload(stage)
    assert statuses(stage, token, 1) == [429]


def test_hits_do_not_count_towards_upstream(make_cache):
    cache = make_cache(config=upstream_limit("1/h", 2))
    target = cache.answers(Answer(FRESH))
    assert [cache.ask(target).status for _ in range(10)] == [200] * 10
    assert cache.ask(b"/v1/elsewhere").status == 200
    assert cache.ask(b"/v1/elsewhere").status == 429
    assert cache_status(cache.ask(target)).get("hit")


def test_a_flight_counts_once(make_cache):
    cache = make_cache(config=upstream_limit("1/h", 1))
    release = threading.Event()
    target = cache.answers(Answer(FRESH, after=release))
    leader = cache.send(target)
    cache.wait_seen(target, 1)
    waiters = [cache.send(target) for _ in range(5)]
    release.set()
    assert [client.read_response().status for client in (leader, *waiters)] == [200] * 6
    for client in (leader, *waiters):
        client.close()
    assert cache.ask(b"/v1/fixed/other").status == 429
    assert len(cache.seen(target)) == 1


def test_what_is_stored_serves_where_upstream_may_not_be_asked(make_cache):
    cache = make_cache(config=upstream_limit("1/h", 1))
    target = cache.answers(Answer(b"Cache-Control: max-age=1, stale-if-error=3600", b"Age: 60"))
    assert cache.ask(target).status == 200
    answer = cache.ask(target)
    assert answer.status == 200 and cache_status(answer)["fwd"] == "stale"
    refused = cache.ask(target, b"Cache-Control: no-cache")
    assert_refused(refused, b'"upstream";q=1;w=3600', b"upstream")
    assert len(cache.seen(target)) == 1


def test_a_change_over_the_limit_leaves_no_intent(make_stage):
    stage, token = limited(make_stage, config=upstream_limit("1/h", 1), operations=[CREATE])
    assert stage.get(PLAIN).status == 200
    body = b'{"name":"n","value":"v"}'
    with stage.connect() as client:
        client.send_unheeded(stage.request(
            b"POST /v1/teams/t/secrets HTTP/1.1", b"Content-Type: application/json",
            b"Content-Length: %d" % len(body), token=token, body=body))
        assert_gateway_error(client.read_response(), 429)
    trail = stage.gateway.folder / "audit" / "audit.jsonl"
    wait_until(lambda: '"refused"' in trail.read_text(), "the record of the refusal")
    phases = [json.loads(line).get("proxy.phase") for line in trail.read_text().splitlines()]
    assert "intent" not in phases and phases.count("refused") == 1
