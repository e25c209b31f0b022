"""A defocused photograph in, the map of its blur and the photograph restored out, without a network."""

from gkm.classical.two_stage import METHODS, Method, luminance, restore, restore_by_map, sigma_map

__all__ = ["METHODS", "Method", "luminance", "restore", "restore_by_map", "sigma_map"]
