"""Open media files with whichever PyAV is installed: from one version to the next, `av.open` takes other arguments."""

from __future__ import annotations

from collections.abc import Callable

HANDLED = (17, 18, 19)  # PyAV's major versions that the tests have passed with; pyproject.toml allows these
# Names and titles in another encoding than UTF-8 are no reason to refuse a film. From PyAV 19 on they never are.
WISHES = {"metadata_errors": "ignore"}


def open_to_read(source):
    """An open av container of a path (str) or a binary file. Raises what PyAV raises."""
    import av

    return with_known(av.open, source, **WISHES)


def with_known(call: Callable, *arguments, **wishes):
    """call(*arguments, **wishes) without those wishes that it does not take.

    PyAV is compiled and shows no signature, so the call itself is asked: it refuses what it does not know before it begins.
    """
    while True:
        try:
            return call(*arguments, **wishes)
        except TypeError as error:
            unknown = [name for name in wishes if f"unexpected keyword argument '{name}'" in str(error)]
            if not unknown:
                raise
            wishes = {name: value for name, value in wishes.items() if name not in unknown}
