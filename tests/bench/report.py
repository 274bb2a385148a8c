"""The bench's tables, and its JSON: report.py FIGURES MACHINE [--complete] [--json FILE]

FIGURES has a line for each figure of each round: row, server, figure, value. MACHINE has a line
for each fact: name, value. All with tabs between. With --complete every aim must have a value.
"""

import argparse
import json
import sys
from pathlib import Path
from statistics import median

from aims import AIMS

COLUMNS = {  # figure -> heading, form
    "cpu_us": ("CPU, us", "{:,.2f}"),
    "requests_per_s": ("requests/s", "{:,.0f}"),
    "busy": ("core busy", "{:.0%}"),
    "p50_us": ("p50, us", "{:,.0f}"),
    "p99_us": ("p99, us", "{:,.0f}"),
}
OTHERS = {"asked_per_s": "asked for {:,.0f}/s", "connections_per_cpu_s": "{:,.0f} connections a second of CPU",
          "kib_per_connection": "{:.2f} KiB a connection", "bytes_per_entry": "{:,.0f} bytes an entry",
          "start_ms": "{:.1f} ms to the first answer", "resident_mib": "{:.1f} MiB resident"}
SPREAD = ("cpu_us", "requests_per_s")


def read_figures(path):
    """{(row, server): {figure: [a value a round]}}, in the order of the first round."""
    table = {}
    for line in Path(path).read_text().splitlines():
        row, server, figure, value = line.split("\t")
        table.setdefault((row, server), {}).setdefault(figure, []).append(float(value))
    return table


def spread(values, form):
    return f"{form} ({form} to {form})".format(median(values), min(values), max(values))


def print_lines(lines):
    """As columns; the last one may be as long as it likes."""
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    for line in lines:
        print("  ".join(text.ljust(width) for text, width in zip(line, widths)).rstrip())


def figure_line(row, server, cell):
    line = [row, server]
    for figure, (_, form) in COLUMNS.items():
        values = cell.get(figure)
        line.append("" if not values else spread(values, form) if figure in SPREAD else form.format(median(values)))
    return line + ["; ".join(form.format(median(cell[figure])) for figure, form in OTHERS.items() if figure in cell)]


def print_figures(table):
    lines = [["", "", *(heading for heading, _ in COLUMNS.values()), ""]]
    shown = None
    for (row, server), cell in table.items():
        lines.append(figure_line(row if row != shown else "", server, cell))
        shown = row
    print_lines(lines)


def values_of(table, cell):
    return table.get((cell.row, cell.server), {}).get(cell.figure, [])


def judge(table, aim):
    """What became of an aim: a ratio (or a figure) a round, and a verdict on their median."""
    values = values_of(table, aim.of)
    if aim.beside is not None:
        values = [aim.factor * value / other for value, other in zip(values, values_of(table, aim.beside)) if other > 0]
    result = {"name": aim.name, "row": aim.of.row, "is_ratio": aim.beside is not None,
              "at_most": aim.at_most, "at_least": aim.at_least, "rounds": values}
    if values:
        middle = median(values)
        result["median"] = middle
        if aim.at_most is not None or aim.at_least is not None:
            result["met"] = ((aim.at_most is None or middle <= aim.at_most) and
                             (aim.at_least is None or middle >= aim.at_least))
    return result


def aim_line(result):
    aim = f"<= {result['at_most']:g}" if result["at_most"] is not None else ""
    aim = f">= {result['at_least']:g}" if result["at_least"] is not None else aim
    verdict = {True: "met", False: "missed", None: ""}[result.get("met")]
    return [result["name"], spread(result["rounds"], "{:.2f}"), aim, verdict]


def audit_added_ms(table):
    """By round: what an audited change takes longer than an unaudited one at one connection, and
    what of it is beyond the two syncs of its records. Of medians: others use the disk too."""
    rounds = zip(*(table.get(key, {}).get("p50_us", []) for key in
                   (("change, 1 connection", "audited"), ("change, 1 connection", "unaudited"), ("disk", "1 a sync"))))
    rounds = [((audited - plain) / 1000, 2 * sync / 1000) for audited, plain, sync in rounds]
    return {"added": [added for added, _ in rounds], "beyond_two_syncs": [added - syncs for added, syncs in rounds]}


def flag_costs(table):
    """{(row, what was left out): [CPU of the release build as a part of the build without it, a round]}"""
    return {(row, server): [whole / without for whole, without in
                            zip(table[row, "release"]["cpu_us"], cell["cpu_us"])]
            for (row, server), cell in table.items() if row.startswith("flags, ") and server != "release"}


def read_arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("figures")
    parser.add_argument("machine")
    parser.add_argument("--complete", action="store_true")
    parser.add_argument("--json")
    return parser.parse_args()


def main():
    arguments = read_arguments()
    table = read_figures(arguments.figures)
    facts = dict(line.split("\t", 1) for line in Path(arguments.machine).read_text().splitlines())
    results = [judge(table, aim) for aim in AIMS]
    present = [result for result in results if result["rounds"]]
    audit = audit_added_ms(table)
    print_lines([[name + ":", value] for name, value in facts.items()])
    print()
    print_figures(table)
    if present:
        print("\nBeside others, round by round; median (least to most):")
        print_lines([["", "", "aim", ""], *map(aim_line, present)])
    flags = flag_costs(table)
    if flags:
        print("\nCPU a request with a protection (or LTO), beside the build without it:")
        print_lines([[row, without, spread(ratios, "{:.3f}")] for (row, without), ratios in flags.items()])
    if audit["added"]:
        print(f"\nAt one connection a change takes {spread(audit['added'], '{:.2f}')} ms longer when audited;"
              f" beyond two syncs of the disk: {spread(audit['beyond_two_syncs'], '{:.2f}')} ms.")
    if arguments.json:
        report = {"machine": facts, "aims": results, "audit_at_1_ms": audit,
                  "flags": [{"row": row, "without": without, "rounds": ratios, "median": median(ratios)}
                            for (row, without), ratios in flags.items()],
                  "results": [{"row": row, "server": server,
                               "figures": {figure: {"median": median(values), "rounds": values}
                                           for figure, values in cell.items()}}
                              for (row, server), cell in table.items()]}
        Path(arguments.json).write_text(json.dumps(report, indent=2) + "\n")
    missing = [result["name"] for result in results if not result["rounds"]]
    if arguments.complete and missing:
        sys.exit("no value for: " + "; ".join(missing))


if __name__ == "__main__":
    main()
