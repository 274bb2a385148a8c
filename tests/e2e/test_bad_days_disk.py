"""A disk that is slow, not broken: changes wait for it together, and nobody else waits."""

import threading

import pytest
from support.audit import MEMBERS, SECRETS, assert_unavailable
from support.waiting import wait_until

pytest_plugins = ["support.audit", "support.disks"]

CHANGES = 40


@pytest.fixture
def make_slow(make_audited, shim, tmp_path):
    def make(**audit):
        return make_audited(trail=tmp_path / "audit", environment=shim.environment, audit=audit)

    return make


class Changes:
    """So many changes at once, each on a connection of its own."""

    def __init__(self, stage, count):
        self.answers = {}
        self.stage = stage
        self.threads = [threading.Thread(target=self.run, args=(f"c{number}",)) for number in range(count)]
        for thread in self.threads:
            thread.start()

    def run(self, name):
        self.answers[name] = self.stage.create(name)

    def join(self):
        for thread in self.threads:
            thread.join()
        return self.answers


def test_changes_wait_together_for_a_slow_disk_and_all_are_recorded(make_slow, shim):
    stage = make_slow(timeout="60s")
    with shim.ordered(slow=200):
        answers = Changes(stage, CHANGES).join()
        assert {answer.status for answer in answers.values()} == {201}
        syncs = shim.done("slow")
    assert 2 <= syncs < CHANGES, f"{syncs} syncs for {2 * CHANGES} records"
    changes = stage.wait_finished(*answers)
    assert len(changes) == CHANGES
    stage.gateway.stop()
    assert stage.verify()[1:] == (CHANGES, 0)


def test_reads_and_lookups_are_answered_while_the_disk_takes_its_time(make_slow, shim):
    stage = make_slow(timeout="60s")
    shim.order(slow=900)
    changes = Changes(stage, 1)
    shim.wait_done("slow")
    asked = 0
    while changes.threads[0].is_alive():
        assert [stage.get(target).status for target in (SECRETS, MEMBERS)] == [200, 200]
        assert stage.own(b"healthz") == 200
        asked += 1
    assert asked > 3, "reads waited for the disk"
    assert changes.answers["c0"].status == 201
    shim.lift()


def test_on_a_disk_that_is_slower_than_audit_timeout_nothing_is_forwarded_or_all_is_told(make_slow, shim):
    """What was refused was not forwarded; of what was, the client knows, and the trail in the end."""
    stage = make_slow(timeout="300ms")
    with shim.ordered(slow=700):
        answers = Changes(stage, CHANGES).join()
    statuses = {name: answer.status for name, answer in answers.items()}
    assert set(statuses.values()) <= {201, 500, 503} and 503 in statuses.values()
    for name, answer in answers.items():
        if answer.status == 503:
            assert_unavailable(answer)
            assert name not in stage.arrived
        elif answer.status == 500:
            assert name in stage.arrived and b"do not repeat" in answer.body
    stage.wait_ready()
    stage.assert_created("after")
    wait_until(lambda: all(change.results for change in stage.changes().values()), "all results")
    for name, change in stage.changes().items():
        assert change.end[0] == ("success" if name in stage.arrived else "failure"), (name, change.end)
