"""Judge the released networks: on the test speakers, on new speakers, and what leaks.

    dsel toy --out runs/e0 --speakers 1000 --tracks 2 --validation 40 --test 60 --test-tracks 12
    dsel toy --out runs/new --speakers 0 --validation 0 --test 120 --test-tracks 12 --seed 172994645
    python tools/judge_released.py --data runs/e0 --new runs/new

The seed of the new speakers is that of data/ablation/grid/frozen.json. Written are the evaluation
on the card of each network (what `dsel evaluate` gives), and in data/ablation/grid
`released_new_speakers.json` and `released_leakage.json`: {network: rows}, rows as on a card. The
leakage is what `dsel evaluate --probes` prints. `untrained` are the same networks before the first
step, batch statistics included. About two minutes a network on one core.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
if __package__ in (None, ""):  # run as a file
    sys.path.insert(0, str(ROOT))

from dsel import corpus  # noqa: E402
from dsel.ablation.verdict import FOLDER  # noqa: E402
from dsel.evaluate.judge import judge  # noqa: E402
from dsel.evaluate.leaks import leak_metrics  # noqa: E402
from dsel.evaluate.metrics import to_rows  # noqa: E402
from dsel.evaluate.probes import leakage, random_network  # noqa: E402
from dsel.evaluate.report import evaluate_model  # noqa: E402
from dsel.model import TwoStream  # noqa: E402
from dsel.train.released import RELEASED, load_model  # noqa: E402
from dsel.utils.files import write_json  # noqa: E402
from dsel.utils.package_data import REMEDY  # noqa: E402
from dsel.utils.readers import read_json  # noqa: E402

NAMES = ("four_terms", "five_terms", "lambda0")
NEW_SPEAKERS, LEAKAGE = (FOLDER / f"released_{x}.json" for x in ("new_speakers", "leakage"))


def networks() -> dict[str, TwoStream]:
    """Load the released networks, and make the untrained ones: {name: networks}."""
    found = {name: load_model(name, "cpu") for name in NAMES}
    return found | {"untrained": random_network(found[NAMES[0]])}


def on_new_speakers(model: TwoStream, people: corpus.Corpus) -> list[dict]:
    """Every trial metric with its interval over speakers; sound alone."""
    return to_rows(judge(model, people, faces=False, progress=False))


def leaks(model: TwoStream, people: corpus.Corpus) -> list[dict]:
    """What each head keeps of the other's factor, beside a random network and the ceiling."""
    probed = leakage(model, people, progress=False)
    return to_rows(leak_metrics(model, people, "test", probed, progress=False))


def evaluation(model: TwoStream, people: corpus.Corpus) -> dict:
    """The entry `evaluation` of a card."""
    rows = to_rows(evaluate_model(model, people, progress=False))
    return {"corpus": people.meta, "split": "test", "rows": rows}


def main() -> None:
    """Judge all networks and write the files."""
    plain = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=plain)
    parser.add_argument("--data", required=True, help="corpus with the 60 test speakers")
    parser.add_argument("--new", required=True, help="corpus with the new speakers")
    options = parser.parse_args()
    test, new = corpus.open(options.data), corpus.open(options.new)
    found = networks()
    for name in NAMES:
        path = RELEASED / f"{name}.json"
        card = read_json(path, remedy=REMEDY, entries={})
        write_json(path, card | {"evaluation": evaluation(found[name], test)})
    write_json(NEW_SPEAKERS, {name: on_new_speakers(model, new) for name, model in found.items()})
    write_json(LEAKAGE, {name: leaks(model, test) for name, model in found.items()})


if __name__ == "__main__":
    main()
