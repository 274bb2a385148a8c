"""`psgate audit search` and `verify` over the trails of several gateways, and over a collector's tree."""

import ctypes
import json
import os
import random
import resource
import shutil
import subprocess
import sys
from datetime import timedelta

import pytest
from support.gateway import SANITIZER
from support.trail import EPOCH, Trail
from support.waiting import DEADLINE

PR_CAPBSET_DROP = 24
HEADER = ["TIME", "USER", "ACTION", "RESOURCE", "TEAM", "OUTCOME", "STATUS", "REASON", "SOURCE"]


class Fleet:
    """A folder with trails, and psgate audit over it, run there."""

    def __init__(self, binary, folder):
        self.binary, self.folder, self.count = binary, folder, 0

    def trail(self, name, mutations=0, **options):
        self.count += 1
        trail = Trail(self.folder / name, **{"chain_id": (f"{self.count:x}" * 32)[:32], **options})
        for _ in range(mutations):
            trail.mutation(user=name.rpartition("/")[2])
        return trail

    def run(self, verb, *arguments, status=0, **options):
        result = subprocess.run([self.binary, "audit", verb, *arguments], cwd=self.folder, capture_output=True, text=True,
                                timeout=DEADLINE, env=os.environ | {"LC_ALL": "C"}, **options)
        assert not SANITIZER.search(result.stderr), result.stderr
        assert result.returncode == status, result
        return result

    def table(self, *arguments, **options):
        lines = [line.split() for line in self.run("search", *arguments, **options).stdout.splitlines()]
        assert lines[0] == [*HEADER, "TRAIL"]
        return lines[1:]

    def users(self, *arguments, **options):
        lines = self.run("search", "--json", *arguments, **options).stdout.splitlines()
        return [json.loads(line)["user.name"] for line in lines]


@pytest.fixture
def fleet(binary, tmp_path):
    return Fleet(binary, tmp_path)


@pytest.fixture
def copy(fleet):
    """A gateway's trail of six records, and the same in another folder."""
    trail = fleet.trail("gw-1", 3)
    shutil.copytree(trail.folder, fleet.folder / "copy")
    return trail


# -- search ------------------------------------------------------------------------------------


def test_rows_of_several_folders_come_by_time(fleet):
    first, second, third = (fleet.trail(name) for name in ("a", "b", "c"))
    for trail, seconds in ((first, 0), (second, 10), (third, 5), (second, 30), (first, 20), (third, 30)):
        trail.time = EPOCH + timedelta(seconds=seconds)
        trail.mutation(user=f"{trail.folder.name}{seconds}")
    assert fleet.users("c", "a", "b") == ["a0", "c5", "b10", "a20", "c30", "b30"]
    assert fleet.users("a", "b", "c") == ["a0", "c5", "b10", "a20", "b30", "c30"]
    assert fleet.users(".") == ["a0", "c5", "b10", "a20", "b30", "c30"]


def test_the_merge_is_that_of_all_trails_sorted(fleet):
    numbers, wanted = random.Random(9), []
    for name in "abcde":
        trail, waiting = fleet.trail(name), []
        for number in range(60):
            trail.tick(numbers.random() * 3)
            event_id = trail.intent(user=f"{name}{number}")
            wanted.append((json.dumps(trail.bodies[event_id]["@timestamp"]), name, trail.sequence, f"{name}{number}"))
            waiting.append(event_id)
            if numbers.random() < 0.7:
                trail.result(waiting.pop(numbers.randrange(len(waiting))))
            if numbers.random() < 0.05:
                trail.compress(trail.rotate())
    assert fleet.users(".") == [row[3] for row in sorted(wanted)]


def test_a_trail_whose_clock_went_back_keeps_its_order(fleet):
    back = fleet.trail("back")
    for seconds in (50, 10, 20):
        back.time = EPOCH + timedelta(seconds=seconds)
        back.mutation(user=f"back{seconds}")
    other = fleet.trail("other")
    other.time = EPOCH + timedelta(seconds=30)
    other.mutation(user="other30")
    assert fleet.users(".") == ["other30", "back50", "back10", "back20"]


