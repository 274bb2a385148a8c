"""/api/audit: filters, paging, following, what a mutation is shown as, and trails in trouble."""

import shutil
import threading

import pytest
from support.admin import assert_problem
from support.origin import holding, resetting
from support.trail import Trail
from support.waiting import wait_until

pytest_plugins = ["support.admin"]

MUTATION = set("id sequence last_sequence time operation client source team resource user_target method route status outcome"
               " reason duration records".split())
HARMLESS = [b"", b"?", b"?x=1", b"?from=", b"?limit=", b"?limit", b"?&&=", b"?operation=*&client=*&resource=*"]
BAD = {b"from": [b"yesterday", b"24", b"-1h", b"2026-13-01", b"1h%20", b"+1h"], b"to": [b"x", b"2026-11-23T25:00:00Z"],
       b"limit": [b"x", b"-1", b"201", b"1e2", b"0x10", b"%201", b"99999999999999999999"],
       b"before": [b"x", b"-1", b"18446744073709551616"], b"after": [b"x", b"-1", b"1.0", b"9223372036854775808"],
       b"outcome": [b"x", b"Success", b"success,failure", b"unfinishedd", b"*"]}


@pytest.fixture
def stage(make_admin):
    """With the shipped operations."""
    return make_admin(operations=None)


@pytest.fixture
def written(make_admin):
    """A stage that finds a trail made by hand."""
    stage = make_admin(start=False, operations=None)
    made = Trail(stage.trail.folder)
    stage.has_own_trail = False
    return stage, made


def ask(stage, query=b"", status=200):
    return stage.door.json(b"/api/audit" + query, status)


def ids(shown):
    return [mutation["id"] for mutation in shown["mutations"]]


def verdict(stage):
    """The chain's state once it has been checked."""
    return wait_until(lambda: (chain := ask(stage)["chain"])["state"] != "checking" and chain, "the chain to be checked")


# Rows


def test_a_trail_without_a_change(stage):
    shown = ask(stage)
    assert shown["mutations"] == [] and shown["more"] is False and shown["sequence"] == 0
    assert set(shown["chain"]) == {"state", "records", "checked", "problem", "last_checkpoint"}
    chain = verdict(stage)
    assert chain | {"state": "intact", "records": 0, "problem": None, "last_checkpoint": None} == chain


def test_a_change_is_shown_with_its_records(stage):
    assert stage.change(b"POST /v1/teams/t1/secrets", b"User-Agent: agent/1", body=b'{"name":"DB_URL","value":"v"}').status == 200
    shown = ask(stage)
    [mutation] = shown["mutations"]
    records = stage.trail.records()
    assert set(mutation) == MUTATION
    assert mutation["records"] == records and len(records) == 2
    assert mutation | {
        "id": records[0]["event.id"], "sequence": 1, "last_sequence": 2, "time": records[0]["@timestamp"],
        "operation": "createTeamSecret", "client": "tester", "source": "127.0.0.1", "team": "t1",
        "resource": {"type": "secret", "name": "DB_URL"}, "user_target": None, "method": "POST",
        "route": "/v1/teams/{id}/secrets", "status": 200, "outcome": "success", "reason": None} == mutation
    assert mutation["duration"] == pytest.approx(records[1]["event.duration"] / 1e9) and 0 < mutation["duration"] < 20
    assert shown["sequence"] == 2 and shown["more"] is False


