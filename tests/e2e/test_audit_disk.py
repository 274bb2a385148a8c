"""The audit trail when its disk is full, read-only, broken, hung or gone, and when files are moved."""

import errno
import json
import random
import re
import shutil
import subprocess
import threading
import time
from pathlib import Path

import pytest
from support.audit import GIVEN_UP, SECRETS, SUCCESS, assert_unavailable, read_records
from support.disks import Ext4
from support.waiting import wait_until

pytest_plugins = ["support.audit", "support.disks"]

ROOT = Path(__file__).resolve().parents[2]
LOGROTATE = ROOT / "deploy/logrotate/psgate"
CLOSED = re.compile(r"audit-(\d{12})\.jsonl")


@pytest.fixture(params=["tmpfs", "ext4"])
def disk(request):
    """A small disk of each kind."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def make_shimmed(make_audited, shim, tmp_path):
    """Makes gateways whose calls on the trail's files obey the shim."""
    return lambda **options: make_audited(trail=tmp_path / "audit", environment=shim.environment, **options)


def create_until_refused(stage, most=3000):
    """Creates secrets until one is refused, and gives the names of the others."""
    for number in range(most):
        answer = stage.create(f"filling-{number}")
        if answer.status != 201:
            assert_unavailable(answer)
            return [f"filling-{done}" for done in range(number)]
    raise AssertionError(f"{most} changes were recorded on a full disk")


def assert_all_succeeded(stage, names):
    changes = stage.changes()
    assert {changes[name].end for name in names} <= {SUCCESS}


# -- a full disk -------------------------------------------------------------------------------------


def test_on_a_full_disk_only_changes_are_refused_and_what_was_under_way_is_recorded(make_audited, disk):
    stage = make_audited(trail=disk.trail)
    with stage.under_way("under-way") as client:
        disk.fill()
        names = create_until_refused(stage)
        stage.wait_unready()
        stage.assert_refuses_changes()
        stage.assert_goes_on()
        stage.held["under-way"].set()
        assert client.read_response("POST").status == 201
        assert stage.changes()["under-way"].end == SUCCESS  # its room was reserved
        stage.assert_refuses_changes()
        assert stage.verify()[2] == 0
    disk.free()
    stage.wait_ready()
    stage.assert_created("afterwards")
    assert_all_succeeded(stage, [*names, "under-way", "afterwards"])
    assert len(stage.arrived) == len(names) + 2
    assert stage.verify()[2] == 0


def test_many_changes_under_way_on_a_full_disk_all_get_their_results_recorded(make_audited, disk):
    stage = make_audited(trail=disk.trail)
    names = [f"held-{number}" for number in range(40)]
    leaves = [stage.hold(name) for name in names]
    clients = [stage.send_creation(name) for name in names]
    for name in names:
        stage.wait_arrived(name)
    disk.fill()
    create_until_refused(stage)
    for leave in leaves:
        leave.set()
    for client in clients:
        with client:
            assert client.read_response("POST").status == 201
    assert_all_succeeded(stage, names)
    assert stage.verify()[2] == 0
    disk.free()
    stage.wait_ready()


def test_a_gateway_that_starts_on_a_full_disk_serves_reads_and_heals(make_audited, disk):
    disk.trail.mkdir()
    disk.fill()
    stage = make_audited(start=False, trail=disk.trail).start()
    stage.wait_unready()
    stage.assert_refuses_changes()
    stage.assert_goes_on()
    disk.free()
    stage.wait_ready()
    stage.assert_created("afterwards")
    assert_all_succeeded(stage, ["afterwards"])
    assert stage.verify()[2] == 0


def test_a_disk_that_is_full_is_said_once_with_its_cause(make_audited, tmpfs):
    stage = make_audited(trail=tmpfs.trail)
    tmpfs.fill()
    create_until_refused(stage)
    for number in range(5):
        stage.assert_refuses_changes(f"refused-{number}")
    tmpfs.free()
    stage.wait_ready()
    errors = [line for line in stage.gateway.stderr().splitlines() if "the trail cannot be written" in line]
    assert len(errors) == 1 and "No space left" in errors[0]
    assert "the trail can be written again" in stage.gateway.stderr()


