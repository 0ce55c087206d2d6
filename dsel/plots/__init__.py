"""Data -> plotly figure. Pure functions, one file a subject."""

from dsel.evaluate.vectors import neighbour_purity, purity_chance
from dsel.plots.maps import two_maps
from dsel.plots.projection import umap_2d
from dsel.plots.style import COLOURS, NAMES, PALETTE, TOOLS, colour_of, symbol_of, use_template, write_figure

__all__ = [
    "COLOURS",
    "NAMES",
    "PALETTE",
    "TOOLS",
    "colour_of",
    "neighbour_purity",
    "purity_chance",
    "symbol_of",
    "two_maps",
    "umap_2d",
    "use_template",
    "write_figure",
]
