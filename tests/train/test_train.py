"""The trainer: what it computes, that it can be killed and resumed, and what it refuses."""

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from conftest import ROOT, make_noise_corpus
from torch.utils._python_dispatch import TorchDispatchMode

from dsel import reference
from dsel.corpus import Corpus
from dsel.losses import DisentangledLoss
from dsel.model import ModelConfig
from dsel.timing import WINDOW_FRAMES
from dsel.train import (
    TrainConfig,
    Trainer,
    choose_device,
    load_loss,
    load_model,
    read_checkpoint,
    read_metrics,
    train,
    warmup_cosine,
)
from dsel.train.augment import _shifted, augment_faces, augment_sound
from dsel.train.batches import Batches
from dsel.train.device import keep_memory
from dsel.train.weights import read_weights
from dsel.utils.errors import BadInput

SMALL = {
    "B": 3,
    "N": 6,
    "extra": 2,
    "steps": 6,
    "log_every": 1,
    "save_every": 2,
    "warmup": 2,
    "precision": "float32",
    "device": "cpu",
}


def trainer(corpus, out, resume=False, model=None, **changes):
    config = TrainConfig.checked(**{**SMALL, **changes})
    return Trainer(
        corpus, model or ModelConfig.laptop(), config, out, resume=resume, progress=False
    )


def weights(t):
    return {**t.model.state_dict(), **{f"loss.{k}": v for k, v in t.loss.state_dict().items()}}


def assert_same_bits(a, b):
    assert a.keys() == b.keys()
    for name in a:
        assert torch.equal(a[name], b[name]), name


def test_a_batch_is_consecutive_frames_in_step_and_the_same_whenever_asked(noise_corpus):
    config = TrainConfig.checked(**SMALL)
    tracks = noise_corpus.split("train")
    cache = noise_corpus.cache(48, tracks=tracks, progress=False)
    batches = Batches(cache, tracks, config)
    batch, again = batches.at(3), Batches(cache, tracks, config).at(3)
    assert batch.faces.shape == (3, 10, 48, 48, 3)
    assert batch.sound.shape == (5, 6400)
    assert batch.extra_faces.shape == (2, WINDOW_FRAMES, 48, 48, 3)
    assert batch.pick.shape == (3,)
    for name in ("faces", "sound", "extra_faces", "pick"):
        assert torch.equal(getattr(batch, name), getattr(again, name))
    for b in range(3):  # sound and picture come from the same place of the same track
        frames, sound = cache.read(batch.tracks[b])
        first = [f for f in range(21) if np.array_equal(frames[f : f + 10], batch.faces[b].numpy())]
        assert len(first) == 1
        np.testing.assert_array_equal(sound[640 * first[0] :][:6400], batch.sound[b].numpy())
    assert not torch.equal(batches.at(4).sound, batch.sound)


def test_an_epoch_shows_every_track_once(noise_corpus):
    tracks = noise_corpus.split("train")
    batches = Batches(
        noise_corpus.cache(48, tracks=tracks, progress=False),
        tracks,
        TrainConfig.checked(**{**SMALL, "B": 2}),
    )
    assert batches.steps_per_epoch == 3
    epochs = [
        [t.id for step in range(3 * e, 3 * e + 3) for t in batches.at(step).tracks]
        for e in range(2)
    ]
    assert all(len(set(ids)) == 12 for ids in epochs)
    assert epochs[0] != epochs[1]


def test_batches_do_not_depend_on_who_speaks(noise_corpus):
    tracks = noise_corpus.split("train")
    cache = noise_corpus.cache(48, tracks=tracks, progress=False)
    nobody = [dataclasses.replace(track, speaker="") for track in tracks]
    labelled, blank = (Batches(cache, t, TrainConfig.checked(**SMALL)) for t in (tracks, nobody))
    for step in range(20):
        ours, theirs = labelled.at(step), blank.at(step)
        assert [t.id for t in ours.tracks] == [t.id for t in theirs.tracks]
        for name in ("faces", "sound", "extra_faces", "pick", "extra_pick"):
            assert torch.equal(getattr(ours, name), getattr(theirs, name))


