"""Check in a real browser what a reader sees: JupyterLab with every control moved, decks, pages.

playwright drives Chromium. No request may go to any host but localhost, no error may reach the
console, and every handle must change the figure it belongs to. Screenshots go to build/screens/.
A few of these run in `make test`; `make browser` (DSEL_BROWSER=all) runs all, on every notebook.
"""

import importlib.util
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from functools import partial
from pathlib import Path
from typing import ClassVar

import pytest

from tools.stills import CHROMIUM

ROOT = Path(__file__).resolve().parents[2]
SCREENS = ROOT / "build" / "screens"
NOTEBOOKS = sorted(path.stem for path in (ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))
EVERY = os.environ.get("DSEL_BROWSER") == "all"
RUN = NOTEBOOKS if EVERY else ["03_content_loss"]
# A deck with a clip to play, and one with figures that move.
DECKS = NOTEBOOKS if EVERY else ["00_start_here", "05_disentanglement_loss"]
PAGES = NOTEBOOKS if EVERY else ["00_start_here"]
# What JupyterLab itself logs where there is no terminal, no translations and no git.
LAB_ITSELF = re.compile(
    r"favicon|/api/(?:me|terminals|translations)|/lab/api/|service ?worker|Viewport argument"
    r"|language server",
    re.I,
)
pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def browser(engine):
    chromium = engine.chromium.launch(
        executable_path=CHROMIUM,
        args=["--no-sandbox", "--autoplay-policy=no-user-gesture-required"],
    )
    yield chromium
    chromium.close()


@pytest.fixture(autouse=True)
def tidy(request):
    """Close pages and kernels with their test: open ones slow everything that follows."""
    yield
    while Watch.opened:
        Watch.opened.pop().close()
    lab = (request.node.funcargs or {}).get("lab")  # None after Ctrl-C
    for kernel in json.load(urllib.request.urlopen(f"{lab}/api/kernels")) if lab else ():
        urllib.request.urlopen(
            urllib.request.Request(f"{lab}/api/kernels/{kernel['id']}", method="DELETE")
        )


class Watch:
    """A page, with the requests that left the machine and the errors in its console."""

    opened: ClassVar[list] = []  # contexts, closed by `tidy`

    def __init__(self, browser, *, offline=False, width=1280, height=900):
        self.context = browser.new_context(
            viewport={"width": width, "height": height}, offline=offline
        )
        self.opened.append(self.context)
        self.page = self.context.new_page()
        self.page.set_default_timeout(240_000)  # a busy machine is slow, not wrong
        self.away, self.errors = [], []
        self.page.on("request", self._request)
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))

    def _request(self, request):
        local = r"(?:file|data|blob|about):|(?:http|ws)://(?:localhost|127\.0\.0\.1)[:/]"
        if not re.match(local, request.url):
            self.away.append(request.url)

    def _console(self, message):
        where = message.location.get("url", "")
        if (
            message.type == "error"
            and "about:blank" not in message.text + where
            and not LAB_ITSELF.search(message.text + where)
        ):
            self.errors.append(f"{message.text} ({where})")

    def photo(self, name):
        SCREENS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=SCREENS / f"{name}.png")


# What a plotly figure shows, its handles left out: they move by themselves and prove nothing.
DRAWN = """plot => [...plot.querySelectorAll('.main-svg')].map(svg => {
  const copy = svg.cloneNode(true);
  const handles = copy.querySelectorAll('.slider-container, .updatemenu-container');
  handles.forEach(handle => handle.remove());
  return copy.innerHTML;
}).join('')"""


