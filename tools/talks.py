"""Choose the slides of the two talks that tools/decks.toml lists: 15 and 90 minutes.

    python tools/talks.py      print minutes, words and slides of both, slide by slide

The minutes of a slide that has words to say are the time to say them: 130 words a minute, and 10
seconds to look at a figure or a film. In a lecture the minutes of a part are dealt out to its
slides by the length of their notes; every slide has half a minute at least.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parents[1]
if __package__ in (None, ""):  # run as a file
    sys.path.insert(0, str(ROOT))

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    import tomli as tomllib

from dsel.utils import markdown  # noqa: E402
from tools import slides  # noqa: E402
from tools.slides import Slide  # noqa: E402

__all__ = ["PLAN", "TALKS", "choose", "main", "plan", "said_in", "table", "words"]

PLAN = Path(__file__).resolve().parent / "decks.toml"
NOTEBOOKS = ROOT / "notebooks"
WORDS_A_MINUTE, SECONDS_A_FIGURE = 130, 10
TALKS = ("fifteen_minutes", "ninety_minutes")


def plan() -> dict:
    """Read the list of both talks."""
    return tomllib.loads(PLAN.read_text(encoding="utf-8"))


def notebook(number: str):
    """Read a notebook by its number.

    Raises:
        ValueError: none has it.
    """
    found = sorted(NOTEBOOKS.glob(f"{number}_*.ipynb"))
    if not found:
        raise ValueError(f"{PLAN.name} names notebook {number}, which is not there")
    return nbformat.read(found[0], as_version=4)


def words(text: str) -> int:
    """Count the words that a speaker says."""
    return len(slides.plain(text).split())


def said_in(text: str, figures: int) -> float:
    """How many minutes it takes to say a text and to look at some figures."""
    return words(text) / WORDS_A_MINUTE + figures * SECONDS_A_FIGURE / 60


def shown_in(slide: Slide) -> int:
    """How many figures and films a slide has; some films beside each other count once."""
    return int(any(piece.kind in ("figure", "clip") for piece in slide.pieces))


def title_slide(talk: dict) -> tuple[Slide, list]:
    """The first slide of a talk."""
    pieces = tuple(slides.text_pieces(talk["text"], 0))
    notes = talk["say"].strip()
    minutes = said_in(notes, 0)
    return Slide("title", talk["title"], True, pieces, (notes,), (), talk["korean"], minutes), []


def chosen_slide(entry: dict) -> tuple[Slide, list]:
    """A slide of a talk, and the cells of the notebook that it shows.

    Raises:
        ValueError: a cell is not there, or shows nothing.
    """
    pieces = [replace(p, cell=-1) for p in slides.text_pieces(entry.get("text", ""), 0)]
    cells, sentence = [], entry.get("sentence", "")
    for place in entry.get("show", ()):
        number, name = place.split("#")
        nb = notebook(number)
        cells = nb.cells
        found = next((k for k, cell in enumerate(cells) if cell.get("id") == name), None)
        if found is None:
            raise ValueError(f"{PLAN.name} names the cell {place}, which is not there")
        own = slides.output_pieces(cells[found], found)
        kept = [p for p in own if p.kind in ("figure", "clip", "script")]
        if not kept:
            raise ValueError(f"{PLAN.name} names the cell {place}, which shows no figure")
        pieces += sorted(kept, key=lambda piece: piece.kind != "script")
        sentence = sentence or slides.statement(p.text for p in own if p.kind == "said")
        if not sentence:  # the slide of the notebook has one
            slide = next(s for s in slides.compose(nb) if found in s.cells)
            sentence = slide.sentence
    kinds = {piece.kind for piece in pieces}
    layout = "figure" if "figure" in kinds else "clip" if "clip" in kinds else "text"
    say = entry["say"].strip()
    slide = Slide(layout, entry["title"], True, tuple(pieces), (say,), (), sentence)
    return replace(slide, minutes=said_in(say, shown_in(slide))), cells


def part_slides(part: dict) -> list[tuple[Slide, list]]:
    """The slides of some sections of a notebook, with the text of the notebook as notes.

    Raises:
        ValueError: a section is not there.
    """
    nb = notebook(part["from"])
    stacks: dict[str, list[Slide]] = {}
    for slide in slides.compose(nb):
        if slide.opens and slide.layout != "title":
            stacks[slide.title] = []
        if stacks:
            stacks[list(stacks)[-1]].append(slide)
    taken = []
    for section in part["sections"]:
        if section not in stacks:
            raise ValueError(f"{PLAN.name}: notebook {part['from']} has no section {section!r}")
        taken += stacks[section]
    noted = []
    for slide in taken:
        texts = [slides.source(nb.cells[k]) for k in slide.cells]
        texts = [
            slides.DETAILS.sub("", text).strip()
            for k, text in zip(slide.cells, texts, strict=True)
            if nb.cells[k]["cell_type"] == "markdown"
        ]
        noted.append(replace(slide, notes=tuple(dict.fromkeys([*texts, *slide.notes]))))
    weights = [0.5 + said_in(" ".join(s.notes), shown_in(s)) for s in noted]
    spare = part["minutes"] - 0.5 * len(noted)
    shares = [0.5 + spare * weight / sum(weights) for weight in weights]
    return [(replace(s, minutes=m), nb.cells) for s, m in zip(noted, shares, strict=True)]


def choose(name: str) -> list[tuple[Slide, list]]:
    """Return the slides of a talk, each with the cells of its notebook.

    Args:
        name: one of TALKS.
    """
    talk = plan()[name]
    chosen = [title_slide(talk)]
    chosen += [chosen_slide(entry) for entry in talk.get("slide", ())]
    for part in talk.get("part", ()):
        chosen += part_slides(part)
    return chosen


def clock(minutes: float) -> str:
    """Write minutes as 1:05."""
    seconds = round(60 * minutes)
    return f"{seconds // 60}:{seconds % 60:02d}"


def table(name: str) -> str:
    """Write the plan of a talk as Markdown: when, what, from which notebook."""
    talk, rows, start = plan()[name], [], 0.0
    if "part" in talk:
        start += title_slide(talk)[0].minutes
        for part in talk["part"]:
            where = f"notebook {part['from']}, {_listed(part['sections'])}"
            rows.append([clock(start), part["what"], where])
            start += part["minutes"]
    else:
        for (slide, _), entry in zip(choose(name), [talk, *talk["slide"]], strict=True):
            numbers = dict.fromkeys(place.split("#")[0] for place in entry.get("show", ()))
            where = ", ".join(f"notebook {number}" for number in numbers) or "-"
            rows.append([clock(start), slide.title, where])
            start += slide.minutes
    rows.append([clock(start), "the end", ""])
    return markdown.table(["from", "what", "with"], rows)


def _listed(sections: list[str]) -> str:
    """Name sections by their numbers; a bug has its own, and the opening has none."""
    first = [section.split(" · ")[0] for section in sections]
    names = ["the opening" if name == "00" else name.split()[0] for name in first]
    if first[0].startswith("Bug "):
        return first[0].lower()
    return f"section {names[0]}" if len(names) == 1 else "sections " + ", ".join(names)


def main() -> int:
    """Print both talks, slide by slide."""
    for name in TALKS:
        chosen = [slide for slide, _ in choose(name)]
        total = sum(slide.minutes for slide in chosen)
        count = sum(words(" ".join(slide.notes)) for slide in chosen)
        figures = sum(map(shown_in, chosen))
        print(f"{name}: {len(chosen)} slides, {count} words, {figures} figures, {total:.1f} min")
        for slide in chosen:
            said = words(" ".join(slide.notes))
            print(f"    {slide.minutes:4.1f} min {said:4d} words  {slide.layout:6s} {slide.title}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
