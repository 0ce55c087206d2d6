"""Batches are the same from the cache, from clips and from shards.

Also with broken clips, several processes, and servers.
"""

import http.server
import json
import pickle
import shutil
import tarfile
import threading

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dsel import corpus as corpora
from dsel.cli import main
from dsel.corpus import Corpus, resize, shards, write_corpus, write_csv
from dsel.corpus import pack as loading
from dsel.corpus.clips import read_clip, read_part, write_clip
from dsel.corpus.pack import shard
from dsel.corpus.shards import write_shard
from dsel.timing import samples_for
from dsel.train import TrainConfig, loaders
from dsel.train.batches import Batches
from dsel.train.loaders import Decoder, PrefetchedBatches, make_batches
from dsel.utils.errors import BadInput

ARRAYS = ("faces", "sound", "extra_faces", "pick")


def config(**changes):
    return TrainConfig.checked(**{"B": 3, "N": 6, "extra": 2, "workers": 0, **changes})


def same(a, b):
    return a.tracks == b.tracks and all(
        torch.equal(getattr(a, name), getattr(b, name)) for name in ARRAYS
    )


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    """Make clips of several lengths and offsets, with key frames in between; one id has a dot.

    They are larger than the input of the network.
    """
    folder, rows = tmp_path_factory.mktemp("mixed"), []
    for k in range(12):
        rng, frames = np.random.default_rng(k), 24 + 3 * k
        picture = np.cumsum(rng.normal(0, 9, (frames, 64, 64, 3)), axis=0) + 128
        sound = np.cumsum(rng.normal(0, 0.02, samples_for(frames)))
        name = f"t.{k}" if k == 5 else f"s{k % 4}/t{k}"
        path = f"clips/s{k % 4}/t{k}.mp4"
        write_clip(
            folder / path,
            picture.clip(0, 255).astype(np.uint8),
            np.sin(sound).astype(np.float32) * 0.5,
        )
        rows.append(
            {
                "id": name,
                "speaker": f"s{k % 4}",
                "split": "train",
                "path": path,
                "frames": frames,
                "offset": k % 5 - 2,
            }
        )
    return write_corpus(folder, rows, made_by="tests", seed=0, licence="CC0-1.0")


@pytest.fixture(scope="module")
def packed(mixed, tmp_path_factory):
    """The same in shards of a few clips each."""
    out = tmp_path_factory.mktemp("packed")
    loading_portions, loading._portions = (
        loading._portions,
        lambda c, rows, most: loading_portions(c, rows, 20_000),
    )
    try:
        return Corpus(shard(mixed.path, out, progress=False))
    finally:
        loading._portions = loading_portions


class Ranges(http.server.SimpleHTTPRequestHandler):
    """A file server that answers range requests, unless it is told not to, or to fail at first."""

    simple, failures, asked = False, 0, []

    def do_GET(self):
        type(self).asked.append((self.path, self.headers.get("Range")))
        if type(self).failures:
            type(self).failures -= 1
            return self.send_error(503)
        span = self.headers.get("Range")
        if type(self).simple or not span:
            return super().do_GET()
        first, last = map(int, span.removeprefix("bytes=").split("-"))
        with open(self.translate_path(self.path), "rb") as file:
            file.seek(first)
            data = file.read(last - first + 1)
        self.send_response(206)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


@pytest.fixture
def served(packed, tmp_path, monkeypatch):
    """The shards behind a URL on this machine."""
    monkeypatch.setenv("DSEL_CACHE", str(tmp_path / "kept"))
    monkeypatch.setattr(shards, "PATIENCE", (0.0, 0.0))
    Ranges.simple, Ranges.failures, Ranges.asked = False, 0, []
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), lambda *a: Ranges(*a, directory=str(packed.path))
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def cached(mixed):
    return make_batches(mixed, config(loader="cache"), 24, progress=False)