def test_the_table_names_each_rows_trail(fleet):
    fleet.trail("logs/eu/gw-1", 1)
    fleet.trail("logs/us/gw-2", 1, start=EPOCH + timedelta(hours=1))
    assert [row[-1] for row in fleet.table("logs")] == ["eu/gw-1", "us/gw-2"]
    assert [row[-1] for row in fleet.table("logs/us/gw-2", "logs/eu/gw-1/")] == ["eu/gw-1", "us/gw-2"]
    assert [row[-1] for row in fleet.table("logs/us")] == ["gw-2"]


def test_one_folder_has_the_table_that_it_always_had(fleet):
    fleet.trail("gw-1", 2)
    for arguments in (["gw-1"], ["gw-1", "--user", "gw-*"]):
        assert fleet.run("search", *arguments).stdout.splitlines()[0].split() == HEADER


def test_filters_go_for_every_trail(fleet):
    for name in ("gw-1", "gw-2"):
        trail = fleet.trail(name, 2)
        trail.mutation("failure", 422, "upstream_status", user=f"{name}-failed")
        trail.intent(user=f"{name}-open")
    assert fleet.users(".", "--outcome", "failure") == ["gw-1-failed", "gw-2-failed"]
    assert fleet.users(".", "--outcome", "unfinished") == ["gw-1-open", "gw-2-open"]
    assert fleet.users(".", "--user", "gw-2*", "--until", "2026-11-23T12:00:02Z") == ["gw-2"]
    assert fleet.run("search", ".", "--user", "nobody").stderr == "psgate audit search: no mutation matches\n"


def test_json_lines_of_a_fleet_are_those_of_its_gateways(fleet):
    for number in (1, 2):
        fleet.trail(f"gw-{number}", 3, start=EPOCH + timedelta(hours=number))
    apart = "".join(fleet.run("search", "--json", f"gw-{number}").stdout for number in (1, 2))
    assert fleet.run("search", "--json", ".").stdout == apart != ""


def test_the_others_are_searched_when_one_cannot_be(fleet):
    fleet.trail("gw-1", 1)
    fleet.trail("gw-2", 1).write(b"no record\n")
    fleet.trail("gw-3", 1)
    found = fleet.run("search", "--json", "gw-1", "gone", "gw-2", "gw-3", status=1)
    assert [json.loads(line)["user.name"] for line in found.stdout.splitlines()] == ["gw-1", "gw-2", "gw-3"]
    assert "psgate audit search: cannot read the folder gone: " in found.stderr
    assert "psgate audit search: gw-2/audit.jsonl:3: " in found.stderr


def test_a_trail_with_a_torn_end_is_named(fleet):
    fleet.trail("gw-1", 1)
    fleet.trail("gw-2", 1).write(b'{"torn')
    assert fleet.run("search", ".").stderr == ("psgate audit search: ./gw-2: the last line is incomplete: "
                                               "a write under way, or a crash\n")


def test_search_says_which_folder_is_a_copy(fleet, copy):
    found = fleet.run("search", "--json", "gw-1", "copy")
    assert len(found.stdout.splitlines()) == 6
    assert "psgate audit search: copy: is of the chain of an earlier folder" in found.stderr


# Its own memory is small, and what the kernel counts for a child begins with its parent's.
MEASURE = """import os, sys
child = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=[(os.POSIX_SPAWN_OPEN, 1, "/dev/null", 1, 0)])
_, status, usage = os.wait4(child, 0)
print(status, usage.ru_maxrss)"""


def test_a_search_does_not_grow_with_the_trails(fleet):
    """The kernel's own count of memory: sanitizers keep freed memory, so only without them."""
    if os.environ.get("PSGATE_SANITIZED"):
        pytest.skip("sanitizers keep freed memory")

    def most_memory(mutations):
        for name in ("a", "b"):
            fleet.trail(f"{mutations}/{name}", mutations)
        measured = subprocess.run([sys.executable, "-S", "-c", MEASURE, fleet.binary, "audit", "search", str(mutations)],
                                  cwd=fleet.folder, capture_output=True, text=True, timeout=DEADLINE)
        status, most_kib = map(int, measured.stdout.split())
        assert status == 0, measured
        return most_kib

    few = most_memory(1000)
    assert most_memory(10000) < few + 2048


