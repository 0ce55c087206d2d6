"""The first pages of the site, in English and Korean, and the glossary.

`tools/views.py site` writes them. A notebook has a picture (a figure's still, from the notebook
itself), its title, one line and its minutes; tools/site.toml says which picture, and the Korean
line. Links to slides, the live page and the reference appear if these lie beside the page.
"""

from __future__ import annotations

import base64
import html
import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    import tomli as tomllib

from nbconvert.filters import markdown2html

__all__ = ["Entry", "all_decks", "course", "first_pages", "neighbours"]

ROOT = Path(__file__).resolve().parents[1]
TEMPLATES = ROOT / "tools" / "templates"
ROW = re.compile(r"^\| \[(\d\d) ([^\]]+)\]\(([^)]+)\) \| ([^|;]+)[^|]* \| [^|]+ \| (\d+) \|$", re.M)
WORDS = {
    "en": {
        "other": '<a href="index.ko.html" lang="ko">한국어</a>',
        "title": "Who speaks, and what is said",
        "lead": "Two vectors from one voice: <em>who</em> speaks, and <em>what</em> is said. They "
        "are learnt from video of talking faces, without labels. A course in twelve notebooks.",
        "picture": "Four drawn people speak in turn. On the identity map each of their dots stays "
        "in a place of its own; on the content map all four go the same round.",
        "start": "Start here",
        "notebooks": "The notebooks",
        "order": "Read in order; each can be read alone. In a hurry: 00, 03, 04 and 05.",
        "minutes": "min",
        "slides": "slides",
        "talk": "A talk of 15 minutes",
        "lecture": "A lecture of 90 minutes",
        "decks": "All slides",
        "live": "Talk to it",
        "glossary": "Glossary, English and Korean",
        "reference": "Reference of the package",
        "code": "Code on GitHub",
        "paper": 'The method: <a href="https://arxiv.org/abs/2002.08742">Nagrani, Chung, Albanie, '
        "Zisserman, ICASSP 2020</a>. People and voices in the notebooks are drawn and synthetic.",
    },
    "ko": {
        "other": '<a href="index.html" lang="en">English</a>',
        "title": "누가 말하는가, 무엇을 말하는가",
        "lead": "목소리 하나에서 두 벡터를 얻습니다. 하나는 <em>누가</em> 말하는지, 다른 하나는 "
        "<em>무엇을</em> 말하는지를 담습니다. 라벨 없이, 말하는 얼굴 영상만 보고 배웁니다. 강의 "
        "노트가 "
        "아쉬워했던 손실 함수의 수식을 손으로 계산하고, 반복문과 코드로 옮겨 확인합니다.",
        "picture": "그림으로 만든 네 사람이 차례로 말합니다. 화자 지도에서는 각자의 점이 제자리에 "
        "머물고, 내용 지도에서는 네 점이 모두 같은 길을 돕니다.",
        "start": "여기서 시작하기",
        "notebooks": "노트북",
        "order": "차례대로 읽는 것이 좋지만 하나씩 따로 읽어도 됩니다. 시간이 없다면 00, 03, 04, "
        "05를 "
        "먼저 읽으십시오. 본문은 영어이고, 노트북마다 우리말 제목과 요약이 있습니다.",
        "minutes": "분",
        "slides": "슬라이드",
        "talk": "15분 발표",
        "lecture": "90분 강의",
        "decks": "모든 슬라이드",
        "live": "네트워크와 이야기해 보기",
        "glossary": "용어집(영어, 한국어)",
        "reference": "패키지 설명서(영어)",
        "code": "GitHub의 코드",
        "paper": '방법: <a href="https://arxiv.org/abs/2002.08742">Nagrani, Chung, Albanie, '
        "Zisserman, ICASSP 2020</a>. 노트북에 나오는 사람은 그림이고 목소리는 합성한 것입니다.",
    },
}


@dataclass(frozen=True)
class Entry:
    """What the first page says of a notebook.

    Args:
        number: two digits.
        title, korean: in both languages.
        file: of the notebook.
        line, line_ko: one line in both languages.
        minutes: to read it.
        picture: the id of the cell whose picture stands for it.
    """

    number: str
    title: str
    korean: str
    file: str
    line: str
    line_ko: str
    minutes: int
    picture: str


def course() -> list[Entry]:
    """List the notebooks in the order of notebooks/README.md."""
    rows = ROW.findall((ROOT / "notebooks" / "README.md").read_text(encoding="utf-8"))
    more = tomllib.loads((ROOT / "tools" / "site.toml").read_text(encoding="utf-8"))
    entries = []
    for number, title, file, about, minutes in rows:
        head = "".join(_cells(file)[0]["source"])
        korean = re.search(r"^### (.+)$", head, re.M).group(1).strip()
        own = more[number]
        line = about.strip()[0].upper() + about.strip()[1:]
        entries.append(
            Entry(number, title, korean, file, line, own["ko"], int(minutes), own["picture"])
        )
    return entries


def _cells(file: str) -> list[dict]:
    return json.loads((ROOT / "notebooks" / file).read_text(encoding="utf-8"))["cells"]


def picture(entry: Entry) -> bytes:
    """Return the picture of a notebook, a png.

    Raises:
        ValueError: the cell that site.toml names shows none.
    """
    for cell in _cells(entry.file):
        if cell.get("id") == entry.picture:
            for output in cell.get("outputs", []):
                if "image/png" in output.get("data", {}):
                    return base64.b64decode("".join(output["data"]["image/png"]))
    raise ValueError(f"site.toml names the cell {entry.picture} of {entry.file}: no picture there")