# -- a read-only disk --------------------------------------------------------------------------------


def test_a_gateway_that_starts_on_a_read_only_disk_serves_reads_and_heals(make_audited, tmpfs):
    tmpfs.trail.mkdir()
    tmpfs.make_read_only()
    stage = make_audited(start=False, trail=tmpfs.trail).start()
    stage.wait_unready()
    stage.assert_refuses_changes()
    stage.assert_goes_on()
    tmpfs.make_writable()
    stage.wait_ready()
    stage.assert_created("afterwards")
    refused = [record for record in read_records(stage.trail) if record["proxy.phase"] == "refused"]
    assert refused and {record["http.response.status_code"] for record in refused} == {503}
    assert stage.verify() == (len(refused) + 2, 1, 0)


def test_a_disk_that_turns_read_only_refuses_changes_until_it_is_mended(make_audited, ext4):
    stage = make_audited(trail=ext4.trail)
    stage.assert_created("before")
    with stage.under_way("under-way"):
        ext4.abort()
        stage.assert_refuses_changes()
        stage.wait_unready()
        stage.assert_goes_on()
        stage.kill()
    ext4.mend()
    stage.restart()
    stage.assert_created("afterwards")
    changes = stage.changes()
    assert changes["before"].end == changes["afterwards"].end == SUCCESS
    assert changes["under-way"].end[0] == "unknown"
    assert stage.verify()[2] == 0


def test_a_read_only_remount_under_a_running_gateway_heals_by_itself(make_shimmed, shim):
    stage = make_shimmed()
    stage.assert_created("before")
    with stage.under_way("under-way") as client:
        with shim.ordered(**dict.fromkeys(("write", "allocate", "rename", "create"), errno.EROFS)):
            stage.assert_refuses_changes()
            stage.wait_unready()
            stage.assert_goes_on()
            stage.held["under-way"].set()
        stage.wait_ready()
        assert client.read_response("POST").status == 201
    stage.assert_created("afterwards")
    assert_all_succeeded(stage, ["before", "under-way", "afterwards"])
    assert stage.verify()[2] == 0


# -- a folder that goes ------------------------------------------------------------------------------


def test_without_its_folder_changes_are_refused_until_it_is_made_again(make_audited):
    stage = make_audited()
    stage.assert_created("lost")
    shutil.rmtree(stage.trail)
    stage.assert_refuses_changes()
    stage.wait_unready()
    stage.assert_goes_on()
    stage.trail.mkdir(mode=0o700)
    stage.wait_ready()
    stage.assert_created("afterwards")
    assert stage.changes()["afterwards"].end == SUCCESS
    assert re.search(r"audit\.jsonl:1: .*earlier records, 1 to \d+, are not here", stage.broken())


def test_a_folder_that_is_renamed_away_and_back_goes_on_in_its_file(make_audited):
    stage = make_audited(audit={"timeout": "20s"})
    stage.assert_created("before")
    away = stage.trail.with_name("away")
    with stage.under_way("under-way") as client:
        stage.trail.rename(away)
        stage.assert_refuses_changes()
        stage.wait_unready()
        stage.assert_goes_on()
        stage.held["under-way"].set()
        assert not client.is_readable(0.3)  # no answer before its record
        away.rename(stage.trail)
        assert client.read_response("POST").status == 201
    stage.wait_ready()
    stage.assert_created("afterwards")
    assert_all_succeeded(stage, ["before", "under-way", "afterwards"])
    assert stage.verify()[2] == 0
    assert [file.name for file in stage.files()] == ["audit.jsonl"]


def test_a_folder_that_comes_back_after_a_failed_write_is_gone_on_with(make_shimmed, shim):
    stage = make_shimmed()
    stage.assert_created("before")
    away = stage.trail.with_name("away")
    with shim.ordered(sync=errno.EIO, rename=errno.EIO):
        assert_unavailable(stage.create("given-up"))
        stage.trail.rename(away)
        shim.wait_done("missed", 2)
        stage.assert_refuses_changes()
    away.rename(stage.trail)
    stage.wait_ready()
    stage.assert_created("afterwards")
    changes = stage.wait_finished("given-up")
    assert changes["before"].end == changes["afterwards"].end == SUCCESS
    assert changes["given-up"].end == GIVEN_UP
    assert stage.verify()[2] == 0


