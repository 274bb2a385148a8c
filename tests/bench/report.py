"""The bench's table, and its JSON: report.py ROUNDS MACHINE [JSON]

ROUNDS has a line for each measurement: row, server, seconds, requests, CPU in ns, 99th
percentile in us. MACHINE has a line for each fact: name, value. All with tabs between.
"""

import json
import sys
from pathlib import Path
from statistics import median

FIGURES = ("requests_per_second", "cpu_us_per_request", "p99_ms")


def read_rounds(path):
    """{(row, server): {figure: [a value a round]}}, in the order of the first round."""
    table = {}
    for line in Path(path).read_text().splitlines():
        row, server, seconds, requests, cpu_ns, p99_us = line.split("\t")
        values = (int(requests) / float(seconds), int(cpu_ns) / 1000 / int(requests), int(p99_us) / 1000)
        cell = table.setdefault((row, server), {figure: [] for figure in FIGURES})
        for figure, value in zip(FIGURES, values):
            cell[figure].append(value)
    return table


def spread(values, form):
    return f"{median(values):{form}}  ({min(values):{form}} to {max(values):{form}})"


def print_table(table):
    line = "{:<20} {:<10} {:<32} {:<26} {}"
    print(line.format("", "", "requests/s", "CPU a request, us", "p99, ms"))
    shown = None
    for (row, server), cell in table.items():
        rates, cpu, p99 = (cell[figure] for figure in FIGURES)
        print(line.format(row if row != shown else "", server, spread(rates, ",.0f"), spread(cpu, ".2f"),
                          f"{median(p99):.2f}"))
        shown = row


def ratios(table):
    """By row: psgate's CPU a request as a part of nginx's, of the medians."""
    def cpu(row, server):
        return median(table[row, server]["cpu_us_per_request"])

    return {row: cpu(row, "psgate") / cpu(row, "nginx") for row, server in table if server == "psgate"}


def main(rounds, machine, json_path=None):
    table = read_rounds(rounds)
    facts = dict(line.split("\t", 1) for line in Path(machine).read_text().splitlines())
    for name, value in facts.items():
        print(f"{name + ':':<10} {value}")
    print()
    print_table(table)
    print()
    for row, ratio in ratios(table).items():
        print(f"{row}: psgate takes {ratio:.2f} times the CPU of nginx a request")
    if json_path:
        results = [{"row": row, "server": server,
                    **{figure: {"median": median(values), "rounds": values} for figure, values in cell.items()}}
                   for (row, server), cell in table.items()]
        report = {"machine": facts, "results": results, "cpu_ratio_to_nginx": ratios(table)}
        Path(json_path).write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
