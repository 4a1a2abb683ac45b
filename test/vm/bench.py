# SPDX-License-Identifier: BSD-3-Clause
"""bench.py ROWS CSV: of the passes of bench.sh, the one with the median time counts for
each method and size. Writes them, and prints what they say."""
import csv, re, statistics, sys
from collections import defaultdict

# What `tombolo perf` calls it, and we.
PERF = {
    ("lock-put", ""): "ivshmem-lock-put",
    ("put-signal", "to a sleeper"): "ivshmem-signal-sleep",
    ("put-signal", "to a spinner"): "ivshmem-signal-spin",
    ("atomic", "fetch-add u64"): "ivshmem-fetch-op",
}
METHODS = ["mpich-lock-put", "ivshmem-lock-put", "tcp-pingpong", "uio-doorbell",
           "ivshmem-signal-sleep", "ivshmem-signal-spin", "mpich-fetch-op",
           "ivshmem-fetch-op"]


def read(path):
    """The rows by method and size, and which parts of a CPU a waiting rank used."""
    rows, waiting = defaultdict(list), []
    for line in open(path):
        fields = line.strip().split(",")
        if found := re.match(r"waiting rank: (.*) %", line):
            waiting.append(float(found[1]))
        elif len(fields) == 6 and fields[0] in METHODS:
            method, size, iters, *times = fields
            rows[method, int(size)].append([int(iters), *map(float, times)])
        elif len(fields) == 11 and (method := PERF.get((fields[0], fields[1]))):
            size, iters = int(fields[3]), int(fields[4])
            p50, p99 = float(fields[5]) / 1e3, float(fields[6]) / 1e3
            rows[method, size].append([iters, p50, p99, float(f"{size / p50:.4g}")])
    return rows, waiting


def median_pass(passes):
    return sorted(passes, key=lambda row: row[1])[(len(passes) - 1) // 2]


def write(best, path):
    with open(path, "w", newline="") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(["method", "bytes", "iters", "p50_us", "p99_us", "MBps"])
        for method, size in sorted(best, key=lambda key: (METHODS.index(key[0]), key[1])):
            iters, *values = best[method, size]
            out.writerow([method, size, iters, *(f"{value:.6g}" for value in values)])


def human(us):
    return f"{us / 1e3:.3g} ms" if us >= 1e3 else f"{us:.3g} us"


def times(value):
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def table(best):
    print(f"\nlock - put - unlock\n{'bytes':>9} {'MPICH over TCP':>15} {'ivshmem':>12} "
          f"{'factor':>8}")
    for method, size in sorted(best):
        if method == "mpich-lock-put" and ("ivshmem-lock-put", size) in best:
            slow, fast = best[method, size][1], best["ivshmem-lock-put", size][1]
            print(f"{size:>9} {human(slow):>15} {human(fast):>12} {times(slow / fast):>8}")
    print("published: 6 for small messages, 3 for 1 MiB")


def ratios(best, waiting):
    def ratio(text, slow, fast, aim, most=False):
        if slow in best and fast in best:
            value = best[slow][1] / best[fast][1]
            met = value <= aim if most else value >= aim
            print(f"{text:<58} {times(value):>8}  {'<=' if most else '>='} {aim:<4}"
                  f" {'' if met else 'MISSED'}".rstrip())

    least, most = (pick(size for _, size in best if size) for pick in (min, max))
    print(f"\n{'':<58} {'reached':>8}  aim")
    ratio(f"lock - put - unlock, {least} bytes: MPICH's time / ours",
          ("mpich-lock-put", least), ("ivshmem-lock-put", least), 200)
    ratio(f"lock - put - unlock, {most} bytes: MPICH's time / ours",
          ("mpich-lock-put", most), ("ivshmem-lock-put", most), 20)
    ratio(f"signal to a sleeper, {least} bytes: TCP's time / ours",
          ("tcp-pingpong", least), ("ivshmem-signal-sleep", least), 2.5)
    ratio("signal to a sleeper: our time / a bare doorbell's",
          ("ivshmem-signal-sleep", least), ("uio-doorbell", 0), 1.5, most=True)
    ratio(f"signal to a spinner, {least} bytes: TCP's time / ours",
          ("tcp-pingpong", least), ("ivshmem-signal-spin", least), 50)
    if waiting:
        value = statistics.median(waiting)
        print(f"{'CPU of a rank that waits, in %':<58} {times(value):>8}  <= 2   "
              f" {'' if value <= 2 else 'MISSED'}".rstrip())


def main(source, target):
    rows, waiting = read(source)
    best = {key: median_pass(passes) for key, passes in rows.items()}
    write(best, target)
    table(best)
    ratios(best, waiting)


main(*sys.argv[1:])