# -- a disk that fails -------------------------------------------------------------------------------


def assert_resumed(stage, repeated):
    """The last file goes on from a suspect one, and says so in its first line."""
    suspect, resumed = stage.files()[-2:]
    first = resumed.records[0]
    assert (first["proxy.phase"], first["event.action"]) == ("trail", "trail.resumed")
    assert first["proxy.trail.suspect_file"] == suspect.name and CLOSED.fullmatch(suspect.name)
    assert first["proxy.trail.last_hash"] == first["proxy.prev_hash"]
    assert first["proxy.trail.repeated"] == repeated
    assert resumed.name == "audit.jsonl"
    return suspect, resumed


def test_after_one_failed_write_the_change_goes_on_in_a_new_file(make_shimmed, shim):
    stage = make_shimmed()
    stage.assert_created("before")
    shim.order(write=errno.EIO, once=1)
    stage.assert_created("hit")
    suspect, resumed = assert_resumed(stage, 1)
    assert suspect.torn == b"" and len(resumed.records) == 3
    stage.assert_created("afterwards")
    assert_all_succeeded(stage, ["before", "hit", "afterwards"])
    assert stage.verify() == (7, 3, 0)
    assert stage.own(b"readyz") == 200


def test_after_half_a_line_was_written_it_is_repeated_in_a_new_file(make_shimmed, shim):
    stage = make_shimmed()
    stage.assert_created("before")
    shim.order(short=100, write=errno.EIO, once=1)
    stage.assert_created("hit")
    suspect, resumed = assert_resumed(stage, 1)
    assert len(suspect.torn) == 100
    assert resumed.lines[1].startswith(suspect.torn)
    assert_all_succeeded(stage, ["before", "hit"])
    assert stage.verify() == (5, 2, 0)


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC, errno.EDQUOT])
def test_after_one_failed_sync_the_lines_are_repeated_and_count_once(make_shimmed, shim, code):
    stage = make_shimmed()
    stage.assert_created("before")
    shim.order(sync=code, once=1)
    stage.assert_created("hit")
    suspect, resumed = assert_resumed(stage, 1)
    superseded, repeat = suspect.records[-1], resumed.records[1]
    assert superseded["event.id"] == repeat["event.id"] and superseded["proxy.resource.name"] == "hit"
    body = suspect.lines[-1].rpartition(b',"event.sequence":')[0]
    assert resumed.lines[1].rpartition(b',"event.sequence":')[0] == body
    stage.assert_created("afterwards")
    assert_all_succeeded(stage, ["before", "hit", "afterwards"])
    assert stage.verify() == (7, 3, 0)


def test_a_result_whose_sync_fails_is_repeated_before_the_client_is_answered(make_shimmed, shim):
    stage = make_shimmed()
    with stage.under_way("under-way") as client:
        shim.order(sync=errno.EIO, once=1)
        stage.held["under-way"].set()
        assert client.read_response("POST").status == 201
    assert_resumed(stage, 1)
    assert_all_succeeded(stage, ["under-way"])
    assert stage.verify() == (3, 1, 0)


@pytest.mark.parametrize("call", ["write", "sync"])
def test_while_the_disk_fails_changes_are_refused_and_those_given_up_are_recorded_so(make_shimmed, shim, call):
    stage = make_shimmed()
    stage.assert_created("before")
    with shim.ordered(**{call: errno.EIO}):
        assert_unavailable(stage.create("given-up"))
        stage.wait_unready()
        stage.assert_refuses_changes()
        stage.assert_goes_on()
        before = shim.done(call)
        shim.wait_done(call, before + 5)  # it is tried again all the time
        assert len(list(stage.trail.iterdir())) <= 3
    stage.wait_ready()
    stage.assert_created("afterwards")
    changes = stage.wait_finished("given-up")
    assert changes["before"].end == changes["afterwards"].end == SUCCESS
    assert changes["given-up"].end == GIVEN_UP
    assert "given-up" not in stage.arrived
    assert stage.verify()[2] == 0


