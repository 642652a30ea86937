"""How fast Passersby is made: finished images (PNG on the disk) per second.

    python benchmarks/passersby.py [--size classroom]

The plain reference is one process; the ratio says what the others add. Both write the same bytes.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

from reid_lab.passersby import SIZES, generate


def rate(size: str, workers: int) -> float:
    """Images per second of one generation, start of the processes and painting of the places included."""
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
    alone = rate(size, 1)
    print(f"{'processes':>9}  {'images/s':>8}  {'ratio':>5}")
    for workers in sorted({1, 2, os.cpu_count() or 1}):
        speed = alone if workers == 1 else rate(size, workers)
        print(f"{workers:>9}  {speed:>8.0f}  {speed / alone:>5.2f}")


if __name__ == "__main__":
    main()
