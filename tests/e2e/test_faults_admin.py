"""Calls that fail while the admin endpoint is asked, and while the configuration is loaded again."""

import json
import signal
from contextlib import nullcontext

import pytest
from support.admin import Door, unix
from support.fault_requests import FaultStage, Kind
from support.faults import CALLS, Sweep
from support.waiting import wait_until
from support.wire import Ended

pytest_plugins = ["support.faults"]


class Asked(Kind):
    """A question to the endpoint on a connection of its own."""

    method, target = b"GET", b"/"
    errors = (500, 503)

    def prepare(self, number):
        self.number = number
        return nullcontext()

    def exchange(self, client):
        with Door(self.stage.socket).connect() as client:
            client.send_unheeded(Door(self.stage.socket).head(b"%b %b HTTP/1.1" % (self.method, self.target)))
            wait_until(lambda: client.is_readable(0.1) or self.is_lost(), "an answer")
            return client.read_response(self.method.decode())

    def is_lost(self):
        """libevhtp's parser is its one allocation past the reserve; without it, it forgets the connection."""
        site = self.stage.faults.site() if self.stage.faults.failed else []
        if len(site) < 3 or not site[1].startswith("malloc ") or "evhtp" not in site[2]:
            return False
        self.stage.descriptors += 1
        raise Ended(b"", False)

    def is_right(self, answer):
        return answer.status == 200

    def check(self, answer):
        if answer is not None and not self.is_right(answer):
            assert answer.status in self.errors, answer.start
            assert json.loads(answer.body)["message"].startswith("psgate: ")


class Page(Asked):
    pass


class Ready(Asked):
    target = b"/readyz"


class MetricsText(Asked):
    target = b"/metrics"

    def is_right(self, answer):
        return answer.status == 200 and b"\npsgate_build_info{" in answer.body and answer.body.endswith(b"\n")


class Data(Asked):
    member = b""

    def is_right(self, answer):
        return answer.status == 200 and self.member in json.loads(answer.body)


class Status(Data):
    target, member = b"/api/status", "operations"


class Clients(Data):
    target, member = b"/api/clients", "clients"


class Records(Data):
    target, member = b"/api/audit", "mutations"


class Purge(Asked):
    method, target = b"POST", b"/cache/purge?scope=things"
    errors = (400, 500, 503)  # 400: the parameter's value could not be decoded


class Reloaded(Kind):
    """SIGHUP: in force or refused, and said so."""

    ENDS = ("configuration reloaded", "reload refused")

    def prepare(self, number):
        self.number = number
        return nullcontext()

    def outcome(self, client):
        before = len(self.stage.gateway.stderr())
        self.stage.gateway.process.send_signal(signal.SIGHUP)
        return wait_until(lambda: [end for end in self.ENDS if end in self.stage.gateway.stderr()[before:]],
                          "the end of the reload")[0]

    def is_right(self, answer):
        return answer == self.ENDS[0]

    def check(self, answer):
        assert self.stage.get(b"/v1/plain").status == 200, answer


@pytest.fixture(scope="module")
def stage(binary, tmp_path_factory, faults_library):
    folder = tmp_path_factory.mktemp("faults")
    stage = FaultStage(binary, folder, faults_library, config=unix(folder / "admin.sock"))
    stage.socket = folder / "admin.sock"
    stage.start()
    wait_until(stage.socket.exists, "the admin endpoint")
    assert Records(stage).outcome(None).status == 200  # from now on it keeps the trail open
    stage.note_descriptors()
    yield stage
    stage.stop()


@pytest.fixture(autouse=True)
def nothing_is_left(stage):
    yield
    stage.check()


# A connection that libevent cannot watch is libevhtp's, and closed when its time is over.
ENDPOINT_CALLS = [call for call in CALLS if call != "watch"]
ASKED = [Page, Ready, MetricsText, Status, Clients, Records, Purge]


@pytest.mark.parametrize("kind", ASKED)
def test_each_allocation_of_an_answer_may_fail(stage, kind):
    sweep = Sweep(stage, stage.faults, kind(stage))
    assert sweep.run("memory") > 0
    sweep.check()


@pytest.mark.parametrize("kind", ASKED)
def test_each_system_call_of_an_answer_may_fail(stage, kind):
    sweep = Sweep(stage, stage.faults, kind(stage))
    struck = {call: sweep.run(call) for call in ENDPOINT_CALLS}
    assert struck["receive"] > 0 and struck["accept"] > 0
    sweep.check()


def test_each_allocation_of_a_reload_may_fail(stage):
    sweep = Sweep(stage, stage.faults, Reloaded(stage))
    assert sweep.run("memory", step=17) > 0
    sweep.check()


def test_each_system_call_of_a_reload_may_fail(stage):
    sweep = Sweep(stage, stage.faults, Reloaded(stage))
    struck = {call: sweep.run(call) for call in CALLS}
    assert struck["open"] > 0 and struck["random"] > 0
    sweep.check()
