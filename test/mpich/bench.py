#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The table of bench.sh: bench.py [--tcp] alone.N... adapter.N..."""

import os
import statistics
import sys

# By how much the adapter is to be faster, on one host, or what a row is to take at most;
# for rows of these names, and sizes if they are given. Of all others: no slower.
FASTER = {
    ("put + flush", 8): 4,
    ("lock - put - unlock", 8): 8,
    ("fetch_and_op", None): 4,
    ("compare_and_swap", None): 4,
    ("accumulate", 65536): 8,
    ("get_accumulate", 65536): 8,
    ("allocate and free 8 KiB", None): 2,
}
AT_MOST = {  # microseconds
    "flush_all, nothing pending": 0.010,
    "lock - put - unlock, target computes": 20,
}
# Of another row's time with the adapter, at most so much.
BESIDE = {
    "accumulate REPLACE": ("put + flush", 8, 1.0),
    "get_accumulate NO_OP": ("get + flush", 8, 1.0),
    "strided put": ("strided copy by hand", 65536, 2.0),
}
SLACK = 1.05  # of a row that is to be no slower


def load(paths):
    """{(name, window, bytes): [values]}, and the units."""
    values, units = {}, {}
    for path in paths:
        with open(path, encoding="ascii") as lines:
            for line in lines:
                fields = line.rstrip("\n").split("\t")
                if len(fields) != 5:
                    continue
                key = (fields[0], fields[1], int(fields[2]))
                values.setdefault(key, []).append(float(fields[3]))
                units[key] = fields[4]
    return {key: statistics.median(some) for key, some in values.items()}, units


def beside(key, adapter):
    """The other row's time, and the share that is allowed; or None."""
    name, window, _ = key
    if name not in BESIDE:
        return None
    other, size, share = BESIDE[name]
    return adapter.get((other, window, size), adapter.get((other, "-", size))), share


def aim(key, value, factor, adapter, tcp):
    """What is to be reached, and whether it is."""
    name, _, size = key
    if name == "strided copy by hand":
        return "", True
    if not tcp:
        if name in AT_MOST:
            most = AT_MOST[name]
            return f"<= {most:g} us", value <= most
        compared = beside(key, adapter)
        if compared:
            most = compared[0] * compared[1]
            return f"<= {most:.4g} us ({BESIDE[name][0]})", value <= most * SLACK
        wanted = FASTER.get((name, size), FASTER.get((name, None)))
        if wanted:
            return f">= {wanted}", factor >= wanted
    return ">= 1", factor * SLACK >= 1


def main():
    """Print a line for each row; fail if one is missing or not a number."""
    paths = [path for path in sys.argv[1:] if path != "--tcp"]
    tcp = "--tcp" in sys.argv[1:]
    alone, units = load(p for p in paths if os.path.basename(p).startswith("alone"))
    adapter, _ = load(p for p in paths if os.path.basename(p).startswith("adapter"))
    if not alone or set(alone) != set(adapter):
        missing = sorted(set(alone) ^ set(adapter))
        sys.exit(f"bench.py: rows of one side only: {missing or 'all'}")
    print(f"{'':36} {'window':9} {'bytes':>8} {'MPICH':>10} {'adapter':>10}      "
          f"{'factor':>7}  aim")
    missed = 0
    for key, before in alone.items():
        value, unit = adapter[key], units[key]
        if before <= 0 or value <= 0:
            sys.exit(f"bench.py: {key}: not a time")
        factor = value / before if unit == "MB/s" else before / value
        wanted, reached = aim(key, value, factor, adapter, tcp)
        missed += not reached
        print(f"{key[0]:36} {key[1]:9} {key[2]:8} {before:10.4g} {value:10.4g} {unit:4} "
              f"{factor:7.2f}  {wanted}{'' if reached else '  missed'}")
    print(f"{len(alone)} rows, {missed} below their aim")


main()
