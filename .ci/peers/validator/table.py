"""Prints the table of docs/validation.md from cases.tsv, bases.tsv, ours.tsv and peer.tsv in a folder; writes disagreements.txt there."""
import collections
import pathlib
import statistics
import sys

work = pathlib.Path(sys.argv[1])


def verdicts(name):
    out = {}
    for line in (work / name).read_text(errors="replace").split("\n"):
        part = line.split("\t")
        if len(part) >= 3:
            out[part[0]] = (int(part[1]) > 0, int(part[2]), part[3] if len(part) > 3 else "")
    return out


ours, peer = verdicts("ours.tsv"), verdicts("peer.tsv")
base = dict(line.split("\t") for line in (work / "bases.tsv").read_text().split("\n") if line)
rows, disagree = collections.OrderedDict(), []
for name in peer:
    kind = name.split("/")[0] if "/" in name else "example"
    if kind != "example" and (ours[base[name]][0] or peer[base[name]][0]):
        continue  # a mutation tells nothing where what was mutated is wrong already
    row = rows.setdefault(kind, [0, 0, 0, 0])
    row[0] += 1
    if ours[name][0] == peer[name][0]:
        row[1] += 1
        continue
    row[2 if peer[name][0] else 3] += 1
    disagree.append(f"{'peer' if peer[name][0] else 'ours'} {name} {base[name]} {(peer if peer[name][0] else ours)[name][2]}")
print("| kind | cases | agree | error only of the peer | error only of ours |\n|--|--|--|--|--|")
for kind, row in rows.items():
    print(f"| {kind} | {row[0]} | {row[1]} | {row[2]} | {row[3]} |")
total = [sum(row[i] for kind, row in rows.items() if kind != "example") for i in range(4)]
print(f"| all mutations | {total[0]} | {total[1]} ({100 * total[1] / total[0]:.1f} %) | {total[2]} | {total[3]} |")
names = [n for n in peer if "/" in n]  # by then both have run over the examples
mine, theirs = [ours[n][1] for n in names], [peer[n][1] for n in names]
print(f"\nmicroseconds a mutation: ours mean {statistics.mean(mine):.0f}, median {statistics.median(mine):.0f}; "
      f"peer mean {statistics.mean(theirs):.0f}, median {statistics.median(theirs):.0f}")
(work / "disagreements.txt").write_text("\n".join(disagree) + "\n")
