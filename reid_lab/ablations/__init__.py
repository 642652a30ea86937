"""Experiments: the papers' tables run again with seeds, and what makes a trained network fail.

grids        what is compared with what: start reading here
runner       running a grid: resumable, in parallel, in slices, shared among machines; `job` is one run of it
measures     what is asked of each run: scores, conditions, heat
tables       mean, deviation, and what the seeds can tell apart; `pictures` are drawn from these tables alone
claims       what the papers say, and what the recorded runs say to it
conditions   accuracy by occlusion, view angle, camera, attributes
backgrounds  is the background a shortcut, is color enough
"""
