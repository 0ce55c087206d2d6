"""Define the ablation: its variants, size and order of training, and the columns of results.csv.

A variant is one way to train. A cell is a variant and a seed. A row is a line of results.csv: a
cell judged at a step. `dsel.ablation.run` trains them; `dsel.ablation.report` says what the results
mean.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, fields, replace
from difflib import get_close_matches
from pathlib import Path

from dsel.model import ModelConfig
from dsel.train.config import TrainConfig
from dsel.utils import package_data as shipped
from dsel.utils.errors import BadInput
from dsel.utils.readers import NAME, NUMBER, TEXT, WHOLE, check_entries, read_csv, read_json

SHIPPED = shipped.folder() / "ablation"  # the results that come with the repository
SPLITS = ("validation", "test")
KEYS = ("row", "seed", "step")
KEY_COLUMNS = {"row": NAME, "seed": WHOLE, "step": WHOLE, "steps": WHOLE}
LISTS = (
    "free",
    "free_same_sex",
    "hard",
    "hard_same_sex",
    "hard_distinct",
    "hard_random",
    "easy",
    "easy_same_sex",
)
METRICS = (  # columns of every results.csv, named by `dsel.ablation.judge.column`
    *(f"eer_{name}" for name in LISTS),  # audio identity embeddings
    "content_head_eer_free",
    "content_head_eer_hard",
    *(
        f"seen_eer_{name}" for name in ("free", "free_same_sex", "hard", "easy")
    ),  # voices along the directions of the faces
    "directions",  # how many these are
    "content_top1",  # content task, content head
    "content_within_one",
    "content_top1_identity_head",
    "identity_top1",
    "identity_top1_content_head",
    *(
        f"{factor}_{head}_head"
        for factor in ("phoneme", "speaker")
        for head in ("content", "identity")
    ),  # linear probes
    "cone",  # length of the mean direction of the audio identity embeddings: 1 = all alike
)
LATER = (  # columns that came later; they stand behind the others, and older files lack them
    "content_head_eer_easy",
    "word_dependence",  # EER hard minus EER easy, identity head
    "content_head_word_dependence",
    "sync_within_one",
)
FIRST_COLUMNS = (
    *KEYS,
    *("steps", "entanglement", "pair", "w_content", "w_identity", "seconds"),
    *(f"{split}_{metric}" for split in SPLITS for metric in METRICS),
)
COLUMNS = (*FIRST_COLUMNS, *(f"{split}_{metric}" for split in SPLITS for metric in LATER))
METRICS = (*METRICS, *LATER)
CHOSEN_BY = ("eer_free", "eer_hard")  # their mean, on validation speakers, decides


@dataclass(frozen=True)
class Schedule:
    """The size of an experiment.

    Args:
        speakers, tracks: for training, in each corpus.
        validation, test: numbers of speakers to judge by, of `test_tracks` tracks each.
        corpus_seed: of the corpora.
        new_speakers: number of test speakers that `confirm` draws.
        short, long: training steps of a variant; each is also judged at its marks.
        idle: steps of the random network, which learns only the statistics of its BatchNorm.
        long_speakers: for training in the long variants; None: as many as in the short ones.
        most_seeds: of the paired variants and those of the notes.
        few_seeds: of the others.
        B, N, extra, lam_warmup: see `dsel.train.TrainConfig`.
        config: the networks, 'laptop' or 'paper'.
    """

    speakers: int = 1000
    tracks: int = 2
    validation: int = 40
    test: int = 60
    test_tracks: int = 12
    seconds: float = 2.0
    size: int = 96
    corpus_seed: int = 0
    new_speakers: int = 120
    short: int = 650
    long: int = 2000
    short_marks: tuple[int, ...] = (200, 400)
    long_marks: tuple[int, ...] = (500, 1000)
    idle: int = 30
    most_seeds: int = 5
    few_seeds: int = 3
    long_speakers: int | None = None
    config: str = "laptop"
    B: int = 16
    N: int = 16
    extra: int = 64
    lam_warmup: int = 200

    @classmethod
    def named(cls, name: str, **changes) -> Schedule:
        """Make a schedule by name, with changes.

        Args:
            name: 'fast' (seconds), 'laptop' (hours on two cores), 'gpu', or 'grid' (the laptop's,
                judged only at the end, with long trainings on more speakers).
            changes: fields of the schedule.
        Raises:
            BadInput: an unknown name or field.
        """
        if name not in PRESETS:
            raise BadInput(f"preset {name!r}: must be one of {', '.join(PRESETS)}")
        known = {f.name for f in fields(cls)}
        if set(changes) - known:
            raise BadInput(
                f"schedule: unknown key {min(set(changes) - known)!r}; known are "
                f"{', '.join(sorted(known))}"
            )
        values = {**PRESETS[name], **changes}
        schedule = cls(
            **{
                key: tuple(value) if isinstance(value, list) else value
                for key, value in values.items()
            }
        )
        if (
            min(
                schedule.short,
                schedule.long,
                schedule.idle,
                schedule.most_seeds,
                schedule.few_seeds,
            )
            < 1
        ):
            raise BadInput(
                "schedule: short, long, idle, most_seeds and few_seeds must be at least 1"
            )
        return schedule

    @classmethod
    def read(cls, path: Path) -> Schedule:
        """Read a schedule.json, also one that is older than some of its keys.

        Raises:
            BadInput: it cannot be read, has an unknown key, or a value of another kind.
        """
        remedy = "restore it, or choose another folder"
        values = read_json(path, remedy=remedy, entries={})
        known = {f.name: f.default for f in fields(cls)}
        if set(values) - set(known):
            unknown = min(set(values) - set(known))
            raise BadInput(f"{path}: unknown key {str(unknown)[:40]!r}; {remedy}")
        check_entries(path, values, {name: _json_types(known[name]) for name in values}, remedy)
        for name, value in values.items():
            if isinstance(value, list):
                if any(type(mark) is not int for mark in value):
                    raise BadInput(f"{path}: {name} must hold whole numbers; {remedy}")
                values[name] = tuple(value)
        return cls(**values)


def _json_types(default) -> tuple[type, ...]:
    """Return the types that a value with this default has in JSON."""
    if isinstance(default, tuple):
        return (list,)
    return {float: (float, int), type(None): (int, type(None))}.get(type(default), (type(default),))


PRESETS = {
    "fast": {
        **{
            "speakers": 18,
            "tracks": 2,
            "validation": 6,
            "test": 6,
            "test_tracks": 9,
            "seconds": 1.2,
            "size": 48,
        },
        **{
            "new_speakers": 8,
            "short": 4,
            "long": 6,
            "short_marks": (2,),
            "long_marks": (),
            "idle": 2,
            "most_seeds": 2,
            "few_seeds": 2,
        },
        **{"B": 4, "N": 6, "extra": 4, "lam_warmup": 2},
    },
    "laptop": {},
    "grid": {
        "short_marks": (),
        "long_marks": (),
        "few_seeds": 5,
        "long": 2500,
        "long_speakers": 3000,
    },
    "gpu": {
        **{
            "speakers": 4000,
            "tracks": 3,
            "test": 200,
            "new_speakers": 400,
            "short": 2000,
            "long": 10_000,
        },
        **{
            "short_marks": (500, 1000),
            "long_marks": (2000, 5000),
            "few_seeds": 5,
            "B": 30,
            "N": 30,
            "extra": 128,
        },
    },
}


@dataclass(frozen=True)
class Variant:
    """One way to train: on which corpus, for how long, with how many seeds.

    Args:
        id: its name in the column `row` of results.csv.
        label: its name for a reader.
        entanglement: of its training corpus, 0 to 1.
        length: 'short', 'long' or 'idle', fields of `Schedule`.
        changes: fields of TrainConfig.
        many: whether it gets all seeds of the schedule, or the fewer.
        model: fields of ModelConfig.
    """

    id: str
    label: str
    entanglement: float
    length: str
    changes: dict = field(default_factory=dict)
    many: bool = False
    model: dict = field(default_factory=dict)

    def steps(self, schedule: Schedule) -> int:
        return getattr(schedule, self.length)

    def speakers(self, schedule: Schedule) -> int:
        """Return the number of training speakers in its corpus."""
        return (self.length == "long" and schedule.long_speakers) or schedule.speakers

    def marks(self, schedule: Schedule) -> list[int]:
        """List the steps at which it is judged, the last one included."""
        early = getattr(schedule, f"{self.length}_marks", ())
        return [m for m in early if m < self.steps(schedule)] + [self.steps(schedule)]

    def seeds(self, schedule: Schedule) -> range:
        return range(schedule.most_seeds if self.many else schedule.few_seeds)

    def model_config(self, schedule: Schedule) -> ModelConfig:
        """Give the networks of this row: the authors' normalisation over the track, unless the row
        says otherwise.
        """
        return ModelConfig.named(schedule.config, **{"front_end": "track", **self.model})

    def train_config(self, schedule: Schedule, seed: int) -> TrainConfig:
        common = {name: getattr(schedule, name) for name in ("B", "N", "extra", "lam_warmup")}
        steps = self.steps(schedule)
        # lam=1, within=0: the notes' loss, unless a row says otherwise. A cell is over before
        # compiling has paid.
        given = {
            **common,
            "lam": 1.0,
            "within": 0.0,
            "compile": "off",
            "tensorboard": False,
            "steps": steps,
            "seed": seed,
            "log_every": max(1, min(25, steps // 4)),
            **self.changes,
        }
        return TrainConfig.named(schedule.config, **given)


def _pair(entanglement: float) -> tuple[Variant, Variant]:
    name, label = f"e{entanglement:g}", f"entanglement {entanglement:g}"
    return tuple(
        Variant(
            f"{name}-lam{lam}", f"{label}, {what}", entanglement, "short", {"lam": float(lam)}, True
        )
        for lam, what in ((0, "content + identity"), (1, "+ disentanglement"))
    )


def _longer(rows: tuple[Variant, ...], many: bool) -> tuple[Variant, ...]:
    return tuple(
        replace(row, id=f"{row.id}-long", label=f"{row.label}, long", length="long", many=many)
        for row in rows
    )


NO_CONFUSION = {"lam": 0.0}
RANDOM = Variant("random", "random network", 0.0, "idle", {"lr": 0.0, **NO_CONFUSION}, True)
NOTES = (
    Variant("content", "content only", 0.0, "short", {"alpha_s": 0.0, **NO_CONFUSION}, True),
    Variant("identity", "identity only", 0.0, "short", {"alpha_c": 0.0, **NO_CONFUSION}, True),
    Variant("both", "content + identity", 0.0, "short", NO_CONFUSION, True),
    Variant("full", "content + identity + disentanglement", 0.0, "short", {"lam": 1.0}, True),
)
SCALES = (
    Variant(
        "scale-trained",
        "w trained by the confusion terms too",
        1.0,
        "short",
        {"confusion_scale": "trained"},
    ),
    Variant("scale-unbounded", "w detached, unbounded", 1.0, "short", {"w_max": None}),
    Variant(
        "scale-fixed",
        "w fixed there, the main w at most 20",
        1.0,
        "short",
        {"confusion_scale": "fixed"},
    ),
    Variant(
        *("scale-fixed-unbounded", "w fixed there, the main w unbounded", 1.0, "short"),
        {"confusion_scale": "fixed", "w_max": None},
    ),
)
LAMBDAS = tuple(
    Variant(f"lam{x:g}", f"λ = {x:g}", 1.0, "short", {"lam": x}) for x in (0.1, 0.3, 3.0, 10.0)
)
EXTRAS = tuple(
    Variant(f"extra{x}", f"{x} extra identity-only tracks", 0.0, "short", {"extra": x})
    for x in (0, 16, 32)
)
BEYOND = (
    Variant("within", "+ within-audio confusion", 1.0, "short", {"lam": 1.0, "within": 1.0}, True),
    Variant(
        "within-alone",
        "within-audio confusion in place of the notes'",
        1.0,
        "short",
        {"lam": 0.0, "within": 1.0},
    ),
    Variant(
        "full-within",
        "entanglement 0, + within-audio confusion",
        0.0,
        "short",
        {"lam": 1.0, "within": 1.0},
    ),
    Variant(
        "reversal0.2",
        "adversaries by gradient reversal, 0.2, for the confusion",
        1.0,
        "short",
        {"lam": 0.0, "reversal": 0.2},
    ),
    Variant(
        "reversal1",
        "adversaries by gradient reversal, 1, for the confusion",
        1.0,
        "short",
        {"lam": 0.0, "reversal": 1.0},
    ),
    Variant("intra", "+ intra-modal matching", 1.0, "short", {"intra": 1.0}),
)
# The log-mel of a track is normalised over the track, so that each window knows the average of all
# of them, words included.
RAW = tuple(
    Variant(
        f"raw-{name}",
        f"input not normalised over the track, {what}",
        1.0,
        "short",
        changes,
        model={"front_end": "none"},
    )
    for name, what, changes in (
        ("lam0", "content + identity", {"lam": 0.0}),
        ("lam1", "+ disentanglement", {"lam": 1.0}),
        ("within", "+ within-audio confusion", {"lam": 1.0, "within": 1.0}),
    )
)
INVERSE = (
    Variant(
        "inverse-lam0",
        "inverse distance, content + identity",
        1.0,
        "short",
        {"similarity": "inverse_distance", "lam": 0.0},
    ),
    Variant(
        "inverse-lam1",
        "inverse distance, + disentanglement",
        1.0,
        "short",
        {"similarity": "inverse_distance", "lam": 1.0},
    ),
)
# Most important variants first, so that an interrupted experiment is still useful. In a block,
# every variant gets its seed 0 before the first one gets its seed 1. The longest trainings come
# last.
BLOCKS = (
    _pair(1.0), (RANDOM, *NOTES), BEYOND, RAW, LAMBDAS, SCALES, _pair(0.5), EXTRAS, INVERSE,
    _longer((*_pair(1.0), SCALES[1]), many=False), _longer(NOTES, many=True),
)  # fmt: skip


# --- The grid: front end x lambda x within, on both corpora -------------------------------------

FRONTS = ("none", "track", "level")
GRID_LAMBDAS = (0.0, 1.0, 3.0, 10.0)
# Cells of the grid that are rows above: the same training under the id that results.csv knows.
KNOWN_CELLS = {
    **{
        (1.0, "track", x, 0.0): name
        for x, name in ((0.0, "e1-lam0"), (1.0, "e1-lam1"), (3.0, "lam3"), (10.0, "lam10"))
    },
    **{(1.0, "track", 0.0, 1.0): "within-alone", (1.0, "track", 1.0, 1.0): "within"},
    **{
        (1.0, "none", 0.0, 0.0): "raw-lam0",
        (1.0, "none", 1.0, 0.0): "raw-lam1",
        (1.0, "none", 1.0, 1.0): "raw-within",
    },
    **{
        (0.0, "track", 0.0, 0.0): "both",
        (0.0, "track", 1.0, 0.0): "full",
        (0.0, "track", 1.0, 1.0): "full-within",
    },
}
_BY_ID = {row.id: row for block in BLOCKS for row in block}


def grid_id(entanglement: float, front_end: str, lam: float, within: float) -> str:
    """Name the variant of a place in the grid."""
    name = f"e{entanglement:g}-{front_end}-lam{lam:g}" + ("-within" if within else "")
    return KNOWN_CELLS.get((entanglement, front_end, lam, within), name)


def _grid_row(entanglement: float, front_end: str, lam: float, within: float) -> Variant:
    name = grid_id(entanglement, front_end, lam, within)
    label = f"entanglement {entanglement:g}, input {front_end}, λ = {lam:g}" + (
        ", + within-audio confusion" if within else ""
    )
    changes = {"lam": lam, "within": within}
    return _BY_ID.get(name) or Variant(
        name, label, entanglement, "short", changes, model={"front_end": front_end}
    )


def _variant(front_end: str, name: str, what: str, changes: dict, length: str = "short") -> Variant:
    """Make a further variant at entanglement 1."""
    prefix = "e1" if front_end == "track" else f"e1-{front_end}"
    label = f"entanglement 1, input {front_end}, {what}"
    return Variant(f"{prefix}-{name}", label, 1.0, length, changes, model={"front_end": front_end})


GRID = tuple(
    tuple(
        _grid_row(e, front, lam, within)
        for within in (0.0, 1.0)
        for front in FRONTS
        for lam in GRID_LAMBDAS
    )
    for e in (1.0, 0.0)
)
SINGLE = tuple(
    _variant(front, name, f"{name} only", {alpha: 0.0, **NO_CONFUSION})
    for front in ("track", "none", "level")
    for name, alpha in (("identity", "alpha_c"), ("content", "alpha_s"))
)
NO_EXTRAS = tuple(
    _variant(front, f"extra0-lam{lam:g}", f"no extra tracks, λ = {lam:g}", {"extra": 0, "lam": lam})
    for front, lams in (("track", (0.0, 1.0)), ("none", (0.0, 1.0, 3.0)))
    for lam in lams
)
LEAVE_OUT = tuple(
    _variant(
        front,
        f"leaveout-lam{lam:g}",
        f"mean voice without the picked moment, λ = {lam:g}",
        {"leave_out": 4, "lam": lam},
    )
    for front, lams in (("track", (0.0, 1.0)), ("none", (0.0, 3.0)))
    for lam in lams
)


def _long_grid(front_end: str) -> tuple[Variant, ...]:
    """Make the long trainings of a front end: the lambdas, the fifth term, and no bound on w."""
    rows = [(f"lam{lam:g}", f"λ = {lam:g}", {"lam": lam}) for lam in GRID_LAMBDAS]
    rows += [("within", "λ = 1, + within-audio confusion", {"lam": 1.0, "within": 1.0})]
    rows += [("unbounded", "λ = 1, w unbounded", {"lam": 1.0, "w_max": None})]
    known = {"e1-lam0-long", "e1-lam1-long", "scale-unbounded-long"}
    found = []
    for name, what, changes in rows:
        row = _variant(front_end, f"{name}-long", f"{what}, long", changes, "long")
        old = "scale-unbounded-long" if row.id == "e1-unbounded-long" else row.id
        found.append(_BY_ID[old] if old in known else row)
    return tuple(found)


def _long_batches() -> tuple[Variant, ...]:
    """Make what stands between the long trainings and the released `four_terms`: *level* in place
    of *none*, its batches, and these with a larger λ.
    """
    large = {"B": 32, "extra": 128}
    rows = (("level", 3.0, {}), ("level", 3.0, large), ("level", 10.0, large), ("none", 3.0, large))
    return tuple(
        _variant(
            front,
            f"lam{lam:g}{'-b32' if changes else ''}-long",
            f"λ = {lam:g}{', batches of 32, 128 extra tracks' if changes else ''}, long",
            {"lam": lam, **changes},
            "long",
        )
        for front, lam, changes in rows
    )


LONG = ((*_long_grid("none"), *_long_grid("track")), _long_batches())
# What `dsel ablation --rows` takes beside single ids: named groups of blocks, each in the order of
# its worth.
EXPERIMENTS = {
    "terms": BLOCKS,
    "grid": GRID,
    "singles": ((RANDOM,), SINGLE, LEAVE_OUT, NO_EXTRAS),
    "long": LONG,
}
VARIANTS = {row.id: row for blocks in EXPERIMENTS.values() for block in blocks for row in block}
Row, ROWS = Variant, VARIANTS  # their names before


def cells(schedule: Schedule, rows=None, seeds=None) -> list[tuple[Variant, int]]:
    """List what is to be trained, most important cells first, each once.

    Args:
        schedule: how many seeds there are.
        rows: names of `EXPERIMENTS`, which come in the order given, and ids of variants, which come
            in the order of the blocks; None: the experiment 'terms'.
        seeds: numbers to keep; None: all.
    Raises:
        BadInput: an unknown name.
    """
    unknown = sorted(set(rows or ()) - set(VARIANTS) - set(EXPERIMENTS))
    if unknown:
        near = get_close_matches(unknown[0], VARIANTS, 8, cutoff=0) or VARIANTS
        raise BadInput(
            f"ablation: no row {unknown[0][:40]!r}; groups are {', '.join(EXPERIMENTS)}; the "
            f"nearest of {len(VARIANTS)} rows are {', '.join(near)}"
        )
    names = ["terms"] if rows is None else [name for name in rows if name in EXPERIMENTS]
    blocks = [block for name in names for block in EXPERIMENTS[name]]
    single = set(rows or ()) - set(EXPERIMENTS)
    everything = (block for group in EXPERIMENTS.values() for block in group)
    blocks += [tuple(row for row in block if row.id in single) for block in everything]
    found = {}
    for block in blocks:
        turns = [(seed, row) for row in block for seed in row.seeds(schedule)]
        found |= {
            (row.id, seed): row
            for seed, row in sorted(turns, key=lambda turn: turn[0])
            if (row.id, seed) not in found
        }
    return [(row, seed) for (_, seed), row in found.items() if seeds is None or seed in seeds]


def key_of(found: dict) -> tuple[str, int, int]:
    """Return (row, seed, step) of a row of results.csv."""
    return found["row"], int(found["seed"]), int(found["step"])


def read_results(path) -> list[dict]:
    """Read the rows of results.csv: numbers as float, no missing values; [] if there is no file.

    Args:
        path: the file, or its folder.
    Raises:
        BadInput: the file cannot be read.
    """
    path = Path(path) / "results.csv" if Path(path).is_dir() else Path(path)
    if not path.exists():
        return []
    remedy = "restore it, or delete it to train again"
    rows = read_csv(path, KEY_COLUMNS, optional={"pair": TEXT}, other=NUMBER, remedy=remedy)
    return [
        _with_word_dependence({name: value for name, value in row.items() if value != ""})
        for row in rows
    ]


def _with_word_dependence(row: dict) -> dict:
    """Add the EER on hard trials minus that on easy ones to a row that is older than its column."""
    for split, head in itertools.product(SPLITS, ("", "content_head_")):
        hard, easy = (row.get(f"{split}_{head}eer_{kind}") for kind in ("hard", "easy"))
        if hard is not None and easy is not None:
            row.setdefault(f"{split}_{head}word_dependence", round(hard - easy, 4))
    return row


def final(results: list[dict]) -> list[dict]:
    """Return the rows that were judged at the end of their training."""
    return [found for found in results if found["step"] == found["steps"]]
