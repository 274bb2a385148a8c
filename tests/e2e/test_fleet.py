"""Several gateways that share a Redis server: what one changes, no other answers from before."""

import json
import threading
import time

import pytest
from support.admin import endpoint, unix
from support.fleet import FRESH, STALENESS, Answer, assert_hit, cache_status, make_fleet  # noqa: F401
from support.redis import Redis
from support.stage import assert_gateway_error
from support.waiting import wait_until


def number(answer):
    return int(answer.value("X-Number"))


def stored_everywhere(fleet, target=b"/v1/cached/a"):
    """Each gateway has an answer of its own in its cache."""
    for member in fleet:
        wait_until(lambda member=member: "hit" in repr(member.get(target).value("Cache-Status")), "a hit")


# -- coherence --------------------------------------------------------------------------------------------


def test_a_change_by_one_gateway_is_seen_by_the_other_within_the_bound(make_fleet):
    fleet = make_fleet(2)
    stored_everywhere(fleet)
    old = number(fleet[1].look())
    assert fleet[0].change().status == 200
    changed = time.monotonic()
    assert number(fleet[0].look()) > old, "the same gateway answers from before the change"
    wait_until(lambda: number(fleet[1].look()) > old, "the other gateway to ask again")
    assert time.monotonic() - changed < 5 * STALENESS


def test_a_gateway_that_has_read_nothing_announces_every_scope(make_fleet):
    fleet = make_fleet(2, config={"cache": {"other_invalidates": ["*"]}})
    wait_until(lambda: "hit" in repr(fleet[1].look().value("Cache-Status")), "a hit")
    old = number(fleet[1].look())
    assert fleet[0].get(b"/v1/unknown", b"Content-Length: 0", method=b"POST").status == 200
    wait_until(lambda: number(fleet[1].look()) > old, "the other gateway to ask again", timeout=8 * STALENESS)


def test_a_change_of_a_target_without_invalidates_is_seen_by_the_other(make_fleet):
    fleet = make_fleet(2)
    stored_everywhere(fleet)
    old = number(fleet[1].look())
    assert fleet[0].change(b"/v1/cached/a").status == 200
    wait_until(lambda: number(fleet[1].look()) > old, "the other gateway to ask again", timeout=8 * STALENESS)


def test_what_invalidates_nothing_leaves_the_others_alone(make_fleet):
    fleet = make_fleet(2)
    stored_everywhere(fleet)
    assert fleet[0].get(b"/v1/others/x", method=b"DELETE").status == 200
    for _ in range(3):
        assert_hit(fleet[1].look(), number(fleet[1].look()))


def test_a_member_that_starts_later_hears_of_changes_too(make_fleet):
    fleet = make_fleet(2)
    fleet[1].gateway.stop()
    fleet[1].gateway.start()
    fleet.wait_together()
    stored_everywhere(fleet)
    old = number(fleet[1].look())
    assert fleet[0].change().status == 200
    wait_until(lambda: number(fleet[1].look()) > old, "the restarted gateway to ask again")


def test_nobody_stores_while_a_change_is_under_way_anywhere(make_fleet):
    fleet = make_fleet(2)
    stored_everywhere(fleet)
    release = threading.Event()
    fleet.script.answers[b"/v1/things"] = [Answer(after=release)]
    with fleet[0].connect() as client:
        client.send(fleet[0].request(b"POST /v1/things HTTP/1.1", b"Content-Length: 0"))
        wait_until(lambda: fleet.script.seen.get(b"/v1/things"), "the change at the origin")
        wait_until(lambda: "stored" not in repr(fleet[1].look().value("Cache-Status"))
                   and "hit" not in repr(fleet[1].look().value("Cache-Status")), "the other gateway to store nothing")
        release.set()
        assert client.read_response().status == 200
    wait_until(lambda: "hit" in repr(fleet[1].look().value("Cache-Status")), "hits again")


def test_a_gateway_that_dies_in_a_change_leaves_a_mark_that_expires(make_fleet):
    fleet = make_fleet(2, config={"cache": {"unknown_hold": "1s"}})
    stored_everywhere(fleet)
    release = threading.Event()
    fleet.script.answers[b"/v1/things"] = [Answer(after=release)]
    client = fleet[0].connect()
    client.send(fleet[0].request(b"POST /v1/things HTTP/1.1", b"Content-Length: 0"))
    wait_until(lambda: fleet.script.seen.get(b"/v1/things"), "the change at the origin")
    fleet[0].gateway.process.kill()
    fleet[0].gateway.process.wait()
    fleet[0].gateway.process = None
    before = number(fleet[1].look())
    release.set()
    client.close()
    wait_until(lambda: "hit" in repr(fleet[1].look().value("Cache-Status")), "hits, once the mark has expired")
    assert number(fleet[1].look()) > before


