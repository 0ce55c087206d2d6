"""Networks that others published: fetched once, on request; one line where there is no network."""

import io

import pytest
import torch
from test_authors import random_checkpoint

import dsel
from dsel.corpus.shards import Unreachable
from dsel.train import published
from dsel.train.authors import import_authors
from dsel.train.released import load_model, released_names, run_folder
from dsel.utils.errors import BadInput


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("DSEL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "published" / "voxsrc2020"


@pytest.mark.heavy
def test_it_is_fetched_once_converted_and_kept(cache, tmp_path, monkeypatch, capsys):
    file = io.BytesIO()
    torch.save(random_checkpoint(), file)
    asked = []

    def fetch(url):
        asked.append(url)
        return file.getvalue()

    monkeypatch.setattr(published, "fetch", fetch)
    first, again = dsel.load("voxsrc2020"), dsel.load("voxsrc2020")
    assert asked == [published.PUBLISHED["voxsrc2020"]]
    said = capsys.readouterr().err
    assert "joonson/syncnet_trainer" in said
    assert str(cache) in said
    assert sorted(path.suffix for path in cache.iterdir()) == [".json", ".pt", ".pt"]
    (tmp_path / "theirs.model").write_bytes(file.getvalue())
    expected = load_model(import_authors(tmp_path / "theirs.model", tmp_path / "run"), "cpu")
    for networks in (first, again):
        for name, value in expected.state_dict().items():
            torch.testing.assert_close(networks.state_dict()[name], value, rtol=0, atol=0)
    assert run_folder("voxsrc2020") is None  # results are not written into the cache


def test_without_a_network_one_line_says_what_to_do(cache, monkeypatch, capsys):
    def fetch(url):
        raise Unreachable(f"{url}: cannot be fetched")

    monkeypatch.setattr(published, "fetch", fetch)
    with pytest.raises(BadInput, match="dsel import FILE --out RUN"):
        dsel.load("voxsrc2020")
    assert not cache.exists()


def test_a_page_instead_of_the_file_leaves_nothing_behind(cache, monkeypatch, capsys):
    monkeypatch.setattr(published, "fetch", lambda url: b"<html>moved</html>")
    with pytest.raises(BadInput, match="not a checkpoint"):
        dsel.load("voxsrc2020")
    assert not cache.exists()


def test_it_is_no_released_network_but_the_message_names_it():
    assert "voxsrc2020" not in released_names()
    with pytest.raises(BadInput, match="voxsrc2020 is fetched"):
        dsel.load("nowhere")
