"""What the gateway logged: its lines, from a place in the log on."""

import json

from support.waiting import wait_until


def parsed(text):
    """The whole lines that are JSON; the gateway says the first few before it has read its configuration."""
    return [json.loads(line) for line in text.rpartition("\n")[0].split("\n") if line.startswith("{")]


class Log:
    """The lines that a gateway writes from now on: to standard error, or to the file `path`."""

    def __init__(self, gateway, path=None):
        self.path = path or gateway.folder / "stderr"
        self.start = self.size()

    def size(self):
        return self.path.stat().st_size if self.path.exists() else 0

    def text(self):
        with open(self.path, "rb") as file:
            file.seek(self.start)
            return file.read().decode()

    def lines(self, message=None, **members):
        """The lines with that message and these members, whose names have _ for a dot."""
        wanted = {name.replace("_", "."): value for name, value in members.items()}
        return [line for line in parsed(self.text()) if message in (None, line["message"])
                and all(line.get(name) == value for name, value in wanted.items())]

    def wait(self, count=1, message="request", **members):
        """The first so many of these lines, once they are there."""
        wait_until(lambda: len(self.lines(message, **members)) >= count, f"{count} lines {message} {members}")
        return self.lines(message, **members)[:count]
