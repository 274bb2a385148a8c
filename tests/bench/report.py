"""The bench's table, and its JSON: report.py ROUNDS MACHINE [JSON]

ROUNDS has a line for each measurement: row, server, seconds, requests, CPU in ns, 99th
percentile in us. MACHINE has a line for each fact: name, value. All with tabs between.
"""

import json
import sys
from pathlib import Path
from statistics import median

FIGURES = ("requests_per_second", "cpu_us_per_request", "busy", "p99_ms")


def read_rounds(path):
    """{(row, server): {figure: [a value a round]}}, in the order of the first round."""
    table = {}
    for line in Path(path).read_text().splitlines():
        row, server, seconds, requests, cpu_ns, p99_us = line.split("\t")
        values = (int(requests) / float(seconds), int(cpu_ns) / 1000 / int(requests),
                  int(cpu_ns) / 1e9 / float(seconds), int(p99_us) / 1000)
        cell = table.setdefault((row, server), {figure: [] for figure in FIGURES})
        for figure, value in zip(FIGURES, values):
            cell[figure].append(value)
    return table


def spread(values, form):
    return f"{median(values):{form}}  ({min(values):{form}} to {max(values):{form}})"


def print_table(table):
    line = "{:<15} {:<10} {:<32} {:<24} {:<10} {}"
    print(line.format("", "", "requests/s", "CPU a request, us", "core busy", "p99, ms"))
    shown = None
    for (row, server), cell in table.items():
        rates, cpu, busy, p99 = (cell[figure] for figure in FIGURES)
        print(line.format(row if row != shown else "", server, spread(rates, ",.0f"), spread(cpu, ".2f"),
                          f"{median(busy):.0%}", f"{median(p99):.2f}"))
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
    if json_path:
        results = [{"row": row, "server": server,
                    **{figure: {"median": median(values), "rounds": values} for figure, values in cell.items()}}
                   for (row, server), cell in table.items()]
        report = {"machine": facts, "results": results, "cpu_ratio_to_nginx": cpu,
                  "cpu_ratio_to_responder": cpu_to_ceiling, "rate_ratio_to_responder": rate_to_ceiling, "cpu_ratio_to_few_entries": among_many}
        Path(json_path).write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