# -- verify ------------------------------------------------------------------------------------


def test_each_trail_is_verified_and_counted_together(fleet):
    fleet.trail("gw-1", 3)
    fleet.trail("gw-2", 2).intent()
    found = fleet.run("verify", "gw-1", "gw-2")
    assert found.stdout.splitlines() == [
        f"gw-1 (chain {'1' * 32}): 6 records, 3 mutations, 0 unfinished, chain intact",
        "gw-1: no checkpoint in the trail: nothing in it is signed",
        f"gw-2 (chain {'2' * 32}): 5 records, 3 mutations, 1 unfinished, chain intact",
        "gw-2: no checkpoint in the trail: nothing in it is signed",
        "2 trails of 2 chains: 2 intact, 0 broken, 0 unreadable; 11 records, 6 mutations, 1 unfinished"]
    assert found.stderr == ""


def test_one_folder_says_what_it_always_said(fleet):
    fleet.trail("gw-1", 3)
    assert fleet.run("verify", "gw-1").stdout.splitlines() == [
        "6 records, 3 mutations, 0 unfinished, chain intact", "no checkpoint in the trail: nothing in it is signed"]


def test_a_broken_trail_is_named_and_the_others_are_read(fleet):
    for number in (1, 2, 3):
        fleet.trail(f"gw-{number}", 2)
    current = fleet.folder / "gw-2/audit.jsonl"
    current.write_bytes(current.read_bytes().replace(b"DB_PASSWORD", b"DB_PASSWORT", 1))
    found = fleet.run("verify", "gw-1", "gw-2", "gone", "gw-3", status=1)
    assert f"gw-2 (chain {'2' * 32}): broken\n" in found.stdout and "gone: could not be read\n" in found.stdout
    assert found.stderr.splitlines()[0] == ("psgate audit: gw-2/audit.jsonl:1: was changed: "
                                            "the line after it carries another hash")
    assert found.stderr.splitlines()[1].startswith("psgate audit: cannot read the folder gone: ")
    assert found.stdout.splitlines()[-1].startswith("4 trails of 3 chains: 2 intact, 1 broken, 1 unreadable; ")


def test_two_copies_of_a_chain_are_said_and_count_once(fleet, copy):
    copy.mutation()
    for order in (["gw-1", "copy"], ["copy", "gw-1"]):
        found = fleet.run("verify", *order)
        assert f"{order[1]}: a copy of {order[0]}\n" in found.stdout
        assert found.stdout.splitlines()[-1] == ("2 trails of 1 chains: 2 intact, 0 broken, 0 unreadable; "
                                                 "8 records, 4 mutations, 0 unfinished")


@pytest.mark.parametrize("more", [0, 1])
def test_a_copy_that_was_written_anew_is_found(fleet, more):
    """Each is a whole chain by itself: only side by side it shows."""
    for name, user in (("gw-1", "mallory"), ("copy", "ci")):
        trail = Trail(fleet.folder / name, chain_id="1" * 32)
        trail.mutation(user=user)
        for _ in range(more if name == "copy" else 0):
            trail.mutation()
        assert "chain intact" in fleet.run("verify", name).stdout
    found = fleet.run("verify", "gw-1", "copy", status=1)
    assert "copy: a copy of gw-1, and not the same\n" in found.stdout
    assert "is not the record 2 that a copy ends with: one of the two was rewritten" in found.stderr


def test_held_checkpoints_are_looked_for_in_their_own_chains(fleet):
    trails = [fleet.trail(f"gw-{number}", 1) for number in (1, 2)]
    for trail in trails:
        trail.checkpoint()
    held = fleet.folder / "held"
    held.write_bytes(b"".join(trail.current.read_bytes() for trail in trails))
    found = fleet.run("verify", ".", "--checkpoint", "held")
    assert found.stdout.count("records 1 to 2 are those of the held checkpoint") == 2
    shutil.rmtree(fleet.folder / "gw-2")
    found = fleet.run("verify", ".", "--checkpoint", "held", status=1)
    assert f"no trail here is of chain {'2' * 32}, which a held checkpoint is about" in found.stderr
    trails[0].current.write_bytes(b"".join(trails[0].current.read_bytes().splitlines(True)[:1]))
    found = fleet.run("verify", ".", "--checkpoint", "held", status=1)
    assert "the end of the trail was cut off" in found.stderr


