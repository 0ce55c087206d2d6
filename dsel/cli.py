"""The command line: `dsel COMMAND` or `python -m dsel COMMAND`. Behind each command stands a function of the same name.

Exit status 0: done. 2: bad input, said in one line on stderr; what was already made stays.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import fields
from pathlib import Path

from dsel.utils.errors import BadInput
from dsel.utils.version import VERSION

WIDTH = argparse.ArgumentDefaultsHelpFormatter


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    parser = _parser()
    arguments = vars(parser.parse_args(argv))
    command = arguments.pop("command")
    try:
        command(**arguments)
    except BadInput as error:
        print(f"dsel: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("dsel: interrupted; the same command goes on from here (train: with --resume)", file=sys.stderr)
        return 130
    return 0


def _toy(**arguments) -> None:
    from dsel.toy.make import toy

    print(toy(**arguments))


def _prepare(**arguments) -> None:
    from dsel.prepare.run import prepare

    print(prepare(**arguments))


def _shard(**arguments) -> None:
    from dsel.corpus.pack import shard

    print(shard(**arguments))


def _train(settings: list[str], networks: list[str], **arguments) -> None:
    from dsel.model import ModelConfig
    from dsel.train.config import TrainConfig
    from dsel.train.trainer import train

    shape = vars(ModelConfig.named(arguments["config"]))
    shape = {name: value for name, value in shape.items() if isinstance(value, bool | int | str) and name != "name"}
    shape["track_norm"] = True  # the old name of front_end=track or none
    defaults = {field.name: field.default for field in fields(TrainConfig)} | {"leave_out": 0}  # a number, or none
    changed = _settings("--net", networks, shape)
    trainer = train(**arguments, networks=changed, **_settings("--set", settings, defaults))
    if trainer.ranks.first:
        print(f"{trainer.out}: step {trainer.step} of {trainer.config.steps}")


def _evaluate(probes: bool, **arguments) -> None:
    from dsel.evaluate.report import evaluate, probe, table

    print(table(evaluate(**arguments)))
    if probes:
        from dsel.evaluate.probes import leakage_table

        print()
        print(leakage_table(probe(**arguments)))


def _embed(**arguments) -> None:
    from dsel.evaluate.embeddings import embed

    print(embed(**arguments))


def _plot(**arguments) -> None:
    from dsel.plots.identity_vs_content import plot

    for colouring, found in plot(**arguments).items():
        figures = ", ".join(f"{head} {100 * value:.0f} %" for head, value in found.items())
        print(f"10 nearest neighbours from other tracks with the same {colouring}: {figures}")
    print(arguments["out"])


def _release(**arguments) -> None:
    from dsel.train.released import release

    print(release(**arguments))


def _demo(**arguments) -> None:
    from dsel.demo import demo

    demo(**arguments)


def _ablation(out: Path, do: str, **arguments) -> None:
    from dsel.ablation.run import ablation, confirm, draw

    if do == "confirm":
        confirm(out)
        print((out / "confirmed.md").read_text(encoding="utf-8"))
        return
    if do == "train":
        ablation(out, **arguments)
    draw(out, pictures=do == "report")
    page = out / "report-test.md"
    if not page.is_file():
        raise BadInput(f"{out}: no finished training yet; run 'dsel ablation --out {out}'")
    print(page.read_text(encoding="utf-8"))


def _settings(option: str, pairs: list[str], defaults: dict) -> dict:
    """["lam=0.5", "similarity=cosine"] -> {"lam": 0.5, "similarity": "cosine"}, typed as the defaults are."""
    found = {}
    for pair in pairs:
        name, _, text = pair.partition("=")
        if name not in defaults:
            raise BadInput(f"{option} {pair}: unknown key {name!r}; known are {', '.join(sorted(defaults))}")
        try:
            found[name] = _typed(text, defaults[name])
        except ValueError as error:
            raise BadInput(f"{option} {pair}: {text!r} is not a value like {defaults[name]!r}") from error
    return found


def _typed(text: str, like):
    if isinstance(like, bool):
        if text.lower() not in ("true", "false"):
            raise ValueError(text)
        return text.lower() == "true"
    if isinstance(like, str):  # also "none", which is a front end
        return text
    if text.lower() == "none":
        return None
    return text if like is None else type(like)(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("dsel", description="Disentangled speech embeddings from talking faces.")
    parser.add_argument("--version", action="version", version=f"dsel {VERSION}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def command(name: str, function, text: str, more: str = ""):
        sub = commands.add_parser(name, help=text, description=f"{text}. {more}", formatter_class=WIDTH)
        sub.set_defaults(command=function)
        return sub

    def corpus_and_split(sub):
        sub.add_argument("--data", required=True, type=Path, help="corpus, made by 'dsel toy' or 'dsel prepare'")
        sub.add_argument("--split", default="test", choices=("train", "validation", "test"), help="which speakers to judge by")

    sub = command(
        "toy",
        _toy,
        "Make a corpus of drawn talking heads with synthetic voices",
        "Every factor is known: who speaks, what is said, microphone, light. Stopped half-way, the same command goes on.",
    )
    sub.add_argument("--out", required=True, type=Path, help="folder of the new corpus")
    sub.add_argument("--speakers", type=int, default=300, help="training speakers (validation and test speakers come on top)")
    sub.add_argument("--tracks", type=int, default=4, help="tracks of each training speaker")
    sub.add_argument("--validation", type=int, default=None, help="validation speakers; default: an eighth of the others")
    sub.add_argument("--test", type=int, default=None, help="test speakers; default: a fifth of the training ones")
    sub.add_argument("--test-tracks", type=int, default=12, help="tracks of each validation and test speaker")
    sub.add_argument("--seed", type=int, default=0, help="the same seed gives the same corpus")
    sub.add_argument("--size", type=int, default=96, help="width and height of the picture in pixels")
    sub.add_argument("--seconds", type=float, default=2.0, help="length of a track")
    sub.add_argument("--coupling", type=float, default=0.9, help="0..1: how far voice and face share sex, age and size")
    sub.add_argument("--entanglement", type=float, default=0.0, help="0..1: how far a training speaker keeps to its own words")
    sub.add_argument("--voices", type=Path, default=None, help="folder of real recordings to put behind the drawn faces")
    sub.add_argument("--workers", type=int, default=None, help="processes; default: one a core")

    sub = command(
        "prepare",
        _prepare,
        "Turn videos of talking people into a corpus",
        "Finds and tracks the face, crops it, and brings picture and sound to 25 frames and 16000 samples a second. "
        "Files that cannot be used are reported and skipped; what is done is not done again.",
    )
    sub.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="video files, or folders of them")
    sub.add_argument("--out", required=True, type=Path, help="folder of the new corpus")
    sub.add_argument(
        "--layout", default=None, choices=("grid", "voxceleb2", "lrs"), help="corpus whose folder names tell who speaks"
    )
    sub.add_argument("--audio", type=Path, default=None, help="sound in a separate file, for a single video")
    sub.add_argument(
        "--split", default="test", choices=("train", "validation", "test", "auto"), help="auto: 80/10/10 by speaker"
    )
    sub.add_argument("--size", type=int, default=96, help="width and height of the crop in pixels")
    sub.add_argument(
        "--model", type=Path, default=None, help="run, or name of released networks, that measures how late the sound is"
    )
    sub.add_argument("--workers", type=int, default=None, help="processes; default: one a core")

    sub = command(
        "shard",
        _shard,
        "Pack a corpus into WebDataset shards, to be read from a disk or a web server",
        "The folder is a corpus again, and 'dsel train' takes it, or its URL. Stopped half-way, the same command goes on.",
    )
    sub.add_argument("data", type=Path, metavar="CORPUS", help="corpus, made by 'dsel toy' or 'dsel prepare'")
    sub.add_argument("--out", required=True, type=Path, help="folder of the sharded corpus")
    sub.add_argument("--megabytes", type=int, default=256, help="size of a shard")
    sub.add_argument("--seed", type=int, default=0, help="of the order of the tracks in the shards")

    sub = command("train", _train, "Train the two streams on a corpus", "Ctrl-C keeps what was done; --resume goes on.")
    sub.add_argument("--data", required=True, help="corpus, or the URL of a sharded one; its split 'train' is used")
    sub.add_argument("--out", required=True, type=Path, help="run folder: config.json, metrics.csv, checkpoint.pt")
    sub.add_argument("--config", default="laptop", choices=("laptop", "paper"), help="networks and schedule")
    sub.add_argument("--resume", action="store_true", help="go on from the run's checkpoint")
    sub.add_argument(
        "--set",
        dest="settings",
        nargs="+",
        default=[],
        metavar="KEY=VALUE",
        help="fields of TrainConfig, e.g. lam=0 steps=2000",
    )
    sub.add_argument(
        "--net",
        dest="networks",
        nargs="+",
        default=[],
        metavar="KEY=VALUE",
        help="fields of ModelConfig, e.g. front_end=none D=64",
    )

    sub = command("evaluate", _evaluate, "Print what a trained run is worth, chance beside each figure")
    sub.add_argument("run", type=Path, metavar="RUN", help="run folder, made by 'dsel train'")
    corpus_and_split(sub)
    sub.add_argument("--probes", action="store_true", help="also read every known factor off both heads: the leakage table")

    sub = command("embed", _embed, "Write the embeddings of every window to a .npz file")
    sub.add_argument("run", type=Path, metavar="RUN", help="run folder, made by 'dsel train'")
    sub.add_argument("--out", required=True, type=Path, help="the .npz file")
    corpus_and_split(sub)

    sub = command("plot", _plot, "Draw identity against content: a UMAP of the audio embeddings, two panels")
    sub.add_argument("run", type=Path, metavar="RUN", help="run folder, made by 'dsel train'")
    sub.add_argument("--out", required=True, type=Path, help="the .html file (or .png, with kaleido and Chrome)")
    sub.add_argument("--seed", type=int, default=0, help="of the map")
    corpus_and_split(sub)

    sub = command("release", _release, "Write a run's networks in half precision, with a card that says how good they are")
    sub.add_argument("run", type=Path, metavar="RUN", help="run folder, trained and evaluated")
    sub.add_argument("--out", required=True, type=Path, help="the .pt file; its card is written beside it as .json")

    sub = command(
        "ablation",
        _ablation,
        "Train every variant of the method with several seeds, judge them, and tabulate with intervals",
        "Best first, resumable at any moment; several processes may share DIR. Results in DIR/results.csv and report-*.md.",
    )
    sub.add_argument("--preset", default="laptop", choices=("fast", "laptop", "gpu", "grid"),
                     help="seconds, hours, hours on a GPU; grid: the laptop's, judged at the end alone")  # fmt: skip
    sub.add_argument("--out", required=True, type=Path, help="folder of the experiment; its corpora are made there")
    sub.add_argument(
        "--rows",
        nargs="+",
        default=None,
        metavar="ROW",
        help="rows, e.g. e1-lam0 e1-lam1, or groups of them: terms (the default), grid, singles, long",
    )
    sub.add_argument("--halving", dest="halved", action="store_true",
                     help="the grid by successive halving on validation speakers; then --rows, if any")  # fmt: skip
    sub.add_argument("--seeds", nargs="+", type=int, default=None, metavar="N", help="only these seeds (default: the preset's)")
    step = sub.add_mutually_exclusive_group()
    step.add_argument("--confirm", dest="do", action="store_const", const="confirm", default="train",
                      help="freeze the choice, draw new test speakers, judge the trained networks on them")  # fmt: skip
    step.add_argument("--report", dest="do", action="store_const", const="report", default="train",
                      help="train nothing; write the report and the figures of what is there, .png too")  # fmt: skip

    sub = command("demo", _demo, "The whole line: toy corpus, training, evaluation, picture", "What is done is not done again.")
    sub.add_argument("--out", type=Path, default=Path("runs/demo"), help="folder for corpus, run and picture")
    sub.add_argument("--speakers", type=int, default=700, help="training speakers of the corpus, two tracks each")
    sub.add_argument("--steps", type=int, default=650, help="training steps")
    sub.add_argument("--seed", type=int, default=0, help="of corpus and training")
    return parser
