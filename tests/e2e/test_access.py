"""Who gets in, what they may do, and that no spelling of a request slips past."""

import itertools
import json

import pytest
from support import wire
from support.stage import SharedStage, Stage, assert_gateway_error

HOST = b"Host: gateway.test"
SESSION = b"/v1/auth/session"
MEMBERS = b"/v1/teams/t1/users"
SECRETS = b"/v1/teams/t1/secrets"
GET, PUT, POST, DELETE, HEAD = b"GET", b"PUT", b"POST", b"DELETE", b"HEAD"
UNKNOWN = b"psgate_" + b"A" * 43 + b"_AAAAAA"


def ask(stage, *lines, start=b"GET /v1/a HTTP/1.1"):
    """Asks with no credential but those among the lines; @A@ and @B@ are two clients' tokens."""
    data = wire.head(start, HOST, *lines)
    for name in ("a", "b"):
        data = data.replace(b"@%b@" % name.upper().encode(), stage.gateway.tokens.get(name, "").encode())
    with stage.connect() as client:
        return client.ask(stage.fill(data))


@pytest.fixture(scope="module")
def team(binary, tmp_path_factory):
    """One gateway with many clients, each with a policy of its own."""
    def make():
        stage = Stage(binary, tmp_path_factory.mktemp("team"), operations=OPERATIONS)
        for name, members in CLIENTS.items():
            stage.gateway.add_client(name, **members)
        return stage

    shared = SharedStage(make)
    yield shared
    shared.stop()


@pytest.fixture
def people(team):
    yield team.take()
    team.give_back()


def row(name, method, path, **members):
    return {"id": name, "method": method, "path": path, **members}


OPERATIONS = [
    row("getSession", "GET", "/v1/auth/session"),
    row("listTeamMembers", "GET", "/v1/teams/{teamId}/users", team="teamId"),
    row("updateTeamMember", "PUT", "/v1/teams/{teamId}/users/{userId}", team="teamId", user="userId"),
    row("listTeamSecrets", "GET", "/v1/teams/{id}/secrets", team="id"),
    row("createTeamSecret", "POST", "/v1/teams/{id}/secrets", team="id",
        resource={"type": "secret", "name": "body.name"}),
    row("getTeamSecret", "GET", "/v1/teams/{id}/secrets/{name}", team="id"),
    row("mintKey", "POST", "/v1/keys", named_only=True),
    row("anyKeyMatter", "*", "/v1/keys/**", named_only=True),
    row("files", "*", "/v1/files/**"),
]
CLIENTS = {
    "a": {}, "b": {},
    "everything": {"allow": ["*"]}, "one": {"allow": ["getSession"]}, "glob": {"allow": ["listTeam*"]},
    "other": {"allow": ["other"]},
    "two": {"allow": ["getSession", "listTeamMembers"]}, "nothing": {"allow": []}, "named": {"allow": ["mintKey"]},
    "named-glob": {"allow": ["mint*", "any*"]}, "named-and-all": {"allow": ["*", "mintKey"]},
    "denied-named": {"allow": ["mintKey"], "deny": ["mintKey"]},
    "no-session": {"deny": ["getSession"]}, "no-secrets": {"allow": ["*"], "deny": ["*Secret", "*Secrets"]},
    "no-other": {"deny": ["other"]},
    "deny-wins": {"allow": ["getSession", "*"], "deny": ["getSession"]},
    "deny-all": {"allow": ["getSession"], "deny": ["*"]}, "no-files": {"deny": ["files"]},
    "team-1": {"teams": ["t1"]}, "teams-1-2": {"teams": ["t1", "t2"]}, "no-teams": {"teams": []},
    "all-teams": {"teams": ["*"]},
    "expired": {"expires": "2020-01-01T00:00:00Z"}, "lasting": {"expires": "2999-01-01T00:00:00Z"},
}


def status(stage, name, method, target):
    """What a client gets for a request; refusals are checked to be whole and to go nowhere."""
    before = len(stage.origin.requests)
    body = b"" if method in (GET, HEAD) else b'{"name":"n","value":"v"}'
    lines = [b"Content-Type: application/json", b"Content-Length: %d" % len(body)] if body else []
    answer = stage.get(target, *lines, token=stage.gateway.tokens[name], method=method, body=body)
    if method != HEAD and answer.status != 200:
        assert_gateway_error(answer, 401, 403)
    assert len(stage.origin.requests) == before + (answer.status == 200)
    return answer.status