def test_a_step_computes_the_loss_of_the_formulas(noise_corpus, tmp_path):
    with_fifth = {"extra": 0, "augment": 0.0, "within": 1.0, "lam": 1.0}
    t = trainer(noise_corpus, tmp_path / "run", **with_fifth)
    batch = t.batches.at(0)
    t.model.train()
    with torch.no_grad():
        face, audio, pick, _ = t.embed(batch)
        scales = [
            reference.scaled_cosine(s.w.item(), 0.0)
            for s in (t.loss.content_similarity, t.loss.identity_similarity)
        ]
    want, parts = reference.disentangled_loss(face, audio, pick, *scales)
    parts["within"] = reference.within_loss(audio["content"], audio["identity"], *scales)
    want += parts["within"]
    got = trainer(noise_corpus, tmp_path / "twin", **with_fifth, lam_warmup=0).train_step(batch)
    assert got["loss"].item() == pytest.approx(want, rel=1e-5)
    for name, value in parts.items():
        assert got[name].item() == pytest.approx(value, rel=1e-5)


def test_lambda_is_reached_linearly(noise_corpus, tmp_path):
    t = trainer(noise_corpus, tmp_path / "run", lam=0.5, lam_warmup=4, within=1.0)
    seen = []
    for step in range(6):
        with torch.no_grad():
            total, parts, _ = t.objective(t.batches.at(step), step)
        matching = parts["content"] + parts["identity"] + t.objective.ramp(step) * parts["within"]
        seen.append(((total - matching) / (parts["confusion_cs"] + parts["confusion_sc"])).item())
    assert seen == pytest.approx([0.125, 0.25, 0.375, 0.5, 0.5, 0.5], rel=1e-4)


def test_training_learns_and_logs(noise_corpus, tmp_path):
    t = trainer(noise_corpus, tmp_path / "run", steps=60, log_every=5, B=4, N=8, extra=4, lr=3e-3)
    rows = t.fit()
    assert [row["step"] for row in rows] == list(range(5, 61, 5))
    for row, saved in zip(rows, read_metrics(tmp_path / "run"), strict=True):
        assert row == pytest.approx(saved)
    assert np.mean([r["content"] for r in rows[-3:]]) < 0.9 * np.log(8)  # chance is log N
    assert (tmp_path / "run" / "config.json").is_file()


@pytest.mark.parametrize("scale", [5.0, 1000.0])
def test_the_scale_is_clamped_after_each_step(noise_corpus, tmp_path, scale):
    t = trainer(noise_corpus, tmp_path / "run", w0=scale, steps=1)
    t.fit()
    assert all(w <= 20.0001 for w in t.loss.scales().values())
    assert (min(t.loss.scales().values()) < 6) == (scale == 5.0)


def test_resumed_equals_uninterrupted_to_the_bit(noise_corpus, tmp_path):
    whole = trainer(noise_corpus, tmp_path / "whole")
    whole.fit()
    first = trainer(noise_corpus, tmp_path / "parts")
    first.fit(until=3)
    second = trainer(noise_corpus, tmp_path / "parts", resume=True)
    assert second.step == 3
    second.fit()
    assert_same_bits(weights(whole), weights(second))
    a, b = (read_metrics(tmp_path / name) for name in ("whole", "parts"))
    assert [{k: v for k, v in row.items() if k != "time"} for row in a] == [
        {k: v for k, v in row.items() if k != "time"} for row in b
    ]


