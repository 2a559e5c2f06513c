"""What it costs to search plain training, too: seconds of the shipped digits search, in pairs.

    python benchmarks/baselines.py run      # half an hour; writes baselines.json
    python benchmarks/baselines.py table

Each pair is one search with ``--baselines`` and one with ``--no-baselines``, of one seed, whose
order changes from pair to pair. Seconds are of the whole command. Nothing else should run.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from provenance import commit, machine

RESULTS = Path(__file__).with_suffix(".json")
SPACE = Path(__file__).parent.parent / "search_spaces" / "digits.py"
WAYS = ("--baselines", "--no-baselines")


def searched(way: str, seed: int) -> dict[str, Any]:
    """Seconds of a search, and how many trials and runs over seeds it had."""
    with tempfile.TemporaryDirectory() as folder:
        words = ["search", str(SPACE), "--name", "s", "--seed", str(seed), way]
        start = time.perf_counter()
        ran = subprocess.run(
            [sys.executable, "-m", "adiw_tune.cli", *words], cwd=folder, capture_output=True
        )
        seconds = time.perf_counter() - start
        assert ran.returncode == 0, ran.stderr.decode()
        lines = (Path(folder) / "adiw-searches/s/events.jsonl").read_text().splitlines()
    kinds = [one["kind"] for one in map(json.loads, lines) if one["event"] == "trial"]
    runs = {kind: kinds.count(kind) for kind in sorted(set(kinds))}
    return {"seed": seed, "way": way, "seconds": round(seconds, 1), "runs": runs}


def run(pairs: int) -> None:
    rows = []
    for seed in range(pairs):
        for way in WAYS if seed % 2 == 0 else WAYS[::-1]:
            rows.append(searched(way, seed))
            print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
            result = {"commit": commit(), "machine": machine(), "rows": rows}
            RESULTS.write_text(json.dumps(result, indent=1) + "\n")


def table() -> None:
    result = json.loads(RESULTS.read_text())
    print("| seed | with baselines | without | ratio | runs with | runs without |")
    print("|---" * 6 + "|")
    seconds = {(row["seed"], row["way"]): row for row in result["rows"]}
    pairs = sorted({seed for seed, _ in seconds})
    for seed in pairs:
        one, other = (seconds[seed, way] for way in WAYS)
        runs = [", ".join(f"{n} {kind}" for kind, n in r["runs"].items()) for r in (one, other)]
        ratio = one["seconds"] / other["seconds"]
        print(
            f"| {seed} | {one['seconds']:.0f} s | {other['seconds']:.0f} s | {ratio:.2f} "
            f"| {' | '.join(runs)} |"
        )
    medians = [median(seconds[seed, way]["seconds"] for seed in pairs) for way in WAYS]
    print(f"\nRatio of medians {medians[0] / medians[1]:.2f}.")
    print(f"Commit {result['commit']}, {result['machine']}.")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["run", "table"])
    parser.add_argument("--pairs", type=int, default=3)
    given = parser.parse_args()
    if given.what == "run":
        run(given.pairs)
    else:
        table()