@pytest.mark.parametrize("place", ["cache", "decode", "shards", "url"])
@pytest.mark.parametrize("workers", [0, 2])
def test_every_loader_gives_the_same_bytes(mixed, packed, cached, request, place, workers):
    corpus = {"cache": mixed, "decode": mixed, "shards": packed}.get(place)
    if corpus is None:
        corpus = corpora.open(request.getfixturevalue("served"))
    loader = "shards" if place == "url" else place
    batches = make_batches(corpus, config(loader=loader, workers=workers), 24, progress=False)
    assert isinstance(batches, PrefetchedBatches) == (bool(workers) and place != "cache")
    assert batches.steps_per_epoch == cached.steps_per_epoch
    for step in (
        0,
        1,
        2,
        7,
        7,
        8,
        3,
    ):  # in order, again, ahead and back: what a resumed run asks for
        assert same(batches.at(step), cached.at(step)), step
    assert not batches.broken
    if workers and place != "cache":
        batches.close()


@given(st.data())
@settings(max_examples=40)
def test_a_part_is_what_the_whole_clip_holds(mixed, data):
    track = data.draw(st.sampled_from(list(mixed.tracks)))
    frames, sound = (
        whole[track.id] if track.id in whole else whole.setdefault(track.id, mixed.clip(track))
    )
    first = data.draw(st.integers(0, track.usable - 1))
    count = data.draw(st.integers(1, track.usable - first))
    a = data.draw(st.integers(0, count - 1))
    seen = slice(a, data.draw(st.integers(a + 1, count)))
    picture, heard = mixed.part(track, first, count, seen)
    np.testing.assert_array_equal(picture, frames[first : first + count][seen])
    np.testing.assert_array_equal(heard, sound[samples_for(first) : samples_for(first + count)])


whole = {}


def test_a_part_behind_a_key_frame_is_decoded_from_there(tmp_path, monkeypatch):
    """Frames before the last key frame are not decoded.

    300 frames hold a second key frame: x264 puts one after 250 frames at the latest.
    """
    import av

    rng = np.random.default_rng(0)
    picture = rng.integers(0, 255, (300, 16, 16, 3)).astype(np.uint8)
    path = write_clip(
        tmp_path / "long.mp4", picture, rng.normal(0, 0.1, samples_for(300)).astype(np.float32)
    )
    frames, sound = read_clip(path)
    part, heard = read_part(path, range(270, 275), range(268, 280), 300)
    np.testing.assert_array_equal(part, frames[270:275])
    np.testing.assert_array_equal(heard, sound[samples_for(268) : samples_for(280)])
    with av.open(str(path)) as container:
        container.seek(
            int(270 / 25 / container.streams.video[0].time_base), stream=container.streams.video[0]
        )
        assert next(container.decode(video=0)).time >= 249 / 25
    with pytest.raises(BadInput, match=r"300 frames, but tracks.csv says 299"):
        read_part(path, range(5), range(5), 299)


def test_shards_are_standard_tars_with_everything_in_them(mixed, packed):
    """The oracle is Python's tar reader and WebDataset's rule that a key ends at the first dot."""
    found = {}
    names = sorted((packed.path / "shards").glob("*.tar"))
    assert len(names) > 2
    for path in names:
        with tarfile.open(path) as tar:
            for member in tar:
                folder, _, name = member.name.rpartition("/")
                stem, suffix = name.split(".", 1)
                found.setdefault(f"{folder}/{stem}".strip("/"), {})[suffix] = tar.extractfile(
                    member
                ).read()
    assert len(found) == len(mixed)
    about = {json.loads(sample["json"])["id"]: sample for sample in found.values()}
    for track in mixed.tracks:
        assert about[track.id]["mp4"] == (mixed.path / track.path).read_bytes()
        assert json.loads(about[track.id]["json"])["offset"] == track.offset
    assert packed.tracks == mixed.tracks
    np.testing.assert_array_equal(packed.clip("t.5")[0], mixed.clip("t.5")[0])


def test_the_webdataset_library_reads_the_shards(mixed, packed):
    webdataset = pytest.importorskip(
        "webdataset", reason="pip install 'dsel[scale]' to let the WebDataset library read them"
    )
    urls = [str(path) for path in sorted((packed.path / "shards").glob("*.tar"))]
    samples = list(webdataset.WebDataset(urls, shardshuffle=False, empty_check=False))
    assert {json.loads(s["json"])["id"]: s["mp4"] for s in samples} == {
        t.id: (mixed.path / t.path).read_bytes() for t in mixed.tracks
    }


