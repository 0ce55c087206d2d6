"""The widget of notebooks 03, 04 and 05: move embeddings and watch the four losses follow.

(Source: ours.)
"""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from torch import Tensor

from dsel.losses import (
    confusion_loss,
    content_logits,
    draw_pick,
    identity_logits,
    inverse_distance,
    matching_loss,
    scaled_cosine,
)
from dsel.plots.style import NAMES
from dsel.teaching.widgets.base import WIDE, Explorer, choice

__all__ = ["TERMS", "LossExplorer"]

# Two tasks x two targets: which logits a term looks at, and which loss it takes of them.
TERMS = {
    "content": ("content", matching_loss),
    "identity": ("identity", matching_loss),
    "confusion_cs": ("identity", confusion_loss),
    "confusion_sc": ("content", confusion_loss),
}


class LossExplorer(Explorer):
    """Place a small batch of embeddings on a circle, and see each loss of the method beside chance.

    The face of window t of track i stands at who * 360 i / B + what * 360 (t - (N - 1) / 2) / N
    degrees: `who` is how far people differ, `what` how far moments differ, both from 0 to 1. Its
    sound is off by a normal angle of standard deviation `noise`.

        explorer = LossExplorer(("content",), seed=3)
        explorer.set_what(1.0)
        explorer.losses()["content"]
        explorer.show()

    Args:
        terms: those of `dsel.plots.NAMES` that may be looked at, the first at the start.
        B, N: tracks, and windows of a track.
        seed: of the noise and of which windows are picked.
        who, what: where their sliders start.
        noise: in degrees.
        w: scale of the cosine.
    """

    SIMILARITIES = ("scaled cosine", "inverse distance")

    def __init__(
        self,
        terms=tuple(TERMS),
        *,
        B: int = 3,
        N: int = 4,
        seed: int = 0,
        who=0.5,
        what=0.5,
        noise=15.0,
        w=10.0,
    ):
        super().__init__()
        self.terms, self.term, self.similarity = tuple(terms), terms[0], self.SIMILARITIES[0]
        self.who, self.what, self.noise, self.w = who, what, noise, w
        generator = torch.Generator().manual_seed(seed)
        self.pick = draw_pick(B, N, generator)  # (B,)
        self._off = torch.randn(B, N, dtype=torch.float64, generator=generator)

    def points(self) -> tuple[Tensor, Tensor]:
        """Return the embeddings as they are set now: face, audio, each (B, N, 2)."""
        B, N = self._off.shape
        track = torch.arange(B, dtype=torch.float64)[:, None]
        window = torch.arange(N, dtype=torch.float64) - (N - 1) / 2
        degrees = self.who * 360 * track / B + self.what * 360 * window / N  # (B, N)
        return _on_circle(degrees), _on_circle(degrees + self.noise * self._off)

    def logits(self, term: str) -> Tensor:
        """Compute the logits of the task behind a term: (B, N, N) or (B, B)."""
        cosine = partial(scaled_cosine, w=self.w, b=0.0)
        similarity = inverse_distance if self.similarity == "inverse distance" else cosine
        if TERMS[term][0] == "content":
            return content_logits(*self.points(), similarity)
        return identity_logits(*self.points(), similarity, self.pick)

    def losses(self) -> dict[str, float]:
        """Compute the value of every term."""
        return {term: TERMS[term][1](self.logits(term)).item() for term in self.terms}

    def chance(self) -> dict[str, float]:
        """Compute log K of every term: chance of a matching loss, minimum of a confusion loss."""
        return {term: float(np.log(self.logits(term).shape[-1])) for term in self.terms}

    def figure(self):
        """Draw the points, the logits and softmax of the task in view, and the losses."""
        from dsel.plots.losses import points_and_losses

        identity = TERMS[self.term][0] == "identity"
        logits = self.logits(self.term) if identity else self.logits(self.term)[0]
        losses, K = self.losses(), len(logits)
        level = "its minimum" if self.term.startswith("confusion") else "chance"
        name, value = NAMES[self.term].capitalize(), losses[self.term]
        title = f"{name} {value:.3f}; {level} is log {K} = {np.log(K):.3f}"
        shown = {"term": self.term, "title": title, "pick": self.pick if identity else None}
        return points_and_losses(*self.points(), logits, losses, self.chance(), **shown)

    def set_term(self, name: str) -> None:
        """Look at another term."""
        self._set("term", name)

    def set_similarity(self, name: str) -> None:
        """Choose scaled cosine or inverse distance; the latter has no w."""
        self._set("similarity", name)
        if self._displays:
            self._controls["w"].disabled = name == "inverse distance"

    def set_w(self, w: float) -> None:
        """Set the scale of the cosine."""
        self._set("w", w)

    def set_who(self, share: float) -> None:
        """Set how far people differ: 0, all tracks in one place; 1, spread over the circle."""
        self._set("who", share)

    def set_what(self, share: float) -> None:
        """Set how far moments differ: 0, those of a track in one place; 1, over the circle."""
        self._set("what", share)

    def set_noise(self, degrees: float) -> None:
        """Set how far the sound of a match stands from its face."""
        self._set("noise", degrees)

    def show(self) -> None:
        """Display controls and figure."""
        import ipywidgets

        def slider(name: str, top: float, step: float, text: str):
            values = {"value": getattr(self, name), "min": 0, "max": top, "step": step}
            look = {"readout_format": ".0f" if step >= 1 else ".2f", "style": WIDE}
            return ipywidgets.FloatSlider(description=text, **values, **look)

        names = [(NAMES[term], term) for term in self.terms]
        self._controls = {
            "what": slider("what", 1, 0.05, "moments differ"),
            "who": slider("who", 1, 0.05, "people differ"),
            "noise": slider("noise", 90, 5, "matches off, °"),
            "w": slider("w", 30, 1, "scale w"),
            "similarity": choice(self.SIMILARITIES, self.similarity, description="similarity"),
        }
        if len(names) > 1:
            self._controls["term"] = choice(names, self.term, description="question")
        self._display()


def _on_circle(degrees: Tensor) -> Tensor:
    """Turn angles (...) into unit vectors (..., 2)."""
    angle = torch.deg2rad(degrees)
    return torch.stack([angle.cos(), angle.sin()], dim=-1)