def neighbours(stem: str) -> dict[str, str]:
    """Return the links of a notebook's page: before, after, its slides and its title.

    Args:
        stem: of the notebook's file.
    """
    entries = course()
    found = {}
    for k, entry in enumerate(entries):
        if Path(entry.file).stem == stem:
            found["title"] = f"{entry.number} {entry.title}"
            for name, at in (("before", k - 1), ("after", k + 1)):
                if 0 <= at < len(entries):
                    other = entries[at]
                    place, text = Path(other.file).stem, f"{other.number} {other.title}"
                    found[name] = f'<a href="{place}.html" rel="{name}">{html.escape(text)}</a>'
    return found


def _card(entry: Entry, language: str, slides: bool) -> str:
    """Draw a notebook's card."""
    words, stem = WORDS[language], Path(entry.file).stem
    title = entry.korean if language == "ko" else entry.title
    line = entry.line_ko if language == "ko" else entry.line
    deck = f' · <a href="slides/{stem}.slides.html">{words["slides"]}</a>' if slides else ""
    return (
        f'<li><a class="card" href="{stem}.html"><img src="assets/cards/{entry.number}.png" alt="" '
        f'loading="lazy"><b>{entry.number} {html.escape(title)}</b></a>'
        f"<p>{html.escape(line)}</p><p class=small>{entry.minutes} "
        f"{words['minutes']}{deck}</p></li>"
    )


def _links(language: str, out: Path, address: str) -> str:
    """Link what lies beside the page: talks, decks, the live page, glossary, reference."""
    words = WORDS[language]
    places = {
        "talk": "slides/fifteen_minutes.slides.html",
        "lecture": "slides/ninety_minutes.slides.html",
        "decks": "slides/index.html",
        "live": "live/index.html",
        "glossary": "glossary.html",
        "reference": "reference/index.html",
    }
    links = [
        f'<a href="{place}">{words[name]}</a>'
        for name, place in places.items()
        if name == "glossary" or (out / place).is_file()
    ]
    if "/OWNER/" not in address:
        links.append(f'<a href="{address}">{words["code"]}</a>')
    return "".join(f"<li>{link}</li>" for link in links)


def _fill(template: str, parts: dict[str, str]) -> str:
    text = (TEMPLATES / template).read_text(encoding="utf-8")
    return re.sub(r"@(\w+)@", lambda found: parts[found[1]], text)


def first_pages(out: Path, address: str) -> list[Path]:
    """Write index.html, index.ko.html and glossary.html with their pictures.

    Args:
        out: the folder of the site.
        address: of the repository.
    Returns:
        the pages.
    """
    cards = out / "assets" / "cards"
    cards.mkdir(parents=True, exist_ok=True)
    shutil.copy(ROOT / "docs" / "hero.gif", out / "assets" / "hero.gif")
    entries = course()
    for entry in entries:
        (cards / f"{entry.number}.png").write_bytes(picture(entry))
    made = []
    for language, name in (("en", "index.html"), ("ko", "index.ko.html")):
        drawn = "".join(
            _card(e, language, (out / f"slides/{Path(e.file).stem}.slides.html").is_file())
            for e in entries
        )
        body = _fill(
            "index.html",
            {
                **WORDS[language],
                "cards": drawn,
                "links": _links(language, out, address),
                "first": Path(entries[0].file).stem,
            },
        )
        parts = {"language": language, "title": WORDS[language]["title"], "body": body}
        made.append(out / name)
        made[-1].write_text(_fill("site.html", parts), encoding="utf-8")
    text = markdown2html((ROOT / "docs" / "glossary.md").read_text(encoding="utf-8"))
    home = '<nav><a href="index.html">dsel</a> <a href="index.ko.html" lang="ko">한국어</a></nav>'
    body = f'<main>{home}<div class="wide">{text}</div></main>'
    made.append(out / "glossary.html")
    parts = {"language": "en", "title": "Glossary · 용어", "body": body}
    made[-1].write_text(_fill("site.html", parts), encoding="utf-8")
    return made


def all_decks(out: Path) -> Path:
    """Write the page that lists the decks of a folder, the two talks first."""
    talks = (
        ("fifteen_minutes", WORDS["en"]["talk"], WORDS["ko"]["talk"]),
        ("ninety_minutes", WORDS["en"]["lecture"], WORDS["ko"]["lecture"]),
    )
    decks = [*talks, *((Path(e.file).stem, f"{e.number} {e.title}", e.korean) for e in course())]
    items = "".join(
        f'<li><a href="{stem}.slides.html">{html.escape(title)}</a> '
        f'<span class="small" lang="ko">{html.escape(korean)}</span></li>'
        for stem, title, korean in decks
        if (out / f"{stem}.slides.html").is_file()
    )
    keys = (
        "Arrow keys turn the slides, S opens the speaker's notes and a clock, F fills the screen."
    )
    body = f"<main><h1>Slides</h1><p>{keys}</p><ul>{items}</ul></main>"
    page = out / "index.html"
    parts = {"language": "en", "title": "Slides", "body": body}
    page.write_text(_fill("site.html", parts), encoding="utf-8")
    return page
