"""Changes that no operation names, recorded while their bodies stream."""

import threading
import time

import pytest
from support import wire


@pytest.mark.parametrize("ending", ["refused", "answered", "cut"])
def test_an_answer_before_the_bodys_end_waits_for_its_record(make_stage, ending):
    stage = make_stage(config={"workers": 1, "audit": {"other_mutations": "require"}})

    def answer(peer, request):
        if ending == "cut":
            peer.finish()
        else:
            peer.send(wire.response(b"HTTP/1.1 401 Unauthorized" if ending == "refused" else b"HTTP/1.1 409 Conflict"))

    stage.origin.answer = answer
    for _ in range(20):
        with stage.connect() as client:
            client.send(stage.request(b"POST /v1/other HTTP/1.1", b"Content-Length: 1000000"))
            over = threading.Event()

            def send():
                while not over.is_set():
                    client.send_unheeded(b"x" * 100)
                    time.sleep(0.0001)

            sender = threading.Thread(target=send)
            sender.start()
            try:
                assert client.read_response().status in (409, 502)
            finally:
                over.set()
                sender.join()
    assert stage.gateway.is_running(), stage.gateway.stderr()[-4000:]


def test_a_change_that_is_only_logged_goes_on_without_a_trail(make_stage, tmp_path):
    stage = make_stage(config={"audit": {"other_mutations": "log", "directory": str(tmp_path / "none/trail")}})
    for _ in range(50):
        assert stage.get(b"/v1/other", b"Content-Length: 2", method=b"POST", body=b"ab").status == 200
    assert stage.gateway.is_running(), stage.gateway.stderr()[-4000:]


def test_a_client_that_waits_for_leave_gets_it(make_stage):
    stage = make_stage(config={"audit": {"other_mutations": "require"}})
    with stage.connect() as client:
        client.send(stage.request(b"POST /v1/other HTTP/1.1", b"Content-Length: 2", b"Expect: 100-continue"))
        assert client.read_head().status == 100
        client.send(b"ab")
        assert client.read_response().status == 200
