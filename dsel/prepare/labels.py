"""Read the words that GRID and LRS3 keep beside their videos. (Source: their formats.)"""

from __future__ import annotations

from dsel.prepare.sources import Source
from dsel.timing import frame_start
from dsel.utils.errors import BadInput

MOST = 1 << 20  # bytes of a file of words; what follows is not read


def words_of(source: Source) -> list[tuple[float, float, str]]:
    """Read (start, end, word), in seconds from the first picture on; [] if unknown.

    They are in GRID's .align, or in the table of LRS3's .txt.
    """
    if source.words is None or not source.words.is_file():
        return []
    with source.words.open("rb") as file:
        text = file.read(MOST).decode("utf-8", errors="replace")
    lines = [line.split() for line in text.splitlines()]
    try:
        if source.words.suffix == ".align":  # start end word, in units of 1/25000 s
            return [
                (int(a) / 25000, int(b) / 25000, word)
                for a, b, word in filter(None, lines)
                if word not in ("sil", "sp")
            ]
        table = next(
            (i for i, line in enumerate(lines) if line[:3] == ["WORD", "START", "END"]), len(lines)
        )
        return [
            (float(a), float(b), word.lower())
            for word, a, b, *_ in filter(None, lines[table + 1 :])
        ]
    except ValueError as error:
        raise BadInput(f"{source.words}: not 'start end word' lines; mend or remove it") from error


def labels_of(words: list, row: dict) -> list[dict]:
    """Return the words that lie within a clip, in its own time."""
    begin, length = row["start"], frame_start(row["frames"])
    inside = [
        (max(0.0, a - begin), min(length, b - begin), word)
        for a, b, word in words
        if a < begin + length and b > begin
    ]
    return [
        {
            "track": row["id"],
            "start": round(a, 4),
            "end": round(b, 4),
            "phoneme": "",
            "viseme": "",
            "word": word,
        }
        for a, b, word in inside
    ]
