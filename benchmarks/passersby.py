"""How fast Passersby is made: finished images (PNG on the disk) per second.

    python benchmarks/passersby.py [--size classroom]

The plain reference is one process; the ratio says what the others add. Both write the same bytes. Printed, and
written to `benchmarks/results/passersby.csv`.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from _provenance import keep, show  # noqa: E402

from reid_lab.passersby import SIZES, generate  # noqa: E402


def rate(size: str, workers: int) -> float:
    """Images per second of one generation, start of the processes and painting of the scenes included."""
    with tempfile.TemporaryDirectory() as home:
        began = time.perf_counter()
        folder = generate(size, home=home, workers=workers)
        took = time.perf_counter() - began
        return sum(1 for _ in Path(folder).glob("*/*.png")) / took


def main() -> None:
    """Print the table."""
    reader = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    reader.add_argument("--size", default="classroom", choices=SIZES)
    size = reader.parse_args().size
    rows, alone = [], rate(size, 1)
    for workers in sorted({1, 2, os.cpu_count() or 1}):
        speed = alone if workers == 1 else rate(size, workers)
        rows.append(
            {"size": size, "processes": workers, "images_per_s": round(speed), "ratio": round(speed / alone, 2)}
        )
    show(keep("passersby", rows))


if __name__ == "__main__":
    main()
