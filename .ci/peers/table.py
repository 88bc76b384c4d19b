#!/usr/bin/env python3
"""Prints the load tool's result as the Markdown table of docs/benchmarks.md: a row per phase, ours beside each peer."""
import json, os, sys

result = json.load(open(sys.argv[1]))
servers = result["servers"]
peers = [name for name in servers if name != "ours"]
with open("/proc/meminfo") as f:
    memory = int(f.readline().split()[1]) >> 20
print(f"{result['when']}, {os.cpu_count()} cores, {memory} GiB; {result['bundles']} patients, {result['resources']} resources, "
      f"{result['bytes'] / 1e6:.1f} MB; {result['connections']} connections (ingest {result['ingest_connections']}), {result['phase_seconds']:g} s a phase")
print("Each cell: per second; p50 / p99 ms; server CPU ms per operation, its database included.\n")


def rate(phase, f):
    return f["resources_per_s"] if phase == "ingest_transaction" else f["per_s"]


def cell(phase, f):
    return f"{rate(phase, f):,.0f}; {f['p50_ms']:.1f} / {f['p99_ms']:.1f}; {f.get('server_cpu_ms_per_op', 0):.2f}"


print("| phase | ours | " + "".join(f"{p} | times {p} | CPU of {p} / ours | " for p in peers) + "errors, wrong |")
print("|--|--|" + "--|--|--|" * len(peers) + "--|")
bad = 0
for phase, ours in servers["ours"].items():
    if not isinstance(ours, dict):
        continue
    row = f"| {phase} | {cell(phase, ours)} | "
    faults = [ours["errors"] + ours["wrong"]]
    for p in peers:
        f = servers[p].get(phase)
        if not f:
            row += "- | - | - | "
            continue
        faults.append(f["errors"] + f["wrong"])
        times = rate(phase, ours) / rate(phase, f) if rate(phase, f) else 0
        cpu = f.get("server_cpu_ms_per_op", 0) / ours["server_cpu_ms_per_op"] if ours.get("server_cpu_ms_per_op") else 0
        row += f"{cell(phase, f)} | {times:.1f} | {cpu:.0f} | "
    bad += sum(faults)
    print(row + ", ".join(map(str, faults)) + " |")
for name, s in servers.items():
    print(f"\n{name}: {s.get('software')}, RSS {s.get('rss_before_mb')} MB before, {s.get('rss_after_ingest_mb')} after the ingest, {s.get('rss_after_load_mb')} at the end")
    for phase, f in s.items():
        for sample in (f.get("samples") or []) if isinstance(f, dict) else []:
            print(f"  {phase}: {sample}")
sys.exit(1 if bad else 0)