def test_a_run_can_start_from_the_networks_of_another(noise_corpus, tmp_path):
    first = trainer(noise_corpus, tmp_path / "first")
    first.fit(until=2)
    tuned = trainer(noise_corpus, tmp_path / "tuned", start_from=str(tmp_path / "first"), seed=5)
    assert tuned.step == 0
    assert_same_bits(weights(tuned), weights(first))
    tuned.fit(until=2)
    again = trainer(
        noise_corpus, tmp_path / "tuned", resume=True, start_from=str(tmp_path / "first"), seed=5
    )
    assert again.step == 2
    assert_same_bits(
        weights(again), weights(tuned)
    )  # a resumed run goes on from its own checkpoint
    other = dataclasses.replace(ModelConfig.laptop(), D=64)
    with pytest.raises(BadInput, match="another shape"):
        trainer(noise_corpus, tmp_path / "other", model=other, start_from=str(tmp_path / "first"))


@pytest.mark.heavy
def test_killed_without_warning_and_resumed_equals_uninterrupted(tmp_path):
    corpus = make_noise_corpus(tmp_path / "corpus")
    command = [sys.executable, "-m", "dsel", "train", "--data", str(corpus.path), "--set"]
    command += [f"{k}={v}" for k, v in {**SMALL, "steps": 20}.items()]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    subprocess.run(
        [*command, "--out", str(tmp_path / "whole")],
        check=True,
        env=environment,
        capture_output=True,
    )
    process = subprocess.Popen(
        [*command, "--out", str(tmp_path / "killed")], env=environment, stderr=subprocess.DEVNULL
    )
    give_up = time.time() + 120
    while (
        len(read_metrics(tmp_path / "killed")) < 7
        and process.poll() is None
        and time.time() < give_up
    ):
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    reached = read_checkpoint(tmp_path / "killed")["step"]
    assert 0 < reached < 20
    subprocess.run(
        [*command, "--out", str(tmp_path / "killed"), "--resume"],
        check=True,
        env=environment,
        capture_output=True,
    )
    whole, killed = (read_checkpoint(tmp_path / name) for name in ("whole", "killed"))
    assert_same_bits(whole["model"], killed["model"])
    steps = [row["step"] for row in read_metrics(tmp_path / "killed")]
    assert steps == list(range(1, 21))
    assert not [p.name for p in (tmp_path / "killed").iterdir() if "part" in p.name]


def test_callback_sees_every_row_and_can_stop(noise_corpus, tmp_path):
    seen = []

    def stop_at_three(t, row):
        seen.append((t.step, row["step"]))
        return row["step"] < 3

    t = trainer(noise_corpus, tmp_path / "run")
    t.fit(stop_at_three)
    assert seen == [(1, 1), (2, 2), (3, 3)]
    assert read_checkpoint(tmp_path / "run")["step"] == 3


def test_interrupt_keeps_what_was_done(noise_corpus, tmp_path):
    def interrupt(t, row):
        if t.step == 3:
            raise KeyboardInterrupt

    trainer(noise_corpus, tmp_path / "run").fit(interrupt)
    assert read_checkpoint(tmp_path / "run")["step"] == 3


def test_ctrl_c_in_the_middle_of_a_step_changes_nothing(noise_corpus, tmp_path):
    """Behind the step that is under way comes a checkpoint; weights, curves and the best one of the
    resumed run are those of a run that nobody touched."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    trainer(noise_corpus, whole).fit()
    t = trainer(noise_corpus, cut)
    real = t.optimiser.step

    def pressed_after(*args, **options):
        found = real(*args, **options)
        if t.step == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return found

    t.optimiser.step = pressed_after
    t.fit()
    signal.signal(signal.SIGINT, before)
    assert read_checkpoint(cut)["step"] == t.step == 3
    again = trainer(noise_corpus, cut, resume=True)
    again.fit()
    for name in ("checkpoint.pt", "checkpoint-best.pt"):
        a, b = (read_weights(run / name) for run in (whole, cut))
        assert (a["step"], a["best"]) == (b["step"], b["best"])
        assert_same_bits(a["model"], b["model"])
    rows = [
        [{k: v for k, v in row.items() if k != "time"} for row in read_metrics(run)]
        for run in (whole, cut)
    ]
    assert rows[0] == rows[1]


def test_a_second_ctrl_c_keeps_the_last_checkpoint(noise_corpus, tmp_path):
    """It may fall between two halves of a step, so the weights of that moment are not saved."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    t = trainer(noise_corpus, tmp_path / "run")
    real = t.optimiser.step

    def pressed_twice(*args, **options):
        if t.step == 3:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
        return real(*args, **options)

    t.optimiser.step = pressed_twice
    with pytest.raises(KeyboardInterrupt):
        t.fit()
    signal.signal(signal.SIGINT, before)
    assert read_checkpoint(tmp_path / "run")["step"] == 2


