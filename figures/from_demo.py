"""Copy what `make demo` wrote into this folder, as the README shows it: ``python figures/from_demo.py``.

Pictures become JPEG, at most WIDTH pixels wide (a fraction of the size, and the repository stays quick to clone); the
table is copied as it is and carries seed, versions, device and date of the run that the pictures were drawn from.
"""

import shutil
from pathlib import Path

from PIL import Image

from reid_lab.runtime.files import runs_folder

HERE, WIDTH = Path(__file__).parent, 1200
demo = runs_folder() / "demo"
shutil.copy(demo / "table.csv", HERE / "demo.csv")
for name in ("gallery", "passersby", "curves"):
    with Image.open(demo / f"{name}.png") as picture:
        picture = picture.convert("RGB")
        picture.thumbnail((WIDTH, 2 * WIDTH))
        picture.save(HERE / f"{name}.jpg", quality=80, optimize=True)
