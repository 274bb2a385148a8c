"""The command line as `--help` tells it: commands, and each one's options."""

import re
import subprocess

from conftest import DEADLINE


def help_of(binary, *command):
    result = subprocess.run([binary, *command, "--help"], capture_output=True, text=True, timeout=DEADLINE)
    assert result.returncode == 0, result.stderr
    return result.stdout


def words_of(text):
    """The commands that a help lists: `  name   what it does`."""
    return re.findall(r"^  ([a-z]+)  +\S", text, re.M)


def commands(binary):
    """Every command that takes options, such as "serve" or "audit verify"."""
    for command in words_of(help_of(binary)):
        verbs = words_of(help_of(binary, command))
        yield from (f"{command} {verb}" for verb in verbs)
        if not verbs:
            yield command


def options(binary, command):
    """The options of a command, each as a tuple of its spellings, with whether it takes a value."""
    for line in help_of(binary, *command.split()).splitlines():
        match = re.match(r" {2,6}((?:-\w, )?--?[\w-]+)( [A-Z])?", line)
        if match and not line.startswith(" " * 7):
            yield tuple(match[1].split(", ")), bool(match[2])
