"""`psgate audit search`: what an auditor asks a trail, and how the answer looks."""

import json
import os
import re
import subprocess
from datetime import datetime, timedelta, timezone

import pytest
from support.gateway import SANITIZER
from support.trail import EPOCH, Trail, stamp
from support.waiting import DEADLINE

HEADER = ["TIME", "USER", "ACTION", "RESOURCE", "TEAM", "OUTCOME", "STATUS", "REASON", "SOURCE"]
TIME, USER, ACTION, RESOURCE, TEAM, OUTCOME, STATUS, REASON, SOURCE = range(9)
TORN = "the last line is incomplete"


@pytest.fixture
def trail(tmp_path):
    return Trail(tmp_path / "audit")


@pytest.fixture
def run(binary, trail):
    def run(*arguments, verb="search", locale="C", folder=trail.folder):
        result = subprocess.run([binary, "audit", verb, folder, *arguments], capture_output=True,
                                timeout=DEADLINE, env=os.environ | {"LC_ALL": locale})
        assert not SANITIZER.search(result.stderr.decode()), result.stderr
        return result

    return run


@pytest.fixture
def table(run):
    """The cells of the rows; the header is checked and gone."""

    def table(*arguments, **options):
        result = run(*arguments, **options)
        assert result.returncode == 0, result
        lines = result.stdout.decode().splitlines()
        assert not lines or lines[0].split() == HEADER, lines
        return [line.split() for line in lines[1:]]

    return table


@pytest.fixture
def ids(run):
    """The event ids of the rows, from --json."""

    def ids(*arguments, **options):
        result = run("--json", *arguments, **options)
        assert result.returncode == 0, result
        return [json.loads(line)["event.id"] for line in result.stdout.splitlines()]

    return ids


# -- the table ---------------------------------------------------------------------------------


def test_a_mutation_is_one_row(trail, table):
    trail.mutation()
    assert table() == [["2026-11-23T12:00:01.000Z", "ci", "createTeamSecret", "DB_PASSWORD", "tABC",
                        "success", "201", "-", "10.0.0.1"]]


def test_columns_fit_their_content(trail, run):
    trail.mutation(resource="A")
    trail.mutation(resource="A_MUCH_LONGER_NAME_THAN_THE_OTHER", user="a-client-with-a-long-name")
    trail.mutation(resource="B", outcome="failure", status=422, reason="upstream_status")
    lines = run().stdout.decode().splitlines()
    for title in re.finditer(r"\S+", lines[0]):
        at = title.start()
        for line in lines[1:]:
            assert line[at] != " " and line[max(at - 2, 0) : at].strip() == "", (title, line)
    assert not any(line.endswith(" ") for line in lines)


def test_the_parts_that_are_absent_are_dashes(trail, table):
    trail.refused(status=401, reason="no_token", user=None, resource=None, team=None)
    assert table() == [["2026-11-23T12:00:01.000Z", "-", "createTeamSecret", "-", "-", "refused", "401",
                        "no_token", "10.0.0.1"]]


def test_the_resource_is_the_member_or_the_path_where_it_has_no_name(trail, table):
    trail.mutation(action="updateTeamMember", resource=None, target="uSOMEBODY")
    trail.mutation(action="other", resource=None, path="/v1/machines")
    assert [row[RESOURCE] for row in table()] == ["uSOMEBODY", "/v1/machines"]


def test_outcomes_have_status_and_reason(trail, table):
    trail.mutation("failure", 422, "upstream_status")
    trail.mutation("unknown", None, "timeout")
    trail.refused(403, "not_allowed")
    trail.intent()
    assert [row[OUTCOME : REASON + 1] for row in table()] == [
        ["failure", "422", "upstream_status"], ["unknown", "-", "timeout"],
        ["refused", "403", "not_allowed"], ["unfinished", "-", "-"]]


def test_a_summary_of_refusals_says_how_many(trail, table):
    trail.refused(401, None, action="refusals", suppressed=17, user=None, resource=None)
    assert table()[0][REASON] == "17-more"


def test_rows_are_in_the_order_of_the_intents(trail, ids):
    first, second, third = trail.intent(), trail.intent(), trail.intent()
    refused = trail.refused()
    trail.result(third)
    trail.result(first)
    assert ids() == [first, second, third, refused]


def test_nothing_matches_is_no_failure(trail, run):
    trail.mutation()
    result = run("--user", "nobody")
    assert (result.returncode, result.stdout) == (0, b"")
    assert b"no mutation matches" in result.stderr


