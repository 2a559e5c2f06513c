"""Does one configuration cost the same on unlike devices, as a search tells it?

    python benchmarks/unlike.py            # 5 minutes

A cluster of two nodes on this machine, of which the second is held to the instructions that every
x86-64 has (``ATEN_CPU_CAPABILITY=default``, ``ONEDNN_MAX_CPU_ISA=SSE41``): for torch a processor of
another kind, and a slower one. A search runs one configuration over and over on both.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parents[1]))

from provenance import commit, machine

from tests.cli.helpers import Running, of_kind, read_events
from tests.ray_nodes import ray_nodes

RESULTS = Path(__file__).with_suffix(".json")
OLD = {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41"}
SPACES = {
    "digits, mmd on losses": '{"epochs": 60, "batch_size": 64, "divergence": "mmd"}',
    "digits, kl on features": (
        '{"epochs": 60, "batch_size": 64, "divergence": "kl", "representation": "feature"}'
    ),
}
TRIALS = 8


def measured(configuration: str) -> dict[str, dict[str, float]]:
    """Device -> speed and ratio of a step, and medians over its trials of work and wall time."""
    with ray_nodes() as nodes, tempfile.TemporaryDirectory(prefix="unlike-") as path:
        folder = Path(path)
        (folder / "space.py").write_text(f"def space(trial):\n    return {configuration}\n")
        nodes.start_head(0)
        nodes.start(1)
        nodes.start(1, **OLD)
        command = ("search", "space.py", "--name", "s", "--trials", str(TRIALS), "--seeds", "0")
        command = (*command, "--no-early-stopping", "--address", nodes.address)
        with Running(folder, *command, cluster=nodes.environment) as search:
            assert search.ended() == 0, search.stderr()
        return by_device(read_events(folder))


def by_device(events: list[dict]) -> dict[str, dict[str, float]]:
    """Of the search trials."""
    setups = {event["trial"]: event for event in of_kind(events, "setup")}
    ends = {event["trial"]: event for event in of_kind(events, "end")}
    trials = [event["trial"] for event in of_kind(events, "trial") if event["kind"] == "search"]
    devices = defaultdict(list)
    for trial in trials:
        devices[setups[trial]["device"]].append(trial)
    return {
        device: {
            "trials": len(some),
            "speed": round(setups[some[0]]["speed"], 3),
            "ratio": round(median(setups[trial]["ratio"] for trial in some), 3),
            "work_s": round(median(ends[trial]["work_s"] for trial in some), 3),
            "wall_s": round(median(ends[trial]["wall_s"] for trial in some), 3),
        }
        for device, some in devices.items()
    }


if __name__ == "__main__":
    rows = {name: measured(configuration) for name, configuration in SPACES.items()}
    found = {"commit": commit(), "machine": machine(), "result": rows}
    RESULTS.write_text(json.dumps(found, indent=2) + "\n")
    print("| configuration | device | trials | speed | ratio | work, s | wall, s |")
    print("|---|---|---|---|---|---|---|")
    for name, devices in rows.items():
        for device, of in devices.items():
            print(f"| {name} | {device} | {' | '.join(str(value) for value in of.values())} |")
