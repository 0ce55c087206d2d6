"""The whole line in one call: corpus, training, evaluation, picture. `make demo` runs it."""

from __future__ import annotations

from pathlib import Path

from dsel.evaluate.report import evaluate, table
from dsel.plots.identity_vs_content import plot
from dsel.toy.make import toy
from dsel.train.trainer import train


def demo(out="runs/demo", *, speakers: int = 700, steps: int = 650, seed: int = 0, progress: bool = True) -> list[dict]:
    """Make a toy corpus, train the full method on it, judge it on unseen speakers, draw the picture. Returns the table's rows.

    out/corpus, out/run, out/identity_against_content.html. Called again, it goes on where it was stopped.
    """
    out = Path(out)
    print("1/4  talking heads: a corpus of drawn faces with synthetic voices")
    judged = max(8, min(40, speakers // 16))  # 40 strangers of 12 tracks each tell enough, and are made in a minute
    corpus = toy(out / "corpus", speakers, tracks=2, validation=8, test=judged, seed=seed, progress=progress)
    print(f"     {corpus}")
    print("2/4  training on the training speakers: content + identity + disentanglement, no labels")
    resume = (out / "run" / "checkpoint.pt").is_file()
    train(out / "corpus", out / "run", resume=resume, progress=progress, steps=steps, seed=seed)
    print("3/4  judging on speakers never trained on")
    rows = evaluate(out / "run", out / "corpus", progress=progress)
    print(table(rows))
    print("4/4  the picture (the first UMAP on a machine compiles for half a minute)")
    picture = out / "identity_against_content.html"
    for colouring, found in plot(out / "run", out / "corpus", picture, progress=progress).items():
        figures = ", ".join(f"{head} head {100 * value:.0f} %" for head, value in found.items() if head != "chance")
        print(f"     neighbours with the same {colouring}: {figures}, chance {100 * found['chance']:.0f} %")
    print(f"open {picture} in a browser")
    return rows