def test_a_new_file_that_cannot_be_begun_leaves_the_trail_whole(make_shimmed, shim):
    stage = make_shimmed()
    stage.assert_created("before")
    with shim.ordered(sync=errno.EIO, create=errno.ENOSPC):
        assert_unavailable(stage.create("given-up"))
        stage.assert_refuses_changes()
        stage.assert_goes_on()
    stage.wait_ready()
    stage.assert_created("afterwards")
    assert stage.wait_finished("given-up")["given-up"].end == GIVEN_UP
    assert stage.verify()[2] == 0


def test_a_suspect_file_that_is_renamed_before_it_is_closed_is_gone_on_from(make_shimmed, shim):
    stage = make_shimmed()
    stage.assert_created("before")
    with shim.ordered(sync=errno.EIO, rename=errno.EIO):
        assert_unavailable(stage.create("given-up"))
        (stage.trail / "audit.jsonl").rename(stage.trail / "audit.jsonl.1")
        stage.assert_refuses_changes()
        stage.wait_unready()
    stage.wait_ready()
    stage.assert_created("afterwards")
    assert stage.wait_finished("given-up")["given-up"].end == GIVEN_UP
    assert stage.verify()[2] == 0


def test_a_killed_gateway_whose_disk_had_failed_goes_on_with_the_chain(make_shimmed, shim):
    stage = make_shimmed()
    stage.assert_created("before")
    with shim.ordered(sync=errno.EIO):
        assert_unavailable(stage.create("given-up"))
        stage.kill()
    stage.restart()
    stage.assert_created("afterwards")
    changes = stage.changes()
    assert changes["before"].end == changes["afterwards"].end == SUCCESS
    assert stage.verify()[2] == 0
    assert "given-up" not in stage.arrived


