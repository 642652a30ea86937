"""Ablations: the papers' tables run again with seeds.

grids       what is compared with what: start reading here
run         a loop over ``training.fit``: several processes, shares for several machines; ``plan`` is what it would do
measures    what is measured of each run: scores, conditions, curves, heat
tables      the recorded rows: read, added, merged
statistics  mean, deviation, and what the seeds can tell apart
claims      what the papers say, and what the recorded runs say to it, corrected for the number of claims
pictures    drawn from the recorded tables alone; ``forests`` draws the claims, ``ten_years`` the bench of all systems
"""
