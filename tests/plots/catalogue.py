"""One small example of every figure of `dsel.plots`, with names as long as those of the course."""

from __future__ import annotations

import numpy as np

from dsel.plots import alignment, confusion, losses, maps, training, verification
from dsel.plots.style import use_template

FRAMES = 15
PEOPLE = ("Ada", "Bela", "Cara", "Dana", "Emil", "Fritz", "Gita", "Hugo")
NETWORK = "five_terms, trained on 3000 speakers"


def figures() -> dict:
    """Draw every figure: {function: figure}."""
    use_template()
    rooms = (_alignment, _losses, _confusion, _training, _maps, _verification)
    return {name: figure for room in rooms for name, figure in room().items()}


def _alignment() -> dict:
    rng, T = np.random.default_rng(0), FRAMES
    frames = rng.integers(0, 255, (T, 24, 24, 3)).astype(np.uint8)
    sound = np.sin(np.arange(640 * T) / 7).astype(np.float32) * 0.3
    mel, opening = rng.normal(size=(40, 4 * T)), rng.uniform(size=T)
    p, losses_ = rng.dirichlet(np.ones(8), size=(31, 8)), rng.uniform(1, 3, 31)
    state = {"shift": 2, "planted": 3, "first": 3, "count": 8, "chance": 2.0}
    film = {name: (np.arange(9) / 25 + k / 90, np.arange(9)) for k, name in enumerate(PEOPLE[:4])}
    clip = (frames, opening, mel, losses_)
    return {
        "timeline": alignment.timeline(frames, sound, mel, sounds=[(0.1, 0.2, "the")]),
        "one_frame": alignment.one_frame(sound, 3),
        "mouth_against_sound": alignment.mouth_against_sound(frames, opening, mel),
        "pushed": alignment.pushed(*clip, **state, shown=True, network=NETWORK),
        "pushed, hidden": alignment.pushed(*clip, **state, shown=False, network=NETWORK),
        "out_of_step": alignment.out_of_step(
            p, losses_, range(-15, 16), anchor=4, chance=2.08, network=NETWORK
        ),
        "offsets": alignment.offsets(
            {name: rng.integers(-9, 9, 40) for name in ("eye and ear", "network")},
            reach=12,
            title="Offsets that were found in forty clips",
            network=NETWORK,
        ),
        "on_the_grid": alignment.on_the_grid(film),
    }


def _losses() -> dict:
    rng, (S, B, N) = np.random.default_rng(1), (5, 3, 4)
    face, audio = rng.normal(size=(2, S, B, N, 2))
    p, pick = rng.dirichlet(np.ones(B), size=(S, B)), rng.integers(0, N, (S, B))
    four = {"content": 1.2, "identity": 0.9, "confusion_cs": 1.3, "confusion_sc": 1.4}
    chance = {"content": 1.39, "identity": 1.1, "confusion_cs": 1.1, "confusion_sc": 1.39}
    names = {"steps": range(0, 50, 10), "chance": 1.1, "rows": "face i", "columns": "mean sound j"}
    point = {"term": "confusion_cs", "title": "Confusion c→s 1.300; its minimum is log 3 = 1.099"}
    point["pick"] = pick[0]
    return {
        "content_pairs": losses.content_pairs(),
        "identity_pairs": losses.identity_pairs([0, 2, 1, 3]),
        "worked_example": losses.worked_example(
            rng.normal(size=(3, 3)), rows="video t", columns="audio τ"
        ),
        "table": losses.table(
            rng.normal(size=(3, 3)), title="A gradient", rows="t", columns="τ", signed=True
        ),
        "moving_points": losses.moving_points(
            face, audio, rng.uniform(0, 2, S), p, picks=pick, title="Descent in the plane", **names
        ),
        "points_and_losses": losses.points_and_losses(
            face[0], audio[0], rng.normal(size=(3, 3)), four, chance, **point
        ),
        "arrows": losses.arrows(face[0], audio[0], pick[0], title="Three tracks as arrows"),
        "softmax_row": losses.softmax_row(
            rng.uniform(-1, 1, 6), 2, ws=[0, 1, 2, 5, 10, 20], bs=[-10, -5, 0, 5]
        ),
        "bars_against": losses.bars_against(
            range(5),
            {"scaled cosine": rng.dirichlet(np.ones(6), 5), "inverse distance": p[:, 0, [0] * 6]},
            name="all vectors times",
            title="What happens when all vectors shrink",
            match=2,
        ),
        "lines": losses.lines(
            [1, 2, 4, 8],
            {"five terms, seed 0": [3, 2, 1, 1], "four terms, seed 0": [3, 3, 2, 2]},
            title="Two losses",
            x_name="step",
            y_name="nats",
            level=2.0,
            log_x=True,
        ),
    }


