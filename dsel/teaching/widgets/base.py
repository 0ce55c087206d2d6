"""How a widget gets on the page and stays up to date: controls, and below them a figure.

The figure is an ordinary output of the cell: it is drawn once, so that a saved page shows it, and redrawn in place
(`display(..., display_id=True)`). Nothing is drawn inside an ipywidgets.Output, which Colab shows badly
(googlecolab/colabtools #5889). An explorer has `figure()`, `_controls` {name: control}, a method `set_<name>` for each, and
`_screens`, what is on display. ipywidgets is imported where it is used.
"""

from __future__ import annotations

WIDE = {"description_width": "9em"}


def show(explorer, width: str = "28em") -> None:
    """Display an explorer's controls, two a row, each calling its `set_<name>`, and its figure under them."""
    import ipywidgets
    from IPython.display import display

    for name, control in explorer._controls.items():
        control.layout.width = width
        control.observe(lambda change, name=name: getattr(explorer, f"set_{name}")(change["new"]), names="value")
    rows = list(explorer._controls.values())
    display(ipywidgets.VBox([ipywidgets.HBox(rows[k : k + 2]) for k in range(0, len(rows), 2)]))
    explorer._screens["figure"] = display(bundle(explorer.figure()), raw=True, display_id=True)


def follow(explorer) -> None:
    """Draw an explorer's figure anew, if it is on display."""
    if "figure" in explorer._screens:
        redraw(explorer._screens["figure"], explorer.figure())


def bundle(figure) -> dict:
    """A plotly figure as data for the page. Displayed as it is, it would show itself, each time as a new output."""
    return figure._repr_mimebundle_()


def redraw(screen, figure) -> None:
    """Put another figure where one stands. plotly's extension of JupyterLab never overwrites a figure, so a place of the same
    height is kept for a moment by something that is none."""
    screen.update({"text/html": f'<div style="height:{figure.layout.height or 450}px"></div>'}, raw=True)
    screen.update(bundle(figure), raw=True)
