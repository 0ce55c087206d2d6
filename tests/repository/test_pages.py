"""The pages a reader meets: short enough, links that work, numbers that are up to date."""

import ast
import importlib.util
import re
from pathlib import Path

import pytest

from dsel.ablation.rows import ROWS
from dsel.teaching.ledger import line_of
from dsel.utils.errors import BadInput
from tools import docs, front_page, stamp

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = sorted(
    path
    for pattern in (
        "*.md",
        "docs/*.md",
        "data/*.md",
        "data/models/*.md",
        "benchmarks/*.md",
        "notebooks/*.md",
    )
    for path in ROOT.glob(pattern)
)
names = [path.relative_to(ROOT).as_posix() for path in PAGES]


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


def prose(text):
    """A page without its code."""
    return re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.S)


def slugs(text):
    """The anchors that GitHub gives to the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", text, flags=re.S), re.M)
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings
    }


# --- The front page -------------------------------------------------------------------------------


def test_the_front_page_is_short():
    assert len(README.splitlines()) <= 130
    assert len(README.encode()) <= 9000


def test_the_front_page_explains_its_terms_before_the_table_that_uses_them():
    table = README.index("| % |")
    heading = README[table:].splitlines()[0]
    for _, (name, _) in front_page.COLUMNS.items():
        assert name in heading
        word = name.split()[0]
        assert re.search(rf"\*{word}\*", README[:table], re.I), word
    assert README.index("equal error rate") < table
    assert README.count("lecture notes") == 1


def test_every_room_of_the_package_stands_in_the_list_of_the_code():
    listed = README[README.index("## The code") :]
    rooms = {path.parent.name for path in ROOT.glob("dsel/*/__init__.py")}
    assert {room for room in rooms if f"`dsel/{room}`" not in listed} == set()
    for name in re.findall(r"`(dsel/[\w./]+|tests|benchmarks|tools)`", listed):
        assert (ROOT / name).exists(), name


def test_all_notebooks_stand_on_the_front_page():
    files = sorted(path.name for path in (ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))
    assert re.findall(r"\(notebooks/([^)]+)\)", docs.between(README, "notebooks")) == files


def test_the_example_tells_voices_apart():
    same, other = map(float, re.findall(r"\d\.\d\d", front_page.output()))
    assert same > other + 0.1
    assert len(front_page.example().strip().splitlines()) == 6


def test_the_commands_of_the_front_page_are_understood():
    from dsel.cli import _parser

    block = re.search(r"```\n(dsel prepare.*?)```", README, re.S).group(1)
    lines = block.strip().splitlines()
    assert len(lines) == 6
    for line in lines:
        _parser().parse_args(line.split("#")[0].split()[1:])
    targets = re.findall(r"^([\w ]+):", read("Makefile"), re.M)
    known = {target for line in targets for target in line.split()}
    assert set(re.findall(r"`make (\w+)`", "\n".join(map(read, names)))) <= known | {"quick"}


# --- All pages ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", names)
def test_links_lead_somewhere(name):
    text = read(name)
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(text)):
        if re.match(r"[a-z]+:", target):
            assert target.startswith("https://"), target
            continue
        file, _, anchor = target.partition("#")
        path = (ROOT / name).parent / file if file else ROOT / name
        assert path.exists(), target
        if anchor and path.suffix == ".md":
            assert anchor in slugs(path.read_text(encoding="utf-8")), target


@pytest.mark.parametrize("name", names)
def test_pictures_are_there_and_have_words(name):
    for words, file in re.findall(r"!\[([^\]]*)\]\(([^)]+)\)", read(name)):
        assert len(words.split()) >= 5, file
        assert ((ROOT / name).parent / file).stat().st_size < 1_500_000


def test_no_picture_lies_about_unused():
    shown = {
        ((ROOT / name).parent / file).resolve()
        for name in names
        for file in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", read(name))
    }
    pictures = {
        path
        for folder in ("data", "docs", "docs/figures")
        for path in (ROOT / folder).glob("*.[pg][ni][gf]")
    }
    assert pictures
    assert pictures == shown


def test_every_choice_names_the_definition_that_carries_it_out():
    text = read("docs/differences.md")
    sections = re.split(r"^### ", text, flags=re.M)[1:]
    assert len(sections) >= 15
    for section in sections:
        (place,) = re.findall(r"^- Where: \[([\w/.]+)#([\w.]+)\]\(\.\./([\w/.]+)\)$", section, re.M)
        assert place[0] == place[2]
        assert line_of(place[0], place[1]) > 0
    with pytest.raises(BadInput, match="defines no"):
        line_of("dsel/losses.py", "confusion_los")


def test_the_new_places_of_the_changelog_exist():
    rows = re.findall(r"^\| (`[^|]+) \| ([^|]+) \|$", read("CHANGELOG.md"), re.M)
    assert len(rows) > 40
    for _, now in rows:
        modules = re.findall(r"`((?:dsel|tools)[\w.]*)`", now)
        assert modules
        for module in modules:
            assert importlib.util.find_spec(module), module


def test_weights_are_never_loaded_with_code():
    """SECURITY.md says so."""
    calls = [
        (path, node)
        for folder in ("dsel", "tools", "benchmarks")
        for path in ROOT.glob(f"{folder}/**/*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load"
    ]
    assert calls
    for path, call in calls:
        given = {word.arg: ast.unparse(word.value) for word in call.keywords}
        assert given.get("weights_only") == "True", f"{path}:{call.lineno}"


# --- Generated pieces -----------------------------------------------------------------------------


def test_every_generated_piece_is_up_to_date(capsys):
    assert docs.main(["--check"]) == 0, capsys.readouterr().out


def test_marks_and_pieces_belong_together():
    found = {
        (name, mark) for name in names for mark in re.findall(r"^<!-- (\w+) -->$", read(name), re.M)
    }
    assert found == set(docs.PIECES)


def test_another_piece_is_seen_and_rounding_errors_are_not():
    page, mark = "docs/equations.md", "ledger"
    piece = docs.between(read(page), mark)
    number = docs.NOISE.search(piece).group()
    assert not docs.outdated(page, mark, piece)
    assert not docs.outdated(page, mark, piece.replace(number, "9.9e-16"))
    assert docs.outdated(page, mark, piece.replace("equal", "DIFFERENT", 1))


def test_filling_a_piece_leaves_the_rest_and_can_be_repeated():
    text = "before\n<!-- ledger -->\nold\nrows\n<!-- /ledger -->\nafter\n"
    once = docs.fill(text, "ledger", r"| $\frac{1}{2}$ |")
    assert once == "before\n<!-- ledger -->\n| $\\frac{1}{2}$ |\n<!-- /ledger -->\nafter\n"
    assert docs.fill(once, "ledger", r"| $\frac{1}{2}$ |") == once
    assert docs.between(once, "ledger") == r"| $\frac{1}{2}$ |"
    with pytest.raises(ValueError, match="no marks"):
        docs.fill(text, "results", "x")


def rows(**values):
    """Three seeds of two variants, judged at the end; values: {variant: [free EER by seed]}."""
    return [
        {"row": name, "seed": k, "step": 9, "steps": 9, "pair": f"{k}", "test_eer_free": value}
        for name, found in values.items()
        for k, value in enumerate(found)
    ]


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ([10.0, 11.1, 12.0], "free 9.0\u00a0±\u00a00.1 points better"),
        ([29.0, 30.1, 31.0], "free 10.0\u00a0±\u00a00.1 points worse"),
        ([18.0, 20.1, 23.0], "free not shown to change"),
    ],
)
def test_a_conclusion_is_worded_by_what_was_measured(found, words):
    text = front_page.change(rows(full=found, both=[19.0, 20.1, 21.0]), "full", "both", "eer_free")
    assert text.startswith(words.split("±")[0])
    assert words.split()[-1] in text
    assert front_page.change(rows(full=found), "full", "both", "eer_free") == ""


def test_more_words_found_is_better():
    many = [
        {**row, "test_content_top1": row["test_eer_free"]}
        for row in rows(full=[9, 9, 9], both=[5, 5, 5])
    ]
    assert front_page.change(many, "full", "both", "content_top1").endswith("better")


def test_the_front_page_asks_for_variants_that_exist():
    asked = {*front_page.VARIANTS, *(name for row in front_page.COMPARISONS for name in row[1:3])}
    assert asked <= set(ROWS)
    shown = [line for line in docs.between(README, "results").splitlines() if line.startswith("| ")]
    assert len(shown) == 2 + len(front_page.VARIANTS) + 1  # its heading, and guessing


def test_a_benchmark_that_reads_otherwise_is_named():
    with pytest.raises(ValueError, match=r"step\.md: no line that fits"):
        front_page.number("step", r"\| no such model")


# --- The repository's address ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("remote", "address"),
    [
        ("https://github.com/ada/dsel.git\n", "https://github.com/ada/dsel"),
        ("https://token@github.com/ada/dsel", "https://github.com/ada/dsel"),
        ("git@github.com:ada/speech.course.git", "https://github.com/ada/speech.course"),
        ("ssh://git@github.com/ada/dsel.git", "https://github.com/ada/dsel"),
        ("https://example.org/ada/dsel.git", None),
        ("/srv/git/dsel.git", None),
    ],
)
def test_a_remote_gives_the_address(remote, address):
    assert stamp.github_address(remote) == address


def test_an_address_replaces_the_placeholder_only(tmp_path, monkeypatch):
    project = tmp_path / "pyproject.toml"
    project.write_text(
        '[project.urls]\nRepository = "https://github.com/OWNER/dsel"   # one place\n\n[tool.x]\n'
    )
    monkeypatch.setattr(stamp, "ROOT", tmp_path)
    assert "menu" not in stamp.colab()
    assert "OWNER" not in stamp.colab()
    stamp.adopt(None)
    assert stamp.is_placeholder(stamp.address())
    stamp.adopt("https://github.com/ada/dsel")
    assert stamp.address() == "https://github.com/ada/dsel"
    assert "colab.research.google.com/github/ada/dsel/blob/main/notebooks/00_" in stamp.colab()
    stamp.adopt("https://github.com/eve/dsel")
    assert stamp.address() == "https://github.com/ada/dsel"


def test_no_remote_is_no_error(tmp_path, monkeypatch):
    monkeypatch.setattr(stamp, "ROOT", tmp_path)
    assert stamp.origin() is None


# --- The moving picture ---------------------------------------------------------------------------


def test_the_moving_picture_moves_and_has_a_card():
    image = pytest.importorskip("PIL.Image", reason="pictures need the extra 'views'")
    with image.open(ROOT / "docs" / "hero.gif") as film:
        assert film.n_frames > 50
        assert film.size[0] >= 700
        first = film.convert("RGB").tobytes()
        film.seek(60)
        assert film.convert("RGB").tobytes() != first


def test_the_people_of_the_picture_are_the_first_who_say_the_words():
    from dsel import corpus
    from tools import hero

    people = corpus.open("mini")
    voices = hero.choose(people)
    assert [voice.letter for voice in voices] == ["A", "B", "C", "D"]
    assert [voice.track.factors["sex"] for voice in voices] == list(hero.SEXES)
    assert len({voice.track.speaker for voice in voices}) == 4
    words = {word for voice in voices for word in voice.words if word}
    assert all(set(voice.words) - {""} <= words for voice in voices)
    assert len(words) == 4
    women = sorted(
        {
            t.speaker
            for t in people.split("test")
            if t.factors["sex"] == "f" and t.factors["vocabulary"] == hero.WORDS
        }
    )
    assert sorted(v.track.speaker for v in voices if v.sex == "f") == women[:2]


def test_a_journey_is_drawn_from_other_tracks_only():
    import numpy as np

    from dsel.evaluate.embeddings import Embeddings
    from tools import hero

    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 5))
    track = np.repeat([0, 1, 2], 20)
    e = Embeddings(["a", "b", "c"], track, np.tile(np.arange(20), 3), {"audio": {"content": x}})
    plane = np.where(track[:, None] == 0, 100.0, rng.uniform(size=(60, 2)))
    way = hero.journey(e, 0, "content", 1, x, track, plane)
    assert way.shape == (24, 2)
    assert way.max() < 1  # never at the points of its own track
    late = hero.journey(e, 0, "content", 8, x, track, plane)
    assert np.isnan(late[:4]).all()
    assert not np.isnan(late[6:]).any()
    square = hero.fit(plane)
    assert np.allclose((square.min(axis=0), square.max(axis=0)), ((0, 0), (1, 1)))


def test_plots_of_the_picture_keep_the_palette():
    from dsel.plots.style import PALETTE
    from tools import hero

    assert set(hero.COLOURS) <= set(PALETTE)
    assert hero.faded("#000000", 0.0) == "#ffffff"
    assert hero.faded("#0072B2", 1.0) == "#0072b2"


def test_the_tests_that_the_table_of_faults_names_exist():
    page, file = read("docs/robustness.md"), None
    named = re.findall(r"`(?:(tests/[\w/]+\.py))?(?:::)?(test_\w+)?`", page)
    assert len(named) > 60
    for path, test in named:
        file = ROOT / path if path else file
        if path or test:
            assert re.search(rf"^def {test or 'test_'}", file.read_text(encoding="utf-8"), re.M), (
                f"{file.name}: {test}"
            )
