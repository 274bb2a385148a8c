"""No read that begins after a change was answered is given an older answer."""

import threading

import pytest
from support import wire
from support.cache import FRESH, Answer, Dropped, Silent, assert_hit, cache_status, number_of
from support.gateway import write_private
from support.origin import resetting
from support.stage import assert_gateway_error
from support.waiting import wait_event, wait_until

pytest_plugins = ["support.cache"]

OPERATIONS = [
    {"id": "session", "method": "GET", "path": "/v1/session/{name}", "cache": {"scope": "session", "ttl": "1h"}},
    {"id": "members", "method": "GET", "path": "/v1/teams/{team}/users", "team": "team",
     "cache": {"scope": "members", "ttl": "1h", "stale_while_revalidate": "1h", "stale_if_error": "1h"}},
    {"id": "membersByRule", "method": "GET", "path": "/v1/cached/{name}", "cache": {"scope": "members", "freshness": "upstream"}},
    {"id": "another", "method": "GET", "path": "/v1/other/{name}", "cache": {"scope": "other", "ttl": "1h"}},
    {"id": "changeMember", "method": "PUT", "path": "/v1/teams/{team}/users/{user}", "team": "team", "invalidates": ["session", "members"]},
    {"id": "auditedChange", "method": "DELETE", "path": "/v1/teams/{team}/users/{user}", "team": "team", "audit": {}, "invalidates": ["members"]},
    {"id": "harmless", "method": "POST", "path": "/v1/harmless"},
]
MEMBERS = b"/v1/teams/t1/users"
CHANGE = b"/v1/teams/t1/users/u1"
TEAMS = [b"/v1/teams/t1/users", b"/v1/teams/team-one/users", b"/v1/teams/t1/users?a=1", b"/v1/teams/t1/users?a=2&b=1", b"/v1/session/s", b"/v1/cached/m"]


@pytest.fixture
def make_members(make_cache):
    def make(**options):
        return make_cache(operations=OPERATIONS, **options)

    return make


@pytest.fixture
def members(make_members):
    return make_members()


def change(stage, target=CHANGE, method=b"PUT", **options):
    return stage.ask(target, b"Content-Length: 3", method=method, body=b"{} ", **options)


def send_change(stage, target=CHANGE, method=b"PUT"):
    client = stage.connect()
    client.send(stage.request(b"%b %b HTTP/1.1" % (method, target), b"Content-Length: 3", body=b"{} "))
    return client


def fill(stage, *targets, **options):
    """Stores the answers to these targets and makes sure that they are."""
    for target in targets:
        stage.ask(target, **options)
        assert cache_status(stage.ask(target, **options)).get("hit"), target


def assert_kept(stage, *targets):
    for target in targets:
        assert cache_status(stage.ask(target)).get("hit"), target


def assert_fetched(stage, *targets, **options):
    for target in targets:
        before = len(stage.seen(target))
        answer = stage.ask(target, **options)
        assert number_of(answer) == before + 1 and len(stage.seen(target)) == before + 1, target


# -- changes that end well, or are refused ---------------------------------------------------------------


@pytest.mark.parametrize("status", [b"200 OK", b"204 No Content", b"301 Moved Permanently", b"400 Bad Request", b"404 Not Found", b"409 Conflict", b"500 Internal Server Error", b"503 Service Unavailable"])
def test_after_any_answer_to_a_change_everything_of_its_scopes_is_fetched_anew(members, status):
    members.answers(Answer(status=status), target=CHANGE)
    fill(members, *TEAMS, b"/v1/other/o")
    assert change(members).start == b"HTTP/1.1 " + status
    assert_fetched(members, *TEAMS)
    assert_kept(members, *TEAMS, b"/v1/other/o")


def test_a_change_outdates_the_answers_of_all_credentials(make_members):
    stage = make_members(start=False)
    second = write_private(stage.gateway.folder / "second-key", "key-of-the-second-credential\n")
    stage.gateway.config["credentials"]["second"] = {"api_key_file": second.name}
    stage.gateway.write_config(stage.gateway.config)
    other = stage.gateway.add_client("other", credential="second")
    stage.start()
    fill(stage, *TEAMS)
    fill(stage, *TEAMS, token=other)
    change(stage)
    assert_fetched(stage, *TEAMS, token=other)
    assert_fetched(stage, *TEAMS)


@pytest.mark.parametrize("status", [b"200 OK", b"500 Internal Server Error"])
def test_an_audited_change_outdates_its_scopes(members, status):
    members.answers(Answer(status=status), target=CHANGE)
    fill(members, MEMBERS, b"/v1/session/s")
    change(members, method=b"DELETE")
    assert_fetched(members, MEMBERS)
    assert_kept(members, b"/v1/session/s")