def test_a_loss_that_is_not_a_number_stops_and_names_the_tracks(noise_corpus, tmp_path):
    t = trainer(noise_corpus, tmp_path / "run", steps=4)
    t.fit(until=2)
    with torch.no_grad():
        t.model.face_trunk.layers[0].weight.fill_(float("nan"))
    with pytest.raises(BadInput, match=r"loss is nan at step 3.*bad_batch.json"):
        t.fit()
    assert len(json.loads((tmp_path / "run" / "bad_batch.json").read_text())["tracks"]) == 5
    assert read_checkpoint(tmp_path / "run")["step"] == 2  # the last good one


def test_what_a_trainer_refuses(noise_corpus, tmp_path):
    trainer(noise_corpus, tmp_path / "run", steps=1).fit()
    with pytest.raises(BadInput, match="already holds a run; use --resume"):
        trainer(noise_corpus, tmp_path / "run", steps=1)
    with pytest.raises(
        BadInput,
        match=r"train.lr was 0.001, now 0.1; train.B was 3, now 4|train.B was 3, now 4; .*train.lr",
    ):
        trainer(noise_corpus, tmp_path / "run", resume=True, steps=1, lr=0.1, B=4)
    with pytest.raises(BadInput, match=r"model\.D was 128, now 64"):
        trainer(
            noise_corpus, tmp_path / "run", resume=True, steps=1, model=ModelConfig.laptop(D=64)
        )
    with pytest.raises(BadInput, match="nothing to resume"):
        trainer(noise_corpus, tmp_path / "none", resume=True)
    with pytest.raises(BadInput, match=r"12 training tracks of at least 10 frames.*B \+ extra"):
        trainer(noise_corpus, tmp_path / "big", B=50)
    with pytest.raises(BadInput, match="0 training tracks of at least 44 frames"):
        trainer(noise_corpus, tmp_path / "long", N=40)
    with pytest.raises(BadInput, match="no tracks in the split 'train'"):
        trainer(
            make_noise_corpus(tmp_path / "test_only", speakers=1, split="validation"),
            tmp_path / "x",
        )
    (tmp_path / "run" / "checkpoint.pt").write_bytes(b"no checkpoint at all")
    with pytest.raises(BadInput, match="not a dsel checkpoint"):
        load_model(tmp_path / "run")
    with pytest.raises(BadInput, match="no checkpoint; train one"):
        load_model(tmp_path / "none")


def test_checkpoint_gives_model_and_loss_back(noise_corpus, tmp_path):
    t = train(
        noise_corpus.path,
        tmp_path / "run",
        progress=False,
        **{**SMALL, "steps": 2, "lam": 0.5, "w0": 7.0},
    )
    model, loss = load_model(tmp_path / "run", "cpu"), load_loss(tmp_path / "run")
    assert not model.training
    assert_same_bits(model.state_dict(), t.model.state_dict())
    assert loss.scales() == pytest.approx(t.loss.scales())
    assert loss.lam == 0.5


