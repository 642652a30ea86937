"""Experiments on trained networks: what makes them fail, and how much they gain from what."""

from reid_lab.experiments import conditions

__all__ = ["conditions"]