# -- credentials ---------------------------------------------------------------------------------


@pytest.mark.parametrize("line",
                         [b"Authorization: Bearer @A@", b"authorization: bearer @A@", b"AUTHORIZATION: BEARER @A@",
                          b"Authorization: bEaReR @A@",
                          b"X-Api-Key: @A@", b"x-api-key: @A@", b"X-API-KEY:@A@"])
def test_a_token_gets_in(people, line):
    assert ask(people, line).status == 200
    assert people.origin.requests[0].values("Authorization") == [people.fill(b"Bearer @KEY@")]


NOT_IN = {
    "none": (), "unknown": (b"Authorization: Bearer " + UNKNOWN,), "unknown-x-api-key": (b"X-Api-Key: " + UNKNOWN,),
    "no-gateway-token": (b"Authorization: Bearer abc",),
    "basic": (b"Authorization: Basic dXNlcjpwYXNz",), "digest": (b'Authorization: Digest username="x"',),
    "cookie": (b"Cookie: token=@A@",),
    "x-api-key-of-another-kind": (b"X-Api-Key: 0123456789abcdef",),
    "one-unknown": (b"Authorization: Bearer " + UNKNOWN, b"X-Api-Key: @A@"),
    "two-clients": (b"Authorization: Bearer @A@", b"X-Api-Key: @B@"),
    "two-clients-reversed": (b"X-Api-Key: @B@", b"Authorization: Bearer @A@"),
    "proxy-authorization": (b"Proxy-Authorization: Bearer @A@",),
}
MALFORMED = {
    "bare-token": (b"Authorization: @A@",), "no-token": (b"Authorization: Bearer",), "empty": (b"Authorization:",),
    "space-after-token": (b"Authorization: Bearer @A@ x",),
    "two-tokens": (b"Authorization: Bearer @A@, Bearer @A@",), "comma": (b"Authorization: Bearer @A@,",),
    "joined": (b"Authorization: Bearer@A@",),
    "colon": (b"Authorization: Bearer: @A@",), "quoted": (b'Authorization: Bearer "@A@"',),
    "parameter": (b"Authorization: Bearer token=@A@",), "tab": (b"Authorization: Bearer\t@A@",),
    "repeated": (b"Authorization: Bearer @A@", b"Authorization: Bearer @A@"),
    "repeated-in-another-case": (b"Authorization: Bearer @A@", b"authorization: Bearer @A@"),
    "repeated-other": (b"Authorization: Bearer @A@", b"Authorization: Bearer @B@"),
    "repeated-basic": (b"Authorization: Basic eDp5", b"Authorization: Bearer @A@"),
    "repeated-empty": (b"Authorization:", b"Authorization: Bearer @A@"),
    "x-repeated": (b"X-Api-Key: @A@", b"X-Api-Key: @A@"), "x-repeated-other": (b"X-Api-Key: @A@", b"x-api-key: @B@"),
    "x-empty": (b"X-Api-Key:",), "x-list": (b"X-Api-Key: @A@, @A@",), "x-bearer": (b"X-Api-Key: Bearer @A@",),
    "x-empty-beside": (b"X-Api-Key:", b"Authorization: Bearer x"),
    "cut": (b"Authorization: Bearer @A@".replace(b"@A@", UNKNOWN[:-1]),), "longer": (b"Authorization: Bearer @A@A",),
    "percent": (b"Authorization: Bearer %70sgate_",),
    "other-scheme": (b"Authorization: Token @A@",), "high-byte": (b"Authorization: Bearer \xe9@A@",),
}


@pytest.mark.parametrize("lines", NOT_IN.values(), ids=NOT_IN.keys())
def test_without_one_known_client_the_answer_is_401(people, lines):
    assert_gateway_error(ask(people, *lines), 401)
    people.assert_only_forwarded()


@pytest.mark.parametrize("lines", MALFORMED.values(), ids=MALFORMED.keys())
def test_a_malformed_or_repeated_credential_is_never_guessed_at(people, lines):
    assert_gateway_error(ask(people, *lines), 400, 401)
    people.assert_only_forwarded()


@pytest.mark.parametrize("lines",
                         [(b"Authorization: Bearer @A@", b"X-Api-Key: @A@"),
                          (b"X-Api-Key: @A@", b"Authorization: Basic eDp5"),
                          (b"X-Api-Key: @A@", b"Authorization: Bearer something-else")])
