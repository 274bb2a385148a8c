"""What a fleet needs, from what the bench measured: scaling.py FIGURES.json [--write DOCUMENT]

Prints two tables in Markdown: the costs that the model takes from the figures, and what 100,
10,000 and 1,000,000 clients need. With --write they replace those in the document, between its
lines "<!-- costs -->", "<!-- fleets -->" and "<!-- end -->".
"""

import argparse
import json
import math
import re
from pathlib import Path

FLEETS = (100, 10_000, 1_000_000)

# What a client does; the document says so in words.
CONNECTIONS = 1           # kept, of a client
REQUESTS_PER_S = 0.2      # of a client, in the busiest minute
HIT_PART = 0.80           # of the requests
CHANGE_PART = 0.005
CONNECTION_LASTS_S = 600  # then a client connects anew
ENTRIES = 3               # stored answers, of a client
# What a gateway is given.
CORES = 4
CORE_BUSY = 0.5           # the rest is for a neighbour that fails
GATEWAY_CONNECTIONS = 50_000  # limits.connections; 10,000 as shipped
UPSTREAM_CONNECTIONS = 256    # upstream.max_connections, as shipped
UPSTREAM_ANSWER_S = 0.15
SYNC_PART = 0.5           # of the changes a second that the bench could make durable
RECORD_BYTES = 750        # two a change
CLIENTS_FILE_BYTES = 64 << 20  # the most that is read
MEMORY_MIB = 4096


class Figures:
    def __init__(self, path):
        report = json.loads(Path(path).read_text())
        self.cells = {(result["row"], result["server"]): result["figures"] for result in report["results"]}
        self.clients_file = [int(number) for number in
                             re.findall(r"\d+", report["machine"].get("clients file", "1300000 10000"))]

    def of(self, row, server, figure):
        return self.cells[row, server][figure]["median"]


def read_costs(figures):
    """{name: (value, unit, what it is)}"""
    file_bytes, file_clients = figures.clients_file
    many, few = (figures.of(row, "psgate", "resident_mib") for row in ("start, many clients", "start"))
    many_ms, few_ms = (figures.of(row, "psgate", "start_ms") for row in ("start, many clients", "start"))
    return {
        "hit": (figures.of("hit, TLS", "psgate", "cpu_us"), "us", "a hit, over TLS"),
        "pass": (figures.of("pass, TLS", "psgate", "cpu_us"), "us", "a request that is passed on, TLS upstream"),
        "change": (figures.of("change, 64 connections", "audited", "cpu_us"), "us", "an audited change"),
        "handshake": (figures.of("TLS, new", "psgate", "cpu_us"), "us", "a new TLS connection"),
        "durable": (figures.of("change, 64 connections", "audited", "requests_per_s"), "/s", "durable changes"),
        "idle": (figures.of("idle, TLS", "psgate", "kib_per_connection"), "KiB", "an idle TLS connection"),
        "entry": (figures.of("entries", "psgate", "bytes_per_entry") / 1024, "KiB", "a stored answer"),
        "start": (few, "MiB", "resident after the start"),
        "client": (max(many - few, 0) * 1024 / file_clients, "KiB", "a configured client, in memory"),
        "client_file": (file_bytes / file_clients, "bytes", "a client, in clients.json"),
        "client_load": (max(many_ms - few_ms, 0) * 1000 / file_clients, "us", "a client, to load"),
    }


