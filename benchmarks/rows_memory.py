"""What ``adiw-tune rows`` takes for 1.3 million training rows: memory and seconds.

    python benchmarks/rows_memory.py    # a minute; writes rows_memory.json

Made up are what six runs of a finale say of as many rows as ImageNet has, of 1,000 classes, as the
files that a search keeps. ``ranked_rows`` ranks them and ``csv_pieces`` writes them all. Peaks are
of the process's memory, each less what it had with its libraries loaded; one run's arrays alone
are ``file_mib``.
"""

import io
import json
import resource
import tempfile
import time
from multiprocessing import get_context
from pathlib import Path

import torch
from provenance import commit, machine

from adiw_tune.output_file import OutputFile
from adiw_tune.search.row_tables import csv_pieces, row_tables
from adiw_tune.search.rows import RankedRows, _together
from adiw_tune.training.row_scores import ScoredRows

RESULTS = Path(__file__).with_suffix(".json")
ROWS, RUNS, CLASSES = 1_300_000, 6, 1000
MIB = 2**20


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / MIB


def said(seed: int, rows: int = ROWS) -> ScoredRows:
    """What a run says. Labels are the same in all."""
    generator = torch.Generator().manual_seed(seed)
    fit = torch.rand(rows, generator=generator)
    return ScoredRows(
        number=torch.arange(rows),
        label=torch.arange(rows) % CLASSES,
        weight=2 * torch.rand(rows, generator=generator),
        fit=fit,
        predicted=torch.randint(CLASSES, (rows,), generator=generator),
        confidence=torch.rand(rows, generator=generator),
        names=tuple(f"class {number}" for number in range(CLASSES)),
    )


def saved(folder: Path, seed: int) -> Path:
    file = folder / f"{seed}.pt"
    torch.save(said(seed).as_dict(), file)
    return file


def loaded(file: Path) -> ScoredRows:
    return ScoredRows.of(torch.load(io.BytesIO(file.read_bytes()), weights_only=True))


def ranked(files: list[Path]) -> RankedRows:
    """As ``ranked_rows`` does it, one run in memory at a time."""
    return _together("t0", loaded(files[0]), map(loaded, files[1:]))


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        # In other processes, so that this one's peak is not theirs.
        with get_context("spawn").Pool(1) as pool:
            files = pool.starmap(saved, [(Path(folder), seed) for seed in range(RUNS)])
        size = files[0].stat().st_size / MIB
        found = measured(files, Path(folder) / "rows.csv")
    result = {"rows": ROWS, "runs": RUNS, "file_mib": round(size, 1), **found}
    result |= {"commit": commit(), "machine": machine()}
    RESULTS.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


def measured(files: list[Path], output: Path) -> dict[str, float]:
    small = said(0, rows=10)
    list(csv_pieces(_together("t0", small, iter([small]))))  # loads what is loaded once
    base = peak_mib()
    start = time.perf_counter()
    rows = ranked(files)
    ranking, ranking_mib = time.perf_counter() - start, peak_mib() - base
    next(row_tables(rows, 20))
    OutputFile("--output", output).write(csv_pieces(rows))
    return {
        "rank_s": round(ranking, 1),
        "rank_mib": round(ranking_mib, 1),
        "csv_s": round(time.perf_counter() - start - ranking, 1),
        "rank_and_csv_mib": round(peak_mib() - base, 1),
        "csv_file_mib": round(output.stat().st_size / MIB, 1),
        "base_mib": round(base, 1),
    }


if __name__ == "__main__":
    main()