def test_two_credentials_that_name_one_client_get_in(people, lines):
    assert ask(people, *lines).status == 200
    seen = people.origin.requests[0]
    assert seen.values("X-Api-Key") == [] and seen.values("Authorization") == [people.fill(b"Bearer @KEY@")]


@pytest.mark.parametrize("place", [0, 6, 7, 20, 49, 50, 51, 56])
def test_a_token_with_one_wrong_character_is_unknown(people, place):
    token = people.gateway.tokens["a"]
    wrong = token[:place] + ("B" if token[place] != "B" else "C") + token[place + 1 :]
    assert_gateway_error(ask(people, b"Authorization: Bearer " + wrong.encode()), 400, 401)
    people.assert_only_forwarded()


def test_a_token_in_another_case_is_unknown(people):
    token = people.gateway.tokens["a"].encode()
    for wrong in (token.upper(), token.swapcase(), token[:7].upper() + token[7:]):
        assert_gateway_error(ask(people, b"X-Api-Key: " + wrong), 400, 401)
    people.assert_only_forwarded()


def test_the_hash_of_a_token_is_no_token(people):
    hashed = next(client["token_sha256"] for client in people.gateway.read_clients() if client["name"] == "a")
    assert_gateway_error(ask(people, b"Authorization: Bearer " + hashed.encode()), 400, 401)
    people.assert_only_forwarded()


def test_the_api_key_itself_is_no_token(people):
    assert_gateway_error(ask(people, b"Authorization: Bearer @KEY@"), 401)
    people.assert_only_forwarded()


def test_an_expired_token_is_refused_with_401(people):
    assert status(people, "expired", b"GET", b"/v1/a") == 401
    assert status(people, "lasting", b"GET", b"/v1/a") == 200


def test_a_connection_is_authenticated_anew_for_every_request(people):
    with people.connect() as client:
        assert client.ask(people.request(b"GET /v1/a HTTP/1.1")).status == 200
        assert_gateway_error(client.ask(wire.head(b"GET /v1/a HTTP/1.1", HOST)), 401)
    people.assert_only_forwarded(1)


def test_a_refused_request_with_a_body_is_not_forwarded(people):
    body = people.request(b"GET /v1/evil HTTP/1.1")
    with people.connect() as client:
        client.send(wire.head(b"POST /v1/a HTTP/1.1", HOST, b"Content-Length: %d" % len(body)) + body)
        assert_gateway_error(client.read_response(), 401)
        client.half_close()
        client.read_to_end()
    people.assert_only_forwarded()


# -- policy ----------------------------------------------------------------------------------------

PLAIN = [(GET, SESSION), (GET, MEMBERS), (GET, SECRETS), (GET, SECRETS + b"/s"), (PUT, MEMBERS + b"/u"),
         (POST, SECRETS), (GET, b"/v1/projects"), (DELETE, SESSION),
         (POST, b"/v1/keys"), (GET, b"/v1/keys/k1"), (DELETE, b"/v1/keys/a/b"), (GET, b"/v1/files/a/b"),
         (PUT, b"/v1/files/x")]
ALLOWED = {  # which of the requests above, by their place there
    "everything": {0, 1, 2, 3, 4, 5, 6, 7, 11, 12}, "one": {0}, "glob": {1, 2}, "other": {6, 7}, "two": {0, 1},
    "nothing": set(), "named": {8},
    "named-glob": set(), "named-and-all": {0, 1, 2, 3, 4, 5, 6, 7, 8, 11, 12}, "denied-named": set(),
    "no-session": {1, 2, 3, 4, 5, 6, 7, 11, 12},
    "no-secrets": {0, 1, 4, 6, 7, 11, 12}, "no-other": {0, 1, 2, 3, 4, 5, 11, 12},
    "deny-wins": {1, 2, 3, 4, 5, 6, 7, 11, 12}, "deny-all": set(),
    "no-files": {0, 1, 2, 3, 4, 5, 6, 7}, "team-1": {1, 2, 3, 4, 5}, "no-teams": set(),
    "all-teams": {0, 1, 2, 3, 4, 5, 6, 7, 11, 12},
}


@pytest.mark.parametrize("name", ALLOWED)
def test_a_client_may_do_what_its_policy_says_and_nothing_else(people, name):
    seen = {place for place, (method, target) in enumerate(PLAIN) if status(people, name, method, target) == 200}
    assert seen == ALLOWED[name]
    people.assert_only_forwarded(len(seen))


def test_head_is_judged_as_the_get(people):
    assert status(people, "one", HEAD, SESSION) == 200
    assert status(people, "no-session", HEAD, SESSION) == 403
    assert status(people, "no-session", HEAD, MEMBERS) == 200


