"""Check the first pages of the site, the links between pages, and README.ko.md beside README.md."""

import re
from pathlib import Path

import pytest

pytest.importorskip("nbformat")
pytest.importorskip("nbconvert")

from tools import docs, korean, site, views

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted(path.name for path in (ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))
ENGLISH = (ROOT / "README.md").read_text(encoding="utf-8")
KOREAN = (ROOT / "README.ko.md").read_text(encoding="utf-8")
HANGUL = re.compile(r"[가-힣]")


def links(text: str) -> set[str]:
    return set(re.findall(r"\]\(([^)]+)\)", text))


def numbers(text: str) -> set[str]:
    """Every number of a page; thousands without a separator, links and code left out."""
    text = re.sub(r"```.*?```", "", text, flags=re.S)
    text = re.sub(r"\]\([^)]*\)|\$[^$]*\$|`[^`]*`|<!--.*?-->", " ", text)
    return set(re.findall(r"\d+(?:\.\d+)?", text))


# --- README.ko.md ---------------------------------------------------------------------------------


def test_both_front_pages_link_each_other():
    assert "README.ko.md" in links(ENGLISH)
    assert "README.md" in links(KOREAN)


def test_every_number_of_the_korean_page_stands_on_the_english_one():
    assert len(numbers(KOREAN)) > 40
    assert numbers(KOREAN) - numbers(ENGLISH) <= {"15", "90", "95"}  # the two talks; an interval
    assert re.search(r"\b95\b", ENGLISH)


def test_every_link_of_the_korean_page_stands_on_the_english_one():
    own = links(KOREAN) - links(ENGLISH)
    assert own == {"README.md", "docs/glossary.md"}
    for place in own:
        assert (ROOT / place).is_file()
    kept = {place for place in links(ENGLISH) if place.startswith(("docs/", "data/", "notebooks/"))}
    assert kept - links(KOREAN) == set()


def test_the_korean_page_lists_every_notebook():
    listed = re.findall(r"\(notebooks/([^)]+)\)", docs.between(KOREAN, "notebooks"))
    assert listed == NOTEBOOKS
    minutes = re.findall(r"\((\d+) min\)", docs.between(ENGLISH, "notebooks"))
    assert re.findall(r"\((\d+)분\)", docs.between(KOREAN, "notebooks")) == minutes


def test_both_pages_have_the_same_code_and_formulas():
    def code(text):
        blocks = re.findall(r"```\w*\n(.*?)```", text, re.S)
        return [re.sub(r"\s*#.*", "", block) for block in blocks]

    assert code(KOREAN) == code(ENGLISH)
    table = r"^\| .*\\mathcal.*$|^\$\$.*\$\$$"
    formulas = re.compile(r"\$[^$]+\$")
    for one, other in zip(
        re.findall(table, KOREAN, re.M), re.findall(table, ENGLISH, re.M), strict=True
    ):
        assert formulas.findall(one) == formulas.findall(other)


@pytest.mark.parametrize("mark", ["picture", "notebooks", "results"])
def test_the_generated_pieces_are_those_of_today(mark):
    piece = {
        "picture": korean.caption,
        "notebooks": korean.notebooks,
        "results": korean.measured,
    }[mark]
    assert docs.between(KOREAN, mark) == piece()


# --- Glossary -------------------------------------------------------------------------------------


def test_the_glossary_has_every_term_in_both_languages():
    text = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (?!English|---)(.*) \|$", text, re.M)
    terms = [row.split(" | ") for row in rows]
    assert len(terms) >= 35
    for row in terms:
        assert len(row) == 4, row
        assert not HANGUL.search(row[0] + row[2]), row
        assert HANGUL.search(row[1]), row
        assert HANGUL.search(row[3]), row
    names = [row[0].lower().lstrip("λ (") for row in terms]
    assert names == sorted(names)
    for term in (
        *("face track", "utterance", "trial", "EER", "minDCF", "log-mel", "viseme", "probe"),
        *("embedding", "content", "identity", "confusion loss", "chance"),
    ):
        assert any(name.split(",")[0] == term.lower() for name in names), term


# --- The site -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    (folder / "live").mkdir()
    (folder / "live" / "index.html").write_text("live")
    slides = folder / "slides"
    slides.mkdir()
    for name in ("fifteen_minutes", "ninety_minutes", *(Path(n).stem for n in NOTEBOOKS)):
        (slides / f"{name}.slides.html").write_text(name)
    site.all_decks(slides)
    site.first_pages(folder, "https://github.com/somebody/dsel")
    return folder


@pytest.mark.parametrize("name", ["index.html", "index.ko.html"])
def test_the_first_page_has_a_picture_and_a_line_for_every_notebook(folder, name):
    html = (folder / name).read_text(encoding="utf-8")
    cards = re.findall(r"<li><a class=\"card\" href=\"([^\"]+)\".*?</li>", html, re.S)
    assert cards == [f"{Path(n).stem}.html" for n in NOTEBOOKS]
    for source in re.findall(r'<img[^>]+src="([^"]+)"', html):
        assert (folder / source).stat().st_size > 1000
    for place in re.findall(r'href="((?!https?:)[^"#]+)"', html):
        if place not in cards and not place.startswith("data:"):
            assert (folder / place).is_file(), place
    for place in (
        *("slides/fifteen_minutes.slides.html", "slides/ninety_minutes.slides.html"),
        *("slides/index.html", "live/index.html", "glossary.html"),
    ):
        assert f'href="{place}"' in html
    assert 'href="reference/index.html"' not in html  # it is not there
    assert bool(HANGUL.search(re.sub(r"<a[^>]+lang=\"ko\".*?</a>", "", html))) == (".ko." in name)
    assert not re.search(r"make |pytest|tests/|CONTRIBUTING", html)  # for maintainers


def test_the_list_of_decks_has_all_of_them(folder):
    html = (folder / "slides" / "index.html").read_text(encoding="utf-8")
    assert len(re.findall(r'href="\w+\.slides\.html"', html)) == len(NOTEBOOKS) + 2


def test_a_page_links_the_pages_before_and_after():
    assert set(site.neighbours("00_start_here")) == {"title", "after"}
    assert set(site.neighbours("11_spot_the_bug")) == {"title", "before"}
    found = site.neighbours("03_content_loss")
    assert found["title"] == "03 Content loss"
    assert 'href="02_two_streams.html"' in found["before"]
    assert 'href="04_identity_loss.html"' in found["after"]
    import nbformat

    nb = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# 03")])
    html = views.page("site", nb, "03 Content loss", "03_content_loss")
    assert html.count('href="02_two_streams.html"') == 2  # above and below
    assert "<title>03 Content loss" in html


@pytest.mark.browser
@pytest.mark.parametrize("name", ["index.html", "index.ko.html", "glossary.html"])
def test_a_first_page_fits_a_phone(engine, folder, name):
    from tools.stills import CHROMIUM

    browser = engine.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
    page = browser.new_page(viewport={"width": 390, "height": 844})
    page.goto((folder / name).as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    all_of_it = "[...document.querySelectorAll('main *')]"
    wide = f"{all_of_it}.filter(e => e.getBoundingClientRect().right > 391)"
    assert page.evaluate(f"{wide}.map(e => e.tagName + e.textContent.slice(0, 30))") == []
    browser.close()
