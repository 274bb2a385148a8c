"""A stage whose clients are known by JWTs, and one issuer whose keys are in a file or at a URL."""

import json
import re

from support import wire
from support.gateway import write_private
from support.stage import Stage, assert_gateway_error
from support.tokens import claims_of, key_set
from support.waiting import wait_until

ISSUER = "https://issuer.test"
# Every refusal says what is wrong and then what to do: by the words that tell somebody to act.
REFUSAL = re.compile(r"psgate: [^:]+: .*\b(send|sign it|ask|use|have|get|check|try|pass)\b.*")


def add_jwt_client(gateway, name, claims, issuer=ISSUER, **members):
    """A client without a token; the file is written anew."""
    clients = gateway.read_clients() if gateway.clients_file.exists() else []
    clients.append({"name": name, "jwt": {"issuer": issuer, "claims": claims}, **members})
    write_private(gateway.clients_file, json.dumps({"clients": clients}))


def assert_refused(answer, status, *words):
    """An error of the gateway's own that says what to do next, in these words."""
    assert_gateway_error(answer, status)
    message = json.loads(answer.body)["message"]
    assert REFUSAL.fullmatch(message), message
    for word in words:
        assert word in message, message


class JwtStage(Stage):
    """Not started; its issuer's keys are those of the file, or what jwt says of them."""

    def __init__(self, binary, folder, *keys, jwt=None, config=None, **options):
        (folder / "keys.json").write_text(key_set(*keys))
        jwt = [{"issuer": ISSUER, "audience": ["psgate"], "jwks_file": "keys.json", **own} for own in jwt or [{}]]
        for issuer in jwt:
            if "jwks_url" in issuer:
                del issuer["jwks_file"]
        super().__init__(binary, folder, config={"jwt": jwt, **(config or {})}, **options)
        add_jwt_client(self.gateway, "app", {"sub": "repo:acme/app:*"})
        add_jwt_client(self.gateway, "lib", {"sub": "repo:acme/lib:*"}, allow=["list*"])

    def claims(self, subject="repo:acme/app:main", issuer=ISSUER, **members):
        return claims_of(issuer, subject, **members)

    def ask(self, token, target=b"/v1/a", *lines, method=b"GET", body=b""):
        """Asks with this bearer, on a connection of its own."""
        head = wire.head(b"%b %b HTTP/1.1" % (method, target), b"Host: gateway.test",
                         b"Authorization: Bearer " + (token if isinstance(token, bytes) else token.encode()), *lines)
        with self.connect() as client:
            client.send_unheeded(head + body)
            return client.read_response(method.decode())

    def whoami(self, token, *lines):
        answer = self.ask(token, b"/.psgate/whoami", *lines)
        return json.loads(answer.body)["client"] if answer.status == 200 else answer.status

    def reload(self, expect="configuration reloaded"):
        before = len(self.gateway.stderr())
        self.gateway.hang_up()
        wait_until(lambda: expect in self.gateway.stderr()[before:], f"'{expect}' in the log")
