"""Measure every slide of the decks in Chromium: how full, nothing over the edge, large labels."""

import importlib.util
import os

import pytest

from tools.stills import CHROMIUM

pytest.importorskip("nbconvert", reason="nbconvert is not installed (make slides)")

from tools import measure_decks, talks, views

EVERY = os.environ.get("DSEL_BROWSER") == "all"
NOTEBOOKS = sorted(path.stem for path in views.NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"))
DECKS = NOTEBOOKS if EVERY else ["00_start_here", "05_disentanglement_loss", "09_ablation"]
pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def browser(engine):
    chromium = engine.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
    yield chromium
    chromium.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    for package, _, _ in views.ASSETS.values():
        if not importlib.util.find_spec(package):
            pytest.skip(f"{package} is not installed (make slides)")
    folder = tmp_path_factory.mktemp("slides")
    views.copy_assets(folder, views.ASSETS)
    return folder


@pytest.mark.parametrize("name", [*DECKS, *talks.TALKS])
def test_no_slide_is_empty_and_none_overflows(browser, folder, name):
    path = folder / f"{name}.slides.html"
    if name in talks.TALKS:
        path.write_text(views.talk(name), encoding="utf-8")
    else:
        views.pages("slides", folder, [views.NOTEBOOKS / f"{name}.ipynb"])
    slides = measure_decks.measure(browser, path)
    assert len(slides) > 5
    for slide in slides:
        assert slide.boxes > 1, slide  # a title alone is no slide
        assert slide.full >= measure_decks.LEAST, slide
        assert not slide.outside, slide
        assert slide.labels >= 20, slide
        assert all(height >= 0.85 for height in slide.figures), slide


PAGE = """<body style="margin:0"><script>
window.Reveal = {getCurrentSlide: () => document.querySelector('section')};
</script><section style="width:1280px;height:720px;position:relative;overflow:hidden">BODY
</section>"""


@pytest.mark.parametrize(
    ("body", "full", "outside"),
    [
        ("", 0.0, False),
        ('<img style="position:absolute;left:0;top:0;width:640px;height:720px">', 0.5, False),
        ('<img style="position:absolute;left:0;top:0;width:640px;height:720px">' * 2, 0.5, False),
        ('<div style="padding:300px;background:red"></div>', 0.0, False),  # no content
        ('<img style="position:absolute;left:900px;top:0;width:640px;height:360px">', 0.15, True),
        ('<p style="margin:0;font-size:100px;line-height:800px">x</p>', None, True),  # scrolls
    ],
)
def test_the_measure_counts_what_covers_the_slide(browser, body, full, outside):
    page = browser.new_page(viewport={"width": 1280, "height": 720})
    page.set_content(PAGE.replace("BODY", body))
    found = page.evaluate(measure_decks.MEASURE, [1280, 720])
    page.close()
    assert full is None or found["full"] == pytest.approx(full, abs=0.01)
    assert bool(found["outside"]) == outside
