"""SECURITY.md names tests: they are there."""

import re

import pytest

from conftest import ROOT

NAMED = re.compile(r"`((?:e2e|fuzz|audit|access|confine|browser)/[\w./]+)`((?:[:,] `\w+`)*)")


def named():
    text = (ROOT / ".github" / "SECURITY.md").read_text()
    return {(path, name) for path, names in NAMED.findall(text) for name in re.findall(r"`(\w+)`", names) or [None]}


def test_many_are_named():
    assert len(named()) > 30


@pytest.mark.parametrize("path, name", sorted(named(), key=str))
def test_it_is_there(path, name):
    text = (ROOT / "tests" / path).read_text()
    assert name is None or re.search(rf"^def {name}\(|^START_TEST\({name}\)", text, re.M)
