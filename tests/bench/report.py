"""The bench's table, and its JSON: report.py ROUNDS MACHINE [JSON]

ROUNDS has a line for each measurement: row, server, seconds, requests, CPU in ns, 50th and
99th percentile in us. MACHINE has a line for each fact: name, value. All with tabs between.
"""

import json
import sys
from pathlib import Path
from statistics import median

FIGURES = ("requests_per_second", "cpu_us_per_request", "busy", "p50_ms", "p99_ms")


def read_rounds(path):
    """{(row, server): {figure: [a value a round]}}, in the order of the first round."""
    table = {}
    for line in Path(path).read_text().splitlines():
        row, server, seconds, requests, cpu_ns, p50_us, p99_us = line.split("\t")
        values = (int(requests) / float(seconds), int(cpu_ns) / 1000 / int(requests),
                  int(cpu_ns) / 1e9 / float(seconds), int(p50_us) / 1000, int(p99_us) / 1000)
        cell = table.setdefault((row, server), {figure: [] for figure in FIGURES})
        for figure, value in zip(FIGURES, values):
            cell[figure].append(value)
    return table


def spread(values, form):
    return f"{median(values):{form}}  ({min(values):{form}} to {max(values):{form}})"


def print_table(table):
    line = "{:<15} {:<10} {:<32} {:<24} {:<10} {:<8} {}"
    print(line.format("", "", "requests/s", "CPU a request, us", "core busy", "p50, ms", "p99, ms"))
    shown = None
    for (row, server), cell in table.items():
        rates, cpu, busy, p50, p99 = (cell[figure] for figure in FIGURES)
        print(line.format(row if row != shown else "", server, spread(rates, ",.0f"), spread(cpu, ".2f"),
                          f"{median(busy):.0%}", f"{median(p50):.2f}", f"{median(p99):.2f}"))
        shown = row


def ratios(table, figure, other):
    """By row: psgate's figure as a part of the other server's, of the medians."""
    return {row: median(cell[figure]) / median(table[row, other][figure])
            for (row, server), cell in table.items() if server == "psgate" and (row, other) in table}


def entry_ratios(table):
    """By row: CPU a hit as a part of what it takes where only the hot thousand is stored."""
    few = ("1,000 of 1,000", "psgate")
    if few not in table:
        return {}
    return {row: median(cell["cpu_us_per_request"]) / median(table[few]["cpu_us_per_request"])
            for (row, server), cell in table.items() if (row, server) != few}


def audit_ratios(table):
    """How audited changes stand beside unaudited ones, and beside the disk: a value a round, of
    figures that were measured close to each other. Added milliseconds are told twice: of means,
    and of medians, which a disk that others use too makes less of."""
    if ("disk", "1 a sync") not in table:
        return {}

    def rates(row, server):
        return table[row, server]["requests_per_second"]

    def means(row, server):
        return [1000 / rate for rate in rates(row, server)]

    def medians(row, server):
        return table[row, server]["p50_ms"]

    def quotients(row):
        return [audited / plain for audited, plain in zip(rates(row, "audited"), rates(row, "unaudited"))]

    def added(times):
        rounds = zip(times("1 connection", "audited"), times("1 connection", "unaudited"), times("disk", "1 a sync"))
        rounds = [(audited - plain, 2 * sync) for audited, plain, sync in rounds]
        return {"added": [change for change, _ in rounds], "two_syncs": [syncs for _, syncs in rounds],
                "beyond": [change - syncs for change, syncs in rounds]}

    at_64_to_disk = zip(rates("64 connections", "audited"), rates("disk", "1 a sync"))
    return {"rate_to_unaudited": {row: quotients(row) for row, server in table if server == "audited"},
            "rate_at_64_to_a_sync_a_record": [changes / (syncs / 2) for changes, syncs in at_64_to_disk],
            "added_ms_at_1": {"mean": added(means), "median": added(medians)}}


def print_audit_ratios(audit):
    if not audit:
        return
    for row, ratio in audit["rate_to_unaudited"].items():
        aim = ", aim: 0.5" if row == "64 connections" else ""
        print(f"{row}: {spread(ratio, '.2f')} of the unaudited changes a second{aim}")
    print(f"64 connections: {spread(audit['rate_at_64_to_a_sync_a_record'], '.1f')} times the changes a second"
          " of a sync for each of their two records, aim: 5")
    for kind, added in audit["added_ms_at_1"].items():
        print(f"1 connection ({kind}): a change takes {spread(added['added'], '.2f')} ms more than an unaudited one,"
              f" two syncs {spread(added['two_syncs'], '.2f')} ms;"
              f" beyond them {spread(added['beyond'], '.2f')} ms, aim: 0.1")


def main(rounds, machine, json_path=None):
    table = read_rounds(rounds)
    facts = dict(line.split("\t", 1) for line in Path(machine).read_text().splitlines())
    for name, value in facts.items():
        print(f"{name + ':':<10} {value}")
    print()
    print_table(table)
    print()
    cpu = ratios(table, "cpu_us_per_request", "nginx")
    cpu_to_ceiling = ratios(table, "cpu_us_per_request", "responder")
    rate_to_ceiling = ratios(table, "requests_per_second", "responder")
    for row, ratio in cpu.items():
        print(f"{row}: psgate takes {ratio:.2f} times the CPU of nginx a request")
    for row, ratio in rate_to_ceiling.items():
        print(f"{row}: psgate answers {ratio:.2f} times the responder's requests a second"
              f" (and takes {cpu_to_ceiling[row]:.2f} times its CPU a request)")
    among_many = entry_ratios(table)
    for row, ratio in among_many.items():
        print(f"{row}: a hit takes {ratio:.2f} times the CPU of one among 1,000")
    audit = audit_ratios(table)
    print_audit_ratios(audit)
    if json_path:
        results = [{"row": row, "server": server,
                    **{figure: {"median": median(values), "rounds": values} for figure, values in cell.items()}}
                   for (row, server), cell in table.items()]
        report = {"machine": facts, "results": results, "cpu_ratio_to_nginx": cpu,
                  "cpu_ratio_to_responder": cpu_to_ceiling, "rate_ratio_to_responder": rate_to_ceiling,
                  "cpu_ratio_to_few_entries": among_many, "audit": audit}
        Path(json_path).write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