def test_under_load_on_a_flaky_disk_every_answer_is_true(make_shimmed, shim):
    stage = make_shimmed(audit={"timeout": "20s"})
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    answers = {}

    def change(worker):
        for number in range(12):
            name = f"w{worker}-{number}"
            answers[name] = stage.create(name)

    threads = [threading.Thread(target=change, args=(worker,)) for worker in range(6)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        fault = chance.choice([{"sync": errno.EIO}, {"write": errno.EIO}, {"short": 300, "write": errno.EIO},
                               {"rename": errno.EIO, "sync": errno.EIO}, {"create": errno.EIO, "write": errno.EIO}])
        with shim.ordered(**fault):
            wait_until(lambda: shim.done("sync") + shim.done("write") or not any(map(threading.Thread.is_alive, threads)),
                       "the fault")
            time.sleep(chance.random() / 20)
        (shim.orders / "done").unlink(missing_ok=True)
        time.sleep(0.25 + chance.random() / 5)  # longer than the time after which it is tried again
    for thread in threads:
        thread.join()
    stage.wait_ready()
    stage.assert_created("last")
    stage.wait_finished(*stage.arrived)
    changes = stage.changes()
    for name, answer in answers.items():
        if answer.status == 201:
            assert changes[name].end == SUCCESS and stage.arrived.count(name) == 1
        else:
            assert_unavailable(answer)
            assert name not in stage.arrived
            assert name not in changes or changes[name].end == GIVEN_UP
    assert stage.verify()[2] == 0


def test_a_disk_that_reports_real_io_errors_refuses_changes_and_its_trail_goes_on_once_mended(make_audited, tmpfs):
    disk = Ext4(tmpfs.path)  # its blocks are on the tmpfs: when that is full, writing them is an I/O error
    try:
        stage = make_audited(trail=disk.trail)
        stage.assert_created("before")
        tmpfs.fill()
        answers = [stage.create(f"filling-{number}") for number in range(200)]
        refused = [answer for answer in answers if answer.status != 201]
        assert refused
        for answer in refused:
            assert answer.status == 500 or assert_unavailable(answer) is None
        stage.assert_goes_on()
        stage.kill()
        tmpfs.free()
        disk.mend()
        stage.restart()
        stage.assert_created("afterwards")
        changes = stage.changes()
        told = [name for name, answer in zip((f"filling-{number}" for number in range(200)), answers) if answer.status == 201]
        assert {changes[name].end for name in [*told, "before", "afterwards"]} == {SUCCESS}
        assert set(stage.arrived) <= set(changes)
        assert stage.verify()[2] == 0
        stage.gateway.stop()
    finally:
        disk.unmount()


# -- a disk that hangs -------------------------------------------------------------------------------


def check_a_hung_disk(stage, hang):
    """What must hold while `hang`, a context, keeps every sync from returning."""
    stage.assert_created("before")
    with stage.under_way("under-way") as held:
        with hang:
            with stage.connect() as other, stage.send_creation("given-up") as waiting:
                answered, begun = 0, time.monotonic()
                while not waiting.is_readable():
                    assert other.ask(stage.request(b"GET %b HTTP/1.1" % SECRETS)).status == 200
                    answered += 1
                assert 0.5 < time.monotonic() - begun < 10
                assert answered > 20
                answer = waiting.read_response("POST")
                assert_unavailable(answer)
                assert "audit.timeout" in json.loads(answer.body)["message"]
            stage.wait_unready()
            stage.assert_refuses_changes()
            stage.held["under-way"].set()
            answer = held.read_response("POST")
            message = json.loads(answer.body)["message"]
            assert answer.status == 500 and message.startswith("psgate: ")
            assert "upstream answered 201" in message and "could not be recorded" in message
            assert "do not repeat" in message
            stage.assert_goes_on()
        stage.wait_ready()
    changes = stage.wait_finished("under-way", "given-up")
    assert changes["before"].end == changes["under-way"].end == SUCCESS
    assert changes["given-up"].end == GIVEN_UP
    assert "given-up" not in stage.arrived
    stage.assert_created("afterwards")
    assert stage.verify()[2] == 0


HUNG = {"audit": {"timeout": "700ms"}, "config": {"workers": 1}}


def test_a_frozen_disk_gives_503_in_time_and_holds_nobody_else_up(make_audited, ext4):
    check_a_hung_disk(make_audited(trail=ext4.trail, **HUNG), ext4.frozen())


def test_a_sync_that_hangs_gives_503_in_time_and_holds_nobody_else_up(make_shimmed, shim):
    check_a_hung_disk(make_shimmed(**HUNG), shim.ordered(hang=1))


def test_an_answer_whose_result_is_recorded_just_in_time_is_given(make_shimmed, shim):
    stage = make_shimmed(audit={"timeout": "20s"})
    with stage.under_way("under-way") as held:
        with shim.ordered(hang=1):
            stage.held["under-way"].set()
            shim.wait_done("hang")
            assert not held.is_readable(0.3)
        assert held.read_response("POST").status == 201
    assert_all_succeeded(stage, ["under-way"])
    assert stage.verify() == (2, 1, 0)


def test_a_client_that_leaves_while_the_disk_hangs_has_its_change_recorded(make_shimmed, shim):
    stage = make_shimmed(audit={"timeout": "20s"})
    with shim.ordered(hang=1):
        with stage.send_creation("left-early"):
            shim.wait_done("hang")
        stage.assert_goes_on()
    changes = stage.wait_finished("left-early")
    assert changes["left-early"].end in (GIVEN_UP, SUCCESS)
    assert ("left-early" in stage.arrived) == (changes["left-early"].end == SUCCESS)
    assert stage.verify()[2] == 0


def test_a_gateway_stops_in_time_though_its_disk_fails(make_shimmed, shim):
    stage = make_shimmed()
    stage.assert_created("before")
    with shim.ordered(sync=errno.EIO):
        assert_unavailable(stage.create("given-up"))
        begun = time.monotonic()
        stage.gateway.stop()
        assert time.monotonic() - begun < 10
    stage.restart()
    stage.assert_created("afterwards")
    assert stage.verify()[2] == 0


# -- files that are deleted or renamed ---------------------------------------------------------------


def test_a_deleted_current_file_starts_a_new_one_and_verify_names_what_is_missing(make_audited):
    stage = make_audited()
    stage.assert_created("lost")
    stage.rotate()
    stage.assert_created("lost-too")
    (stage.trail / "audit.jsonl").unlink()
    stage.assert_created("afterwards")
    assert stage.own(b"readyz") == 200
    assert stage.changes()["afterwards"].end == SUCCESS
    message = stage.broken()
    match = re.search(r"audit\.jsonl:1: has event\.sequence (\d+), but records (\d+) to (\d+) are missing", message)
    assert match, message
    assert int(match[3]) == int(match[1]) - 1 and int(match[3]) - int(match[2]) == 1


@pytest.mark.parametrize("new", ["audit.jsonl.1", "audit-old.jsonl", "audit.jsonl-20261123"])
def test_a_current_file_that_is_renamed_in_the_folder_starts_a_new_one(make_audited, new):
    stage = make_audited()
    with stage.under_way("under-way") as client:
        stage.assert_created("before")
        (stage.trail / "audit.jsonl").rename(stage.trail / new)
        stage.held["under-way"].set()
        assert client.read_response("POST").status == 201
    stage.assert_created("afterwards")
    assert [file.name for file in stage.files()] == [new, "audit.jsonl"]
    assert_all_succeeded(stage, ["before", "under-way", "afterwards"])
    assert stage.verify() == (6, 3, 0)


def test_an_empty_file_in_the_place_of_the_renamed_one_does_no_harm(make_audited):
    stage = make_audited()
    stage.assert_created("before")
    (stage.trail / "audit.jsonl").rename(stage.trail / "audit.jsonl.1")
    (stage.trail / "audit.jsonl").touch()
    stage.assert_created("afterwards")
    assert stage.verify() == (4, 2, 0)
    stage.gateway.stop()
    stage.restart()
    assert stage.verify() == (4, 2, 0)


# -- rotation ----------------------------------------------------------------------------------------


def assert_named_by_first(files):
    *closed, current = files
    assert current.name == "audit.jsonl"
    for file in closed:
        assert int(CLOSED.fullmatch(file.name)[1]) == file.first


def test_sigusr1_begins_a_new_file_and_open_intents_reach_over_it(make_audited):
    stage = make_audited()
    stage.assert_created("before")
    with stage.under_way("under-way") as client:
        stage.rotate()
        stage.assert_created("between")
        stage.rotate()
        stage.assert_created("late")
        stage.held["under-way"].set()
        assert client.read_response("POST").status == 201
    files = stage.files()
    assert_named_by_first(files)
    opened = stage.changes()["under-way"].intent["event.sequence"]
    firsts = [file.records[0] for file in files]
    assert [first["proxy.trail.oldest_open"] for first in firsts] == [1, opened, opened]
    assert all("proxy.trail.oldest_open" not in record for file in files for record in file.records[1:])
    assert_all_succeeded(stage, ["before", "under-way", "between", "late"])
    assert stage.verify() == (8, 4, 0)


def test_sigusr1_without_a_record_since_the_last_leaves_no_empty_file(make_audited):
    stage = make_audited()
    stage.assert_created("one")
    stage.rotate()
    for _ in range(3):
        stage.gateway.process.send_signal(10)
        assert stage.own(b"readyz") == 200
    stage.assert_created("two")
    counts = [len(file.records) for file in stage.files()]  # a signal may come between intent and result
    assert sum(counts) == 4 and 0 not in counts[:-1]
    assert len(list(stage.trail.iterdir())) == len(counts)


def test_a_file_that_has_its_size_is_closed(make_audited):
    stage = make_audited(audit={"rotate_size": "16KiB"})
    for number in range(60):
        stage.assert_created(f"secret-{number}")
    files = stage.files()
    assert len(files) > 3
    assert_named_by_first(files)
    for file in files[:-1]:
        size = (stage.trail / file.name).stat().st_size
        assert 16 << 10 <= size < 24 << 10
    assert stage.verify() == (120, 60, 0)


# -- logrotate ---------------------------------------------------------------------------------------


class Logrotate:
    """The shipped sample, for a folder of the test's own."""

    def __init__(self, trail, folder, zstd=False, dated=False):
        if shutil.which("logrotate") is None:
            pytest.skip("logrotate is not installed")
        if zstd and shutil.which("zstd") is None:
            pytest.skip("zstd is not installed")
        text = re.sub(r"^\S+(?=/audit-\*)", str(trail), LOGROTATE.read_text(), flags=re.M)
        assert str(trail) in text
        text = text.replace("/var/log/psgate/", f"{folder}/")  # the log's, of which there is none here
        text = re.sub(r"^ *su .*\n", "", text, flags=re.M)  # the service's user, who is not here
        if dated:  # as some distributions have it in /etc/logrotate.conf
            text = "dateext\n" + text
        if zstd:
            text = re.sub(r"^( *)# *(?=(compresscmd|compressext|uncompresscmd|compressoptions)\b)", r"\1", text, flags=re.M)
            assert "\n    compresscmd /usr/bin/zstd" in text
        self.file = folder / "logrotate.conf"
        self.state = folder / "logrotate.state"
        self.file.write_text(text)
        self.file.chmod(0o644)

    def run(self):
        result = subprocess.run(["logrotate", "--force", "--state", self.state, self.file],
                                capture_output=True, text=True)
        assert result.returncode == 0 and "error" not in result.stderr, result.stderr


def directives(text):
    return [line.split("#")[0].strip() for line in text.splitlines() if line.split("#")[0].strip()]


def test_the_logrotate_sample_neither_truncates_nor_deletes():
    words = {line.split()[0] for line in directives(LOGROTATE.read_text())}
    assert words.isdisjoint({"copytruncate", "copy", "truncate", "shred", "maxage", "create"})
    assert "rotate -1" in directives(LOGROTATE.read_text())
    assert "compress" in words and "copytruncate" in LOGROTATE.read_text()  # said in a comment


@pytest.mark.parametrize("ending, dated", [(".gz", False), (".zst", False), (".gz", True)],
                         ids=["gzip", "zstd", "gzip-and-dateext"])
def test_logrotate_compresses_closed_files_which_still_verify(make_shimmed, shim, tmp_path, ending, dated):
    stage = make_shimmed()
    logrotate = Logrotate(stage.trail, tmp_path, zstd=ending == ".zst", dated=dated)
    stage.assert_created("first")
    stage.rotate()
    with stage.under_way("under-way") as client:
        stage.assert_created("second")
        shim.order(sync=errno.EIO, once=1)
        stage.assert_created("hit")  # its file is closed as suspect
        stage.rotate()
        stage.assert_created("third")
        before, current = stage.verify(), (stage.trail / "audit.jsonl").read_bytes()
        logrotate.run()
        names = sorted(path.name for path in stage.trail.iterdir())
        assert len(names) == 4 and [name.endswith(ending) for name in names] == [True, True, True, False]
        assert names[-1] == "audit.jsonl" and (stage.trail / "audit.jsonl").read_bytes() == current
        assert stage.verify() == before
        logrotate.run()
        assert sorted(path.name for path in stage.trail.iterdir()) == names
        stage.held["under-way"].set()
        assert client.read_response("POST").status == 201
    stage.assert_created("fourth")
    stage.gateway.stop()
    stage.restart()
    stage.assert_created("fifth")
    stage.rotate()
    logrotate.run()
    assert_all_succeeded(stage, ["first", "second", "under-way", "hit", "third", "fourth", "fifth"])
    assert stage.verify() == (15, 7, 0)


def test_a_copy_beside_its_original_counts_once(make_audited):
    stage = make_audited()
    stage.assert_created("first")
    stage.rotate()
    stage.assert_created("second")
    closed = stage.trail / stage.files()[0].name
    for command in (["gzip", "--keep", closed], ["zstd", "--quiet", "--keep", closed]):
        if shutil.which(command[0]):
            subprocess.run(command, check=True)
            verdict = stage.gateway.command("audit", "verify", stage.trail)
            assert verdict.stdout.startswith("4 records, 2 mutations, 0 unfinished"), verdict
    closed.unlink()
    verdict = stage.gateway.command("audit", "verify", stage.trail)
    assert verdict.stdout.startswith("4 records, 2 mutations, 0 unfinished"), verdict
