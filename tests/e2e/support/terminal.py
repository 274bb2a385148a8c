"""Commands on a terminal of their own: what people see and programs do not."""

import os
import pty
import subprocess
import threading

from support.waiting import DEADLINE


class Shown:
    """What a command wrote: to the terminal, and to the pipes where it had some."""

    def __init__(self, terminal, stdout, stderr, returncode):
        self.terminal, self.stdout, self.stderr, self.returncode = terminal, stdout, stderr, returncode

    def screen(self):
        """The lines that are left on the screen: what was erased is gone, colors are taken off."""
        lines = []
        for line in self.terminal.replace("\r\n", "\n").split("\n"):
            shown = line.rpartition("\r\x1b[K")[2] if "\r\x1b[K" in line else line
            lines.append(uncolored(shown))
        return lines


def uncolored(text):
    for code in ("0", "1", "31", "32", "33"):
        text = text.replace(f"\x1b[{code}m", "")
    return text


def run_on_terminal(*command, stdout=True, stderr=True, environment=None, cwd=None):
    """Runs it with standard output and error on one terminal, or with pipes in their place."""
    ours, theirs = pty.openpty()
    chunks = []
    process = subprocess.Popen([*map(str, command)], stdin=subprocess.DEVNULL, stdout=theirs if stdout else subprocess.PIPE,
                               stderr=theirs if stderr else subprocess.PIPE, text=True, cwd=cwd,
                               env={**os.environ, "TERM": "xterm", "NO_COLOR": "", **(environment or {})})
    os.close(theirs)

    def read():
        while True:
            try:
                chunk = os.read(ours, 65536)
            except OSError:  # nobody has the other end any more
                return
            if not chunk:
                return
            chunks.append(chunk)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        out, err = process.communicate(timeout=DEADLINE)
    finally:
        process.kill()
        reader.join(DEADLINE)
        os.close(ours)
    return Shown(b"".join(chunks).decode(), out, err, process.returncode)