def test_sharding_goes_on_where_it_stopped_and_notices_a_change(mixed, tmp_path, monkeypatch):
    copy = Corpus(
        shutil.copytree(mixed.path, tmp_path / "copy", ignore=shutil.ignore_patterns("cache"))
    )
    written, real = [], write_shard
    monkeypatch.setattr(
        loading,
        "_portions",
        lambda c, rows, most: [rows[:4].tolist(), rows[4:8].tolist(), rows[8:].tolist()],
    )

    def stop_at_two(path, samples):
        if len(written) == 2:
            raise KeyboardInterrupt
        written.append(path.name)
        return real(path, samples)

    monkeypatch.setattr(loading, "write_shard", stop_at_two)
    out = tmp_path / "out"
    monkeypatch.setattr(loading, "SPLITS", ("train",))
    with pytest.raises(KeyboardInterrupt):
        shard(copy.path, out, progress=False)
    assert not (out / "corpus.json").exists()
    monkeypatch.setattr(
        loading,
        "write_shard",
        lambda path, samples: written.append(path.name) or real(path, samples),
    )
    shard(copy.path, out, progress=False)
    assert written == [f"train-{k:06d}.tar" for k in range(3)]
    assert not list(out.rglob("*part*"))
    track = copy.tracks[0]
    before, _ = Corpus(out).clip(track)
    frames, sound = read_clip(copy.path / track.path)
    write_clip(copy.path / track.path, 255 - frames, sound)
    shard(copy.path, out, progress=False)
    assert len(written) == 4  # the one shard that holds the clip
    assert np.abs(Corpus(out).clip(track)[0].astype(int) - before).mean() > 20


def test_command_line_packs_and_says_what_it_cannot(mixed, packed, tmp_path, capsys):
    assert main(["shard", str(mixed.path), "--out", str(tmp_path / "out")]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "out")
    assert main(["shard", str(packed.path), "--out", str(tmp_path / "again")]) == 2
    assert "lies in shards already" in capsys.readouterr().err
    assert main(["shard", str(mixed.path), "--out", str(mixed.path)]) == 2
    assert "a folder of their own" in capsys.readouterr().err


def test_what_cannot_be_loaded_says_why(mixed, packed, tmp_path, served):
    with pytest.raises(BadInput, match="run 'dsel shard' first"):
        make_batches(mixed, config(loader="shards"), 24)
    with pytest.raises(BadInput, match="use loader=shards or loader=auto"):
        make_batches(packed, config(loader="decode"), 24)
    with pytest.raises(BadInput, match="must be one of auto, cache, decode, shards"):
        config(loader="tape")
    lost = Corpus(
        shutil.copytree(packed.path, tmp_path / "lost", ignore=shutil.ignore_patterns("cache"))
    )
    victim = next((lost.path / "shards").glob("*.tar"))
    victim.write_bytes(victim.read_bytes()[:2000])
    with pytest.raises(BadInput, match=r"train-.*ends before byte"):
        list(map(lost.clip, lost.tracks))
    with pytest.raises(BadInput, match="404"):
        corpora.open(f"{served}/nowhere")


def test_auto_takes_the_cache_while_it_is_small(mixed, packed, monkeypatch):
    for corpus, held in ((mixed, "decode"), (packed, "shards")):
        tracks = corpus.split("train")
        assert loaders._chosen(corpus, tracks, "auto", 24) == "cache"
        with monkeypatch.context() as patch:
            patch.setattr(loaders, "AUTO_CACHE", 1000)
            assert loaders._chosen(corpus, tracks, "auto", 24) == held


def test_a_server_without_ranges_costs_the_shard_once_and_a_faltering_one_is_asked_again(
    served, packed, cached
):
    corpus = corpora.open(served)
    Ranges.failures = 2
    np.testing.assert_array_equal(corpus.clip("t.5")[0], packed.clip("t.5")[0])
    assert Ranges.asked[-1][1].startswith("bytes=")
    Ranges.failures = 3
    with pytest.raises(shards.Unreachable, match="503"):
        make_batches(corpus, config(loader="shards"), 24).at(0)
    Ranges.failures, Ranges.simple = 0, True
    before = len(Ranges.asked)
    for _ in range(2):
        np.testing.assert_array_equal(corpus.clip("t.5")[0], packed.clip("t.5")[0])
    assert 1 <= len(Ranges.asked) - before <= 2