def test_each_end_of_a_change_is_shown(stage):
    release = threading.Event()
    stage.origin.answer = holding(release)
    with stage.connect() as client:
        client.send(stage.request(b"DELETE /v1/teams/t/secrets/open HTTP/1.1"))
        stage.origin.wait_request()
        [mutation] = ask(stage)["mutations"]
        assert mutation["outcome"] == "open" and mutation["status"] is None and mutation["duration"] is None
        assert mutation["sequence"] == mutation["last_sequence"] == 1 and len(mutation["records"]) == 1
        assert ask(stage, b"?outcome=open")["mutations"] == [mutation]
        release.set()
        assert client.read_response().status == 200
    assert ask(stage)["mutations"][0]["outcome"] == "success"
    stage.origin.answer = b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n"
    assert stage.change(b"DELETE /v1/teams/t/secrets/failed").status == 404
    stage.origin.answer = resetting(b"", release)
    assert stage.change(b"DELETE /v1/teams/t/secrets/lost").status == 502
    assert stage.change(b"DELETE /v1/teams/t/secrets/refused", token="psgate_no", source="127.9.9.9").status == 401
    shown = wait_until(lambda: len((got := ask(stage))["mutations"]) == 4 and got, "all four")
    assert [(row["resource"]["name"], row["outcome"], row["status"]) for row in shown["mutations"]] == \
        [("refused", "refused", 401), ("lost", "unknown", None), ("failed", "failure", 404), ("open", "success", 200)]
    refused = shown["mutations"][0]
    assert refused["reason"] and refused["client"] is None and refused["source"] == "127.9.9.9" and len(refused["records"]) == 1
    for outcome, count in (("success", 1), ("failure", 2), ("unknown", 1), ("refused", 1), ("open", 0)):
        assert len(ask(stage, b"?outcome=" + outcome.encode())["mutations"]) == count, outcome


# Filters


def test_filters_choose_by_each_member(written):
    stage, made = written
    wanted = {}
    for number, (action, user, resource) in enumerate([("createTeamSecret", "ci", "DB_URL"), ("deleteTeamSecret", "ci", "db_url"),
                                                       ("createTeamSecret", "alice", "100%+a b&c"), ("updateTeamMember", "bob", None)]):
        wanted[number] = made.mutation(action=action, user=user, resource=resource, target="u1" if resource is None else None)
    stage.start()
    for query, numbers in ((b"operation=createTeamSecret", [2, 0]), (b"operation=*TeamSecret", [2, 1, 0]), (b"operation=createteamsecret", []),
                           (b"client=ci", [1, 0]), (b"client=*i*", [2, 1, 0]), (b"client=c", []), (b"resource=DB", [0]),
                           (b"resource=*B*", [0]), (b"resource=u1", [3]), (b"resource=100%25%2Ba+b%26c", [2]), (b"resource=%2B", [2]),
                           (b"resource=a%20b", [2]), (b"operation=createTeamSecret&client=ci", [0]), (b"client=&operation=", [3, 2, 1, 0]),
                           (b"client=%63i", [1, 0]), (b"client=ci&client=bob", [1, 0]), (b"Client=ci", [3, 2, 1, 0])):
        assert ids(ask(stage, b"?" + query)) == [wanted[number] for number in numbers], query


def test_filters_choose_by_time(written):
    stage, made = written
    early, late = made.mutation(), made.mutation()
    stage.start()
    times = {row["id"]: row["time"].encode() for row in ask(stage)["mutations"]}
    for query, found in ((b"from=" + times[late], [late]), (b"to=" + times[early], [early]), (b"from=2026-11-23", [late, early]),
                         (b"to=2026-11-22", []), (b"from=2099-01-01T00:00:00Z", []), (b"from=100000d", [late, early]),
                         (b"from=2026-11-23T13:00:00%2B01:00&to=2026-11-23T14:00:00%2B01:00", [late, early])):
        assert ids(ask(stage, b"?" + query)) == found, query


def test_what_cannot_be_understood_is_refused_with_what_would_be_right(stage):
    for name, values in BAD.items():
        for value in values:
            answer = stage.door.ask(b"/api/audit?%b=%b" % (name, value))
            assert assert_problem(answer, 400).startswith(f"psgate: {name.decode()} takes "), value
    assert_problem(stage.door.ask(b"/api/audit?outcome=open%00"), 400)
    for query in HARMLESS:
        ask(stage, query)


def test_filters_take_long_and_strange_texts(stage):
    for value in (b"x" * 4000, b"*" * 2000, b"%ff%fe", b"%zz", b"%", b"%2", b"%22%5c", b"[a-z]", b"%0a%0d", b"-"):
        for name in (b"operation", b"client", b"resource"):
            assert ask(stage, b"?%b=%b" % (name, value))["mutations"] == []


# Pages