def test_config_is_frozen_and_refuses_what_it_does_not_know():
    with pytest.raises(dataclasses.FrozenInstanceError):
        TrainConfig().lam = 3
    for wrong, says in (
        ({"lamda": 1}, "unknown key 'lamda'"),
        ({"B": 0}, "B is 0; it must be above 0"),
        ({"extra": 1}, "BatchNorm needs at least two windows"),
        ({"optimiser": "adam"}, "optimiser 'adam' must be one of adamw, sgd"),
        ({"precision": "fp8"}, "precision 'fp8' must be one of auto, float32, bfloat16"),
        ({"similarity": "dot"}, "similarity 'dot' must be one of cosine, inverse_distance"),
        ({"log_every": 0}, "log_every is 0; it must be above 0"),
        ({"lam": -0.5}, "lam is -0.5; it must be at least 0"),
        ({"lr": float("nan")}, "lr is nan; it must be finite"),
        ({"w_max": 0.0}, "w_max is 0.0; it must be above 0, or none"),
        ({"seed": 2**40}, "seed is 1099511627776; it must be at most 4294967295"),
        ({"seed": -1}, "seed is -1; it must be at least 0"),
        ({"leave_out": 8}, "leave_out 8 must lie between 0 and N / 2 - 1 = 7"),
        ({"N": 1, "within": 1.0}, "raise N, or set within=0"),
    ):
        with pytest.raises(BadInput, match=says):
            TrainConfig.named("laptop", **wrong)
    with pytest.raises(BadInput, match="must be laptop or paper"):
        TrainConfig.named("huge")
    paper = TrainConfig.named("paper")
    assert (paper.B, paper.N, paper.optimiser, paper.lr, paper.weight_decay, paper.extra) == (
        30,
        30,
        "sgd",
        1e-3,
        1e-5,
        0,
    )
    laptop = TrainConfig.named("laptop")
    assert (laptop.lam, laptop.confusion_scale, laptop.w_max) == (3.0, "detached", 20.0)


def test_authors_schedule_falls_by_5_percent_an_epoch(noise_corpus, tmp_path):
    t = trainer(
        noise_corpus, tmp_path / "run", optimiser="sgd", lr=1e-3, B=2, steps=7, weight_decay=1e-5
    )
    rates = [
        row["lr"] for row in t.fit()
    ]  # 3 steps an epoch; a row shows the rate of the next step
    np.testing.assert_allclose(rates, 1e-3 * 0.95 ** np.array([0, 0, 1, 1, 1, 2, 2]))
    assert t.optimiser.defaults["momentum"] == 0.9


def test_warmup_cosine():
    factors = np.array([warmup_cosine(step, 10, 110) for step in range(111)])
    np.testing.assert_allclose(factors[:10], np.arange(1, 11) / 10)
    assert factors[60] == pytest.approx(0.5)
    assert factors[110] == pytest.approx(0, abs=1e-12)
    assert (np.diff(factors[10:]) < 0).all()


def test_scales_and_biases_are_not_decayed(noise_corpus, tmp_path):
    t = trainer(noise_corpus, tmp_path / "run")
    free = {
        id(p)
        for group in t.optimiser.param_groups
        if group["weight_decay"] == 0
        for p in group["params"]
    }
    assert {id(p) for p in t.loss.parameters()} <= free
    assert all((id(p) in free) == (p.ndim <= 1) for p in t.model.parameters())
    both = [id(p) for group in t.optimiser.param_groups for p in group["params"]]
    assert (
        len(both)
        == len(set(both))
        == len(list(t.model.parameters())) + len(list(DisentangledLoss().parameters()))
    )


def test_bfloat16_keeps_embeddings_and_losses_in_float32(noise_corpus, tmp_path):
    exact, fast = (
        trainer(noise_corpus, tmp_path / p, precision=p) for p in ("float32", "bfloat16")
    )
    batch = exact.batches.at(0)
    face, audio, _, extra = fast.embed(batch)
    assert {e.dtype for e in (*face.values(), *audio.values(), *extra)} == {torch.float32}
    a, b = exact.train_step(batch), fast.train_step(batch)
    assert b["loss"].dtype == torch.float32
    assert b["loss"].item() == pytest.approx(a["loss"].item(), rel=0.05)


def test_device_is_chosen():
    assert choose_device("cpu").type == "cpu"
    assert choose_device().type == (
        "cuda"
        if torch.cuda.is_available()
        else "mps"
        if torch.backends.mps.is_available()
        else "cpu"
    )


