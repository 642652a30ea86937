"""The conditions under which saved outputs are compared: classroom size, on the CPU, one thread, no progress bars."""

import os

os.environ["REID_LAB_SIZE"] = "classroom"
os.environ["TQDM_DISABLE"] = "1"
os.environ["CUDA_VISIBLE_DEVICES"] = ""
os.environ["OMP_NUM_THREADS"] = "1"