def test_a_change_that_invalidates_nothing_leaves_everything(members):
    fill(members, MEMBERS, b"/v1/other/o")
    change(members, b"/v1/harmless", b"POST")
    assert_kept(members, MEMBERS, b"/v1/other/o")


@pytest.mark.parametrize("spelling", [b"/v1/Teams/t1/Users/u1", b"/v1/teams/t1/users/u1/", b"/v1/teams/t1/%75sers/u1", b"/v1/teams/t1/users/u1?x=y"], ids=["case", "slash", "encoded", "query"])
def test_a_change_counts_however_it_is_spelled(members, spelling):
    fill(members, MEMBERS, b"/v1/session/s")
    assert change(members, spelling).status == 200
    assert_fetched(members, MEMBERS, b"/v1/session/s")


def test_a_refused_change_empties_nothing(members):
    fill(members, MEMBERS)
    assert members.ask(CHANGE, b"Content-Length: 3", method=b"PUT", body=b"{} ", token="psgate_wrong").status == 401
    assert change(members, CHANGE + b"/../x").status == 400
    assert_kept(members, MEMBERS)


# -- changes in flight -------------------------------------------------------------------------------------


def test_from_its_first_byte_on_nothing_stored_is_served_and_nothing_is_stored(members):
    release = threading.Event()
    members.answers(Answer(after=release), target=CHANGE)
    fill(members, MEMBERS, b"/v1/other/o")
    client = send_change(members)
    members.wait_seen(CHANGE, 1)
    assert_fetched(members, MEMBERS)
    assert_fetched(members, MEMBERS)
    assert_kept(members, b"/v1/other/o")
    release.set()
    assert client.read_response().status == 200
    assert_fetched(members, MEMBERS)
    assert_kept(members, MEMBERS)
    client.close()


def test_what_is_fetched_during_a_change_is_not_served_after_it(members):
    release = threading.Event()
    members.answers(Answer(after=release), target=CHANGE)
    client = send_change(members)
    members.wait_seen(CHANGE, 1)
    assert number_of(members.ask(MEMBERS)) == 1
    release.set()
    client.read_response()
    assert number_of(members.ask(MEMBERS)) == 2
    client.close()


@pytest.mark.parametrize("target", [MEMBERS, b"/v1/cached/m"], ids=["fixed", "upstream"])
def test_a_read_in_flight_across_a_change_is_answered_but_not_stored(members, target):
    release = threading.Event()
    members.answers(Answer(FRESH, after=release), Answer(FRESH), target=target)
    reader = members.send(target)
    members.wait_seen(target, 1)
    change(members)
    release.set()
    assert number_of(reader.read_response()) == 1
    assert_fetched(members, target)
    assert_kept(members, target)
    reader.close()


@pytest.mark.parametrize("target", [MEMBERS, b"/v1/cached/m"], ids=["fixed", "upstream"])
def test_a_read_after_a_change_does_not_join_a_fetch_from_before(members, target):
    release = threading.Event()
    members.answers(Answer(FRESH, after=release), Answer(FRESH), target=target)
    early = members.send(target)
    members.wait_seen(target, 1)
    change(members)
    assert number_of(members.ask(target)) == 2
    release.set()
    assert number_of(early.read_response()) == 1
    assert_hit(members.ask(target), 2)
    early.close()


def test_a_304_that_crosses_a_change_revives_nothing(members):
    release, target = threading.Event(), b"/v1/cached/m"
    members.answers(Answer(FRESH, b"Age: 7200", b'ETag: "a"'), Answer(FRESH, b'ETag: "a"', status=b"304 Not Modified", after=release), Answer(FRESH, b'ETag: "b"'), target=target)
    members.ask(target)
    reader = members.send(target)
    assert members.wait_seen(target, 2).values("If-None-Match") == [b'"a"']
    change(members)
    release.set()
    reader.read_response()
    answer = members.ask(target)
    assert number_of(answer) == 3
    assert members.seen(target)[2].values("If-None-Match") == []
    reader.close()


def test_an_entry_from_before_a_change_is_not_used_to_revalidate(members):
    target = b"/v1/cached/m"
    members.answers(Answer(FRESH, b'ETag: "a"'), Answer(FRESH), target=target)
    fill(members, target)
    change(members)
    assert number_of(members.ask(target)) == 2
    assert members.seen(target)[1].values("If-None-Match") == []


def test_an_entry_from_before_a_change_is_not_served_stale(members):
    members.answers(Answer(FRESH), Answer(status=b"503 Service Unavailable"), target=MEMBERS)
    fill(members, MEMBERS)
    change(members)
    assert members.ask(MEMBERS).status == 503
    assert members.ask(MEMBERS, b"Cache-Control: max-stale").status == 503
    assert members.ask(MEMBERS, b"Cache-Control: only-if-cached").status == 504


