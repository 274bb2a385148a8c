"""Identity x operation x spelling: what each cell must give is computed from the specification.

The expectation is written down here once more, on the shipped table's own rows and on INTERFACES
("Configuration", "On the wire"), with nothing of the gateway's code.
"""

import fnmatch
import json
import re
import time
from pathlib import Path

import pytest
from support import wire
from support.stage import SharedStage, Stage, assert_gateway_error
from support.tokens import Key, claims_of, key_set

ROOT = Path(__file__).resolve().parents[2]
TABLE = json.loads((ROOT / "conf" / "operations.json").read_text())["operations"]
NAMED_ONLY = [row["id"] for row in TABLE if row.get("named_only")]
EMPTY = wire.response(body=b"")
BODY = b'{"name":"n","value":"v"}'

CLIENTS = {
    "default": {}, "star": {"allow": ["*"]}, "stars": {"allow": ["**", "*a*", "m*", "l*", "*n"]},
    "nothing": {"allow": []}, "lists": {"allow": ["list*", "getSession"]}, "other": {"allow": ["other"]},
    "known": {"deny": ["other"]}, "no-secrets": {"allow": ["*", "createTeamSecret"], "deny": ["*Secret", "*Secrets"]},
    "minter": {"allow": ["manageApiKeys", "manageApiTokens"]}, "all-minter": {"allow": ["*", *NAMED_ONLY]},
    "no-minter": {"allow": NAMED_ONLY, "deny": ["manage*"]},
    "team-1": {"teams": ["t1"]}, "team-2": {"teams": ["t2"]}, "no-team": {"teams": []},
    "team-minter": {"allow": ["manageTeamApiKeys"], "teams": ["t1"]},
    "expired": {"allow": ["*", *NAMED_ONLY], "expires": "2020-01-01T00:00:00Z"},
}
STRANGERS = {"nobody": None, "unknown": "psgate_" + "A" * 43 + "_AAAAAA", "malformed": "password",
             "jwt-unsigned": None, "jwt-stale": None, "jwt-of-nobody": None}
JWT = "jwt:"  # before a client's name: the same client, known by a JWT instead of its token
BY_JWT = [JWT + name for name in CLIENTS]


class Operation:
    """A request as the table has it: the row (None: other), method, path segments, which are literals."""

    def __init__(self, row, method, segments, literals):
        self.row, self.method, self.segments, self.literals = row, method, segments, literals

    @property
    def id(self):
        return self.row["id"] if self.row else "other"

    @property
    def team(self):
        return "t1" if self.row and "team" in self.row else None


def of_row(row, method, rest=()):
    template = [segment for segment in row["path"].strip("/").split("/") if segment != "**"]
    literals = [not segment.startswith("{") for segment in template]
    values = {row.get("team"): "t1", row.get("user"): "u1"}
    segments = [values.get(segment.strip("{}"), "x1") if segment.startswith("{") else segment for segment in template]
    return Operation(row, method, segments + list(rest), literals + [False] * len(rest))


def operations():
    for row in TABLE:
        for method in ["GET", "POST", "DELETE"] if row["method"] == "*" else [row["method"]]:
            yield of_row(row, method)
        if row["path"].endswith("**"):
            for method, rest in (("POST", ["createPublic"]), ("GET", ["k1"]), ("PATCH", ["k1", "x"])):
                yield of_row(row, method, rest)
    for method, path in (("GET", "v1/projects"), ("POST", "v1/machines"), ("DELETE", "v1/auth/session"),
                         ("GET", "v1/api-keysx"), ("POST", "v2/teams/t1/users"), ("GET", "v1/teams/t1")):
        segments = path.split("/")
        yield Operation(None, method, segments, [True] * len(segments))


OPERATIONS = list(operations())


# -- what the specification says --------------------------------------------------------------------


def names(pattern, operation):
    if operation.row is None:
        return pattern in ("*", "other")
    return fnmatch.fnmatchcase(operation.id, pattern)


