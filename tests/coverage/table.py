"""Coverage by folder, from gcovr's --json-summary: a table, and 1 if a folder has less than it must.

Usage: table.py SUMMARY.json
"""

import collections
import json
import sys

LEAST = 90.0  # per cent of the lines
HELD = ("access", "api", "audit", "cache", "http")


def percent(covered, total):
    return 100.0 * covered / total if total else 100.0


def by_folder(summary):
    """{folder: [lines covered, lines, branches covered, branches]}"""
    sums = collections.defaultdict(lambda: [0, 0, 0, 0])
    for file in summary["files"]:
        folder = file["filename"].removeprefix("proxy/").rpartition("/")[0] or "."
        for i, key in enumerate(("line_covered", "line_total", "branch_covered", "branch_total")):
            sums[folder][i] += file[key]
    return sums


def main(path):
    with open(path) as file:
        sums = by_folder(json.load(file))
    print(f"{'proxy/':<12}{'lines':>8}{'covered':>10}{'branches':>10}{'covered':>10}")
    for folder, (lines_hit, lines, branches_hit, branches) in sorted(sums.items()):
        print(f"{folder:<12}{lines:>8}{percent(lines_hit, lines):>9.1f}%{branches:>10}"
              f"{percent(branches_hit, branches):>9.1f}%")
    low = [folder for folder in HELD if folder not in sums or percent(*sums[folder][:2]) < LEAST]
    for folder in low:
        print(f"proxy/{folder}: less than {LEAST:.0f} % of the lines are covered", file=sys.stderr)
    return 1 if low else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
