"""What users run: curl through the gateway."""

import subprocess

import pytest
from support import wire
from support.waiting import DEADLINE


def curl(stage, path, *options, data=None):
    """Runs curl with the tester's token; its output, after an exit status of 0."""
    command = ["curl", "--silent", "--show-error", "--noproxy", "*", "-H",
               f"Authorization: Bearer {stage.token.decode()}",
               *options, f"http://127.0.0.1:{stage.gateway.port}{path}"]
    result = subprocess.run(command, input=data, capture_output=True, timeout=DEADLINE)
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.mark.parametrize("version", ["--http1.0", "--http1.1", "--http2"])
def test_curl_gets_an_answer(stage, version):
    assert curl(stage, "/v1/a?b=c", version) == b"ok"
    assert stage.origin.requests[0].target == b"/v1/a?b=c"


def test_curl_posts_json(stage):
    def answer(peer, request):
        peer.send(wire.response(b"HTTP/1.1 201 Created", body=peer.read_body(request)))

    stage.origin.answer = answer
    sent = '{"name":"n","value":"v"}'
    told = curl(stage, "/v1/a", "-H", "Content-Type: application/json", "-d", sent, "-w", "%{http_code}")
    assert told == sent.encode() + b"201"


@pytest.mark.parametrize("size", [0, 1, 5_000_000])
def test_curl_uploads_chunks_and_waits_for_a_100(stage, size):
    def answer(peer, request):
        if request.values("Expect"):
            peer.send(wire.head(b"HTTP/1.1 100 Continue"))
        peer.send(wire.response(body=b"%d" % len(peer.read_body(request))))

    stage.origin.answer = answer
    assert curl(stage, "/v1/a", "-T", "-", "-H", "Expect: 100-continue", data=b"x" * size) == b"%d" % size


def test_curl_reuses_its_connection(stage):
    url = f"http://127.0.0.1:{stage.gateway.port}/v1/b"
    assert curl(stage, "/v1/a", "-w", "%{num_connects}", url) == b"ok1ok0"


def test_curl_head_shows_the_fields(stage):
    stage.origin.answer = wire.head(b"HTTP/1.1 200 OK", wire.DATE, b"Content-Length: 77", b"X-A: b")
    assert b"X-A: b\r\n" in curl(stage, "/v1/a", "--head")


def test_curl_is_told_why_it_was_refused(stage):
    told = curl(stage, "/v1//a", "--path-as-is", "-w", "%{http_code}")
    assert told.endswith(b"400") and b"psgate: " in told
