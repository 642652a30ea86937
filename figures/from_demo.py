"""Copy what `make demo` wrote into this folder, as the README shows it: ``python figures/from_demo.py``.

Pictures become JPEG (a quarter of the size, and the repository stays quick to clone); the table is copied as it is and
carries seed, versions, device and date of the run that both pictures were drawn from.
"""

import shutil
from pathlib import Path

from PIL import Image

from reid_lab.home import runs_folder

HERE = Path(__file__).parent
demo = runs_folder() / "demo"
shutil.copy(demo / "table.csv", HERE / "demo.csv")
for name in ("gallery", "passersby", "curves"):
    with Image.open(demo / f"{name}.png") as picture:
        picture.convert("RGB").save(HERE / f"{name}.jpg", quality=85, optimize=True)