def test_pages_follow_each_other_without_gap_or_double(written):
    stage, made = written
    order = []
    open_one = made.intent(resource="open")
    order.append(open_one)
    for number in range(120):
        order.append(made.mutation(resource=f"r{number}") if number % 3 else made.refused(resource=f"r{number}"))
        if number % 10 == 9:  # results that come late and crosswise
            pair = [made.intent(), made.intent()]
            made.result(pair[1])
            made.result(pair[0], "failure", 500)
            order += pair
    stage.start()
    wait_until(lambda: stage.status()["audit"]["sequence"] > made.sequence, "the open one to be closed as unknown")
    whole = ids(ask(stage, b"?limit=200"))
    assert whole == order[::-1]
    for limit in (1, 7, 50, 144, 145, 146):
        got, before = [], b""
        while True:
            shown = ask(stage, b"?limit=%d%b" % (limit, before))
            got += ids(shown)
            assert len(shown["mutations"]) <= limit and shown["more"] == (len(got) < len(order))
            if not shown["more"]:
                break
            before = b"&before=%d" % shown["mutations"][-1]["sequence"]
        assert got == whole, limit
    assert len(ask(stage)["mutations"]) == 50
    assert len(ask(stage, b"?limit=0")["mutations"]) == 1


def test_following_sees_each_change_once_it_changes(stage):
    seen, last, done = {}, [0], threading.Event()

    def change():
        for number in range(60):
            assert stage.change(b"DELETE /v1/teams/t/secrets/s%d" % number).status == 200
        done.set()

    thread = threading.Thread(target=change)
    thread.start()
    while True:
        was_done = done.is_set()
        shown = ask(stage, b"?limit=200&after=%d" % last[0])
        assert all(row["last_sequence"] > last[0] for row in shown["mutations"])
        seen.update((row["id"], row["outcome"]) for row in reversed(shown["mutations"]))
        assert shown["sequence"] >= last[0]
        last[0] = shown["sequence"]
        if was_done:
            break
    thread.join()
    assert len(seen) == 60 and set(seen.values()) == {"success"}
    assert last[0] == 120 and ask(stage, b"?after=120")["mutations"] == []


def test_a_late_result_is_seen_by_who_follows(stage):
    release = threading.Event()
    stage.origin.answer = holding(release)
    with stage.connect() as client:
        client.send(stage.request(b"DELETE /v1/teams/t/secrets/a HTTP/1.1"))
        stage.origin.wait_request()
        first = ask(stage)
        assert ask(stage, b"?after=%d" % first["sequence"])["mutations"] == []
        release.set()
        assert client.read_response().status == 200
    [row] = ask(stage, b"?after=%d" % first["sequence"])["mutations"]
    assert row["id"] == ids(first)[0] and row["outcome"] == "success" and row["sequence"] == 1 and row["last_sequence"] == 2


# Trails in files


