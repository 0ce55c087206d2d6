"""Names that users import stay importable.

public_names.json was written before the modules became packages.
"""

import importlib
import json
from pathlib import Path

import pytest

BEFORE = json.loads((Path(__file__).parent / "public_names.json").read_text())


@pytest.mark.parametrize("module", sorted(BEFORE))
def test_no_public_name_is_lost(module):
    now = set(dir(importlib.import_module(module)))
    assert set(BEFORE[module]) <= now, sorted(set(BEFORE[module]) - now)