def test_an_empty_trail_has_nothing_that_matches(trail, run):
    assert run().returncode == 0


def test_records_that_are_no_mutations_are_left_out(trail, ids):
    event_id = trail.mutation()
    trail.checkpoint()
    assert ids() == [event_id]


def test_more_rows_than_wait_for_the_columns(trail, table):
    for _ in range(1500):
        trail.mutation()
    assert len(table()) == 1500


# -- terminals ---------------------------------------------------------------------------------

ATTACKS = ["\x1b[2J", "a\nb", "\r", "\x7f", "\x9b31m", "\u202egnp", "\u2066x", "a b", "\u00a0", "\u200b",
           "a\u0301", "\u2028", "\t", "\x00", "\\x41", "\u3164", "\ufeff", "\U000e0041"]


@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
@pytest.mark.parametrize("name", ATTACKS)
def test_names_cannot_steer_a_terminal_or_make_columns(trail, run, table, name, locale):
    trail.mutation(resource=f"<{name}>", user=f"<{name}>")
    rows = table(locale=locale)
    assert len(rows) == 1 and len(rows[0]) == len(HEADER), rows
    assert rows[0][RESOURCE].isascii() and rows[0][RESOURCE] == rows[0][USER]
    assert "\\" in rows[0][RESOURCE]
    text = run("--json", locale=locale).stdout.decode()
    assert json.loads(text)["proxy.resource.name"] == f"<{name}>"
    assert not any(char in text[:-1] for char in set(name) - set("\\ab x41[2Jgnp31m")), text


def test_letters_of_other_scripts_are_shown_where_the_terminal_knows_utf_8(trail, table):
    trail.mutation(resource="Zürich-東京")
    assert table(locale="C.UTF-8")[0][RESOURCE] == "Zürich-東京"
    assert table(locale="C")[0][RESOURCE] == "Z\\u{fc}rich-\\u{6771}\\u{4eac}"


def test_wide_letters_keep_the_columns(trail, run):
    trail.mutation(resource="東京")
    trail.mutation(resource="long-enough")
    lines = run(locale="C.UTF-8").stdout.decode().splitlines()
    assert lines[2].index("tABC") - lines[1].index("tABC") == 2


def test_long_names_are_cut_in_the_table_alone(trail, run, table):
    trail.mutation(resource="x" * 5000)
    assert table()[0][RESOURCE] == "x" * 64 + "..."
    assert json.loads(run("--json").stdout)["proxy.resource.name"] == "x" * 5000


def test_an_empty_name_is_visible(trail, table):
    trail.mutation(resource="")
    assert table()[0][RESOURCE] == '""'


# -- --json ------------------------------------------------------------------------------------


def test_json_has_the_members_of_both_and_those_of_the_result_win(trail, run):
    event_id = trail.intent(recorded="only in the body")
    trail.result(event_id, invalidated=["members"])
    lines = [json.loads(line) for line in trail.current.read_bytes().splitlines()]
    assert json.loads(run("--json").stdout) == lines[0] | lines[1]
    assert json.loads(run("--json").stdout)["proxy.phase"] == "result"


def test_json_of_refused_and_unfinished_is_their_one_record(trail, run):
    trail.refused()
    trail.intent()
    lines = [json.loads(line) for line in trail.current.read_bytes().splitlines()]
    assert [json.loads(line) for line in run("--json").stdout.splitlines()] == lines


def test_numbers_of_any_size_pass_through(trail, run):
    event_id = trail.intent()
    body = json.dumps(trail.bodies[event_id] | {"proxy.phase": "result", "event.outcome": "success"})
    trail.append(body.replace(", ", ",").replace(": ", ":")[:-1] + ',"proxy.recorded.n":1' + "0" * 40 + "}")
    assert b'"proxy.recorded.n":1' + b"0" * 40 + b"}" in run("--json").stdout


# -- the filters -------------------------------------------------------------------------------


