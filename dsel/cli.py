"""Run dsel from the command line: `dsel COMMAND`, or `python -m dsel COMMAND`.

Behind every command stands a function with the same name and arguments. The exit status is 0 when
it is done; 2 after bad input, which one line on stderr explains; 130 after Ctrl-C. Files that are
already complete stay. `compare` and `sync` also answer by their status, see their help.
"""

from __future__ import annotations

import argparse
import errno
import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any, NoReturn

from dsel.utils.errors import BadInput
from dsel.utils.files import check_folder
from dsel.utils.version import VERSION

WIDTH = argparse.ArgumentDefaultsHelpFormatter  # an old public name; not used here
MOST_CROPS = 1000  # of a file
MOST_SEED = 2**32 - 1  # what UMAP takes
# Errors of the operating system that a user can mend. Any other is a mistake in this program.
_USERS_ERRORS = {
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.ENAMETOOLONG),
    *(errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EEXIST),
}


def main(argv: list[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: the command and its arguments; None: those of this process.
    Returns:
        The exit status.
    """
    arguments = vars(_parser().parse_args(argv))
    command = arguments.pop("command")
    try:
        status = command(**arguments)
    except BadInput as error:
        print(f"dsel: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        if error.errno not in _USERS_ERRORS:
            raise
        place = f"{error.filename}: " if error.filename else ""
        print(f"dsel: {place}{error.strerror}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(
            "dsel: interrupted; run the same command again to continue (train: with --resume)",
            file=sys.stderr,
        )
        return 130
    return status or 0


def _toy(**arguments: Any) -> None:
    from dsel.toy.make import toy

    print(toy(**arguments))


def _prepare(**arguments: Any) -> None:
    from dsel.prepare.run import prepare

    print(prepare(**arguments))


def _shard(**arguments: Any) -> None:
    from dsel.corpus.pack import shard

    check_folder(arguments["out"])
    print(shard(**arguments))


def _train(settings: list[str], networks: list[str], **arguments: Any) -> None:
    from dsel.model import ModelConfig
    from dsel.train.config import TrainConfig
    from dsel.train.trainer import train

    check_folder(arguments["out"])
    shape = vars(ModelConfig.named(arguments["config"]))
    shape = {
        name: value
        for name, value in shape.items()
        if isinstance(value, bool | int | str) and name != "name"
    }
    shape["track_norm"] = True  # the old name of front_end=track or none
    defaults = {field.name: field.default for field in fields(TrainConfig)}
    defaults["leave_out"] = 0  # takes a number, or none
    changed = _settings("--net", networks, shape)
    trainer = train(**arguments, networks=changed, **_settings("--set", settings, defaults))
    if trainer.ranks.first:
        print(f"{trainer.out}: step {trainer.step} of {trainer.config.steps}")


def _evaluate(probes: bool, **arguments: Any) -> None:
    from dsel.evaluate.report import evaluate, probe, table

    print(table(evaluate(**arguments)))
    if probes:
        from dsel.evaluate.probes import leakage_table

        print()
        print(leakage_table(probe(**arguments)))


def _embed(
    paths: list[Path], data: Path | None, split: str, model: str, head: str, out: Path
) -> None:
    if data is not None:
        from dsel.evaluate.embeddings import embed

        if len(paths) > 1:
            raise BadInput(f"{paths[1]}: with --data, give one run; without it, sounds")
        print(embed(paths[0], data, out, split=split))
        return
    from dsel.apply.sound import embed_to

    done, skipped = embed_to(paths, out, model, head)
    for reason in skipped:
        print(f"skipped: {reason}", file=sys.stderr)
    print(f"{out}: {done} vectors")


def _compare(**arguments: Any) -> int:
    from dsel.apply.comparison import compare

    verdict = compare(**arguments)
    print(verdict)
    return 1 if verdict.same is False else 0


def _sync(**arguments: Any) -> int:
    from dsel.apply.offset import sync

    report = sync(**arguments)
    print(report)
    return int(report.status)


def _plot(**arguments: Any) -> None:
    from dsel.plots.identity_vs_content import plot, purity_text

    for colouring, shares in plot(**arguments).items():
        text = purity_text(shares)
        print(f"10 nearest neighbours from other tracks with the same {colouring}: {text}")
    print(arguments["out"])


def _release(**arguments: Any) -> None:
    from dsel.train.released import release

    print(release(**arguments))


def _export(**arguments: Any) -> None:
    from dsel.apply.export import OPSET, TOLERANCE, export

    for part in export(**arguments):
        size = f"{part.bytes / 1e6:.1f} MB, opset {OPSET}, number of frames T dynamic"
        far = f"{part.random:.1e} on random input, {part.real:.1e} on a real clip"
        print(f"{part.file}: {size}; differs from torch by {far} (limit {TOLERANCE:.0e})")


def _live(no_browser: bool, **arguments: Any) -> None:
    from dsel.apply.serve import serve

    serve(**arguments, browser=not no_browser)


def _notebooks(out: Path) -> None:
    from dsel.utils.package_data import notebooks

    print(f"{notebooks(out)}: read 00_start_here.ipynb first, with `jupyter lab`")


def _import(file: Path, out: Path) -> None:
    from dsel.train.authors import import_authors

    print(import_authors(file, out))


def _verify(**arguments: Any) -> None:
    from dsel.apply.verification import describe, verify

    print(describe(verify(**arguments)))


def _demo(**arguments: Any) -> None:
    from dsel.demo import demo

    demo(**arguments)


def _ablation(out: Path, do: str, **arguments: Any) -> None:
    from dsel.ablation.run import ablation, confirm, draw

    check_folder(out)
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
    """Parse settings, with the types of their defaults.

    Args:
        option: the option that they follow, for messages.
        pairs: for example ["lam=0.5", "similarity=cosine"].
        defaults: every key that is allowed, with its default.
    Returns:
        For example {"lam": 0.5, "similarity": "cosine"}.
    Raises:
        BadInput: a key is unknown, or a value has the wrong type.
    """
    settings = {}
    for pair in pairs:
        name, _, text = pair.partition("=")
        if name not in defaults:
            raise BadInput(
                f"{option} {pair}: unknown key {name!r}; known are {', '.join(sorted(defaults))}"
            )
        try:
            settings[name] = _typed(text, defaults[name])
        except ValueError as error:
            raise BadInput(
                f"{option} {pair}: {text!r} is not a value like {defaults[name]!r}"
            ) from error
    return settings


def _typed(text: str, example: Any) -> Any:
    """Turn text into a value of the type of an example. Raises ValueError."""
    if isinstance(example, bool):
        if text.lower() not in ("true", "false"):
            raise ValueError(text)
        return text.lower() == "true"
    if isinstance(example, str):  # also "none", which is the name of a front end
        return text
    if text.lower() == "none":
        return None
    return text if example is None else type(example)(text)


class _Parser(argparse.ArgumentParser):
    """Report a bad argument in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; try '{self.prog} --help'\n")


def _number(least: int, most: int | None = None) -> Callable[[str], int]:
    """Return a function that reads a whole number from `least` to `most`."""

    def read(text: str) -> int:
        value = int(text) if text.removeprefix("-").isdecimal() else None
        if value is None or value < least or (most is not None and value > most):
            bounds = f"of at least {least}" if most is None else f"from {least} to {most}"
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number {bounds}")
        return value

    return read


_COUNT, _SEED = _number(1), _number(0, MOST_SEED)


class _Command:
    """Add the options of one command; the help of an option ends with its default, if it has one.

    Args:
        parser: of the command.
    """

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self.parser = parser

    def option(self, name: str, text: str, **settings: Any) -> None:
        """Add any option: its name, its help, and the settings of `add_argument`."""
        default = settings.get("default")
        if default not in (None, []):
            text = f"{text} (default: {default})"
        self.parser.add_argument(name, help=text, **settings)

    def number(
        self, name: str, text: str, default: Any = None, metavar: str = "N", **settings: Any
    ) -> None:
        """Add an option whose value is a number; without `type` it is an integer."""
        self.option(name, text, default=default, metavar=metavar, **{"type": int, **settings})

    def path(self, name: str, text: str, metavar: str, **settings: Any) -> None:
        """Add an option whose value is a file or a folder."""
        self.option(name, text, type=Path, metavar=metavar, **settings)

    def choice(self, name: str, text: str, choices: tuple[str, ...], default: str | None) -> None:
        """Add an option that takes one of a few words."""
        self.option(name, text, choices=choices, default=default)

    def flag(self, name: str, text: str) -> None:
        """Add an option without a value."""
        self.parser.add_argument(name, help=text, action="store_true")

    def run_and_corpus(self) -> None:
        """Add the arguments of every command that looks at a trained run."""
        text = (
            "run folder of 'dsel train', file of weights (.pt), or released networks (four_terms)"
        )
        self.parser.add_argument("run", type=Path, metavar="RUN", help=text)
        self.path("--data", "corpus from 'dsel toy' or 'dsel prepare'", "CORPUS", required=True)
        splits = ("train", "validation", "test")
        self.choice("--split", "which part of the corpus to use", splits, "test")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser("dsel", description="Learn disentangled speech embeddings from talking faces.")
    parser.add_argument("--version", action="version", version=f"dsel {VERSION}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def command(name: str, function: Callable, text: str, more: str = "") -> _Command:
        sub = commands.add_parser(name, help=text, description=f"{text}. {more}")
        sub.set_defaults(command=function)
        return _Command(sub)

    _corpus_commands(command)
    _training_commands(command)
    _evaluation_commands(command)
    _experiment_commands(command)
    _live_command(command)
    return parser


AGAIN = "If it is interrupted, run the same command again to continue."
WORKERS = "number of processes (default: one per core)"


def _corpus_commands(command: Callable[..., _Command]) -> None:
    toy = command(
        "toy",
        _toy,
        "Make a corpus of drawn talking heads with synthetic voices",
        "Everything about a track is known: speaker, words, voice, face, microphone, light. "
        + AGAIN,
    )
    toy.path("--out", "folder for the new corpus", "FOLDER", required=True)
    toy.number("--speakers", "number of training speakers", 300)
    toy.number("--tracks", "tracks per training speaker", 4)
    eighth = "number of validation speakers (default: an eighth of --speakers, from 8 to 40)"
    toy.number("--validation", eighth)
    toy.number("--test", "number of test speakers (default: a fifth of --speakers, from 8 to 60)")
    toy.number("--test-tracks", "tracks per validation or test speaker", 12)
    toy.number("--seed", "the same seed gives the same corpus", 0, type=_SEED)
    toy.number("--size", "height and width of the video in pixels", 96, "PIXELS")
    toy.number("--seconds", "length of a track", 2.0, "SECONDS", type=float)
    toy.number(
        "--coupling",
        "from 0 to 1: how well the face agrees with the voice about sex, age and size",
        0.9,
        "C",
        type=float,
    )
    toy.number(
        "--entanglement",
        "from 0 to 1: share of a training speaker's words that come from its own four words",
        0.0,
        "E",
        type=float,
    )
    voices = "folder of recordings instead of synthetic voices; LibriSpeech and VCTK: by torchaudio"
    toy.path("--voices", voices, "FOLDER")
    toy.number("--workers", WORKERS)

    prepare = command(
        "prepare",
        _prepare,
        "Turn videos of talking people into a corpus",
        "Finds and tracks the face, crops it, and converts to 25 frames and 16000 samples per "
        "second. Files that cannot be used are reported and skipped. " + AGAIN,
    )
    prepare.parser.add_argument(
        "paths", nargs="+", type=Path, metavar="PATH", help="video files, or folders of videos"
    )
    prepare.path("--out", "folder for the new corpus", "FOLDER", required=True)
    layout = "name of the corpus that the videos come from; its folder names give the speakers"
    prepare.choice("--layout", layout, ("grid", "voxceleb2", "lrs"), None)
    prepare.path("--audio", "sound of a single video, in a file of its own", "FILE")
    stream = "number of the sound track, from 1 on; default: the one that fits the face"
    prepare.number("--audio-stream", stream, None, "N", type=_COUNT)
    splits = ("train", "validation", "test", "auto")
    part = "which part of the corpus the videos become; auto: 80/10/10 %% of the speakers"
    prepare.choice("--split", part, splits, "test")
    size = "height and width of the cropped face in pixels"
    prepare.number("--size", size, 96, "PIXELS", type=_COUNT)
    model = "run folder, .pt file or released networks (four_terms): measures how late the sound is"
    prepare.path("--model", model, "RUN")
    prepare.number("--workers", WORKERS, type=_COUNT)

    shard = command(
        "shard",
        _shard,
        "Pack a corpus into WebDataset shards, to read from a disk or a web server",
        "The new folder is a corpus too; 'dsel train' takes the folder or its URL. " + AGAIN,
    )
    shard.parser.add_argument(
        "data", type=Path, metavar="CORPUS", help="corpus from 'dsel toy' or 'dsel prepare'"
    )
    shard.path("--out", "folder for the sharded corpus", "FOLDER", required=True)
    shard.number("--megabytes", "largest size of a shard", 256, "MB", type=_COUNT)
    shard.number("--seed", "decides the order of the tracks in the shards", 0, type=_SEED)


def _training_commands(command: Callable[..., _Command]) -> None:
    train = command(
        "train",
        _train,
        "Train the face network and the audio network on a corpus",
        "Ctrl-C saves a checkpoint and stops; the same command with --resume continues.",
    )
    data = "corpus folder, or URL of a sharded corpus; training uses its split 'train'"
    train.option("--data", data, required=True, metavar="CORPUS")
    out = "run folder: gets config.json, metrics.csv and checkpoint.pt"
    train.path("--out", out, "RUN", required=True)
    config = "networks and training settings: minutes on a laptop, or as in the paper"
    train.choice("--config", config, ("laptop", "paper"), "laptop")
    train.flag("--resume", "continue from the checkpoint in the run folder")
    pairs = {"nargs": "+", "default": [], "metavar": "KEY=VALUE"}
    settings = "change training settings, e.g. lam=0 steps=2000; an unknown key lists all keys"
    train.option("--set", settings, dest="settings", **pairs)
    networks = "change the networks, e.g. front_end=none D=64; an unknown key lists all keys"
    train.option("--net", networks, dest="networks", **pairs)

    notebooks = command(
        "notebooks",
        _notebooks,
        "Copy the notebooks of the course into a folder, to read and change",
    )
    notebooks.path("--out", "the folder", "DIR", required=True)

    release = command(
        "release",
        _release,
        "Save a run's networks in half precision, with a file that says how good they are",
    )
    release.parser.add_argument(
        "run", type=Path, metavar="RUN", help="run folder, after 'dsel train' and 'dsel evaluate'"
    )
    out = "the .pt file; the description is written beside it as .json"
    release.path("--out", out, "FILE", required=True)

    export = command(
        "export",
        _export,
        "Write both streams as ONNX, which runs without torch, with a card",
        "The log-mel is inside, so that the audio stream takes samples. Both files are compared "
        "with torch before they are written. Needs pip install 'dsel[export]'.",
    )
    run = "run folder from 'dsel train', file of weights (.pt), or released networks (five_terms)"
    export.parser.add_argument("run", type=Path, metavar="RUN", help=run)
    export.path("--out", "folder for audio.onnx, face.onnx and card", "FOLDER", required=True)


def _evaluation_commands(command: Callable[..., _Command]) -> None:
    evaluate = command(
        "evaluate",
        _evaluate,
        "Measure how good a trained run is, and print every metric beside its chance level",
        "The metrics are also saved in the run folder, if there is one.",
    )
    evaluate.run_and_corpus()
    probes = "also measure how well each known factor can be predicted from each head (leakage)"
    evaluate.flag("--probes", probes)

    embed = command(
        "embed",
        _embed,
        "Save the embeddings of sounds in a .npz file: one vector per file",
        "With --data: those of every window of a corpus. A file that cannot be used is reported "
        "and skipped.",
    )
    embed.parser.add_argument(
        "paths",
        nargs="+",
        type=Path,
        metavar="FILE|FOLDER|RUN",
        help="sound or video files, or folders of them; with --data: a run or released networks",
    )
    embed.path("--data", "corpus from 'dsel toy' or 'dsel prepare'", "CORPUS")
    embed.choice("--split", "with --data: which part", ("train", "validation", "test"), "test")
    model = "name of released networks, or run folder"
    embed.option("--model", model, default="four_terms", metavar="MODEL")
    heads = "identity: who speaks; content: what is said"
    embed.choice("--head", heads, ("identity", "content"), "identity")
    embed.path("--out", "the .npz file (arrays: names, vectors)", "FILE", required=True)

    compare = command(
        "compare",
        _compare,
        "Say whether two recordings are of one person, and how often that verdict is wrong",
        "The exit status is 0 for the same person (or without a verdict), 1 for different people.",
    )
    for name in ("a", "b"):
        compare.parser.add_argument(name, type=Path, metavar=name.upper(), help="sound or video")
    compare.option("--model", model, default="four_terms", metavar="MODEL")
    kinds = "kind of recording that the threshold was set for"
    compare.choice("--kind", kinds, ("real", "drawn"), "real")

    sync = command(
        "sync",
        _sync,
        "Say by how much picture and sound of a video are apart, and correct it",
        "Exit status: 0 in step within a frame; 1 out of step (a copy is written with --fix); "
        "2 bad input; 3 not sure; 4 the sound fits nobody in the picture.",
    )
    sync.parser.add_argument("path", type=Path, metavar="VIDEO", help="a video of somebody talking")
    sync.path("--fix", "write a copy in step here; nothing is encoded again", "OUT")
    sync.option("--model", model, default="real", metavar="MODEL")
    sync.path("--audio", "the sound, in a file of its own", "FILE")

    plot = command(
        "plot",
        _plot,
        "Draw maps (UMAP) of the audio embeddings: identity head beside content head",
    )
    plot.run_and_corpus()
    out = "the .html file; or a .png file, which needs kaleido and Chrome"
    plot.path("--out", out, "FILE", required=True)
    plot.number("--seed", "of the map", 0, type=_SEED)

    authors = command(
        "import",
        _import,
        "Read a checkpoint of the authors' code (joonson/syncnet_trainer) into a run folder",
        "Only the FBank model can be read. Its README says where the published weights are.",
    )
    authors.parser.add_argument("file", type=Path, metavar="FILE", help="the checkpoint")
    authors.path("--out", "folder for the new run", "RUN", required=True)

    verify = command(
        "verify",
        _verify,
        "Measure error rates of speaker verification on a list of pairs of sound files",
        "Lists of VoxCeleb (1 path path), of Kaldi (path path target) and csv (target, a, b); or a "
        "folder of VoxCeleb1, with torchaudio. With the authors' weights: --every 2.",
    )
    verify.parser.add_argument("trials", type=Path, metavar="TRIALS", help="the list of pairs")
    verify.path("--audio", "folder that the paths of a list start from", "FOLDER")
    model = "name of released networks, or run folder"
    verify.option("--model", model, default="four_terms", metavar="MODEL")
    crops = "crops of 2 s per file; 0 embeds each file whole"
    verify.number("--crops", crops, 10, type=_number(0, MOST_CROPS))
    verify.number("--every", "use every n-th window of a crop", 1, type=_COUNT)
    verify.path("--scores", "csv file for the score of every pair", "FILE")
    verify.path("--cache", "npz file that keeps the embeddings", "FILE")


def _live_command(command: Callable[..., _Command]) -> None:
    live = command(
        "live",
        _live,
        "Open the page where the networks look and listen, in your browser",
        "It is made by 'make live'. It needs localhost, because a browser gives camera and "
        "microphone to no other page without https. Nothing leaves this computer.",
    )
    folder = "folder that 'make live' wrote"
    live.parser.add_argument(
        "folder",
        nargs="?",
        type=Path,
        default=Path("build/live"),
        metavar="FOLDER",
        help=f"{folder} (default: build/live)",
    )
    live.number("--port", "number of the port; 0 takes any that is free", 0, type=_number(0, 65535))
    live.flag("--no-browser", "only serve it, and print the address")


def _experiment_commands(command: Callable[..., _Command]) -> None:
    ablation = command(
        "ablation",
        _ablation,
        "Train all variants of the method with several seeds, evaluate and compare them",
        "The most important variants come first. Several processes may work on one folder. "
        "Results are in results.csv and report-*.md of the folder. " + AGAIN,
    )
    preset = (
        "size of the experiment: fast takes seconds, laptop hours, gpu hours on a GPU; grid is "
        "laptop, evaluated only at the end of a training"
    )
    ablation.choice("--preset", preset, ("fast", "laptop", "gpu", "grid"), "laptop")
    out = "folder of the experiment; its corpora are made there"
    ablation.path("--out", out, "FOLDER", required=True)
    rows = (
        "train only these variants, e.g. e1-lam0 e1-lam1, or groups of variants: terms, grid, "
        "singles, long (default: terms)"
    )
    ablation.option("--rows", rows, nargs="+", metavar="VARIANT")
    halving = (
        "search the grid by successive halving: short trainings first, longer ones for the best "
        "half on validation speakers; then train --rows, if given"
    )
    ablation.parser.add_argument("--halving", dest="halved", action="store_true", help=halving)
    seeds = "train only with these seeds (default: those of the preset)"
    ablation.option("--seeds", seeds, nargs="+", type=_SEED, metavar="N")
    step = ablation.parser.add_mutually_exclusive_group()
    confirm = "fix the chosen variant, then evaluate the trained networks on new test speakers"
    report = "train nothing; write the report and the plots, also as .png"
    for name, text in (("confirm", confirm), ("report", report)):
        step.add_argument(
            f"--{name}", dest="do", action="store_const", const=name, default="train", help=text
        )

    demo = command(
        "demo", _demo, "Do everything once: toy corpus, training, evaluation, plot", AGAIN
    )
    demo.path("--out", "folder for corpus, run and plot", "FOLDER", default=Path("runs/demo"))
    speakers = "number of training speakers, of two tracks each"
    demo.number("--speakers", speakers, 700, type=_COUNT)
    demo.number("--steps", "number of training steps", 650, type=_COUNT)
    demo.number("--seed", "of corpus and training", 0, type=_SEED)
    demo.number("--within", "weight of the fifth term, which is ours (0: none)", 0.0, type=float)
