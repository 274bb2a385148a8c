"""What a service manager is told: ready, reloading, stopping, and that the workers go on."""

import re
import time

import pytest
from support.audited import held_still
from support.gateway import merged
from support.origin import by_target
from support.service import Notices, environment, loops
from support.waiting import DEADLINE, wait_until



@pytest.fixture
def notices(tmp_path):
    with Notices(tmp_path) as notices:
        yield notices


@pytest.fixture
def make_service(make_stage, notices):
    """Makes stages whose gateway is a service; with start=False it does not run yet."""

    def make(start=True, variables=None, **options):
        stage = make_stage(start=False, **options)
        stage.gateway.environment = environment(NOTIFY_SOCKET=notices.name, **(variables or {}))
        return stage.start() if start else stage

    return make


@pytest.mark.parametrize("is_abstract", [False, True], ids=["path", "abstract"])
def test_it_is_ready_once_every_listener_accepts(make_stage, tmp_path, is_abstract):
    stage = make_stage(start=False, config={"listen": [{"address": "127.0.0.1:0"}, {"address": "[::1]:0"}]})
    with Notices(tmp_path, is_abstract) as notices:
        stage.gateway.environment = environment(NOTIFY_SOCKET=notices.name)
        stage.start()
        message = notices.take()
    assert message == {"READY": "1", "STATUS": "serving 2 addresses, configuration loaded as generation 1"}
    assert stage.get(b"/v1/a").status == 200


def test_a_bad_configuration_is_never_ready(make_service, notices):
    stage = make_service(start=False, config={"workers": "two"})
    assert stage.gateway.serve_in_vain().returncode == 78
    assert notices.drain() == []


def test_a_manager_that_cannot_be_told_is_logged_and_does_no_harm(make_stage, tmp_path):
    stage = make_stage(start=False)
    stage.gateway.environment = environment(NOTIFY_SOCKET=str(tmp_path / "nobody"))
    stage.start()
    assert stage.get(b"/v1/a").status == 200
    wait_until(lambda: "systemd cannot be told" in stage.gateway.stderr(), "the warning")


def test_a_reload_begins_with_its_time_and_ends_with_ready(make_service, notices):
    stage = make_service()
    notices.wait("READY")
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    stage.gateway.hang_up()
    begun, done = notices.take(), notices.take()
    assert begun["RELOADING"] == "1" and before <= int(begun["MONOTONIC_USEC"])
    assert int(begun["MONOTONIC_USEC"]) <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    assert done == {"READY": "1", "STATUS": "serving 1 address, configuration loaded as generation 2"}


def test_a_refused_reload_is_ready_again_and_the_status_says_why(make_service, notices):
    stage = make_service()
    notices.wait("READY")
    good = stage.gateway.config
    stage.gateway.add_client("another")
    wait_until(lambda: "clients reloaded: generation 2" in stage.gateway.stderr(), "the new client")
    stage.gateway.write_config({**good, "workers": "two", "bogus": 1})
    stage.gateway.refused_reload()
    assert notices.take()["RELOADING"] == "1"
    assert notices.take() == {"READY": "1", "STATUS": "reload refused: the configuration has 2 problems; "
                                                      "serving 1 address, configuration loaded as generation 1"}
    stage.gateway.write_config(good)
    stage.gateway.hang_up()
    notices.wait("RELOADING")
    assert notices.take()["STATUS"] == "serving 1 address, configuration loaded as generation 3"


def test_the_status_is_one_line_whatever_a_path_holds(make_service, notices):
    stage = make_service()
    notices.wait("READY")
    path = f"unix:{stage.gateway.folder}/none/a\nMAINPID=1"
    stage.gateway.write_config(merged(stage.gateway.config, {"listen": [{"address": path}]}))
    stage.gateway.refused_reload()
    notices.wait("RELOADING")
    message = notices.take()
    assert set(message) == {"READY", "STATUS"} and message["STATUS"].startswith("reload refused: "), message


def test_a_stop_is_said_with_the_time_it_may_take(make_service, notices):
    stage = make_service(config={"limits": {"drain_timeout": "5m"}})
    stage.gateway.process.terminate()
    message = notices.wait("STOPPING")
    assert message["STOPPING"] == "1" and "in flight" in message["STATUS"]
    assert 300 < int(message["EXTEND_TIMEOUT_USEC"]) / 1e6 < 330
    assert stage.gateway.process.wait(DEADLINE) == 0


# -- the watchdog ------------------------------------------------------------------------------------

INTERVAL = 0.4
WATCHDOG = {"WATCHDOG_USEC": str(int(INTERVAL * 1e6))}


def test_signs_of_life_come_four_times_in_an_interval(make_service, notices):
    make_service(variables=WATCHDOG)
    notices.wait("READY")
    begin = time.monotonic()
    assert [notices.take() for _ in range(3)] == [{"WATCHDOG": "1"}] * 3
    assert time.monotonic() - begin > 3 * INTERVAL / 4 * 0.9


def test_signs_of_life_come_while_it_drains(make_service, notices):
    stage = make_service(variables=WATCHDOG, config={"limits": {"drain_timeout": "20s"}})
    stage.origin.answer = by_target({b"/v1/slow": lambda peer, request: peer.wait_end()})
    with stage.connect() as client:
        client.send(stage.request(b"GET /v1/slow HTTP/1.1"))
        stage.origin.wait_request()
        stage.gateway.process.terminate()
        notices.wait("STOPPING")
        assert [notices.take() for _ in range(3)] == [{"WATCHDOG": "1"}] * 3


@pytest.mark.parametrize("variables", [{}, {**WATCHDOG, "WATCHDOG_PID": "1"}], ids=["unwanted", "another's"])
def test_without_a_watchdog_of_its_own_there_are_no_signs_of_life(make_service, notices, variables):
    make_service(variables=variables)
    notices.wait("READY")
    time.sleep(2 * INTERVAL)
    assert notices.drain() == []


@pytest.mark.parametrize("which", ["a-worker", "another-worker", "the-main-thread"])
def test_a_thread_that_hangs_ends_the_signs_of_life(make_service, notices, which):
    stage = make_service(variables=WATCHDOG)
    main, *workers = loops(stage.gateway.pid, workers=2)
    thread = {"a-worker": workers[0], "another-worker": workers[1], "the-main-thread": main}[which]
    notices.wait("WATCHDOG")
    with held_still(thread):
        if which != "the-main-thread":
            said = r"watchdog: worker [01] has not answered for 100 ms: .* after 400 ms"
            wait_until(lambda: re.search(said, stage.gateway.stderr()), "the silence to be said")
        notices.drain()
        time.sleep(4 * INTERVAL)
        assert len(notices.drain()) == 0
    notices.wait("WATCHDOG")
    if which != "the-main-thread":
        wait_until(lambda: "all workers answer again" in stage.gateway.stderr(), "the end of the silence to be said")
        assert stage.gateway.stderr().count("has not answered") == 1
