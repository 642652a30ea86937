"""Builds the site of the course: ``python site/build.py``. Leaves it in ``runs/site/html``; open ``index.html`` there.

The pages are gathered in ``runs/site/pages``; Sphinx makes the site of them, and takes a warning for an error; at the
end every link, anchor and picture of the site is looked up. Nothing is fetched.
"""

import os
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]
os.environ.setdefault("MPLBACKEND", "agg")

from reid_lab.runtime.files import runs_folder  # noqa: E402


def main(options: list[str]) -> int:
    """Build the site.

    Args:
        options: For Sphinx, such as ``--jobs 2``.

    Returns:
        0 where all is well, else 1.
    """
    try:
        from sphinx.cmd.build import main as sphinx
    except ImportError:
        print("Sphinx is missing: install it with `pip install -e '.[course,site]' -c constraints.txt`.")
        return 1
    import check
    import staging

    pages, cache, site = (runs_folder() / "site" / name for name in ("pages", "cache", "html"))
    staging.gather(pages)
    strict = ["--fail-on-warning", "--keep-going", "--quiet", "--fresh-env"]
    if sphinx([*strict, "-c", str(HERE), "-d", str(cache), *options, str(pages), str(site)]):
        return 1
    wrong = check.faults(site)
    print(*wrong, sep="\n", end="\n" if wrong else "")
    print(f"{len(wrong)} links or files are wrong." if wrong else f"The site is complete: open {site / 'index.html'}.")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