def test_a_change_with_an_unknown_end_holds_storing_everywhere(make_fleet):
    fleet = make_fleet(2, config={"upstream": {"response_timeout": "300ms"}})
    stored_everywhere(fleet)
    never = threading.Event()
    fleet.script.answers[b"/v1/things"] = [Answer(after=never)]
    assert_gateway_error(fleet[0].change(), 504)
    for _ in range(3):
        for member in fleet:
            assert "stored" not in repr(member.look(b"held").value("Cache-Status"))
    never.set()
    wait_until(lambda: all("hit" in repr(member.look(b"held").value("Cache-Status")) for member in fleet),
               "hits after the hold")


def test_metrics_and_status_tell_of_redis(make_fleet):
    fleet = make_fleet(1, start=False)
    member = fleet[0]
    member.gateway.write_config(member.gateway.config | unix(member.gateway.folder / "admin.sock"))
    fleet.redis.start().settle()
    fleet.start().wait_together()
    door = endpoint(member.gateway)

    def told(name, **labels):
        return door.metrics().value("psgate_cluster_" + name, **labels)

    assert member.change().status == 200
    wait_until(lambda: told("raises_total", result="done") == 2, "a beginning and an end")
    assert told("raises_total", result="failed") == 0 and told("current") == 1 and told("connections_total") == 1
    assert abs(time.time() - told("heard_timestamp_seconds")) < 10
    assert door.json(b"/api/status")["cluster"]["state"] == "ok"
    fleet.redis.kill()
    fleet.wait_away()
    assert_gateway_error(member.change(), 503)
    assert told("raises_total", result="failed") == 1 and told("current") == 0
    status = door.json(b"/api/status")["cluster"]
    assert status["state"] == "away" and status["last_heard"].endswith("Z")


# -- Redis away -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["kill", "pause"])
def test_without_redis_stored_answers_are_asked_about_and_changes_refused(make_fleet, how):
    fleet = make_fleet(2)
    stored_everywhere(fleet)
    getattr(fleet.redis, how)()
    fleet.wait_away()
    for member in fleet:
        answer = member.readiness()
        assert answer.status == 200 and json.loads(answer.body) == {"status": "ok", "cluster": "away"}
        first, second = member.look(), member.look()
        assert first.status == second.status == 200
        assert "hit" not in repr(second.value("Cache-Status")), "trusted without a word from Redis"
        assert number(second) > number(first)
        refused = member.change()
        assert_gateway_error(refused, 503)
        assert int(refused.value("Retry-After")) > 0
        assert member.get(b"/v1/others/x", method=b"DELETE").status == 200, "what invalidates nothing goes on"
        assert member.get(b"/v1/unrelated").status == 200
        assert "is away" in member.gateway.stderr()
    assert b"/v1/things" not in fleet.script.seen, "a refused change was forwarded"
    if how == "kill":
        fleet.redis.start()
    else:
        fleet.redis.resume()
    fleet.wait_together()
    stored_everywhere(fleet)
    for member in fleet:
        assert member.change().status == 200


def test_a_validator_saves_the_body_while_redis_is_away(make_fleet):
    fleet = make_fleet(1)
    body = Answer(FRESH, b'ETag: "a"')
    fleet.script.answers[b"/v1/cached/a"] = [body, Answer(FRESH, b'ETag: "a"', status=b"304 Not Modified")]
    assert number(fleet[0].look()) == 1
    fleet.redis.kill()
    fleet.wait_away()
    answer = fleet[0].look()
    assert answer.status == 200 and answer.body == b"body 1"
    assert "fwd-status=304" in repr(answer.value("Cache-Status"))
    assert fleet.script.seen[b"/v1/cached/a"][-1].value("If-None-Match") == b'"a"'


def test_nothing_stale_bridges_a_failing_upstream_while_redis_is_away(make_fleet):
    fleet = make_fleet(1)
    fleet.script.answers[b"/v1/cached/a"] = [Answer(b"Cache-Control: max-age=3600, stale-if-error=3600"),
                                             Answer(status=b"500 Oops")]
    assert fleet[0].look().status == 200
    assert_hit(fleet[0].look())
    fleet.redis.kill()
    fleet.wait_away()
    assert fleet[0].look().status == 500


def test_gateways_start_without_redis_and_join_when_it_comes(make_fleet):
    fleet = make_fleet(2, start=False)
    fleet.start()
    for member in fleet:
        assert json.loads(member.readiness().body)["cluster"] == "away"
        assert member.look().status == 200
    fleet.redis.start()
    fleet.wait_together()
    stored_everywhere(fleet)


