"""``python -m reid_lab COMMAND``: see ``reid_lab/commands``."""

import sys

from reid_lab.cli import main

if __name__ == "__main__":
    sys.exit(main())
