"""`psgate check --explain`: which rule decides about a request, before anybody sends it."""

import pytest
from support.gateway import write_private
from support.stage import Stage


@pytest.fixture(scope="module")
def idle(binary, tmp_path_factory):
    """A gateway that never runs; its clients are asked about."""
    stage = Stage(binary, tmp_path_factory.mktemp("explain"))
    gateway = stage.gateway
    gateway.add_client("lists", allow=["list*", "getSession"], deny=["*Secrets"])
    gateway.add_client("team-1", teams=["t1"])
    gateway.add_client("minter", allow=["manageApiKeys"])
    gateway.add_client("expired", expires="2020-01-01T00:00:00Z")
    gateway.add_client("twice", allow=["getSession"])
    gateway.add_client("twice")  # a second entry, whose rules are others
    yield gateway
    stage.stop()


def explain(gateway, method, target, client):
    result = gateway.command("check", "-c", gateway.config_file, "--explain", method, target, "--client", client)
    assert result.stderr == "" or result.returncode in (64, 78), result.stderr
    lines = [line.partition(":") for line in result.stdout.splitlines()]
    return result.returncode, {label: text.strip() for label, _, text in lines}


CASES = {
    "default": ("tester", "GET", "/v1/auth/session", 0, {"operation": "getSession, by GET /v1/auth/session",
                "rule": 'allow "*" (the default', "verdict": "allowed", "cache": "scope session",
                "audit": "not recorded", "invalidates": "nothing", "team": "none"}),
    "method-case": ("tester", "get", "/v1/auth/session", 0, {"operation": "getSession", "cache": "never",
                    "audit": "recorded, without"}),  # only GET itself is safe
    "spelling": ("tester", "GET", "/V1/teams/t%31/USERS/?a=b", 0, {"path": "/v1/teams/t1/users", "team": "t1",
                 "cache": "not in this spelling"}),
    "change": ("tester", "PUT", "/v1/teams/t1/users/u1", 0, {"operation": "updateTeamMember", "cache": "never",
               "audit": "recorded, durably", "invalidates": "session, members"}),
    "other-change": ("tester", "POST", "/v1/machines", 0, {"operation": "other", "audit": "recorded, without",
                     "invalidates": "every scope"}),
    "glob": ("lists", "GET", "/v1/teams/t1/users", 0, {"rule": 'allow "list*" covers listTeamMembers'}),
    "deny-wins": ("lists", "GET", "/v1/teams/t1/secrets", 1, {"verdict": "refused with 403",
                  "rule": 'deny "*Secrets" covers listTeamSecrets, and wins over allow "list*"'}),
    "not-allowed": ("lists", "GET", "/v1/machines", 1, {"rule": "nothing in allow covers other"}),
    "named-only": ("tester", "POST", "/v1/api-keys", 1, {"operation": "manageApiKeys, by * /v1/api-keys/** (named",
                   "rule": "named_only: only its id in allow does, no glob"}),
    "named": ("minter", "POST", "/v1/api-keys", 0, {"rule": 'allow "manageApiKeys" covers',
              "audit": "recorded, durably"}),
    "team": ("team-1", "GET", "/v1/teams/t1/users", 0, {"rule": 'teams ["t1"] has the team'}),
    "another-team": ("team-1", "GET", "/v1/teams/t2/users", 1, {"rule": 'teams ["t1"] does not list the team',
                     "team": "t2"}),
    "no-team": ("team-1", "GET", "/v1/auth/session", 1, {"rule": "names no team", "next": "see GET /.psgate/whoami"}),
    "expired": ("expired", "GET", "/v1/auth/session", 1, {"verdict": "refused with 401: the token has expired"}),
    "dots": ("tester", "GET", "/v1/../auth", 1, {"verdict": "refused with 400"}),
    "encoded-slash": ("tester", "GET", "/v1/a%2Fb", 1, {"verdict": "refused with 400"}),
    "trace": ("tester", "TRACE", "/v1/a", 1, {"verdict": "refused with 405", "next": "use another method"}),
    "asterisk": ("tester", "OPTIONS", "*", 0, {"path": "*", "operation": "other"}),
    "absolute": ("tester", "GET", "http://gw.test:8080/v1/auth/session", 0, {"operation": "getSession"}),
    "own": ("team-1", "GET", "/.psgate/whoami", 0, {"operation": "the gateway's own"}),
    "no-own": ("team-1", "GET", "/.psgate/else", 1, {"verdict": "refused with 404"}),
    "smuggled-field": ("tester", "GET", "/v1/a HTTP/1.1\r\nX-A: b", 1, {"verdict": "refused with 400"}),
    "smuggled-method": ("tester", "GET /v1/b HTTP/1.1\r\nX-A:", "/v1/a", 1, {"verdict": "refused with 400"}),
    "empty": ("tester", "", "", 1, {"verdict": "refused with 400"}),
}


@pytest.mark.parametrize("client, method, target, status, wanted", CASES.values(), ids=CASES.keys())
def test_the_rule_that_decides_is_said(idle, client, method, target, status, wanted):
    code, said = explain(idle, method, target, client)
    assert code == status, said
    for label, text in wanted.items():
        assert text in said[label], said
    assert said["client"].startswith(client)


def test_each_entry_of_a_name_is_explained(idle):
    result = idle.command("check", "-c", idle.config_file, "--explain", "GET", "/v1/machines", "--client", "twice")
    assert result.returncode == 1
    assert "verdict:     allowed" in result.stdout and "verdict:     refused with 403" in result.stdout


def test_both_readings_of_an_encoded_slash_are_explained(make_stage):
    gateway = make_stage(start=False, config={"upstream": {"encoded_slashes": "forward"}}).gateway
    gateway.change_client("tester", deny=["listTeamMembers"])
    result = gateway.command("check", "-c", gateway.config_file, "--explain", "GET", "/v1/teams/t1%2Fusers",
                             "--client", "tester")
    assert result.returncode == 1
    assert "/v1/teams/t1%2Fusers" in result.stdout and "listTeamMembers, by" in result.stdout
    assert 'deny "listTeamMembers"' in result.stdout


@pytest.mark.parametrize("arguments", [("--explain", "GET", "/v1/a"), ("--client", "tester"),
                                       ("--explain", "GET", "--client", "tester"), ("--explain",),
                                       ("--explain", "GET", "/v1/a", "/v1/b", "--client", "tester"),
                                       ("--explain", "GET", "/v1/a", "--client", "testerr")])
def test_a_wrong_question_is_a_usage_error(idle, arguments):
    result = idle.command("check", "-c", idle.config_file, *arguments)
    assert result.returncode == 64 and result.stdout == "" and result.stderr


def test_an_unknown_client_is_told_the_nearest_name(idle):
    result = idle.command("check", "-c", idle.config_file, "--explain", "GET", "/", "--client", "testr")
    assert 'did you mean "tester"?' in result.stderr


def test_a_bad_configuration_explains_nothing(make_stage):
    gateway = make_stage(start=False).gateway
    write_private(gateway.clients_file, "{")
    result = gateway.command("check", "-c", gateway.config_file, "--explain", "GET", "/", "--client", "tester")
    assert result.returncode == 78 and result.stdout == ""


def test_nothing_is_asked_of_upstream_and_nothing_is_changed(make_stage):
    stage = make_stage(start=False)
    before = {path.name: path.read_bytes() for path in stage.gateway.folder.iterdir()}
    assert explain(stage.gateway, "GET", "/v1/auth/session", "tester")[0] == 0
    assert stage.origin.received() == b""
    assert {path.name: path.read_bytes() for path in stage.gateway.folder.iterdir()} == before
