"""Whether ``--divergence auto`` chooses well: beside each single divergence, from accuracy.jsonl.

    python benchmarks/auto.py table

For each shift: auto's mean test accuracy over the seeds that all of them have, that of the best
single divergence, chosen in hindsight, and of the worst. The best of six is partly luck: a fixed
choice made beforehand is not expected to reach it.
"""

import argparse
from statistics import mean

from accuracy import ADIW, GIW, SUITES, finished_runs

COLUMNS = {
    **{"pair 0.45": ADIW, "class-prior 100": ADIW, "support": GIW},
    **dict.fromkeys(SUITES["real"][0], ADIW),
}


def table() -> None:
    tests = {(one["column"], one["row"], one["seed"]): one["test"] for one in finished_runs()}
    print("| shift | seeds | auto | best single | worst single | auto - best |")
    print("|---|---|---|---|---|---|")
    for column, rows in COLUMNS.items():
        tried = sorted({seed for where, _, seed in tests if where == column})
        seeds = [seed for seed in tried if all((column, row, seed) in tests for row in rows)]
        if not seeds:
            continue
        means = {row: 100 * mean(tests[column, row, seed] for seed in seeds) for row in rows}
        auto = means.pop(next(row for row in rows if row.endswith("auto")))
        best, worst = max(means, key=means.__getitem__), min(means, key=means.__getitem__)
        print(
            f"| {column} | {len(seeds)} | {auto:.1f} | {best} {means[best]:.1f} "
            f"| {worst} {means[worst]:.1f} | {auto - means[best]:+.1f} |"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["table"])
    parser.parse_args()
    table()
