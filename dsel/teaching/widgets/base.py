"""What all widgets share: how controls and a figure get on the page and stay up to date.

The figure is an ordinary output of the cell. It is drawn once, so that a saved page shows it, and
is replaced in its place. Nothing is drawn inside an ipywidgets.Output, which Colab shows badly
(googlecolab/colabtools #5889). ipywidgets is imported where it is used.

A script on the page (page.js) keeps the keys of JupyterLab off the controls, tells the kernel which
point was clicked, and shows the old figure until the new one is drawn. Colab shows each output in a
frame of its own, which the script cannot leave: there the sliders do what clicks do elsewhere.

Used by every notebook with a widget: 01, 03, 04, 05, 06, 07, 08. (Source: ours.)
"""

from __future__ import annotations

from pathlib import Path

__all__ = [
    "CONTROLS",
    "NARROW",
    "WIDE",
    "Explorer",
    "bundle",
    "choice",
    "number",
    "replace_figure",
    "show_controls",
]

WIDE, NARROW = {"description_width": "9em"}, {"description_width": "6em"}  # room for descriptions
CONTROLS = "Controls appear here when this cell runs."  # where a stored page has no kernel
WIDGET = "application/vnd.jupyter.widget-view+json"
FEW, LETTERS = 4, 70  # options, and letters in all, that stand side by side


class Explorer:
    """A figure under controls that change it.

    A subclass has `figure()`, fills `_controls` with {name: control} before it calls `_display`,
    and has a method `set_<name>` for each control. `_displays` holds what is on display. PICKS is
    the control that a click on a point of the figure sets; its `customdata` says to what.
    """

    PICKS = ""

    def __init__(self):
        self._controls: dict = {}
        self._displays: dict = {}

    def figure(self):
        """Return the figure of the present state."""
        raise NotImplementedError

    def _display(self, width: str = "28em") -> None:
        """Display the controls, and the figure below; width: of a control that is not a toggle."""
        import ipywidgets
        from IPython.display import display

        for name, control in self._controls.items():
            if not isinstance(control, ipywidgets.ToggleButtons):
                control.layout.width = width
            control.layout.max_width = "100%"
            control.observe(
                lambda change, name=name: self._call(name, change["new"]), names="value"
            )
        wrap = ipywidgets.Layout(flex_flow="row wrap", width="100%")
        rows = [ipywidgets.Box([*self._controls.values()], layout=wrap), *self._picker()]
        show_controls(ipywidgets.VBox(rows))
        drawn = display(bundle(self.figure()), raw=True, display_id=True)
        self._displays["figure"] = drawn

    def _picker(self) -> list:
        """Make the hidden number that the page sets when a point is clicked."""
        import ipywidgets

        if not self.PICKS:
            return []
        picker = ipywidgets.IntText(-1, layout={"display": "none"})
        picker.add_class("dsel-picks")
        target = self._controls[self.PICKS]

        def pick(change) -> None:
            if 0 <= change["new"] <= target.max:
                target.value = change["new"]
            picker.value = -1  # the same point may be clicked again

        picker.observe(pick, names="value")
        return [picker]

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


def choice(options, value=None, *, description: str, style=WIDE):
    """Make buttons side by side where there are few options, else a menu.

    Args:
        options: texts, or (text, value) pairs.
        value: what is chosen at the start; None: the first.
        description: the text left of it.
        style: its width, see ipywidgets.
    """
    import ipywidgets

    texts = [option if isinstance(option, str) else option[0] for option in options]
    chosen = {} if value is None else {"value": value}
    look = {"options": options, "description": description, **chosen}
    if len(texts) <= FEW and sum(map(len, texts)) <= LETTERS:
        return ipywidgets.ToggleButtons(**look, style={**style, "button_width": "auto"})
    return ipywidgets.Dropdown(**look, style=style)


def number(count: int, value: int = 0, *, description: str, style=NARROW):
    """Make a slider over the numbers from 0 to count - 1."""
    import ipywidgets

    look = {"description": description, "style": style, "continuous_update": False}
    return ipywidgets.IntSlider(value=value, min=0, max=max(0, count - 1), **look)


def show_controls(widget) -> None:
    """Display a widget, and the script of the page; a page without a kernel shows a line of words.

    Args:
        widget: the controls; the keys that they take are not JupyterLab's commands.
    """
    from IPython.display import display

    widget.add_class("dsel-controls")
    view = {"version_major": 2, "version_minor": 0, "model_id": widget.model_id}
    display({"text/plain": CONTROLS, WIDGET: view}, raw=True)
    script = (Path(__file__).parent / "page.js").read_text(encoding="utf-8")
    display({"text/plain": "", "text/html": f"<script>{script}</script>"}, raw=True)


def bundle(figure) -> dict:
    """Turn a plotly figure into data for the page; displayed itself, it would be a new output."""
    return figure.update_layout(meta={"dsel": "explorer"})._repr_mimebundle_()  # page.js reads it


def replace_figure(handle, figure) -> None:
    """Replace the figure of a display handle.

    plotly's extension of JupyterLab never overwrites a figure. So an empty box of the same height
    takes its place first.
    """
    box = f'<div style="height:{figure.layout.height or 450}px"></div>'
    handle.update({"text/html": box}, raw=True)
    handle.update(bundle(figure), raw=True)
