"""Open media files with whichever PyAV is installed: its versions take different arguments."""

from __future__ import annotations

from collections.abc import Callable
from typing import IO, Any

# The oldest release of each major version of PyAV that the tests have passed with; pyproject.toml
# allows these majors. 17.0 copies packets with wrong time stamps, and writes no rotation.
HANDLED = ("17.1", "18.0", "19.0")
# Titles in another encoding than UTF-8 are no reason to refuse a film. In PyAV 19 they never are.
WISHES = {"metadata_errors": "ignore"}


def open_to_read(source: str | IO[bytes]) -> Any:
    """Return an open av container of a path (str) or a binary file. Raises what PyAV raises."""
    import av

    return with_known(av.open, source, **WISHES)


def with_known(call: Callable, *arguments: Any, **wishes: Any) -> Any:
    """Return call(*arguments, **wishes) without those wishes that it does not take.

    PyAV is compiled and shows no signature, so the call itself is asked. It refuses what it does
    not know before it begins.
    """
    while True:
        try:
            return call(*arguments, **wishes)
        except TypeError as error:
            unknown = [
                name for name in wishes if f"unexpected keyword argument '{name}'" in str(error)
            ]
            if not unknown:
                raise
            wishes = {name: value for name, value in wishes.items() if name not in unknown}