def test_augmentation_is_independent_in_the_two_modalities_and_fixed_by_its_generator():
    sound = 0.1 * torch.randn(64, 6400, generator=torch.Generator().manual_seed(0))
    faces = torch.full((64, 2, 16, 16, 3), 128, dtype=torch.uint8)
    draw = torch.Generator().manual_seed(1)
    heard, seen = augment_sound(sound, draw), augment_faces(faces, draw)
    loudness, brightness = heard.pow(2).mean(1).log(), seen.mean((1, 2, 3, 4)).log()
    assert loudness.std() > 0.5
    assert brightness.std() > 0.1
    assert abs(np.corrcoef(loudness, brightness)[0, 1]) < 4 / 64**0.5
    draw.manual_seed(1)
    assert torch.equal(augment_sound(sound, draw), heard)
    torch.testing.assert_close(seen[:, 0], seen[:, 1])  # a track keeps its light
    assert torch.equal(augment_faces(faces, draw, 0.0), faces.float() / 255)
    torch.testing.assert_close(augment_sound(sound, draw, 0.0), sound, atol=1e-6, rtol=0)


def test_a_run_folder_moves_with_its_corpus_and_model(noise_corpus, tmp_path):
    trainer(noise_corpus, tmp_path / "run", steps=1).fit()
    moved = shutil.move(tmp_path / "run", tmp_path / "elsewhere")
    assert load_model(moved, "cpu").config == ModelConfig.laptop()
    assert Corpus(noise_corpus.path).tracks == noise_corpus.tracks


class NoWaiting(TorchDispatchMode):
    """Refuse what makes the host wait for the device.

    That is to read a number out of a tensor, or a shape out of its values.
    """

    waits = ("_local_scalar_dense", "is_nonzero", "nonzero", "equal", "masked_select", "unique")

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        assert name not in self.waits, f"{name} waits for the device"
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("optimiser", ["adamw", "sgd"])
@pytest.mark.parametrize("similarity", ["cosine", "inverse_distance"])
def test_a_step_does_not_wait_for_the_device(noise_corpus, tmp_path, optimiser, similarity):
    t = trainer(noise_corpus, tmp_path / "run", optimiser=optimiser, similarity=similarity)
    t.running.add(
        t.train_step(t.batches.at(0)), 0
    )  # what is made once, e.g. the filter bank, is made now
    batch = t.batches.at(1)
    with NoWaiting():
        t.running.add(t.train_step(batch), 1)
        with pytest.raises(AssertionError, match="_local_scalar_dense waits"):
            t.running.first_bad()  # this one does, and only a row or a checkpoint asks for it


def test_rows_are_means_over_the_steps_since_the_row_before(noise_corpus, tmp_path):
    each = trainer(noise_corpus, tmp_path / "each").fit()
    pairs = trainer(noise_corpus, tmp_path / "pairs", log_every=2, save_every=3)
    rows = pairs.fit(until=3)  # a checkpoint in the middle of a pair: what was added up is in it
    rows += trainer(noise_corpus, tmp_path / "pairs", log_every=2, save_every=3, resume=True).fit()
    assert [row["step"] for row in rows] == [2, 3, 4, 6]
    for row, steps in zip(rows, ([0, 1], [2], [3], [4, 5]), strict=True):
        for name in ("loss", "content", "gradient"):
            assert row[name] == pytest.approx(np.mean([each[k][name] for k in steps]), rel=1e-5)


def test_the_first_bad_step_is_named_though_rows_are_rare(noise_corpus, tmp_path):
    t = trainer(noise_corpus, tmp_path / "run", steps=6, log_every=6, save_every=2)
    step = t.train_step

    def poisoned(batch):
        found = step(batch)
        return found | {"loss": found["loss"] * float("nan")} if t.step >= 2 else found

    t.train_step = poisoned
    with pytest.raises(BadInput, match="loss is nan at step 3"):
        t.fit()
    bad = json.loads((tmp_path / "run" / "bad_batch.json").read_text())
    assert bad == {"step": 3, "tracks": [track.id for track in t.batches.at(2).tracks]}
    assert read_checkpoint(tmp_path / "run")["step"] == 2