@pytest.mark.parametrize("workers", [0, 2])
def test_a_broken_clip_is_reported_once_and_replaced(mixed, tmp_path, capsys, workers):
    copy = Corpus(
        shutil.copytree(mixed.path, tmp_path / "copy", ignore=shutil.ignore_patterns("cache"))
    )
    healthy = make_batches(copy, config(loader="decode"), 24)
    victim = copy.path / copy.tracks[3].path
    victim.write_bytes(victim.read_bytes()[:500])
    batches = make_batches(copy, config(loader="decode", workers=workers), 24)
    for step in range(2 * batches.steps_per_epoch):
        batch, drawn = (
            batches.at(step),
            [healthy.track(k).id for k in healthy._draw(step)],
        )
        ids = [t.id for t in batch.tracks]
        assert len(set(ids)) == 5
        assert copy.tracks[3].id not in ids
        assert same(
            make_batches(copy, config(loader="decode"), 24).at(step), batch
        )  # the same one steps in every time
        assert sum(a == b for a, b in zip(ids, drawn, strict=True)) >= 4
    assert set(batches.broken) == {copy.tracks[3].id}
    said = [
        line
        for line in capsys.readouterr().err.splitlines()
        if "another track takes its place" in line
    ]
    assert str(victim) in said[0]
    if workers:
        batches.close()


def test_nothing_but_broken_clips_is_an_error(mixed, tmp_path):
    copy = Corpus(
        shutil.copytree(mixed.path, tmp_path / "copy", ignore=shutil.ignore_patterns("cache"))
    )
    for track in copy.tracks:
        (copy.path / track.path).write_bytes(b"no film")
    for workers in (0, 1):
        with pytest.raises(
            BadInput, match=r"clips one after the other cannot be read, the last: .*\.mp4"
        ) as caught:
            make_batches(copy, config(loader="decode", workers=workers), 24).at(0)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("B", "extra"), [(2, 2), (1, 0)])
def test_parts_of_several_processes_make_the_batch_of_one(mixed, B, extra):
    cache = mixed.cache(24, progress=False)
    tracks = mixed.split("train")
    world, share = 3, config(B=B, extra=extra, N=6)
    parts = [Batches(cache, tracks, share, rank, world) for rank in range(world)]
    one = Batches(cache, tracks, config(B=world * B, extra=world * extra, N=6))
    assert {p.steps_per_epoch for p in parts} == {one.steps_per_epoch}
    for step in (0, 1, 5):
        got, want = [p.at(step) for p in parts], one.at(step)
        ids = [[t.id for t in b.tracks] for b in got]
        assert len({name for part in ids for name in part}) == world * (B + extra)
        assert [n for part in ids for n in part[:B]] + [n for part in ids for n in part[B:]] == [
            t.id for t in want.tracks
        ]
        for name in ("faces", "extra_faces", "pick"):
            assert torch.equal(torch.cat([getattr(b, name) for b in got]), getattr(want, name))
        sound = torch.cat([b.sound[:B] for b in got] + [b.sound[B:] for b in got])
        assert torch.equal(sound, want.sound)


def test_stand_ins_of_different_processes_differ(mixed):
    class Fails:
        size = 24

        def read(self, track, first, count, seen=slice(None)):
            if not track.id.endswith(("t0", "t1", "t2", "t3")):
                raise BadInput(f"{track.id}: broken")
            return np.zeros((count, 24, 24, 3), np.uint8)[seen], np.zeros(640 * count, np.int16)

    parts = [
        Batches(Fails(), mixed.split("train"), config(B=2, extra=0), rank, 2) for rank in range(2)
    ]
    replaced = 0
    for step in range(6):
        try:
            ids = [[t.id for t in p.at(step).tracks] for p in parts]
        except BadInput as error:
            assert "cannot be read" in str(error)  # noqa: PT017  not enough of them are whole at this step
            continue
        replaced += 1
        assert len({name for part in ids for name in part}) == 4
    assert replaced