def test_two_changes_at_a_time_hold_until_both_have_ended(members):
    first, second = threading.Event(), threading.Event()
    other = CHANGE + b"2"
    members.answers(Answer(after=first), target=CHANGE)
    members.answers(Answer(after=second), target=other)
    clients = [send_change(members, target) for target in (CHANGE, other)]
    members.wait_seen(CHANGE, 1)
    members.wait_seen(other, 1)
    first.set()
    clients[0].read_response()
    for _ in range(2):
        assert_fetched(members, MEMBERS)
    second.set()
    clients[1].read_response()
    assert_fetched(members, MEMBERS)
    assert_kept(members, MEMBERS)
    for client in clients:
        client.close()


def test_an_interim_answer_does_not_end_a_change(members):
    interim, release = threading.Event(), threading.Event()

    class Processing(Answer):
        def give(self, peer, request, number):
            peer.read_body(request)
            peer.send(b"HTTP/1.1 102 Processing\r\n\r\n")
            interim.set()
            wait_event(release, "the test's leave to answer")
            peer.send(self.data(number, request.method))

    members.answers(Processing(), target=CHANGE)
    client = send_change(members)
    wait_event(interim, "the interim answer")
    for _ in range(2):
        assert_fetched(members, MEMBERS)
    release.set()
    assert client.read_response().status == 200
    assert_fetched(members, MEMBERS)
    assert_kept(members, MEMBERS)
    client.close()


def test_the_head_of_a_changes_answer_ends_it_even_while_its_body_goes_on(members):
    release = threading.Event()

    class Slow(Answer):
        def give(self, peer, request, number):
            peer.read_body(request)
            peer.send(wire.head(b"HTTP/1.1 200 OK", wire.DATE, b"Content-Length: 4") + b"ab")
            wait_event(release, "the test's leave to finish")
            peer.send(b"cd")

    members.answers(Slow(), target=CHANGE)
    fill(members, MEMBERS)
    client = send_change(members)
    head = client.read_head()
    assert_fetched(members, MEMBERS)
    release.set()
    assert b"".join(client.body_pieces(head)) == b"abcd"
    assert_kept(members, MEMBERS)
    client.close()


def test_a_change_whose_client_left_goes_on_and_counts(members):
    release = threading.Event()
    members.answers(Answer(after=release), target=CHANGE)
    fill(members, MEMBERS)
    client = send_change(members)
    members.wait_seen(CHANGE, 1)
    members.origin.wait_complete(len(members.origin.requests))
    client.reset()
    assert_fetched(members, MEMBERS)
    assert_fetched(members, MEMBERS)
    release.set()

    def is_stored_again():
        return cache_status(members.ask(MEMBERS)).get("hit")

    wait_until(is_stored_again, "the end of the change")


# -- changes with an unknown end, and with none ----------------------------------------------------------------


def test_a_change_that_never_left_the_gateway_empties_nothing(make_members):
    stage = make_members()
    fill(stage, *TEAMS)
    stage.origin.stop()
    for _ in range(3):
        assert_gateway_error(change(stage), 502, 503)
        assert_gateway_error(change(stage, b"/v1/unknown", b"POST"), 502, 503)
        assert_gateway_error(change(stage, method=b"DELETE"), 502, 503)
    assert_kept(stage, *TEAMS)


HOLD = {"cache": {"unknown_hold": "1500ms"}}
SHORT = {**HOLD, "upstream": {"response_timeout": "500ms"}}
RESET = threading.Event()
RESET.set()


class Reset(Answer):
    def give(self, peer, request, number):
        resetting(b"", RESET)(peer, request)


UNKNOWN_ENDS = {"closed": (Dropped(), 502), "reset": (Reset(), 502), "cut": (Dropped(count=20), 502), "timeout": (Silent(), 504)}


@pytest.mark.parametrize("end, status", UNKNOWN_ENDS.values(), ids=UNKNOWN_ENDS.keys())
def test_after_an_unknown_end_nothing_is_stored_until_the_hold_is_over(make_members, end, status):
    stage = make_members(config=SHORT)
    stage.answers(end, target=CHANGE)
    fill(stage, MEMBERS, b"/v1/other/o")
    assert_gateway_error(change(stage), status)
    assert_fetched(stage, MEMBERS)
    assert_fetched(stage, MEMBERS)
    assert_kept(stage, b"/v1/other/o")
    wait_until(lambda: cache_status(stage.ask(MEMBERS)).get("hit"), "the end of the hold")