# -- the tree ----------------------------------------------------------------------------------


def test_trails_are_found_down_to_four_folders(fleet):
    for name in ("1", "a/2", "a/b/3", "a/b/c/4", "a/b/c/d/5"):
        fleet.trail(name, 1)
    (fleet.folder / "nothing/here").mkdir(parents=True)
    found = fleet.run("verify", ".").stdout
    assert [line.split()[0] for line in found.splitlines() if "chain intact" in line] == [
        "./1", "./a/2", "./a/b/3", "./a/b/c/4"]
    assert "4 trails of 4 chains: 4 intact" in found


def test_links_dots_and_what_the_file_system_keeps_are_left_out(fleet):
    outside = fleet.trail("outside", 1)
    fleet.trail("tree/gw-1", 1)
    fleet.trail("tree/.old", 1)
    fleet.trail("tree/lost+found", 1)
    (fleet.folder / "tree/link").symlink_to(outside.folder)
    (fleet.folder / "entry").symlink_to(fleet.folder / "tree")
    assert "1 trails of 1 chains: 1 intact" in fleet.run("verify", "entry").stdout
    assert fleet.users("tree") == ["gw-1"]


def test_a_folder_that_is_come_to_twice_is_read_once(fleet):
    fleet.trail("tree/gw-1", 1)
    assert fleet.users("tree", "tree/gw-1", "tree/../tree/") == ["gw-1"]


def test_a_file_above_the_trails_does_not_hide_them(fleet):
    fleet.trail("tree")
    fleet.trail("tree/gw-1", 1)
    assert [row[-1] for row in fleet.table("tree")] == ["gw-1"]
    assert "2 trails of 1 chains: 2 intact" in fleet.run("verify", "tree").stdout


def give_up_root():
    """Root's power over file modes (the bits CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH), not what else it may do."""
    if os.geteuid() == 0:
        for capability in (1, 2):
            assert ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0


@pytest.mark.parametrize("verb, message", [("verify", "psgate audit: cannot read the folder tree/gw-2: "),
                                           ("search", "psgate audit search: cannot read the folder tree/gw-2: ")])
def test_a_folder_in_the_tree_that_is_unreadable_is_named(fleet, verb, message):
    fleet.trail("tree/gw-1", 1)
    locked = fleet.trail("tree/gw-2", 1).folder
    locked.chmod(0)
    try:
        found = fleet.run(verb, "tree", status=1, preexec_fn=give_up_root)
    finally:
        locked.chmod(0o700)
    assert message in found.stderr and "gw-1" in found.stdout


@pytest.mark.parametrize("verb", ["verify", "search"])
def test_a_tree_without_a_trail(fleet, verb):
    (fleet.folder / "tree/gw-1").mkdir(parents=True)
    found = fleet.run(verb, "tree", status=1 if verb == "verify" else 0)
    assert "holds no trail" in found.stderr if verb == "verify" else "no mutation matches" in found.stderr


def test_names_that_others_chose_are_escaped(fleet):
    fleet.trail("tree/gw\x1b[2J", 1)
    fleet.trail("tree/gw-2", 1)
    for verb in ("verify", "search"):
        found = fleet.run(verb, "tree")
        assert "gw\\x1b[2J" in found.stdout and "\x1b" not in found.stdout + found.stderr


@pytest.mark.parametrize("verb", ["verify", "search"])
def test_a_folder_is_needed(fleet, verb):
    assert "folder" in fleet.run(verb, status=64).stderr


def test_more_trails_than_the_soft_limit_of_open_files(fleet):
    for number in range(40):
        fleet.trail(f"gw-{number}", 1)

    def limit():
        resource.setrlimit(resource.RLIMIT_NOFILE, (24, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))

    assert len(fleet.users(".", preexec_fn=limit)) == 40
