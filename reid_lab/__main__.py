"""``python -m reid_lab COMMAND``, which does the same as ``reid-lab COMMAND``: see ``reid_lab/cli``."""

import sys

from reid_lab.cli import main

if __name__ == "__main__":
    sys.exit(main())