def test_a_read_in_flight_across_the_end_of_a_hold_is_not_stored(make_members):
    stage = make_members(config=HOLD)
    release = threading.Event()
    stage.answers(Dropped(), target=CHANGE)
    stage.answers(Answer(after=release), Answer(), target=MEMBERS)
    assert change(stage).status == 502
    reader = stage.send(MEMBERS)
    stage.wait_seen(MEMBERS, 1)
    probe = b"/v1/teams/probe/users"
    wait_until(lambda: cache_status(stage.ask(probe)).get("hit"), "the end of the hold")
    release.set()
    assert number_of(reader.read_response()) == 1
    assert_fetched(stage, MEMBERS)
    assert_kept(stage, MEMBERS)
    reader.close()


# -- changes that match no operation -----------------------------------------------------------------------------


@pytest.mark.parametrize("method", [b"POST", b"PUT", b"PATCH", b"DELETE", b"PURGE", b"M-SEARCH"])
def test_an_unknown_change_outdates_everything(members, method):
    fill(members, *TEAMS, b"/v1/other/o")
    change(members, b"/v1/unknown/thing", method)
    assert_fetched(members, *TEAMS, b"/v1/other/o")


@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"OPTIONS"])
def test_an_unknown_read_outdates_nothing(members, method):
    fill(members, *TEAMS)
    members.ask(b"/v1/unknown/thing", method=method)
    assert_kept(members, *TEAMS)


def test_an_unknown_change_outdates_only_the_configured_scopes(make_members):
    stage = make_members(config={"cache": {"other_invalidates": ["other"]}})
    fill(stage, MEMBERS, b"/v1/other/o")
    change(stage, b"/v1/unknown/thing", b"POST")
    assert_kept(stage, MEMBERS)
    assert_fetched(stage, b"/v1/other/o")


# -- credentials ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [b"401 Unauthorized", b"403 Forbidden"])
@pytest.mark.parametrize("target", [b"/v1/plain", b"/v1/teams/t9/users"], ids=["uncached", "cached"])
def test_an_upstream_refusal_drops_what_the_credential_had(make_members, status, target):
    stage = make_members(start=False)
    write_private(stage.gateway.folder / "second-key", "key-of-the-second-credential\n")
    stage.gateway.config["credentials"]["second"] = {"api_key_file": "second-key"}
    stage.gateway.write_config(stage.gateway.config)
    other = stage.gateway.add_client("other", credential="second")
    stage.start()
    stage.answers(Answer(status=status), target=target)
    fill(stage, *TEAMS)
    fill(stage, *TEAMS, token=other)
    assert stage.ask(target).status == {b"401": 502, b"403": 403}[status[:3]]
    for each in TEAMS:
        assert cache_status(stage.ask(each, token=other)).get("hit"), each
    assert_fetched(stage, *TEAMS)


# -- reload ---------------------------------------------------------------------------------------------------


def reloaded(stage, name):
    """Reloads with a new client of that name and gives its token once it is accepted."""
    token = stage.gateway.add_client(name)
    stage.gateway.hang_up()
    wait_until(lambda: stage.ask(b"/.psgate/whoami", token=token).status == 200, "the reload")
    return token


def test_a_reload_goes_on_serving_and_changes_still_count(members):
    fill(members, *TEAMS)
    token = reloaded(members, "newcomer")
    for target in TEAMS:
        members.ask(target)
        assert cache_status(members.ask(target, token=token)).get("hit")
    change(members)
    assert_fetched(members, *TEAMS)


def test_a_new_key_makes_everything_old(members):
    fill(members, *TEAMS)
    members.gateway.secrets.append("another-key-of-the-team")
    write_private(members.gateway.key_file, "another-key-of-the-team\n")
    reloaded(members, "newcomer")
    assert_fetched(members, *TEAMS)
    assert members.seen(MEMBERS)[-1].values("Authorization") == [b"Bearer another-key-of-the-team"]


def test_a_new_operation_table_makes_everything_old(members):
    import json
    fill(members, MEMBERS)
    operations = [*OPERATIONS, {"id": "more", "method": "GET", "path": "/v1/more", "cache": {"scope": "more", "ttl": "1h"}}]
    (members.gateway.folder / "operations.json").write_text(json.dumps({"operations": operations}))
    reloaded(members, "newcomer")
    assert_fetched(members, MEMBERS)
    fill(members, b"/v1/more")


def test_a_change_in_flight_across_a_reload_still_counts(members):
    release = threading.Event()
    members.answers(Answer(after=release), target=CHANGE)
    client = send_change(members)
    members.wait_seen(CHANGE, 1)
    reloaded(members, "newcomer")
    for _ in range(2):
        assert_fetched(members, MEMBERS)
    release.set()
    client.read_response()
    assert_fetched(members, MEMBERS)
    assert_kept(members, MEMBERS)
    client.close()