def test_what_workers_hold_travels_to_another_process(mixed, packed):
    for corpus in (mixed, packed):
        batches = Batches(Decoder(corpus, 24), corpus.split("train"), config())
        assert same(pickle.loads(pickle.dumps(batches)).at(1), batches.at(1))


def test_a_run_may_change_its_loader_when_resumed(noise_corpus, tmp_path):
    from dsel.model import ModelConfig
    from dsel.train import Trainer, read_checkpoint

    changes = {"steps": 3, "precision": "float32", "device": "cpu", "save_every": 10}
    Trainer(
        noise_corpus,
        ModelConfig.laptop(),
        config(**changes, loader="cache"),
        tmp_path / "a",
        progress=False,
    ).fit()
    Trainer(
        noise_corpus,
        ModelConfig.laptop(),
        config(**changes, loader="cache"),
        tmp_path / "b",
        progress=False,
    ).fit(until=2)
    other = config(**changes, loader="decode", workers=1)
    Trainer(
        noise_corpus, ModelConfig.laptop(), other, tmp_path / "b", resume=True, progress=False
    ).fit()
    a, b = (read_checkpoint(tmp_path / name)["model"] for name in "ab")
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_a_large_index_is_read_in_order_and_held_as_columns(tmp_path, monkeypatch):
    """The oracle is csv's own reader.

    There are rows of many chunks, letters of several bytes and factors of both kinds.
    """
    monkeypatch.setattr(corpora.reading, "ROWS", 7)
    rows = [
        {
            "id": f"발화{k}" if k % 3 else f"plain{k}",
            "speaker": f"s{k % 11}",
            "split": corpora.SPLITS[k % 3],
            "path": f"clips/{k}.mp4",
            "frames": 30 + k % 5,
            "offset": k % 7 - 3,
            "f0": k / 8,
            "text": "" if k % 4 else 'a, "quoted"\nline é',
        }
        for k in range(100)
    ]
    corpus = write_corpus(tmp_path, rows, made_by="tests", seed=0, licence="CC0-1.0")
    assert len(corpus.tracks) == 100
    for row, track in zip(rows, corpus.tracks, strict=True):
        assert (track.id, track.speaker, track.split, track.frames, track.offset) == tuple(
            row[name] for name in ("id", "speaker", "split", "frames", "offset")
        )
        assert track.factors == {"f0": row["f0"], "text": row["text"]}
        assert corpus.by_id[row["id"]] == track
    assert [t.id for t in corpus.split("test")] == [
        row["id"] for row in rows if row["split"] == "test"
    ]
    assert corpus.speakers() == sorted({row["speaker"] for row in rows})
    assert corpus.speakers("train") == sorted(
        {row["speaker"] for row in rows if row["split"] == "train"}
    )
    assert "nobody" not in corpus.by_id
    assert corpus.tracks[-1].id == rows[-1]["id"]
    assert [t.id for t in corpus.tracks[10:20:3]] == [row["id"] for row in rows[10:20:3]]
    write_csv(
        tmp_path / "tracks.csv", [*rows, {**rows[50], "path": "clips/x.mp4"}], corpora.COLUMNS
    )
    with pytest.raises(BadInput, match="1 track ids appear twice"):
        Corpus(tmp_path)
    for wrong, says in (  # lines as an editor counts them: some cells have two
        ({"frames": "--3"}, "line 128, column frames: '--3' is not a whole number"),
        ({"split": "dev"}, "line 128: split 'dev'"),
    ):
        write_csv(
            tmp_path / "tracks.csv", [*rows, {**rows[0], "id": "new", **wrong}], corpora.COLUMNS
        )
        with pytest.raises(BadInput, match=says):
            Corpus(tmp_path)
    write_csv(tmp_path / "tracks.csv", [], corpora.COLUMNS)
    assert len(Corpus(tmp_path)) == 0


def test_resize_of_parts_is_resize_of_the_whole(mixed):
    frames, _ = mixed.clip("t.5")
    np.testing.assert_array_equal(resize(frames, 24)[4:9], resize(frames[4:9], 24))
