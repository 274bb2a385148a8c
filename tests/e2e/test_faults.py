"""Whatever call fails while a request is served: an answer that is right, or a clear error, or none."""

import pytest
from support.fault_requests import CHANGES, KINDS, FaultStage
from support.faults import CALLS, Sweep

pytest_plugins = ["support.faults"]


@pytest.fixture(scope="module")
def stage(binary, tmp_path_factory, faults_library):
    stage = FaultStage(binary, tmp_path_factory.mktemp("faults"), faults_library).start()
    yield stage
    stage.stop()


@pytest.fixture(autouse=True)
def nothing_is_left(stage):
    yield
    stage.check()


@pytest.mark.parametrize("kind", KINDS)
def test_each_allocation_may_fail(stage, kind):
    sweep = Sweep(stage, stage.faults, kind(stage))
    sweep.run("memory")
    sweep.check()


@pytest.mark.parametrize("kind", KINDS)
def test_each_system_call_may_fail(stage, kind):
    sweep = Sweep(stage, stage.faults, kind(stage))
    struck = {call: sweep.run(call) for call in CALLS}
    assert struck["receive"] > 0 and struck["send"] > 0
    sweep.check()


@pytest.mark.parametrize("kind", CHANGES)
def test_a_trail_that_goes_on_failing_lets_no_change_be_called_done(stage, kind):
    sweep = Sweep(stage, stage.faults, kind(stage))
    assert sweep.run("sync", lasting=True) > 0 and sweep.run("write", lasting=True) > 0
    sweep.check()