def test_collapse_is_warned_about_once(noise_corpus, tmp_path, capsys):
    t = trainer(noise_corpus, tmp_path / "run", lr=0.0)
    with torch.no_grad():
        t.model.audio_heads["identity"][3].weight.zero_()  # every window the same vector
    rows = t.fit()
    told = [line for line in capsys.readouterr().out.splitlines() if "collapse" in line]
    assert len(told) == 1
    assert "mean pairwise cosine 1.000" in told[0]
    assert rows[0]["spread"] < 1e-5
    trainer(noise_corpus, tmp_path / "healthy").fit()
    assert "collapse" not in capsys.readouterr().out


def test_compiled_parts_compute_the_same_and_keep_their_names(noise_corpus, tmp_path, monkeypatch):
    """The graph is captured whole (no break); which backend then runs it is torch's affair."""
    real = torch.compile
    monkeypatch.setattr(
        torch,
        "compile",
        lambda f, **options: real(f, **{**options, "backend": "eager", "fullgraph": True}),
    )
    plain, compiled = (
        trainer(noise_corpus, tmp_path / name, compile=name) for name in ("off", "on")
    )
    batch = plain.batches.at(0)
    a, b = plain.train_step(batch), compiled.train_step(batch)
    assert b["loss"].item() == pytest.approx(a["loss"].item(), rel=1e-6)
    assert compiled.model.state_dict().keys() == plain.model.state_dict().keys()


def test_rows_go_to_tensorboard_too_where_it_is_installed(noise_corpus, tmp_path, monkeypatch):
    shown = []

    class SummaryWriter:
        def __init__(self, folder):
            shown.append(folder)

        def add_scalar(self, name, value, step):
            shown.append((name, step))

    module = type(sys)("torch.utils.tensorboard")
    module.SummaryWriter = SummaryWriter
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    trainer(noise_corpus, tmp_path / "run", steps=2).fit()
    assert shown[0] == str(tmp_path / "run" / "tensorboard")
    assert {("loss", 1), ("loss", 2), ("gradient", 2), ("w_content", 2)} <= set(shown)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)  # not installed
    trainer(noise_corpus, tmp_path / "without", steps=1).fit()
    assert len(read_metrics(tmp_path / "without")) == 1


def test_processes_that_share_a_batch_share_its_augmentation():
    faces = torch.randint(
        0, 256, (6, 2, 8, 8, 3), generator=torch.Generator().manual_seed(0), dtype=torch.uint8
    )
    sound = torch.randn(6, 640, generator=torch.Generator().manual_seed(0))
    draw = torch.Generator()
    for augment, x in ((augment_faces, faces), (augment_sound, sound)):
        whole = augment(x, draw.manual_seed(1), 1.0)
        parts = [
            augment(x[rows], draw.manual_seed(1), 1.0, (6, rows))
            for rows in (torch.arange(4), torch.arange(4, 6))
        ]
        torch.testing.assert_close(torch.cat(parts), whole)


def test_faces_are_shifted_like_torch_roll():
    faces = torch.randint(
        0, 256, (5, 3, 48, 48, 3), generator=torch.Generator().manual_seed(0), dtype=torch.uint8
    )
    by = torch.tensor([[0, 0], [1, -2], [-3, 0], [0, 2], [2, 2]])
    want = torch.stack(
        [torch.roll(f, tuple(b), dims=(1, 2)) for f, b in zip(faces, by.tolist(), strict=True)]
    )
    assert torch.equal(_shifted(faces, by), want)


def test_memory_is_kept_where_the_c_library_lets_us():
    assert keep_memory() in (True, False)
    assert keep_memory() == keep_memory()
