"""What mkdocstrings loads for `tools/reference.py`: our docstrings, spelt as it reads them."""

from __future__ import annotations

import griffe

from tools.reference import readable


class Readable(griffe.Extension):
    """Respell docstrings in the reference; the source that is shown beside them stays as it is."""

    def on_object(self, *, obj: griffe.Object, **others: object) -> None:
        """Change the docstring of one function, class or module."""
        if obj.docstring:
            obj.docstring.value = readable(obj.docstring.value)
