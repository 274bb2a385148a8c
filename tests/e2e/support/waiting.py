"""Waiting for a condition, with a bound that is never reached while things work."""

import os
import time

# Under memcheck everything takes longer: tests/memcheck/run.sh says how much.
DEADLINE = 20.0 * float(os.environ.get("PSGATE_SLOWNESS", "1"))


def wait_until(condition, what, timeout=DEADLINE):
    """Polls until the condition holds and returns what it gave; fails after the bound."""
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"waited {timeout:.0f} s in vain for {what}")
        time.sleep(0.01)


def wait_event(event, what, timeout=DEADLINE):
    if not event.wait(timeout):
        raise AssertionError(f"waited {timeout:.0f} s in vain for {what}")


class Stillness:
    """True once a counter has moved and then stayed the same for a second."""

    def __init__(self, counter):
        self.counter = counter
        self.last, self.since = 0, time.monotonic()

    def __call__(self):
        now = self.counter()
        if now != self.last:
            self.last, self.since = now, time.monotonic()
        return now > 0 and time.monotonic() - self.since > 1