SAME_SESSION = [
    b"/v1/auth/session/", b"/V1/AUTH/SESSION", b"/v1/Auth/Session/", b"/v1/auth/sessio%6e", b"/v1/auth/sessio%6E",
    b"/v1/%61uth/session", b"/%76%31/auth/session",
    b"/%56%31/%41%55%54%48/%53%45%53%53%49%4f%4e", b"/v1/auth/%73%65%73%73%69%6f%6e/", b"/v1/auth/session?a=b",
    b"/v1/auth/session/?", b"/V%31/aUtH/s%45ssion?x#".rstrip(b"#"),
    b"http://gateway.test/v1/auth/session", b"http://gateway.test/V1/%61uth/SESSION/?q",
]


@pytest.mark.parametrize("target", SAME_SESSION, ids=lambda target: target.decode().replace("/", "|"))
def test_no_spelling_of_a_denied_operation_slips_through(people, target):
    assert status(people, "no-session", GET, target) == 403
    assert status(people, "no-session", HEAD, target) == 403
    assert status(people, "no-other", GET, target) == 200


def spellings_of(path):
    """Many spellings that a lenient server takes for the same path."""
    changes = [bytes.upper, bytes.title, lambda text: b"".join(b"%%%02x" % byte for byte in text), lambda text: text]
    parts = path.strip(b"/").split(b"/")
    for combination in itertools.product(changes, repeat=len(parts)):
        for end in (b"", b"/"):
            yield b"/" + b"/".join(change(part) for change, part in zip(combination, parts)) + end


def test_no_mixture_of_spellings_of_a_denied_operation_slips_through(people):
    targets = list(spellings_of(SESSION))
    with people.connect() as client:
        for target in targets:
            answer = client.ask(people.request(b"GET %b HTTP/1.1" % target, token=people.gateway.tokens["no-session"]))
            assert answer.status == 403, target
    people.assert_only_forwarded()


@pytest.mark.parametrize("target",
                         [b"/v1/keys", b"/V1/KEYS/", b"/v1/%6beys", b"/v1/k%65ys/?x=y", b"http://gateway.test/v1/keys"],
                         ids=lambda target: target.decode().replace("/", "|"))
def test_no_spelling_of_a_named_only_operation_is_covered_by_a_star(people, target):
    assert status(people, "everything", POST, target) == 403
    assert status(people, "named", POST, target) == 200


@pytest.mark.parametrize("target",
                         [b"/v1/files", b"/v1/files/", b"/V1/Files/a", b"/v1/files/a/b/c/d", b"/v1/%66iles/a"],
                         ids=lambda target: target.decode().replace("/", "|"))
def test_no_spelling_below_a_denied_tree_slips_through(people, target):
    if target.rstrip(b"/") != b"/v1/files":  # whether the rest may be empty is not said
        assert status(people, "no-files", GET, target) == 403
    assert status(people, "everything", GET, target) == 200


# -- teams -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("target, allowed", [
    (b"/v1/teams/t1/users", True), (b"/v1/teams/t2/users", False), (b"/v1/teams/t1/secrets/x", True),
    (b"/v1/teams/t2/secrets/t1", False),
    (b"/v1/teams/%741/users", True), (b"/v1/teams/%742/users", False), (b"/V1/Teams/t2/Users/", False),
    (b"/v1/teams/t1%20/users", False), (b"/v1/teams/t11/users", False),
    (b"/v1/teams/t/users", False), (b"/v1/teams/*/users", False), (b"/v1/auth/session", False),
    (b"/v1/teams/t1", False), (b"/v1/projects?team=t1", False),
], ids=lambda value: value.decode().replace("/", "|") if isinstance(value, bytes) else str(value))
def test_a_client_of_one_team_reaches_that_team_only(people, target, allowed):
    assert status(people, "team-1", GET, target) == (200 if allowed else 403)


def test_a_client_of_two_teams_reaches_both_and_no_third(people):
    targets = [b"/v1/teams/%b/users" % team for team in (b"t1", b"t2", b"t3")]
    assert [status(people, "teams-1-2", GET, target) for target in targets] == [200, 200, 403]


# -- the shipped operation table ----------------------------------------------------------------------