@pytest.mark.parametrize("option, value, expected", [
    ("--action", "createTeamSecret", "ad"), ("--action", "*TeamSecret", "abd"), ("--action", "delete*", "b"),
    ("--action", "create", ""), ("--user", "ci", "abc"), ("--user", "d*", "d"), ("--user", "-", ""),
    ("--resource", "DB_PASSWORD", "ab"), ("--resource", "uX", "c"), ("--resource", "DB_*", "abd"),
    ("--source", "10.0.0.1", "acd"), ("--source", "2001:DB8:0::1", "b"),
    ("--outcome", "success", "a"), ("--outcome", "failure", "bd"), ("--outcome", "refused", "d"),
    ("--outcome", "unknown", "c"), ("--outcome", "success,unknown", "ac"), ("--outcome", "unfinished", ""),
])
def test_filters(trail, ids, option, value, expected):
    names = {
        "a": trail.mutation(),
        "b": trail.mutation("failure", 404, "upstream_status", action="deleteTeamSecret", source="2001:db8::1"),
        "c": trail.mutation("unknown", None, "timeout", action="updateTeamMember", resource=None, target="uX"),
        "d": trail.refused(user="dev", resource="DB_URL"),
    }
    assert ids(option, value) == [names[name] for name in expected]


def test_filters_add_up(trail, ids):
    event_id = trail.mutation(user="ci", resource="A")
    trail.mutation(user="dev", resource="A")
    trail.mutation(user="ci", resource="B")
    assert ids("--user", "ci", "--resource", "A", "--outcome", "success") == [event_id]
    assert ids("--event-id", event_id) == [event_id]


@pytest.mark.parametrize("since, until, expected", [
    ("2026-11-23T12:00:02.250Z", None, "bc"), ("2026-11-23T12:00:02.251Z", None, "c"),
    (None, "2026-11-23T12:00:02.250Z", "ab"), (None, "2026-11-23T12:00:02Z", "a"),
    ("2026-11-23", None, "abc"), ("2026-11-24", None, ""), (None, "2026-11-24", "abc"), (None, "2026-11-23", ""),
    ("2026-11-23T14:00:02.250+02:00", None, "bc"), ("2026-11-23T06:30:02.250-05:30", None, "bc"),
    ("2026-11-23t12:00:02.250z", "2026-11-23T12:00:02.250Z", "b"), ("2026-11-23 12:00:02.250Z", None, "bc"),
])
def test_times(trail, ids, since, until, expected):
    names = {name: trail.mutation() for name in "abc"}  # at 12:00:01.000, 02.250, 03.500
    arguments = (["--since", since] if since else []) + (["--until", until] if until else [])
    assert ids(*arguments) == [names[name] for name in expected]


def test_durations_are_before_now(trail, ids):
    now = datetime.now(timezone.utc)
    trail.time = now - timedelta(days=8)
    old = trail.mutation()
    trail.time = now - timedelta(hours=3)
    new = trail.mutation()
    assert ids("--since", "7d") == [new]
    assert ids("--since", "10d", "--until", "4h") == [old]
    assert ids("--since", "9999d") == [old, new]


@pytest.mark.parametrize("arguments", [
    ["--since", "yesterday"], ["--since", "2026-13-01"], ["--until", "2026-11-23T12:00"], ["--since", ""],
    ["--since", "2026-11-23T12:00:00+2:00"], ["--outcome", "bad"], ["--outcome", ""], ["--outcome", "success,"],
    ["--source", "ten"], ["--source", "10.0.0.0/8"], ["--unknown"], ["--user"],
    ["-f"], ["-n", "3"], ["--follow"],
])
def test_usage(run, arguments):
    result = run(*arguments)
    assert (result.returncode, result.stdout) == (64, b"")
    assert b"--help" in result.stderr and result.stderr.count(b"\n") == 1


def test_a_folder_is_needed(binary):
    result = subprocess.run([binary, "audit", "search"], capture_output=True, timeout=DEADLINE)
    assert result.returncode == 64


def test_help_explains_the_outcomes(binary):
    for verb in ("search", "tail"):
        result = subprocess.run([binary, "audit", verb, "--help"], capture_output=True, timeout=DEADLINE)
        assert result.returncode == 0 and result.stderr == b""
        for word in (b"--since", b"failure", b"refused", b"unfinished", b"unknown"):
            assert word in result.stdout


# -- files -------------------------------------------------------------------------------------


def test_a_missing_folder_is_unreadable(run, tmp_path):
    result = run(folder=tmp_path / "nowhere")
    assert result.returncode == 1 and b"nowhere" in result.stderr


