"""The conditions under which saved outputs are compared: this checkout, classroom size, one CPU thread, no bars."""

import os
from pathlib import Path

os.environ["REID_LAB_SIZE"] = "classroom"
os.environ["TQDM_DISABLE"] = "1"
os.environ["CUDA_VISIBLE_DEVICES"] = ""
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["PYTHONPATH"] = os.pathsep.join(
    filter(None, [str(Path(__file__).resolve().parent.parent), os.environ.get("PYTHONPATH")])
)
