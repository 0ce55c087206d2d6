"""Do everything in one call: corpus, training, evaluation, plot. `make demo` runs it."""

from __future__ import annotations

from pathlib import Path

from dsel.evaluate.metrics import Metric
from dsel.evaluate.report import evaluate, table
from dsel.plots.identity_vs_content import plot, purity_text
from dsel.toy.make import toy
from dsel.train import TrainConfig
from dsel.train.trainer import train
from dsel.utils.errors import BadInput
from dsel.utils.files import check_folder

TRACKS = 2  # of each training speaker


def demo(
    out: str | Path = "runs/demo",
    *,
    speakers: int = 700,
    steps: int = 650,
    seed: int = 0,
    within: float = 0.0,
    progress: bool = True,
) -> list[Metric]:
    """Make a toy corpus, train the full method on it, evaluate it on new speakers, draw the plot.

    Args:
        out: gets corpus/, run/ and identity_against_content.html. A second call with the same
            arguments continues where the first one stopped.
        speakers: number of training speakers, of two tracks each.
        steps: number of training steps.
        seed: of corpus and training.
        within: weight of the fifth term, L_within, which is ours; 0 trains the paper's four terms.
        progress: show progress bars.
    Returns:
        The metrics of `dsel.evaluate.evaluate`.
    Raises:
        BadInput: a number is out of range, or `out` cannot be used. Nothing has been made then.
    """
    out = Path(out)
    check_folder(out)
    # Bad settings are refused before the corpus is made, which takes minutes.
    config = TrainConfig.laptop(steps=steps, seed=seed, within=within)
    fewest = -(-(config.B + config.extra) // TRACKS)
    if speakers < fewest:
        raise BadInput(
            f"demo: speakers {speakers} must be at least {fewest}, since a step takes "
            f"{config.B + config.extra} tracks, and each speaker has {TRACKS}"
        )
    print("1/4  corpus: talking heads, drawn, with synthetic voices")
    # 40 test speakers of 12 tracks each are enough to measure, and are made in a minute
    test = max(8, min(40, speakers // 16))
    corpus = toy(
        out / "corpus",
        speakers,
        tracks=TRACKS,
        validation=8,
        test=test,
        seed=seed,
        progress=progress,
    )
    print(f"     {corpus}")
    print("2/4  training: content, identity and disentanglement losses, no labels")
    resume = (out / "run" / "checkpoint.pt").is_file()
    train(
        out / "corpus",
        out / "run",
        resume=resume,
        progress=progress,
        steps=steps,
        seed=seed,
        within=within,
    )
    print("3/4  evaluation on speakers that were not in training")
    rows = evaluate(out / "run", out / "corpus", progress=progress)
    print(table(rows))
    print("4/4  plot (the first UMAP on a machine is compiled, which takes half a minute)")
    path = out / "identity_against_content.html"
    for colouring, shares in plot(out / "run", out / "corpus", path, progress=progress).items():
        print(f"     neighbours with the same {colouring}: {purity_text(shares)}")
    print(f"open {path} in a browser")
    return rows
