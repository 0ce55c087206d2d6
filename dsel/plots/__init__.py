"""Figures: data in, plotly figure out. Pure functions, one file per subject.

style                  colours, names, small parts that all figures share
projection             embeddings to the plane: UMAP, PCA
maps                   maps of embeddings                    notebooks 00, 07, 10
identity_vs_content    the main figure, `dsel plot`          notebook 00
alignment              frames, waveform, log-mel             notebook 01
losses                 pairs, matrices, points, sliders      notebooks 03 to 05
confusion              the disentanglement losses            notebook 05
training               curves of a training                  notebook 06
verification           DET curves, thresholds, intervals     notebook 08
"""

from dsel.evaluate.vectors import neighbour_purity, purity_chance
from dsel.plots.maps import two_maps
from dsel.plots.projection import umap_2d
from dsel.plots.style import (
    COLOURS,
    NAMES,
    PALETTE,
    TOOLS,
    colour_of,
    symbol_of,
    told_apart,
    use_template,
    write_figure,
)

__all__ = [
    "COLOURS",
    "NAMES",
    "PALETTE",
    "TOOLS",
    "colour_of",
    "neighbour_purity",
    "purity_chance",
    "symbol_of",
    "told_apart",
    "two_maps",
    "umap_2d",
    "use_template",
    "write_figure",
]
