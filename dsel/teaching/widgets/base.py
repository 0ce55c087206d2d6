"""What all widgets share: how controls and a figure get on the page and stay up to date.

The figure is an ordinary output of the cell. It is drawn once, so that a saved page shows it, and
is replaced in its place. Nothing is drawn inside an ipywidgets.Output, which Colab shows badly
(googlecolab/colabtools #5889). ipywidgets is imported where it is used.

Used by every notebook with a widget: 01, 03, 04, 05, 06, 07, 08. (Source: ours.)
"""

from __future__ import annotations

__all__ = ["NARROW", "WIDE", "Explorer", "bundle", "dropdown", "replace_figure"]

WIDE, NARROW = {"description_width": "9em"}, {"description_width": "6em"}  # room for descriptions


class Explorer:
    """A figure under controls that change it.

    A subclass has `figure()`, fills `_controls` with {name: control} before it calls `_display`,
    and has a method `set_<name>` for each control. `_displays` holds what is on display.
    """

    def __init__(self):
        self._controls: dict = {}
        self._displays: dict = {}

    def figure(self):
        """Return the figure of the present state."""
        raise NotImplementedError

    def _display(self, width: str = "28em") -> None:
        """Display the controls, two per row, and the figure below; width: of a control."""
        import ipywidgets
        from IPython.display import display

        for name, control in self._controls.items():
            control.layout.width = width
            control.observe(
                lambda change, name=name: self._call(name, change["new"]), names="value"
            )
        controls = list(self._controls.values())
        rows = [ipywidgets.HBox(controls[k : k + 2]) for k in range(0, len(controls), 2)]
        display(ipywidgets.VBox(rows))
        drawn = display(bundle(self.figure()), raw=True, display_id=True)
        self._displays["figure"] = drawn

    def _call(self, name: str, value) -> None:
        """Pass the new value of a control to its `set_<name>`."""
        getattr(self, f"set_{name}")(value)

    def _set(self, name: str, value) -> None:
        """Change an attribute, and redraw."""
        setattr(self, name, value)
        self._redraw()

    def _redraw(self) -> None:
        """Draw the figure again, if it is on display."""
        if "figure" in self._displays:
            replace_figure(self._displays["figure"], self.figure())


def dropdown(options, value=None, *, description: str, style=WIDE):
    """Make a menu.

    Args:
        options: texts, or (text, value) pairs.
        value: what is chosen at the start; None: the first.
        description: the text left of it.
        style: its width, see ipywidgets.
    """
    import ipywidgets

    chosen = {} if value is None else {"value": value}
    return ipywidgets.Dropdown(options=options, description=description, style=style, **chosen)


def bundle(figure) -> dict:
    """Turn a plotly figure into data for the page; displayed itself, it would be a new output."""
    return figure._repr_mimebundle_()


def replace_figure(handle, figure) -> None:
    """Replace the figure of a display handle.

    plotly's extension of JupyterLab never overwrites a figure. So an empty box of the same height
    takes its place first.
    """
    box = f'<div style="height:{figure.layout.height or 450}px"></div>'
    handle.update({"text/html": box}, raw=True)
    handle.update(bundle(figure), raw=True)
