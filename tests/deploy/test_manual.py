"""The manual pages are well-formed, and say what the program and the schemas say."""

import json
import re
import subprocess

import pytest
from jsonschema import Draft201909Validator

from conftest import DEADLINE, ROOT
from helps import commands, help_of, options, words_of
from schemas import NAMES, Schema, dotted

MAN = ROOT / "deploy" / "man"
PAGES = sorted(MAN.iterdir())
COMMANDS = (MAN / "psgate.1").read_text()
FILES = (MAN / "psgate.json.5").read_text()

# About pages that are not installed where the test runs.
ELSEWHERE = re.compile(r"referenced manual not found|mandoc\.db")


def complaints(*command):
    result = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE, env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"})
    return result, [line for line in (result.stdout + result.stderr).splitlines() if not ELSEWHERE.search(line)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_mandoc_finds_nothing_to_say(page):
    assert complaints("mandoc", "-T", "lint", "-W", "style", page)[1] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_man_shows_it_without_a_warning(page):
    result, _ = complaints("man", "--warnings", "-l", page)
    assert result.returncode == 0 and result.stderr == "" and "SECURITY" in result.stdout


def section(title):
    """What stands under a .Ss of psgate(1)."""
    return re.search(rf"^\.Ss {title}\n(.*?)(?=^\.S[sh] )", COMMANDS, re.M | re.S)[1]


def options_of_page(text):
    """As helps.options() has them."""
    for item in re.findall(r"^\.It (Fl .*)$", text, re.M):
        spellings = tuple("-" + spelling for spelling in re.findall(r"Fl (\S+)", item))
        yield spellings, " Ar " in item


def test_every_command_has_a_section(binary):
    titles = set(re.findall(r"^\.Ss (.*)$", COMMANDS, re.M))
    assert titles == set(commands(binary)) and "audit verify" in titles


def test_the_synopsis_names_every_command(binary):
    synopsis = COMMANDS.partition(".Sh DESCRIPTION")[0]
    assert set(re.findall(r"^\.Nm\n\.Cm (\w+)$", synopsis, re.M)) == set(words_of(help_of(binary)))


def test_program_and_page_have_the_same_options(binary):
    for command in commands(binary):
        assert set(options_of_page(section(command))) == set(options(binary, command)), command


def test_the_page_names_every_exit_status():
    status = COMMANDS.partition(".Sh EXIT STATUS")[2].partition(".Sh ")[0]
    assert re.findall(r"^\.It (\d+)$", status, re.M) == ["0", "1", "64", "78"]


def written(default):
    return default if isinstance(default, str) else json.dumps(default)


def test_schemas_and_page_have_the_same_members_and_defaults():
    wanted = [(dotted(place), written(schema["default"]) if "default" in schema else "")
              for name in NAMES for place, schema in Schema(name).members()]
    found = [(member, re.sub(r'^"(.*)"$', r"\1", default).replace(r"\(dq", '"').replace(r"\&", ""))
             for member, default in re.findall(r"^\.It Cm (\S+)(?: Pq Li (.+))?$", FILES, re.M)]
    assert sorted(found) == sorted(wanted)


def examples():
    for text in re.findall(r"^\.Bd -literal.*?\n(\{.*?^\})\n\.Ed", FILES, re.M | re.S):
        yield json.loads(text.replace("\\e", "\\"))


@pytest.mark.parametrize("example", examples(), ids=lambda example: next(iter(example)))
def test_an_example_is_valid(example):
    Draft201909Validator(Schema("clients" if "clients" in example else "psgate").text).validate(example)