def may(members, operation):
    """INTERFACES: deny wins, globs do not cover named_only, a request without a team needs any team."""
    named_only = operation.row is not None and operation.row.get("named_only", False)
    allowed = any(names(pattern, operation) and not (named_only and "*" in pattern)
                  for pattern in members.get("allow", ["*"]))
    if not allowed or any(names(pattern, operation) for pattern in members.get("deny", [])):
        return False
    teams = members.get("teams", ["*"])
    return "*" in teams or (operation.team is not None and operation.team in teams)


def expected(name, operation):
    name = name.removeprefix(JWT)
    if name in STRANGERS or "expires" in CLIENTS[name]:
        return 401
    return 200 if may(CLIENTS[name], operation) else 403


# -- spellings ----------------------------------------------------------------------------------------


def joined(operation, change=lambda segment: segment):
    """The path with each literal segment changed; parameters are data and stay."""
    return "/" + "/".join(change(segment) if literal else segment
                          for segment, literal in zip(operation.segments, operation.literals))


def percent(text, every=1):
    return "".join(f"%{ord(letter):02x}" if at % every == 0 else letter for at, letter in enumerate(text))


def swapped(text):
    return "".join(letter.upper() if at % 2 else letter.lower() for at, letter in enumerate(text))


SOUND = {  # the same operation, whichever way it is written
    "as-it-is": lambda op: (op.method, joined(op)),
    "upper-case": lambda op: (op.method, joined(op, str.upper)),
    "mixed-case": lambda op: (op.method, joined(op, swapped)),
    "trailing-slash": lambda op: (op.method, joined(op) + "/"),
    "encoded-letters": lambda op: (op.method, "/" + "/".join(percent(segment) for segment in op.segments)),
    "some-encoded-upper": lambda op: (op.method, joined(op, lambda text: percent(text.upper(), 3))),
    "query": lambda op: (op.method, joined(op) + "?x=/v1/api-keys&..%2f"),
    "absolute": lambda op: (op.method, "http://gateway.test" + joined(op)),
    "absolute-mixed": lambda op: (op.method, "HTTP://GATEWAY.test" + joined(op, str.title) + "/?"),
    "method-case": lambda op: (op.method.lower(), joined(op)),
    "head": lambda op: ("HEAD" if op.method == "GET" else op.method, joined(op, str.upper) + "/"),
}
UNSOUND = {  # 400, whoever asks
    "double-slash": lambda op: "/" + joined(op), "inner-double-slash": lambda op: joined(op).replace("/", "//", 2),
    "two-trailing-slashes": lambda op: joined(op) + "//", "dot": lambda op: "/." + joined(op),
    "dot-dot": lambda op: "/x/.." + joined(op), "encoded-dots": lambda op: "/x/%2e%2E" + joined(op),
    "trailing-dot": lambda op: joined(op) + "/.", "trailing-dots": lambda op: joined(op) + "/x/..",
    "encoded-slash": lambda op: "/%2f" + "%2f".join(op.segments), "final-encoded-slash": lambda op: joined(op) + "%2F",
    "backslash": lambda op: "/\\" + "\\".join(op.segments),
    "encoded-backslash": lambda op: "/%5c" + "%5c".join(op.segments),
    "nul": lambda op: joined(op) + "%00", "line-end": lambda op: joined(op) + "%0d%0a",
    "fragment": lambda op: joined(op) + "#x",
    "bad-escape": lambda op: joined(op) + "%", "overlong": lambda op: joined(op) + "%c0%af",
    "another-host": lambda op: "http://api.paperspace.com" + joined(op), "no-slash": lambda op: joined(op)[1:],
}
OVERRIDES = [b"X-HTTP-Method-Override: GET", b"x-http-method: DELETE", b"X-METHOD-OVERRIDE: PUT",
             b"X-Original-URL: /v1/auth/session", b"X-Rewrite-Url: /v1/auth/session"]


