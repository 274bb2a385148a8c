"""What the bench aims at: a line of its table each.

A figure of psgate's is compared with the same figure of another server's in the same row, or of
another row's, round by round; or it stands for itself. "at_most" and "at_least" are the aims.
"""

from typing import NamedTuple


class Cell(NamedTuple):
    row: str
    server: str
    figure: str


class Aim(NamedTuple):
    name: str
    of: Cell
    beside: Cell | None  # None: the figure itself
    at_most: float | None = None
    at_least: float | None = None
    factor: float = 1    # the ratio is told in these


def cpu(name, row, at_most, other="nginx"):
    return Aim(f"{name}: CPU beside {other}", Cell(row, "psgate", "cpu_us"), Cell(row, other, "cpu_us"), at_most)


def p99(name, row):
    return Aim(f"{name}: p99 beside nginx", Cell(row, "psgate", "p99_us"), Cell(row, "nginx", "p99_us"), 0.7)


def connections(name, row):
    figure = "connections_per_cpu_s"
    return Aim(f"{name}: connections a second of CPU beside nginx", Cell(row, "psgate", figure),
               Cell(row, "nginx", figure), at_least=1.0)


def hit_beside(name, row, of="psgate", other=("1 of 1", "psgate"), at_most=None):
    return Aim(name, Cell(row, of, "cpu_us"), Cell(*other, "cpu_us"), at_most)


AIMS = [
    cpu("cache hit, plain", "hit", 0.60),
    Aim("cache hit, plain: requests a second beside the responder", Cell("hit", "psgate", "requests_per_s"),
        Cell("hit", "responder", "requests_per_s"), at_least=0.80),
    cpu("cache hit, TLS 1.3", "hit, TLS", 0.75),
    cpu("304 to If-None-Match", "304", 0.60),
    cpu("pass-through GET, plain upstream", "pass, plain", 0.85),
    cpu("pass-through GET, TLS upstream", "pass, TLS", 0.85),
    cpu("pass-through, 1 MiB up", "1 MiB up", 1.0),
    cpu("pass-through, 1 MiB down", "1 MiB down", 1.0),
    connections("new TLS connections", "TLS, new"),
    connections("resumed TLS connections", "TLS, resumed"),
    p99("hits at half of each one's highest rate", "hit, half rate"),
    p99("hits at the same rate", "hit, same rate"),
    Aim("durable changes, 64 connections: a second beside unaudited",
        Cell("change, 64 connections", "audited", "requests_per_s"),
        Cell("change, 64 connections", "unaudited", "requests_per_s"), at_least=0.5),
    # Two records a change: half as many changes as the disk has syncs.
    Aim("durable changes, 64 connections: beside a sync for each record",
        Cell("change, 64 connections", "audited", "requests_per_s"),
        Cell("disk", "1 a sync", "requests_per_s"), at_least=5, factor=2),
    Aim("idle connection, plain: KiB", Cell("idle", "psgate", "kib_per_connection"), None, 1.0),
    Aim("idle connection, TLS: memory beside nginx", Cell("idle, TLS", "psgate", "kib_per_connection"),
        Cell("idle, TLS", "nginx", "kib_per_connection"), 1.0),
    hit_beside("many clients and entries, one asked for: CPU beside 1 and 1", "1 of many", at_most=1.15),
    hit_beside("many clients and entries, 1,000 asked for: CPU beside 1 and 1", "1,000 of many", at_most=1.15),
    hit_beside("many clients and entries, any asked for: CPU beside 1 and 1", "any of many"),
    hit_beside("a gateway in a cluster: CPU a hit beside one alone", "cluster", "shared", ("cluster", "alone"), 1.05),
    hit_beside("2 workers: CPU a request beside 1 worker", "workers", "2", ("workers", "1"), 1.1),
    # Each field may take as long among 100 as among 50, and the rest of a hit is there anyway.
    hit_beside("100 fields: CPU a hit beside 50 fields", "hit, 100 fields", other=("hit, 50 fields", "psgate"),
               at_most=2.0),
    hit_beside("100 fields: CPU a hit beside no further field", "hit, 100 fields", other=("hit, 0 fields", "psgate")),
    hit_beside("limits of clients: CPU a hit beside none", "hit, limits", other=("hit, 0 fields", "psgate"),
               at_most=1.1),
    Aim("start to first answer: ms", Cell("start", "psgate", "start_ms"), None, 50),
    Aim("memory at the first answer: MiB", Cell("start", "psgate", "resident_mib"), None, 12),
]