def test_a_flushed_redis_makes_every_stored_answer_old(make_fleet):
    fleet = make_fleet(2)
    stored_everywhere(fleet)
    before = [number(member.look()) for member in fleet]
    fleet.redis.flush()
    for member, old in zip(fleet, before):
        wait_until(lambda member=member, old=old: number(member.look()) > old, "an answer from after the flush")
        wait_until(lambda member=member: "has lost its data" in member.gateway.stderr(), "the log to say why")
    stored_everywhere(fleet)


def test_a_redis_that_is_restored_from_an_old_copy_never_brings_old_answers_back(make_fleet):
    fleet = make_fleet(2)
    assert fleet[0].change().status == 200
    fleet.redis.save()
    stored_everywhere(fleet)
    assert fleet[0].change().status == 200
    stored_everywhere(fleet)
    before = [number(member.look()) for member in fleet]
    fleet.redis.kill()
    fleet.redis.start()
    for member, old in zip(fleet, before):
        wait_until(lambda member=member, old=old: number(member.look()) > old, "entries from before to be dropped")
    fleet.wait_together()
    stored_everywhere(fleet)
    old = number(fleet[1].look())
    assert fleet[0].change().status == 200
    wait_until(lambda: number(fleet[1].look()) > old, "the other gateway to ask again")


@pytest.mark.parametrize("loss", ["flush", "restart"])
def test_marks_that_redis_lost_hold_for_those_who_cannot_set_them_again(make_fleet, loss):
    fleet = make_fleet(2, has_relay=True)
    stored_everywhere(fleet)
    release = threading.Event()
    fleet.script.answers[b"/v1/things"] = [Answer(after=release)]
    with fleet[0].connect() as client:
        client.send(fleet[0].request(b"POST /v1/things HTTP/1.1", b"Content-Length: 0"))
        wait_until(lambda: fleet.script.seen.get(b"/v1/things"), "the change at the origin")
        fleet.relay.cut()
        old = number(fleet[1].look())
        if loss == "flush":
            fleet.redis.flush()
        else:
            fleet.redis.kill()
            fleet.redis.start()
        wait_until(lambda: "has lost its data" in fleet[1].gateway.stderr(), "the loss to be seen")
        wait_until(fleet[1].is_together, "the other gateway to hear from Redis")
        before = [number(fleet[1].look()) for _ in range(3)][-1]
        assert before > old
        release.set()
        answer = client.read_response()
    answered = time.monotonic()
    wait_until(lambda: time.monotonic() > answered + STALENESS, "the bound")
    if answer.status == 200:
        assert number(fleet[1].look()) > before, "from before a change that was answered"
    else:
        assert_gateway_error(answer, 500)
    fleet.relay.mend()
    fleet.wait_together()
    stored_everywhere(fleet)


def test_a_redis_that_is_full_refuses_changes_and_nothing_else(make_fleet):
    fleet = make_fleet(1)
    stored_everywhere(fleet)
    assert fleet.redis.ask("CONFIG", "SET", "maxmemory", "1") == "OK"
    assert_gateway_error(fleet[0].change(), 503)
    assert fleet[0].look().status == 200
    assert fleet.redis.ask("CONFIG", "SET", "maxmemory", "0") == "OK"
    wait_until(lambda: fleet[0].change().status == 200, "changes again")


# -- whom it speaks to ------------------------------------------------------------------------------------


def test_a_password_is_sent_and_never_logged(make_fleet, tmp_path):
    secret = "correct-horse-battery"
    redis = Redis(tmp_path, "--requirepass", secret)
    fleet = make_fleet(1, redis=redis, start=False)
    member = fleet[0]
    config = member.gateway.config
    config["cluster"]["password_file"] = "redis-password"
    (member.gateway.folder / "redis-password").write_text(secret + "\n")
    (member.gateway.folder / "redis-password").chmod(0o600)
    member.gateway.write_config(config)
    member.gateway.secrets.append(secret)
    redis.start()
    fleet.start().wait_together()
    assert member.change().status == 200


def test_a_refused_password_is_said_with_redis_own_words(make_fleet, tmp_path):
    redis = Redis(tmp_path, "--requirepass", "something")
    fleet = make_fleet(1, redis=redis, start=False)
    redis.start()
    fleet.start()
    wait_until(lambda: "NOAUTH" in fleet[0].gateway.stderr(), "Redis's own words")
    assert_gateway_error(fleet[0].change(), 503)