def _confusion() -> dict:
    rng = np.random.default_rng(2)
    turns = {
        name: {head: rng.uniform(-3, 3, (3, 2, 3, 4)) for head in ("content", "identity")}
        for name in ("matching losses only", "with confusion", "with the fifth term")
    }
    chance = {"content": 2.0, "identity": 3.0, "confusion_cs": 3.0, "confusion_sc": 2.0}
    runs = {lam: {key: rng.uniform(0, 4, 60) for key in chance} for lam in (0.0, 1.0, 3.0)}
    heads = ("content task, content head", "content task, identity head")
    heads += ("identity task, identity head", "identity task, content head")
    return {
        "tables": confusion.tables(
            {head: rng.dirichlet(np.ones(6), size=6) for head in heads},
            title="Four tables of probabilities",
        ),
        "beside": confusion.beside(
            {"content head": {"four": [1, 2, 3]}, "identity head": {"five": [3, 2, 1]}},
            [0, 1, 2],
            x_name="scale w",
            y_names=["loss", "top-1"],
            colours={"four": "#0072B2", "five": "#C05000"},
        ),
        "directions": confusion.directions(turns, steps=[0, 10, 20]),
        "row_under_scale": confusion.row_under_scale(
            rng.uniform(-1, 1, 6), 2, ws=[1, 3, 10, 30], w=10
        ),
        "losses_under": confusion.losses_under(
            runs,
            {0.0: "λ = 0: nothing is confused", 1.0: "λ = 1", 3.0: "λ = 3"},
            every=5,
            chance=chance,
        ),
    }


def _training() -> dict:
    rng = np.random.default_rng(3)
    terms = ("content", "identity", "confusion_cs", "confusion_sc", "within")
    more = {"content_top1": 0.2, "identity_top1": 0.3, "w_content": 10.0, "w_identity": 12.0}
    rows = [
        {"step": k, **dict(zip(terms, rng.uniform(1, 4, 5), strict=True)), **more}
        for k in range(0, 100, 10)
    ]
    runs = {f"λ = {lam}": rows for lam in (0, 1, 3)}
    return {
        "curves": training.curves(rows, N=12, B=16, extra=8, w_max=30.0),
        "side_by_side": training.side_by_side(runs, N=12, B=16, extra=8),
        "bars": training.bars({"faces": 31.0, "sound": 12.0, "losses": 2.0, "optimiser": 9.0}),
    }


def _maps() -> dict:
    rng, P = np.random.default_rng(4), 64
    labels = np.array([PEOPLE[k % 8] for k in range(P)])
    hover = np.array([f"{name}, track {k}: the word" for k, name in enumerate(labels)])
    plane = rng.normal(size=(P, 2))
    points, heads = (plane, labels, hover), ("identity", "content")
    count = "same speaker among the 10 nearest points of other tracks: identity 57 %, content 22 %"
    proof = {"identity": 57.0, "content": 22.0, "trunk": 51.0}
    found = (["the same word"] * 5, [0.9, 0.8, 0.7, 0.6, 0.5], [True, False, True, True, False])
    shown = {"network": NETWORK}
    return {
        "two_maps": maps.two_maps(
            {
                f"by {view}": ({f"{head} head": plane for head in heads}, labels, hover)
                for view in ("speaker", "sound")
            },
            title="Who speaks, and what is said: voices never heard in training",
            notes={"by speaker": count, "by sound": count},
            **shown,
        ),
        "maps_row": maps.maps_row(
            {f"{kind}, seed {k}": points for k, kind in enumerate(("UMAP", "UMAP", "PCA"))},
            title="Three maps of the same vectors",
            **shown,
        ),
        "maps_and_proof": maps.maps_and_proof(
            {stage: dict.fromkeys(heads, plane) for stage in ("untrained", "trained")},
            labels,
            hover,
            dict.fromkeys(("untrained", "trained"), proof),
            title="Before and after",
            chance=12.0,
            of="same speaker",
            **shown,
        ),
        "joined_pairs": maps.joined_pairs(
            {"identity head": rng.normal(size=(128, 2)), "content head": rng.normal(size=(128, 2))},
            labels,
            hover,
            title="Face and voice of the same moment",
            **shown,
        ),
        "emergence": maps.emergence(
            [0, 100, 1000],
            {head: [plane, 1.1 * plane, 1.2 * plane] for head in heads},
            labels,
            hover,
            [count] * 3,
            title="The training, step by step",
            **shown,
        ),
        "explored": maps.explored(
            *points, 3, np.array([5, 9, 11]), title="identity, trained, by speaker", **shown
        ),
        "two_questions": maps.two_questions(
            {"who else sounds like this person?": found, "who else says this?": found},
            title="The question: Ada, track 3",
            **shown,
        ),
    }


def _verification() -> dict:
    rng, K = np.random.default_rng(5), 300
    target = np.arange(K) % 2 == 0
    scores = rng.normal(size=K) + target
    metric = {"free trials": (0.1, 0.08, 0.13), "hard trials": (0.4, 0.36, 0.45)}
    shown = {"title": "Are two recordings of strangers one voice?", "network": NETWORK}
    return {
        "threshold_figure": verification.threshold_figure(scores, target, **shown),
        "det_figure": verification.det_figure(
            dict.fromkeys(("identity head", "content head", "mean MFCCs"), (scores, target)),
            **shown,
        ),
        "intervals": verification.intervals(
            dict.fromkeys(("identity head", "content head"), metric), **shown
        ),
        "costs": verification.costs(scores, target, **shown),
    }