def changed(plot, before, seconds=20.0) -> bool:
    """Say whether the figure comes to show something else."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if plot.evaluate(DRAWN) != before:
            return True
        time.sleep(0.1)
    return False


def move_plotly(page, plot) -> dict[str, bool]:
    """Move every slider and press every button of a figure: {handle: did the figure change?}"""
    moved = {}
    plot.scroll_into_view_if_needed()
    for number in range(plot.locator(".slider-rail-touch-rect").count()):
        rail = plot.locator(".slider-rail-touch-rect").nth(number).bounding_box()
        grip = plot.locator(".slider-grip-rect").nth(number).bounding_box()
        middle = rail["x"] + rail["width"] / 2
        share = 0.1 if grip["x"] > middle else 0.9  # away from where it stands
        before = plot.evaluate(DRAWN)
        page.mouse.click(rail["x"] + share * rail["width"], rail["y"] + rail["height"] / 2)
        moved[f"slider {number}"] = changed(plot, before)
    for number in range(plot.locator(".updatemenu-button").count()):
        button = plot.locator(".updatemenu-button").nth(number)
        label = (button.text_content() or "").strip()
        if label in ("❚❚", "pause", "Pause", "⏸"):  # nothing moves, so it changes nothing
            continue
        before = plot.evaluate(DRAWN)
        button.click(force=True)
        moved[f"button {label}"] = changed(plot, before, 5)
    if sum("button" in name for name in moved) > 1:  # one of a choice is already chosen
        moved = {name: fine for name, fine in moved.items() if fine or "button" not in name}
    return moved


def choose_file(page, button) -> None:
    """Press an upload button and choose a clip."""
    with page.expect_file_chooser() as chooser:
        button.click()
    chooser.value.set_files(next((ROOT / "data" / "mini" / "clips").rglob("*.mp4")))


def move_widgets(page, area) -> dict[str, bool]:
    """Move every control of an output area: {control: did the area change?}"""
    moved = {}

    def shown():
        return area.evaluate("""area => {
          const copy = area.cloneNode(true);
          const controls = copy.querySelectorAll(
            '.widget-inline-hbox, .widget-dropdown, .widget-toggle-buttons');
          controls.forEach(control => control.remove());
          return copy.innerHTML.replace(/clip[0-9a-f]+/g, '');
        }""")

    def push(handle):
        handle.focus()
        handle.press("ArrowRight")
        value, highest = (handle.get_attribute(f"aria-value{name}") for name in ("now", "max"))
        if value == highest:
            handle.press("ArrowLeft")

    def try_it(name, act):
        before = shown()
        act()
        until = time.monotonic() + 15
        while shown() == before and time.monotonic() < until:
            time.sleep(0.2)
        moved[name] = shown() != before

    for number in range(area.locator(".widget-slider .noUi-handle").count()):
        handle = area.locator(".widget-slider .noUi-handle").nth(number)
        try_it(f"slider {number}", partial(push, handle))
    for number in range(area.locator(".widget-dropdown select").count()):
        choice = area.locator(".widget-dropdown select").nth(number)
        options = choice.locator("option").all_inner_texts()
        other = [o for o in options if o != choice.evaluate("s => s.selectedOptions[0]?.innerText")]
        if other:
            try_it(f"dropdown {number}", partial(choice.select_option, label=other[0]))
    toggles = area.locator(".widget-toggle-buttons")
    for number in range(toggles.count()):
        other = toggles.nth(number).locator("button:not(.mod-active)").first
        try_it(f"toggle {number}", other.click)
    pressed = "button.jupyter-button:not([disabled]):not(.widget-toggle-button)"
    for number in range(area.locator(pressed).count()):
        button = area.locator(pressed).nth(number)
        upload = "widget-upload" in button.get_attribute("class")
        act = partial(choose_file, page, button) if upload else button.click
        try_it(f"button {button.inner_text().strip()}", act)
    return moved


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """Start a JupyterLab on copies of the notebooks, and return its address."""
    pytest.importorskip("jupyterlab", reason="jupyterlab is not installed (extra `lab`)")
    home = tmp_path_factory.mktemp("lab")
    shutil.copytree(ROOT / "notebooks", home / "notebooks")
    settings = home / "settings" / "@jupyterlab" / "notebook-extension"
    settings.mkdir(parents=True)
    (settings.parent / "apputils-extension").mkdir()
    (settings.parent / "apputils-extension" / "notification.jupyterlab-settings").write_text(
        json.dumps({"fetchNews": "false"})
    )
    every_cell = json.dumps({"windowingMode": "none"})  # all cells are on the page
    (settings / "tracker.jupyterlab-settings").write_text(every_cell)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "jupyterlab",
        "--no-browser",
        f"--port={port}",
        "--port-retries=0",
        "--allow-root",
    ]
    command += [
        "--IdentityProvider.token=",
        "--LabApp.expose_app_in_browser=True",
        "--LabApp.extension_manager=readonly",
    ]
    command += ["--ServerApp.disable_check_xsrf=True"]  # so that a test may end its kernels
    command += [
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        "--LabApp.news_url=None",
    ]
    paths = {
        "JUPYTERLAB_SETTINGS_DIR": home / "settings",
        "JUPYTER_CONFIG_DIR": home / "config",
        "JUPYTER_RUNTIME_DIR": home / "run",
    }
    more = {
        "DSEL_TIER": "fast",
        "PYTHONPATH": str(ROOT),
        **{name: str(path) for name, path in paths.items()},
    }
    with (home / "log.txt").open("w") as log:
        server = subprocess.Popen(
            command, cwd=home, env={**os.environ, **more}, stdout=log, stderr=log
        )
    address = f"http://localhost:{port}"
    try:
        for _ in range(300):
            try:
                urllib.request.urlopen(f"{address}/api", timeout=2)
                break
            except (urllib.error.URLError, OSError):
                assert server.poll() is None, (home / "log.txt").read_text()[-2000:]
                time.sleep(0.3)
        else:
            pytest.fail((home / "log.txt").read_text()[-2000:])
        yield address
    finally:
        server.terminate()
        server.wait(20)


RUN_ALL = """async () => {
  const app = window.jupyterapp;
  const panel = app.shell.currentWidget;
  await panel.context.ready;
  await panel.sessionContext.ready;
  await app.commands.execute('notebook:run-all-cells');
  const written = cell => cell.type === 'code' && cell.sharedModel.source.trim();
  const cells = [...panel.content.model.cells].filter(written);
  const errors = cell => cell.sharedModel.outputs.filter(o => o.output_type === 'error').length;
  return cells.map(cell => [cell.executionCount, errors(cell)]);
}"""


# Whether every cell is there and every text is set: formulas take their time on a busy machine.
DRAWN_UP = """() => {
  const {content, context} = jupyterapp.shell.currentWidget;
  if (!context.isReady || content.widgets.length !== content.model.cells.length) return false;
  return content.widgets.filter(cell => cell.model.type === 'markdown').every(cell =>
    cell.node.querySelector('.jp-MarkdownOutput')?.textContent.trim());
}"""


def open_notebook(page, lab, name) -> None:
    """Open a notebook as it is stored, and wait until it has loaded."""
    page.goto(f"{lab}/doc/tree/notebooks/{name}.ipynb?reset")
    page.wait_for_selector(".jp-Notebook .jp-Cell")
    page.wait_for_function(
        "window.jupyterapp && jupyterapp.shell.currentWidget && "
        "jupyterapp.shell.currentWidget.sessionContext"
    )
    page.wait_for_function(DRAWN_UP)


def wake(page, figure) -> None:
    """Put the mouse on a still until it has become a figure; the page may move under the mouse."""
    alive, until = figure.locator(".main-svg").first, time.monotonic() + 60
    while not alive.is_visible() and time.monotonic() < until:
        figure.scroll_into_view_if_needed()
        box = figure.bounding_box()
        for nearer in (3, 0):  # a mouse that comes, not one that lies there
            page.mouse.move(box["x"] + box["width"] / 2 - nearer, box["y"] + box["height"] / 2)
        page.wait_for_timeout(500)
    alive.wait_for(timeout=1000)


@pytest.mark.parametrize("name", RUN)
def test_a_stored_figure_in_jupyterlab_is_a_still_and_moves_under_the_mouse(browser, lab, name):
    watch = Watch(browser)
    page = watch.page
    open_notebook(page, lab, name)
    page.wait_for_selector(".jp-RenderedPlotly")
    figures = page.locator(".jp-RenderedPlotly")
    moved = {}
    for number in range(figures.count()):
        figure = figures.nth(number)
        picture = figure.locator("img.plot-img")
        assert picture.evaluate("img => img.complete && img.naturalWidth > 300"), (
            "no still: run `make stills`"
        )
        wake(page, figure)
        moved |= {
            f"figure {number} {handle}": fine for handle, fine in move_plotly(page, figure).items()
        }
    print(name, moved)
    assert figures.count()
    assert all(moved.values()), {handle for handle, fine in moved.items() if not fine}
    assert not watch.away
    assert not watch.errors


# Letters with little contrast to what is behind them: [[contrast, text]]. Figures bring their own
# paper, and the parts of code have JupyterLab's colours (decorators 3.94): both are left out.
FAINT = """least => {
  const rgba = text => (text.match(/[\\d.]+/g) || []).map(Number);
  const linear = v => v / 255 <= 0.04045 ? v / 3294.6 : ((v / 255 + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b) + 0.05;
  const behind = node => {
    const colour = node ? rgba(getComputedStyle(node).backgroundColor) : [255, 255, 255];
    return colour.length == 3 || colour[3] > 0.5 ? colour : behind(node.parentElement);
  };
  const faint = [];
  for (const area of document.querySelectorAll('.jp-OutputArea-output, .jp-MarkdownOutput')) {
    const texts = document.createTreeWalker(area, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) {
      const node = texts.currentNode.parentElement, text = texts.currentNode.data.trim();
      if (!text || node.closest('style, script, svg, pre code span')) continue;
      if (!node.getClientRects().length) continue;
      const [a, b] = [light(rgba(getComputedStyle(node).color)), light(behind(node))];
      const contrast = Math.max(a, b) / Math.min(a, b);
      if (contrast < least) faint.push([contrast, text.slice(0, 40)]);
    }
  }
  return faint;
}"""


THEME = "name => jupyterapp.commands.execute('apputils:change-theme', {theme: name})"


@pytest.mark.parametrize("name", NOTEBOOKS if EVERY else ["00_start_here"])
def test_everything_can_be_read_in_the_dark_theme(browser, lab, name):
    watch = Watch(browser)
    page = watch.page
    open_notebook(page, lab, name)
    page.evaluate(THEME, "JupyterLab Dark")
    page.wait_for_function("document.body.dataset.jpThemeLight === 'false'")
    page.wait_for_timeout(500)
    watch.photo(f"{name}_dark")
    # No letters have a contrast of 22.
    read, faint = (page.evaluate(FAINT, least) for least in (22, 4))
    page.evaluate(THEME, "JupyterLab Light")  # it is a setting of the server, which others use
    assert len(read) > 50, "the probe finds no letters"
    assert not faint


# Its figures have no controls; tests/teaching/test_recorder.py presses those of its recorder.
STILL = {"10_your_own_video"}


@pytest.mark.parametrize("name", RUN)
def test_a_notebook_in_jupyterlab_runs_and_everything_moves(browser, lab, name):
    watch = Watch(browser)
    page = watch.page
    open_notebook(page, lab, name)
    ran = page.evaluate(RUN_ALL)
    assert all(count for count, _ in ran)
    assert not sum(errors for _, errors in ran)
    page.wait_for_timeout(1500)
    watch.photo(f"{name}_top")
    moved = {}
    plots = page.locator(".jp-OutputArea .js-plotly-plot")
    for number in range(plots.count()):
        moved |= {
            f"figure {number} {handle}": fine
            for handle, fine in move_plotly(page, plots.nth(number)).items()
        }
        if number == 0 or any(key.startswith(f"figure {number} ") for key in moved):
            watch.photo(f"{name}_figure{number}")
    areas = page.locator(".jp-Cell-outputArea:has(.jupyter-widgets)")
    for number in range(areas.count()):
        moved |= {
            f"widgets {number} {control}": fine
            for control, fine in move_widgets(page, areas.nth(number)).items()
        }
        watch.photo(f"{name}_widgets{number}")
    print(name, moved)
    assert plots.count()
    enabled = areas.locator("button.jupyter-button:not([disabled])").count()
    finished = areas.count() and not enabled  # a training, see below
    assert moved or finished or name in STILL, "nothing to move in this notebook"
    assert all(moved.values()), {handle for handle, fine in moved.items() if not fine}
    assert not watch.away
    assert not watch.errors


RUN_TO = """async mark => {
  const app = window.jupyterapp, panel = app.shell.currentWidget;
  await panel.context.ready;
  await panel.sessionContext.ready;
  const cells = [...panel.content.model.cells];
  const here = cell => cell.type === 'code' && cell.sharedModel.source.includes(mark);
  const place = cells.findIndex(here);
  panel.content.activeCellIndex = place;
  await app.commands.execute('notebook:run-all-above');
  panel.content.activeCellIndex = place;
  await app.commands.execute('notebook:run-cell');
  return place;
}"""


EXPLORERS = """
import numpy as np
from IPython.display import HTML
from dsel.plots.style import use_template
from dsel.teaching import widgets
use_template()
rng, heads, moments = np.random.default_rng(0), ("identity", "content"), ("untrained", "trained")
names, K = [f"point {k}" for k in range(24)], 300
drawn = lambda n: {h: {m: rng.normal(size=(24, n)) for m in moments} for h in heads}
planes, vectors = drawn(2), drawn(6)
labels = {"speaker": np.repeat(list("abc"), 8), "sound": np.tile(list("xy"), 12)}
say = lambda *what: HTML(f"<p class='said'>{what}</p>")
target, who = np.arange(K) % 2 == 0, [f"voice {k % 7}" for k in range(K)]
scores = {name: rng.normal(size=K) + target for name in ("one", "other")}
film = np.zeros((30, 8, 8, 3), np.uint8)
clip = (film, rng.uniform(size=30), rng.normal(size=(20, 120)), rng.uniform(size=31))
---
widgets.EmbeddingExplorer(planes, vectors, labels, names, np.arange(24) // 2, clip=say).show()
---
people, sounds = np.repeat(list("abc"), 2), np.tile(["stop", "vowel"], 12)
voices, words = rng.normal(size=(6, 5)), rng.normal(size=(24, 5))
widgets.RetrievalExplorer(
    voices, words, np.repeat(np.arange(6), 4), names, people, sounds, clips=say
).show()
---
widgets.VerificationExplorer(scores, target, np.arange(K) % 3 == 0, who, who[::-1], pair=say).show()
---
widgets.SyncExplorer({f"clip {k}": clip for k in range(6)}, chance=2.0, clip=say).show()
---
widgets.LossExplorer().show()
"""
# Which cell is selected, in JupyterLab's eyes.
SELECTED = "jupyterapp.shell.currentWidget.content.activeCellIndex"


@pytest.fixture(scope="module")
def explorers(lab):
    """Put a notebook with one explorer of each kind, on invented data, into the lab."""
    cells = [
        {"cell_type": "code", "source": text.strip(), "metadata": {}, "outputs": []}
        | {"execution_count": None, "id": f"cell{k}"}
        for k, text in enumerate(EXPLORERS.split("---"))
    ]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    content = {"cells": cells, "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}
    body = json.dumps({"type": "notebook", "content": content}).encode()
    address = f"{lab}/api/contents/notebooks/explorers.ipynb"
    urllib.request.urlopen(urllib.request.Request(address, data=body, method="PUT"))
    return "explorers"


def test_explorers_in_jupyterlab_take_keys_clicks_and_drags(browser, lab, explorers):
    """Press arrow keys in menus, click points and bars, drag a handle that the figure follows."""
    watch = Watch(browser)
    page = watch.page
    open_notebook(page, lab, explorers)
    ran = page.evaluate(RUN_ALL)
    assert not sum(errors for _, errors in ran), ran
    areas = page.locator(".jp-Cell-outputArea:has(.dsel-controls)")
    assert areas.count() == 5
    plots = [areas.nth(k).locator(".js-plotly-plot") for k in range(5)]
    for plot in plots:
        plot.locator(".main-svg").first.wait_for()

    # Menus: an arrow key changes the value and leaves the selected cell alone.
    menus = page.locator(".dsel-controls select")
    assert menus.count() == 2  # the worst pairs, and six clips
    for number in range(menus.count()):
        menu = menus.nth(number)
        menu.focus()
        cell, value = page.evaluate(SELECTED), menu.input_value()
        menu.press("ArrowDown")
        assert page.evaluate(SELECTED) == cell
        assert menu.input_value() != value
    toggle = areas.nth(0).locator(".widget-toggle-button", has_text="content")
    before = plots[0].evaluate(DRAWN)
    toggle.focus()
    toggle.press("Space")
    assert changed(plots[0], before)

    # A click on a point of the map, and on an answer.
    where = """plot => {
      plot.scrollIntoView({block: 'center'});
      const box = plot.getBoundingClientRect(), {xaxis, yaxis} = plot._fullLayout;
      const left = box.left + xaxis._offset, top = box.top + yaxis._offset;
      const places = plot.data.filter(t => t.customdata).flatMap(t => t.customdata.map(
        (n, k) => [n, left + xaxis.d2p(t.x[k]), top + yaxis.d2p(t.y[k])]));
      const distance = (p, q) => Math.hypot(p[1] - q[1], p[2] - q[2]);
      const alone = p => Math.min(...places.filter(q => q !== p).map(q => distance(p, q)));
      return places.filter(p => p[0]).sort((p, q) => alone(q) - alone(p))[0];
    }"""
    for _ in range(2):  # a second click on the same point works too
        number, x, y = plots[0].evaluate(where)
        page.mouse.click(x, y)
        said = areas.nth(0).locator(".said", has_text=f"({number},)")
        said.wait_for()
        assert f"point {number}" in plots[0].evaluate("p => p._fullLayout.title.text")
        slider = areas.nth(0).locator(".noUi-handle").last
        slider.focus()
        slider.press("Home")
        areas.nth(0).locator(".said", has_text="(0,)").wait_for()
    before = plots[1].evaluate(DRAWN)
    bar = plots[1].locator(".barlayer .point path").first
    bar.scroll_into_view_if_needed()
    bar.click(position={"x": 20, "y": 8}, force=True)
    assert changed(plots[1], before)

    # The figure follows while the handle is dragged, and nothing below it jumps.
    handle = areas.nth(4).locator(".noUi-handle").first
    handle.scroll_into_view_if_needed()
    box = handle.bounding_box()
    before, tall = plots[4].evaluate(DRAWN), areas.nth(4).bounding_box()["height"]
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + 60, box["y"] + box["height"] / 2, steps=5)
    assert changed(plots[4], before)  # the button is still down
    assert areas.nth(4).bounding_box()["height"] >= tall - 2
    page.mouse.up()
    watch.photo("explorers")
    assert not watch.away
    assert not watch.errors


@pytest.mark.skipif(not EVERY, reason="a training of a minute: make browser")
def test_a_training_in_jupyterlab_is_started_paused_and_resumed(browser, lab):
    watch = Watch(browser)
    page = watch.page
    open_notebook(page, lab, "06_training")
    assert page.evaluate(RUN_TO, "monitor.show()") > 0
    area = page.locator(".jp-Cell-outputArea:has(.jupyter-widgets)").first
    start, pause, few = (
        area.locator("button.jupyter-button", has_text=text) for text in ("Start", "Pause", "A few")
    )
    plot = area.locator(".js-plotly-plot")

    def title():
        return plot.evaluate("p => p._fullLayout.title.text")

    before = plot.evaluate(DRAWN)
    start.click()
    assert changed(plot, before, 60)  # the curves grow while the page lives
    pause.click()
    page.wait_for_function("b => !b.disabled", arg=start.element_handle())
    paused = None
    for _ in range(5):  # what was sent before the pause may be drawn after it
        if title() == paused:
            break
        paused = title()
        page.wait_for_timeout(3000)
    assert title() == paused  # it does stand still, and before its end
    at = re.search(r"step (\d+) of (\d+)", paused).groups()
    assert 0 < int(at[0]) < int(at[1])
    before = plot.evaluate(DRAWN)
    few.click()
    assert changed(plot, before, 60)
    assert title() != paused
    watch.photo("06_training_paused")
    page.wait_for_function("b => !b.disabled", arg=start.element_handle())
    start.click()
    page.wait_for_function("b => b.disabled", arg=pause.element_handle())
    for _ in range(20):  # the buttons are told of the end before the figure is drawn
        if title().endswith(f"step {at[1]} of {at[1]}"):
            break
        page.wait_for_timeout(500)
    assert title().endswith(f"step {at[1]} of {at[1]}")
    assert not watch.away
    assert not watch.errors


def views_or_skip(*scripts):
    """Return tools.views; skip if a package that carries one of the scripts is missing."""
    pytest.importorskip("nbconvert", reason="nbconvert is not installed (make slides)")
    from tools import views

    for package, _, _ in map(views.ASSETS.get, scripts):
        if not importlib.util.find_spec(package):  # found, not imported: Sphinx need not be there
            pytest.skip(f"{package} is not installed (make slides)")
    return views


def clips_play(page, place: str = "body") -> list:
    """List the films and sounds of a part of the page that the browser cannot play."""
    media = f"[...document.querySelectorAll('{place} video, {place} audio')]"
    page.evaluate(
        f"{media}.filter(e => !(e.duration > 0)).forEach(e => {{ e.preload = 'auto'; e.load(); }})"
    )
    broken = "e => e.error || !(e.duration > 0)"
    until = time.monotonic() + 20
    while time.monotonic() < until and page.evaluate(f"{media}.some({broken})"):
        page.wait_for_timeout(200)
    return page.evaluate(f"{media}.filter({broken}).map(e => e.outerHTML.slice(0, 80))")


@pytest.mark.parametrize("name", DECKS)
def test_a_deck_works_offline(browser, name, tmp_path):
    views = views_or_skip("plotly", "mathjax", "reveal")

    views.make("slides", tmp_path, [ROOT / "notebooks" / f"{name}.ipynb"])
    watch = Watch(browser, offline=True, height=720)
    page = watch.page
    page.goto((tmp_path / f"{name}.slides.html").as_uri())
    page.wait_for_function("window.Reveal && Reveal.isReady() && MathJax.isReady")
    page.wait_for_function("MathJax.Hub.queue.pending == 0 && MathJax.Hub.queue.running == 0")
    total = page.evaluate("Reveal.getTotalSlides()")
    assert total > 5
    assert page.locator("text=/\\$\\$/").count() == 0  # formulas are set, not quoted
    moved, seen, silent = {}, set(), []
    for _ in range(4 * total):
        place = page.evaluate("(() => { const i = Reveal.getIndices(); return `${i.h}-${i.v}` })()")
        if place not in seen:
            seen.add(place)
            page.wait_for_timeout(60)
            # A slide far away is not loaded
            silent += clips_play(page, "section.present:not(.stack)")
            plots = page.locator("section.present:not(.stack) .js-plotly-plot")
            assert plots.count() <= 1
            if plots.count():
                wide = plots.first.bounding_box()["width"]
                assert 300 < wide <= 1280
                found = move_plotly(page, plots.first)
                moved |= {f"slide {place} {handle}": fine for handle, fine in found.items()}
                if found and len(moved) == len(found):
                    watch.photo(f"{name}_slide_moved")
            elif len(seen) in (1, 2, 4):
                watch.photo(f"{name}_slide_{len(seen)}")
        if page.evaluate("Reveal.isLastSlide() && !Reveal.availableFragments().next"):
            break
        page.evaluate("Reveal.next()")
    assert len(seen) == total
    assert all(moved.values()), {handle for handle, fine in moved.items() if not fine}
    assert not silent
    assert not watch.away
    assert not watch.errors


@pytest.mark.parametrize("name", PAGES)
def test_a_page_of_the_site_works_offline(browser, name, tmp_path):
    views = views_or_skip("plotly", "mathjax")

    views.make("site", tmp_path, [ROOT / "notebooks" / f"{name}.ipynb"])
    watch = Watch(browser, offline=True)
    page = watch.page
    page.goto((tmp_path / "index.html").as_uri())
    page.click(f"a[href='{name}.html']")
    page.wait_for_selector(".js-plotly-plot .main-svg")
    page.wait_for_function("MathJax.Hub.queue.pending == 0 && MathJax.Hub.queue.running == 0")
    watch.photo(f"{name}_page")
    moved = {}
    plots = page.locator(".js-plotly-plot")
    for number in range(plots.count()):
        moved |= {
            f"figure {number} {handle}": fine
            for handle, fine in move_plotly(page, plots.nth(number)).items()
        }
    assert all(
        page.locator("[role=figure]").evaluate_all(
            "all => all.map(f => f.getAttribute('aria-label').length > 3)"
        )
    )
    assert all(moved.values()), {handle for handle, fine in moved.items() if not fine}
    assert not clips_play(page)
    assert not watch.away
    assert not watch.errors


LAYOUT = (ROOT / "tests" / "plots" / "layout.js").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", PAGES)
def test_a_page_fits_a_phone_and_its_figures_do(browser, name, tmp_path):
    """Nothing runs over the side of the page, and no text of a figure is cut or covered."""
    views = views_or_skip("plotly", "mathjax")
    views.make("site", tmp_path, [ROOT / "notebooks" / f"{name}.ipynb"])
    watch = Watch(browser, offline=True, width=390)
    page = watch.page
    page.goto((tmp_path / f"{name}.html").as_uri())
    plots = page.locator(".js-plotly-plot:has(.main-svg)")
    assert plots.count() == page.locator("[role=figure]").count() > 0
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    for number in range(plots.count()):
        found = plots.nth(number).evaluate(LAYOUT)
        assert not {kind: what for kind, what in found.items() if what}, (name, number)
    watch.photo(f"{name}_phone")
    page.set_viewport_size({"width": 1000, "height": 900})  # turned, or on a table
    page.wait_for_function("document.querySelector('.js-plotly-plot')._fullLayout.width > 700")
    assert not watch.errors


def test_a_map_shows_the_face_under_the_mouse_and_a_click_lets_it_speak(browser, tmp_path):
    """Hover and click on the page of notebook 07, without a kernel and offline."""
    views = views_or_skip("plotly", "mathjax")
    views.make("site", tmp_path, [ROOT / "notebooks" / "07_umap_identity_vs_content.ipynb"])
    watch = Watch(browser, offline=True)
    page = watch.page
    page.goto((tmp_path / "07_umap_identity_vs_content.html").as_uri())
    film = "document.querySelector('.dsel-screen video')"
    page.wait_for_function(f"document.querySelector('.js-plotly-plot')?.talksTo && {film}.duration")
    plot = page.locator(".js-plotly-plot").first
    plot.scroll_into_view_if_needed()
    # The point that lies farthest from all others: where it is on the screen, and its text.
    x, y, text = plot.evaluate("""plot => {
      const box = plot.getBoundingClientRect(), {xaxis, yaxis} = plot._fullLayout;
      const traces = plot.data.filter(t => t.text && (t.xaxis || 'x') === 'x');
      const points = traces.flatMap(t => t.x.map((x, k) => [
        box.left + xaxis._offset + xaxis.d2p(x),
        box.top + yaxis._offset + yaxis.d2p(t.y[k]),
        t.text[k]]));
      const distance = (p, q) => Math.hypot(p[0] - q[0], p[1] - q[1]);
      const alone = p => Math.min(...points.filter(q => q !== p).map(q => distance(p, q)));
      return points.map(p => [alone(p), p]).sort((a, b) => b[0] - a[0])[0][1];
    }""")
    screen = page.locator(".dsel-screen")
    assert not screen.is_visible()
    page.mouse.move(x, y)
    screen.wait_for(state="visible")
    assert screen.locator("figcaption").inner_text() == text
    page.wait_for_function(f"!{film}.seeking")
    still = screen.locator("video").evaluate("video => [video.paused, video.currentTime]")
    assert still[0]
    watch.photo("07_face_under_the_mouse")
    page.mouse.click(x, y)
    page.wait_for_function(f"!{film}.paused")
    page.wait_for_function(f"{film}.paused", timeout=20_000)
    spoken = screen.locator("video").evaluate("video => video.currentTime")
    first = still[1] - 0.32  # the still is the middle of 0.64 s
    assert first < spoken < first + 2.5  # it stopped by itself; a busy machine stops late
    page.keyboard.press("Escape")
    screen.wait_for(state="hidden")
    page.mouse.move(x, y + 200)
    page.mouse.move(x, y)
    screen.wait_for(state="visible")  # it comes again
    assert not watch.away
    assert not watch.errors