class Asking:
    """Asks as one identity, on one connection while that stays open."""

    def __init__(self, stage, name):
        self.stage = stage
        token = stage.jwts.get(name) or STRANGERS.get(name) or stage.gateway.tokens.get(name)
        self.lines = [b"Host: gateway.test", b"Cache-Control: no-store"]
        self.lines += [b"Authorization: Bearer " + token.encode()] if token else []
        self.client = None

    def ask(self, method, target, *lines, body=BODY):
        framing = [b"Content-Type: application/json", b"Content-Length: %d" % len(body)] if body else []
        data = wire.head(b"%b %b HTTP/1.1" % (method.encode(), target.encode()), *self.lines, *lines, *framing) + body
        if self.client is None:
            self.client = self.stage.connect()
        self.client.send_unheeded(data)
        answer = self.client.read_response(method)
        if answer.status != 200:  # it may close
            self.client.close()
            self.client = None
        return answer

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        if self.client:
            self.client.close()


def body_for(operation):
    return b"" if operation.method == "GET" else BODY


# Every refusal says what is wrong and then what to do: by the words that tell somebody to act.
REFUSAL = re.compile(r"psgate: [^:]+: .*\b(send|see|ask for|use|mend|check|try|get|have)\b.*")


def assert_refusal(answer, status, method="GET"):
    if method == "HEAD":
        assert answer.status == status
        return
    assert_gateway_error(answer, status)
    message = json.loads(answer.body)["message"]
    assert REFUSAL.fullmatch(message), message


def add_clients(stage, key):
    """Each client has a token and a JWT; stage.jwts: what is shown, by the identity's name."""
    issuer = stage.gateway.config["jwt"][0]["issuer"]
    (stage.gateway.folder / "keys.json").write_text(key_set(key))
    for name, members in CLIENTS.items():
        stage.gateway.add_client(name, jwt={"issuer": issuer, "claims": {"sub": name}}, **members)
    stage.jwts = {JWT + name: key.token(claims_of(issuer, name)) for name in CLIENTS}
    good = stage.jwts[JWT + "all-minter"]
    stage.jwts |= {"jwt-unsigned": good.rpartition(".")[0] + ".",
                   "jwt-stale": key.token(claims_of(issuer, "all-minter", exp=time.time() - 3600)),
                   "jwt-of-nobody": key.token(claims_of(issuer, "nobody"))}


@pytest.fixture(scope="module")
def make_matrix(binary, tmp_path_factory):
    """Makes a stage with all clients; not started."""
    key = Key(tmp_path_factory.mktemp("keys"), "key", "EdDSA")

    def make(**config):
        jwt = [{"issuer": "https://issuer.test", "audience": ["psgate"], "jwks_file": "keys.json"}]
        stage = Stage(binary, tmp_path_factory.mktemp("matrix"), config={"jwt": jwt, **config})
        add_clients(stage, key)
        return stage

    return make


@pytest.fixture(scope="module")
def shared(make_matrix):
    stage = SharedStage(make_matrix)
    yield stage
    stage.stop()


@pytest.fixture
def matrix(shared):
    stage = shared.take()
    stage.origin.answer = EMPTY
    yield stage
    shared.give_back()


@pytest.mark.parametrize("spelling", SOUND)
@pytest.mark.parametrize("name", [*STRANGERS, *CLIENTS, *BY_JWT])
def test_no_spelling_changes_who_may_do_what(matrix, name, spelling):
    forwarded = []
    with Asking(matrix, name) as asking:
        for operation in OPERATIONS:
            method, target = SOUND[spelling](operation)
            answer = asking.ask(method, target, body=body_for(operation))
            status = expected(name, operation)
            assert answer.status == status, f"{name}: {method} {target} ({operation.id})"
            if status == 200:
                forwarded.append((method, re.sub("^http://[^/]*", "", target, flags=re.I)))
            else:
                assert_refusal(answer, status, method)
    seen = [(request.method.decode(), request.target.decode()) for request in matrix.origin.requests]
    assert seen == forwarded  # just these, as spelled


