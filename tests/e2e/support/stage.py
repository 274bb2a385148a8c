"""A gateway with its origin, and the questions that most tests ask of the pair."""

import itertools
import json
import re

from support import wire
from support.gateway import Gateway
from support.origin import OK, Origin
from support.raw import Client

CODES = {400: {"BAD_REQUEST", "PARSE_ERROR"}, 401: {"UNAUTHORIZED"}, 403: {"FORBIDDEN"},
         404: {"NOT_FOUND"}, 405: {"METHOD_NOT_SUPPORTED"}, 408: {"TIMEOUT"},
         413: {"PAYLOAD_TOO_LARGE"}, 414: {"BAD_REQUEST"}, 431: {"BAD_REQUEST"},
         502: {"INTERNAL_SERVER_ERROR"}, 503: {"INTERNAL_SERVER_ERROR"}, 504: {"TIMEOUT"}}
KNOWN_CODES = set(
    "PARSE_ERROR BAD_REQUEST INTERNAL_SERVER_ERROR UNAUTHORIZED FORBIDDEN NOT_FOUND METHOD_NOT_SUPPORTED"
    " TIMEOUT CONFLICT PRECONDITION_FAILED PAYLOAD_TOO_LARGE TOO_MANY_REQUESTS CLIENT_CLOSED_REQUEST".split())
# RFC 9209 2.3
ERROR_TYPES = set(
    "dns_timeout dns_error destination_not_found destination_unavailable destination_ip_prohibited"
    " destination_ip_unroutable connection_refused connection_terminated connection_timeout"
    " connection_read_timeout connection_write_timeout connection_limit_reached tls_protocol_error"
    " tls_certificate_error tls_alert_received http_request_error http_request_denied"
    " http_response_incomplete http_response_header_section_size http_response_header_size"
    " http_response_body_size http_response_trailer_section_size http_response_trailer_size"
    " http_response_transfer_coding http_response_content_coding http_response_timeout"
    " http_upgrade_failed http_protocol_error proxy_internal_response proxy_internal_error"
    " proxy_configuration_error proxy_loop_detected".split())
serial = itertools.count(1)


def assert_gateway_error(answer, *statuses):
    """The answer is an error that the gateway made itself, in the shape that it promises."""
    assert answer.status in statuses, f"{answer.start!r} {answer.body[:300]!r}"
    assert answer.value("Content-Type").partition(b";")[0] == b"application/json", answer.fields
    body = json.loads(answer.body)
    assert {"code", "message"} <= set(body) <= {"code", "message", "issues"}, body
    assert body["code"] in CODES.get(answer.status, KNOWN_CODES), body
    assert body["message"].startswith("psgate: ") and len(body["message"]) > len("psgate: "), body
    for issue in body.get("issues", []):
        assert set(issue) == {"message"}, body
    status = answer.value("Proxy-Status").decode()
    match = re.match(r"psgate; ?error=([a-z_]+)", status)
    assert match and match[1] in ERROR_TYPES, status
    if answer.status == 401:
        assert answer.value("WWW-Authenticate") == b'Bearer realm="psgate"', answer.fields


class Stage:
    """One gateway, one origin, and a client named `tester` who may do everything."""

    def __init__(self, binary, folder, config=None, operations=None, tls=None, upstream_host="127.0.0.1"):
        self.origin = Origin(tls)
        self.gateway = Gateway(binary, folder, self.origin.url(upstream_host), config, operations)
        self.gateway.add_client("tester")

    def start(self):
        self.gateway.start()
        return self

    def stop(self):
        try:
            self.gateway.stop()
        finally:
            self.origin.stop()

    @property
    def token(self):
        return self.gateway.tokens["tester"].encode()

    def connect(self, **options) -> Client:
        return self.gateway.connect(**options)

    def fill(self, template):
        """Puts the secrets and the upstream's name in the place of @TOKEN@, @KEY@ and @HOST@."""
        return (template.replace(b"@TOKEN@", self.token)
                .replace(b"@KEY@", self.gateway.key.encode())
                .replace(b"@HOST@", self.origin.authority))

    def request(self, start, *lines, body=b"", token=None):
        """A request with a Host and a credential before the given lines."""
        bearer = b"Authorization: Bearer " + (token.encode() if token else self.token)
        return wire.head(start, b"Host: gateway.test", bearer, *lines) + body

    def get(self, target, *lines, token=None, method=b"GET", body=b""):
        """Asks on a connection of its own."""
        start = b"%b %b HTTP/1.1" % (method, target)
        with self.connect() as client:
            return client.ask(self.request(start, *lines, token=token, body=body), method.decode())

    def forward(self, data, method="GET"):
        """Sends a request that must be answered by the origin; gives what the origin saw."""
        before = len(self.origin.requests)
        with self.connect() as client:
            answer = client.ask(self.fill(data), method)
        assert answer.status == 200, f"{answer.start!r} {answer.body[:300]!r}"
        assert len(self.origin.requests) == before + 1
        return self.origin.requests[before]

    def refused(self, data, *statuses, slowly=False):
        """Sends a request that must be refused, the connection closed and nothing forwarded."""
        before = len(self.origin.requests)
        with self.connect() as client:
            (client.send_byte_by_byte if slowly else client.send_unheeded)(self.fill(data))
            answer = client.read_response()
            assert_gateway_error(answer, *statuses)
            client.assert_closed()
        self.assert_only_forwarded(before)
        return answer

    def assert_only_forwarded(self, count=0):
        """So many requests have reached the origin, whole, and not a byte besides.

        The gateway is asked once more, so that anything still on its way would have come.
        """
        target = b"/v1/canary-%d" % next(serial)
        self.origin.answer = OK
        assert self.get(target).status == 200
        requests = self.origin.requests
        assert len(requests) == count + 1, f"forwarded: {[request.start for request in requests]}"
        assert requests[-1].target == target
        seen = sum(len(request.head) for request in requests) + sum(len(request.body) for request in requests)
        if not any(request.is_chunked for request in requests):
            assert len(self.origin.received()) == seen, "stray bytes at the origin"

    def assert_only_known(self, targets):
        """No request for another target has reached the origin."""
        self.origin.settle()
        assert {request.target for request in self.origin.requests} <= targets

    def check(self):
        """After a test: the gateway lives, has reported nothing, and nothing is half done."""
        self.origin.settle()
        self.origin.check()
        assert self.gateway.is_running(), f"the gateway died: {self.gateway.stderr()[-4000:]}"
        self.gateway.check_output()


class SharedStage:
    """Keeps one stage running over many tests and replaces it after a failure."""

    def __init__(self, make):
        self.make = make
        self.stage = None

    def take(self):
        """The stage, started, with a new record and the default answer."""
        if self.stage is None:
            self.stage = self.make()
            self.stage.start()
        self.stage.origin.forget()
        return self.stage

    def give_back(self):
        """Checks what the test has left; a stage that is not sound is not used again."""
        try:
            self.stage.check()
        except BaseException:
            self.stop()
            raise

    def stop(self):
        stage, self.stage = self.stage, None
        if stage:
            stage.stop()