@pytest.mark.parametrize("kind", ["gz", "zst"])
def test_rotated_and_compressed_files_are_read_in_order(trail, ids, kind):
    expected = []
    open_id = trail.intent()
    expected.append(open_id)
    for _ in range(3):
        expected += [trail.mutation(), trail.mutation()]
        trail.compress(trail.rotate(), kind)
    trail.result(open_id)
    expected.append(trail.mutation())
    trail.rotate().rename(trail.folder / "audit.jsonl.1")
    expected.append(trail.mutation())
    assert ids() == expected
    assert ids("--outcome", "success") == expected


def test_a_file_beside_its_compressed_copy_counts_once(trail, ids):
    expected = [trail.mutation(), trail.mutation()]
    trail.compress(trail.rotate(), keep=True)
    expected.append(trail.mutation())
    assert ids() == expected


def test_a_file_that_is_being_compressed_is_no_fault(trail, ids):
    event_id = trail.mutation()
    packed = trail.compress(trail.rotate(), keep=True)
    packed.write_bytes(packed.read_bytes()[:10])
    assert ids() == [event_id]


def test_a_result_whose_intent_was_deleted_is_a_row(trail, ids, table):
    event_id = trail.intent()
    closed = trail.rotate()
    trail.result(event_id)
    closed.unlink()
    assert ids() == [event_id]
    assert table()[0][ACTION] == "createTeamSecret"


def test_a_torn_last_line_is_ignored_and_said(trail, run, ids):
    event_id = trail.mutation()
    trail.write(b'{"@timestamp":"2026-')
    assert ids() == [event_id]
    assert TORN in run().stderr.decode()


def test_a_lone_torn_line_is_said(trail, run):
    trail.write(b'{"@timestamp":"2026-')
    result = run()
    assert result.returncode == 0 and TORN in result.stderr.decode()


@pytest.mark.parametrize("torn", [b"", b'{"@timestamp":"2026-'])
def test_superseded_lines_count_once(trail, ids, torn):
    expected = [trail.mutation()]
    open_id = trail.intent()
    expected.append(open_id)
    trail.acknowledge()
    expected.append(trail.mutation())
    trail.result(open_id)
    expected.append(trail.refused())
    trail.resume(torn)
    expected.append(trail.mutation())
    assert ids() == expected
    assert ids("--outcome", "unfinished") == []


def test_a_resumed_file_that_fails_is_superseded_too(trail, ids):
    expected = [trail.mutation()]
    trail.acknowledge()
    expected += [trail.mutation(), trail.refused()]
    trail.resume()
    sequence, last_hash, size, was_open = trail.acknowledged
    trail.acknowledged = (sequence, last_hash, len(trail.current.read_bytes().splitlines(True)[0]), was_open)
    trail.resume()
    expected.append(trail.mutation())
    assert ids() == expected


def test_a_broken_line_is_said_and_the_rest_is_shown(trail, run):
    trail.mutation(user="before")
    trail.write(b"rubbish\n")
    trail.mutation(user="after")
    result = run()
    assert result.returncode == 1
    assert b"before" in result.stdout and b"after" in result.stdout
    assert b"audit.jsonl:3: " in result.stderr


def test_a_file_that_is_no_trail_is_said(trail, run):
    trail.mutation()
    (trail.folder / "audit-old.jsonl").write_text("rubbish\n")
    result = run()
    assert result.returncode == 1
    assert b"audit-old.jsonl:1: " in result.stderr and b"DB_PASSWORD" in result.stdout


def test_damaged_compressed_data_is_unreadable(trail, run):
    trail.mutation()
    packed = trail.compress(trail.rotate())
    packed.write_bytes(packed.read_bytes()[:-12])
    trail.mutation()
    result = run()
    assert result.returncode == 1 and packed.name.encode() in result.stderr


def test_a_reader_that_leaves_is_no_failure(binary, trail):
    for _ in range(3000):
        trail.mutation()
    process = subprocess.Popen([binary, "audit", "search", "--json", trail.folder],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(DEADLINE) == 0
    assert process.stderr.read() == b""
    process.stderr.close()


def test_output_that_cannot_be_written_is_a_failure(binary, trail):
    trail.mutation()
    with open("/dev/full", "w") as full:
        result = subprocess.run([binary, "audit", "search", trail.folder], stdout=full,
                                stderr=subprocess.PIPE, timeout=DEADLINE)
    assert result.returncode == 1 and b"standard output" in result.stderr


def test_times_are_those_of_the_generator():
    assert stamp(EPOCH) == "2026-11-23T12:00:00.000Z"