@pytest.mark.parametrize("name", ["nobody", "default", "all-minter", "team-1", "expired", JWT + "all-minter"])
def test_what_can_be_read_in_two_ways_is_refused_whoever_asks(matrix, name):
    with Asking(matrix, name) as asking:
        for operation in OPERATIONS[::3]:
            for spelling, spell in UNSOUND.items():
                answer = asking.ask(operation.method, spell(operation), body=body_for(operation))
                assert answer.status == 400, (spelling, operation.id)
                assert_refusal(answer, 400)
    assert matrix.origin.requests == []


@pytest.mark.parametrize("name", ["nobody", "default", "all-minter", "lists", JWT + "all-minter"])
def test_override_fields_are_refused_whoever_asks(matrix, name):
    with Asking(matrix, name) as asking:
        for operation in OPERATIONS[::3]:
            for line in OVERRIDES:
                assert_refusal(asking.ask(operation.method, joined(operation), line, body=body_for(operation)), 400)
    assert matrix.origin.requests == []


@pytest.mark.parametrize("method", ["TRACE", "trace", "CONNECT", "Connect"])
def test_methods_that_are_never_forwarded(matrix, method):
    with Asking(matrix, "all-minter") as asking:
        for operation in OPERATIONS[::5]:
            assert asking.ask(method, joined(operation), body=b"").status in (400, 405)
    assert matrix.origin.requests == []


def test_the_matrix_has_every_verdict_of_every_row():
    """So that a mistake in the expectation does not leave a row untried."""
    for row in TABLE:
        mine = [operation for operation in OPERATIONS if operation.id == row["id"]]
        verdicts = {expected(name, operation) for name in CLIENTS for operation in mine}
        assert verdicts == {200, 401, 403}, row["id"]
    assert len(NAMED_ONLY) >= 4


def test_explain_agrees_with_the_matrix(matrix):
    gateway = matrix.gateway
    for number, operation in enumerate(OPERATIONS):
        name = list(CLIENTS)[number % len(CLIENTS)]
        method, target = SOUND[list(SOUND)[number % len(SOUND)]](operation)
        result = gateway.command("check", "-c", gateway.config_file, "--explain", method, target, "--client", name)
        assert result.returncode == (expected(name, operation) != 200), result.stdout
        assert f"operation:   {operation.id}" in result.stdout, result.stdout


# -- key-minting calls of the API's public clients ------------------------------------------------------

MINTING = ["apiTokens", "apiToken", "v1/apiTokens", "v1/apiToken", "users/login", "v1/users/login", "v1/api-keys",
           "v1/teams/t1/api-keys"]
BELOW = ["", "/createPublic", "/k1", "/k1/rotate"]


@pytest.mark.parametrize("name", ["default", "star", "stars", "other", "known", JWT + "stars"])
def test_no_glob_reaches_a_call_that_mints_keys(matrix, name):
    with Asking(matrix, name) as asking:
        for tree in MINTING:
            for end in BELOW:
                path = f"/{tree}{end}"
                for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "post", "BREW"):
                    for target in (path, path.upper() + "/", path.replace("a", "%61").replace("l", "%4C")):
                        answer = asking.ask(method, target, body=b"")
                        assert answer.status == 403, (method, target)
                        assert_refusal(answer, 403, method)
    assert matrix.origin.requests == []


# -- encoded slashes that are forwarded -----------------------------------------------------------------


@pytest.fixture
def forwarding(make_matrix):
    stage = make_matrix(upstream={"encoded_slashes": "forward"})
    try:
        yield stage.start()
        stage.check()
    finally:
        stage.stop()


def test_with_encoded_slashes_forwarded_both_readings_must_be_allowed(forwarding):
    stage = forwarding
    stage.origin.answer = EMPTY
    for name in [*CLIENTS, *BY_JWT]:
        with Asking(stage, name) as asking:
            for operation in OPERATIONS:
                if len(operation.segments) < 2:
                    continue
                target = "/" + "%2F".join(operation.segments)  # one segment, or those of the operation
                other = Operation(None, operation.method, [target], [False])
                status = max(expected(name, operation), expected(name, other))
                answer = asking.ask(operation.method, target, body=body_for(operation))
                assert answer.status == status, (name, operation.id)
