"""A reload opens, moves and closes the endpoint's doors, all or nothing, while it goes on answering."""

import os
import stat
import threading

import pytest
from support.admin import BOTH, Door, endpoint, logged_urls, make_on_socket, metrics_door, unix
from support.gateway import merged
from support.origin import Origin
from support.waiting import wait_until


@pytest.fixture
def stage(make_stage):
    return make_stage(config=BOTH)


def change(stage, **admin):
    """Writes the configuration with these members of its section."""
    config = merged(stage.gateway.config, {"admin": admin})
    stage.gateway.write_config(config)


def reload(stage):
    """Asks for a reload and waits until it is in force."""
    done = stage.gateway.stderr().count("configuration reloaded")
    stage.gateway.hang_up()
    wait_until(lambda: stage.gateway.stderr().count("configuration reloaded") > done, "the reload")


def is_open(door):
    try:
        with door.connect() as client:
            client.send(door.head(b"GET /metrics HTTP/1.1"))
            return client.read_response().status == 200
    except OSError:
        return False


def test_an_endpoint_is_added_moved_and_removed(make_stage):
    stage = make_stage()
    reload(stage)
    path = stage.gateway.folder / "one.sock"
    change(stage, address=f"unix:{path}")
    reload(stage)
    first = endpoint(stage.gateway)
    assert first.where == str(path) and is_open(first) and stat.S_IMODE(path.stat().st_mode) == 0o660
    other = stage.gateway.folder / "two.sock"
    change(stage, address=f"unix:{other}")
    reload(stage)
    assert is_open(endpoint(stage.gateway)) and not path.exists() and other.exists()
    change(stage, address="127.0.0.1:0")
    reload(stage)
    second = endpoint(stage.gateway)
    assert is_open(second) and not second.is_unix and not other.exists()
    change(stage, address=None)
    reload(stage)
    assert not is_open(second)
    assert stage.get(b"/v1/a").status == 200


def test_a_metrics_address_is_added_moved_and_removed(stage):
    whole, first = endpoint(stage.gateway), metrics_door(stage.gateway)
    change(stage, metrics_address="127.0.0.2:0")
    reload(stage)
    assert not is_open(first) and is_open(whole)
    assert logged_urls(stage.gateway, "metrics")[-1].startswith("http://127.0.0.2:")
    change(stage, metrics_address=None)
    reload(stage)
    change(stage, metrics_address="127.0.0.1:0")
    reload(stage)
    assert is_open(metrics_door(stage.gateway)) and is_open(whole)


def test_a_door_that_stays_keeps_its_socket_and_its_connections(stage):
    door = endpoint(stage.gateway)
    with door.connect() as client:
        assert door.ask_on(client, b"/healthz").status == 200
        for _ in range(3):
            reload(stage)
            assert door.ask_on(client, b"/healthz").status == 200
    assert len(logged_urls(stage.gateway, "endpoint")) == 1


def test_connections_of_a_door_that_closes_are_closed(make_stage):
    stage = make_on_socket(make_stage)
    door = endpoint(stage.gateway)
    clients = [door.connect() for _ in range(3)]
    assert door.ask_on(clients[0], b"/healthz").status == 200
    clients[1].send(b"GET /heal")
    change(stage, address=None)
    reload(stage)
    for client in clients:
        client.assert_closed()
        client.close()


@pytest.mark.parametrize("member", ["address", "metrics_address"])
def test_a_port_that_is_taken_refuses_the_reload_and_changes_nothing(stage, member):
    whole, alone, taken = endpoint(stage.gateway), metrics_door(stage.gateway), Origin()
    good = stage.gateway.config
    try:
        change(stage, **{member: f"127.0.0.1:{taken.port}",
                         "metrics_address" if member == "address" else "address": "127.0.0.3:0"})
        said = stage.gateway.refused_reload()
        assert str(taken.port) in said and "the old configuration stays in force" in said
        assert is_open(whole) and is_open(alone)
        shown = whole.metrics()
        assert shown.value("psgate_config_last_reload_successful") == 0 and shown.value("psgate_config_generation") == 1
        assert "127.0.0.3" not in stage.gateway.stderr().replace(said, "")
    finally:
        taken.stop()
    stage.gateway.write_config(good)
    reload(stage)
    assert whole.metrics().value("psgate_config_last_reload_successful") == 1
    assert is_open(whole) and is_open(alone)


def test_a_bad_configuration_leaves_the_doors_alone(stage):
    whole = endpoint(stage.gateway)
    change(stage, address="0.0.0.0:0")
    stage.gateway.refused_reload()
    wait_until(lambda: whole.metrics().value("psgate_config_last_reload_successful") == 0, "the refusal to show")
    assert is_open(whole) and is_open(metrics_door(stage.gateway))


def test_a_socket_whose_folder_is_missing_refuses_the_reload(make_stage):
    stage = make_on_socket(make_stage)
    door = endpoint(stage.gateway)
    stage.gateway.write_config(merged(stage.gateway.config, unix("/nonexistent/a.sock")))
    assert "/nonexistent/a.sock" in stage.gateway.refused_reload()
    assert is_open(door)


def test_the_endpoint_answers_all_through_reloads(stage):
    door, stop, failures, count = endpoint(stage.gateway), threading.Event(), [], [0]

    def ask():
        try:
            while not stop.is_set():
                assert door.ask(b"/readyz").status == 200
                count[0] += 1
        except Exception as failure:  # the test's thread must see it
            failures.append(failure)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for number in range(8):
        change(stage, metrics_address=f"127.0.0.{number + 2}:0")
        reload(stage)
    stop.set()
    for thread in threads:
        thread.join()
    assert not failures and count[0] > 0, failures


def test_doors_that_move_again_and_again_leave_no_descriptor(stage):
    folder = f"/proc/{stage.gateway.pid}/fd"
    if not os.access(folder, os.R_OK):
        pytest.skip("only root reads /proc/PID/fd of a process that is not dumpable")

    def move():
        for number in range(2, 8):
            change(stage, metrics_address=f"127.0.0.{number}:0", address=f"127.0.0.{number}:0")
            reload(stage)
        change(stage, address="127.0.0.1:0")
        reload(stage)

    move()
    before = len(os.listdir(folder))
    move()
    wait_until(lambda: len(os.listdir(folder)) <= before, f"{before} descriptors again")
    assert is_open(endpoint(stage.gateway))


def test_the_unix_socket_of_a_reload_that_is_refused_is_not_left_behind(stage):
    taken = Origin()
    path = stage.gateway.folder / "fresh.sock"
    try:
        change(stage, address=f"unix:{path}", metrics_address=f"127.0.0.1:{taken.port}")
        stage.gateway.refused_reload()
        wait_until(lambda: not path.exists(), "the socket to be removed")
    finally:
        taken.stop()
    assert is_open(Door(endpoint(stage.gateway).where))