def test_rotated_and_compressed_files_are_read_too(written):
    stage, made = written
    order = []
    for number in range(6):
        order += [made.mutation(resource=f"a{number}-{n}") for n in range(10)]
        across = made.intent(resource=f"across{number}")
        closed = made.rotate()
        made.result(across)
        order.append(across)
        if number % 2:
            made.compress(closed, ("gz", "zst")[number // 2 % 2])
    stage.start()
    assert ids(ask(stage, b"?limit=200")) == order[::-1]
    assert len(ask(stage, b"?resource=across")["mutations"]) == 6
    assert verdict(stage)["state"] == "intact"


def test_a_trail_that_is_larger_than_what_is_kept_in_memory(written):
    stage, made = written
    filler = "x" * 2000
    order = [made.intent(resource="first")]
    order += [made.mutation(resource=f"r{number}", user="few" if number % 500 == 0 else "many", recorded=filler) for number in range(1500)]
    made.result(order[0])
    order.append(made.mutation(resource="last"))
    stage.start()
    assert sum(path.stat().st_size for path in stage.trail.folder.iterdir()) > (6 << 20)
    assert ids(ask(stage, b"?limit=3")) == order[:-4:-1]
    assert len(ask(stage, b"?client=few")["mutations"]) == 3
    [row] = ask(stage, b"?resource=first")["mutations"]
    assert row["sequence"] == 1 and row["outcome"] == "success" and len(row["records"]) == 2
    [row] = ask(stage, b"?after=%d&limit=1&resource=first" % (made.sequence - 3))["mutations"]
    assert row["sequence"] == 1, "a result whose intent is no longer in memory"
    got, before = [], made.sequence + 1
    while before > 1:
        shown = ask(stage, b"?limit=200&before=%d" % before)
        got += ids(shown)
        before = shown["mutations"][-1]["sequence"]
    assert got == order[::-1]


def test_a_running_gateways_rotations_are_followed(stage):
    for number in range(5):
        assert stage.change(b"DELETE /v1/teams/t/secrets/s%d" % number).status == 200
        assert len(ask(stage)["mutations"]) == number + 1
        files = len(list(stage.trail.folder.iterdir()))
        stage.gateway.process.send_signal(10)  # SIGUSR1
        wait_until(lambda: len(list(stage.trail.folder.iterdir())) > files, "a new file")  # noqa: B023
    assert stage.change(b"DELETE /v1/teams/t/secrets/last").status == 200
    assert [row["resource"]["name"] for row in ask(stage)["mutations"]] == ["last", "s4", "s3", "s2", "s1", "s0"]
    stage.has_own_trail = False  # the checks after the test look at one file


def test_a_broken_chain_is_told_with_its_place(written):
    stage, made = written
    good = [made.mutation() for _ in range(5)]
    lines = made.current.read_bytes().splitlines(keepends=True)
    lines[3] = lines[3].replace(b'"user.name":"ci"', b'"user.name":"xx"')
    made.current.write_bytes(b"".join(lines))
    stage.start()
    chain = verdict(stage)
    assert chain["state"] == "broken" and "audit.jsonl:4: was changed" in chain["problem"] and chain["checked"], chain
    assert ids(ask(stage)) == good[::-1]


def test_a_checkpoint_is_told(written):
    stage, made = written
    made.mutation()
    made.checkpoint()
    stage.start()
    assert verdict(stage)["last_checkpoint"]["sequence"] in (2, 3)


def test_a_trail_whose_folder_is_gone_is_said_and_comes_back(stage):
    assert stage.change(b"DELETE /v1/teams/t/secrets/a").status == 200
    folder, away = stage.trail.folder, stage.trail.folder.with_name("away")
    folder.rename(away)
    for query in (b"", b"?client=x", b"?from=2026-01-01", b"?after=1"):
        message = assert_problem(stage.door.ask(b"/api/audit" + query), 503)
        assert f"{folder}: No such file or directory" in message
    for target in (b"/healthz", b"/metrics", b"/api/status", b"/api/clients"):
        assert stage.door.ask(target).status == 200
    folder.mkdir()
    assert ask(stage)["mutations"] == []
    folder.rmdir()
    away.rename(folder)
    assert len(ask(stage)["mutations"]) == 1
    assert verdict(stage)["state"] == "intact"


def test_a_trail_that_was_never_there_is_said(make_admin):
    stage = make_admin(operations=None)
    shutil.rmtree(stage.trail.folder)
    message = assert_problem(stage.door.ask(b"/api/audit"), 503)
    assert str(stage.trail.folder) in message
    assert assert_problem(stage.door.ask(b"/api/audit?client=x"), 503) == message
    stage.trail.folder.mkdir()
    wait_until(lambda: stage.change(b"DELETE /v1/teams/t/secrets/a").status == 200, "the trail to be writable again")
    assert len(ask(stage)["mutations"]) >= 1 and verdict(stage)["state"] == "intact"


def test_lines_that_are_no_records_are_left_out(written):
    stage, made = written
    good = [made.mutation()]
    made.write(b"rubbish\n" + b'{"a":1}\n' + b"\xff\n" + b"\n")
    good.append(made.mutation())
    stage.start()
    assert ids(ask(stage))[0] == good[1] and set(ids(ask(stage))) <= set(good)
    assert verdict(stage)["state"] == "broken"


def test_a_gateway_stops_while_questions_wait(written):
    stage, made = written
    for _ in range(3000):
        made.mutation(recorded="x" * 2000)
    stage.start()
    clients = [stage.door.connect() for _ in range(20)]
    for client in clients:
        client.send(stage.door.head(b"GET /api/audit?client=nobody HTTP/1.1"))
    stage.gateway.process.terminate()
    assert stage.gateway.process.wait(60) == 0
    for client in clients:
        client.close()
