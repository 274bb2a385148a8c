"""From exec to the first answer: start.py CORE PORT PATH TOKEN COMMAND...

Prints the milliseconds until a new process on that core has answered a GET with 200, and the
KiB of memory that it and its children then have resident, as `ps` counts it.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

DEADLINE_S = 30
PAUSE_S = 0.0002


def ask(port, request, process, deadline):
    """The answer of whoever listens there, as soon as anyone does."""
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as connection:
            try:
                connection.connect(("127.0.0.1", port))
            except ConnectionRefusedError:
                time.sleep(PAUSE_S)
                continue
            connection.settimeout(DEADLINE_S)
            connection.sendall(request)
            return connection.recv(65536)
    return b""


def resident_kib(pid):
    own = sum(int(line.split()[1]) for line in Path(f"/proc/{pid}/status").read_text().splitlines()
              if line.startswith("VmRSS:"))
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return own + sum(resident_kib(child) for child in children)


def main(core, port, path, token, *command):
    request = f"GET {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
    start = time.monotonic()
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                          preexec_fn=lambda: os.sched_setaffinity(0, {int(core)})) as process:
        try:
            answer = ask(int(port), request, process, start + DEADLINE_S)
            taken = time.monotonic() - start
            if not answer.startswith(b"HTTP/1.1 200 "):
                sys.exit(f"start.py: {command[0]} answered {answer[:60]!r}")
            print(f"{taken * 1000:.2f} {resident_kib(process.pid)}")
        finally:
            process.send_signal(signal.SIGTERM)


if __name__ == "__main__":
    main(*sys.argv[1:])