SHIPPED = [("getSession", GET, SESSION), ("listTeamMembers", GET, MEMBERS), ("updateTeamMember", PUT, MEMBERS + b"/u"),
           ("removeTeamMember", DELETE, MEMBERS + b"/u"),
           ("listTeamSecrets", GET, SECRETS), ("createTeamSecret", POST, SECRETS),
           ("getTeamSecret", GET, SECRETS + b"/s"),
           ("updateTeamSecret", b"PATCH", SECRETS + b"/s"), ("deleteTeamSecret", DELETE, SECRETS + b"/s")]


def test_the_nine_operations_of_the_contract_are_known_by_their_names(make_stage):
    stage = make_stage(start=False)
    for name, _, _ in SHIPPED:
        stage.gateway.add_client(name, allow=[name])
    stage.start()
    for name, _, _ in SHIPPED:
        assert [other for other, method, target in SHIPPED if status(stage, name, method, target) == 200] == [name]


MINTING = [(POST, b"/apiTokens/createPublic"), (POST, b"/apitokens/CREATEPUBLIC/"), (GET, b"/v1/api-keys"),
           (POST, b"/v1/api-keys"), (DELETE, b"/v1/api-keys/k1"),
           (GET, b"/v1/teams/t1/api-keys"), (POST, b"/v1/teams/t1/api-keys"), (DELETE, b"/V1/teams/t1/Api-Keys/k1"),
           (POST, b"/v1/%61pi-keys")]


@pytest.mark.parametrize("method, target", MINTING,
                         ids=[f"{method.decode()}{target.decode().replace('/', '|')}" for method, target in MINTING])
def test_a_star_does_not_cover_the_shipped_operations_that_mint_keys(stage, method, target):
    assert status(stage, "tester", method, target) == 403
    stage.assert_only_forwarded()


# -- the gateway's own paths -----------------------------------------------------------------------------


@pytest.mark.parametrize("path", [b"/.psgate/healthz", b"/.psgate/readyz"])
def test_health_is_answered_without_a_token(people, path):
    answer = ask(people, start=b"GET %b HTTP/1.1" % path)
    assert answer.status == 200 and people.gateway.key.encode() not in answer.body
    people.assert_only_forwarded()


def test_whoami_tells_a_client_about_itself(people):
    answer = people.get(b"/.psgate/whoami", token=people.gateway.tokens["deny-wins"])
    assert answer.status == 200 and answer.value("Content-Type").startswith(b"application/json")
    told = json.loads(answer.body)
    assert set(told) == {"client", "allow", "deny", "teams", "credential", "expires"}
    assert (told["client"], told["allow"], told["deny"]) == ("deny-wins", ["getSession", "*"], ["getSession"])
    assert (told["teams"], told["credential"], told["expires"]) == (["*"], "default", None)
    people.assert_only_forwarded()


def test_whoami_tells_when_the_token_expires(people):
    told = json.loads(people.get(b"/.psgate/whoami", token=people.gateway.tokens["lasting"]).body)
    assert told["expires"].startswith("2999-01-01T00:00:00")


@pytest.mark.parametrize("lines", [(), (b"Authorization: Bearer " + UNKNOWN,)], ids=["none", "unknown"])
def test_whoami_needs_a_token(people, lines):
    assert_gateway_error(ask(people, *lines, start=b"GET /.psgate/whoami HTTP/1.1"), 401)


@pytest.mark.parametrize("path",
                         [b"/.psgate/", b"/.psgate/metrics", b"/.psgate/healthz/x", b"/.psgate/v1/a",
                          b"/.psgate/whoamI-not", b"/.psgate/cache/purge"],
                         ids=lambda path: path.decode().replace("/", "|"))
def test_anything_else_of_the_gateways_own_is_404(people, path):
    assert_gateway_error(people.get(path), 404)
    people.assert_only_forwarded()


@pytest.mark.parametrize("start",
                         [b"POST /.psgate/healthz HTTP/1.1", b"DELETE /.psgate/whoami HTTP/1.1",
                          b"GET /%2epsgate/healthz HTTP/1.1", b"GET /.psgate/%68ealthz HTTP/1.1",
                          b"GET /.psg%61te/anything HTTP/1.1",
                          b"GET http://gateway.test/.psgate/anything HTTP/1.1",
                          b"GET /.psgate/healthz?x=y HTTP/1.1"],
                         ids=lambda start: start.decode().replace("/", "|"))
def test_the_gateways_own_paths_are_never_forwarded(people, start):
    with people.connect() as client:
        assert client.ask(people.request(start, b"Content-Length: 0")).status in (200, 404, 405)
    people.assert_only_forwarded()