def need(clients, costs):
    """What so many clients need: {name: number}."""
    cost = {name: value for name, (value, _, _) in costs.items()}
    requests = clients * REQUESTS_PER_S
    changes = requests * CHANGE_PART
    passed = requests * (1 - HIT_PART)
    handshakes = clients * CONNECTIONS / CONNECTION_LASTS_S
    cores = (requests * HIT_PART * cost["hit"] + (passed - changes) * cost["pass"] + changes * cost["change"] +
             handshakes * cost["handshake"]) / 1e6 / CORE_BUSY
    upstream = passed * UPSTREAM_ANSWER_S
    gateways = {
        "connections": clients * CONNECTIONS / GATEWAY_CONNECTIONS,
        "cores": cores / CORES,
        "upstream calls": upstream / UPSTREAM_CONNECTIONS,
        "audit syncs": changes / (cost["durable"] * SYNC_PART),
    }
    count = max(2, math.ceil(max(gateways.values())))
    entries = ENTRIES * clients  # each gateway may come to hold them all
    memory = (cost["start"] * 1024 + clients * cost["client"] + clients * CONNECTIONS / count * cost["idle"] +
              entries * cost["entry"]) / 1024
    return {
        "gateways": count, "most": max(gateways, key=gateways.get), "share": gateways, "requests": requests,
        "hits": requests * HIT_PART, "upstream_calls": passed, "upstream_open": upstream, "changes": changes,
        "cores": cores, "connections": clients * CONNECTIONS / count, "memory": memory,
        "audit_gb_a_day": changes * 2 * RECORD_BYTES * 86400 / 1e9,
        "file_mib": clients * cost["client_file"] / (1 << 20), "load_ms": clients * cost["client_load"] / 1000,
    }


def breaks(needs):
    """What of it is beyond one gateway, or beyond any number of them."""
    found = []
    if needs["file_mib"] * (1 << 20) > CLIENTS_FILE_BYTES:
        found.append(f"clients.json ({needs['file_mib']:.0f} MiB, the most is {CLIENTS_FILE_BYTES >> 20})")
    if needs["memory"] > MEMORY_MIB:
        found.append(f"memory of a gateway ({needs['memory'] / 1024:.1f} GiB)")
    found += [f"{name} of one gateway" for name, share in
              sorted(needs["share"].items(), key=lambda item: -item[1]) if share > 1]
    return "; ".join(found) or "nothing"


def cost_rows(costs):
    yield ("what", "measured")
    for value, unit, what in costs.values():
        yield (what, f"{value:,.{0 if value >= 100 else 2}f} {unit}")


def fleet_rows(costs):
    fleets = [need(clients, costs) for clients in FLEETS]
    yield ("clients", *(f"{clients:,}" for clients in FLEETS))
    for what, form, name in (
            ("requests a second, busiest minute", "{:,.0f}", "requests"),
            ("of them answered from the cache", "{:,.0f}", "hits"),
            ("upstream calls a second", "{:,.0f}", "upstream_calls"),
            ("upstream connections in use", "{:,.0f}", "upstream_open"),
            ("audited changes a second", "{:,.1f}", "changes"),
            ("trail, GB a day at that rate", "{:,.2f}", "audit_gb_a_day"),
            (f"cores, {CORE_BUSY:.0%} busy", "{:,.2f}", "cores"),
            ("gateways (two at least)", "{:,.0f}", "gateways"),
            ("set by", "{}", "most"),
            ("connections of a gateway", "{:,.0f}", "connections"),
            ("memory of a gateway, MiB", "{:,.0f}", "memory"),
            ("clients.json, MiB", "{:,.2f}", "file_mib"),
            ("time to load it, ms", "{:,.0f}", "load_ms")):
        yield (what, *(form.format(fleet[name]) for fleet in fleets))
    yield ("beyond one gateway", *map(breaks, fleets))


def markdown(rows):
    rows = list(rows)
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "| " + " | ".join("---" for _ in rows[0]) + " |", *lines[1:]])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("figures")
    parser.add_argument("--write", metavar="DOCUMENT", type=Path)
    arguments = parser.parse_args()
    costs = read_costs(Figures(arguments.figures))
    tables = {"costs": markdown(cost_rows(costs)), "fleets": markdown(fleet_rows(costs))}
    if not arguments.write:
        print(tables["costs"], tables["fleets"], sep="\n\n")
        return
    text = arguments.write.read_text()
    for name, table in tables.items():
        text, count = re.subn(rf"(<!-- {name} -->\n).*?(<!-- end -->)",
                              lambda match, table=table: match[1] + table + "\n" + match[2], text, flags=re.S)
        if count != 1:
            parser.error(f"{arguments.write} has no place for the table of {name}")
    arguments.write.write_text(text)


if __name__ == "__main__":
    main()
