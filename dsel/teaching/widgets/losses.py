"""A widget to move embeddings and watch the four losses follow."""

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
from dsel.teaching.widgets import base as screen
from dsel.teaching.widgets.base import WIDE

# Two tasks x two targets: which logits a term looks at, and what they should be.
TERMS = {
    "content": ("content", matching_loss),
    "identity": ("identity", matching_loss),
    "confusion_cs": ("identity", confusion_loss),
    "confusion_sc": ("content", confusion_loss),
}


class LossExplorer:
    """Place a small batch of embeddings on a circle and see what each loss of the method makes of it, beside chance.

    Window t of track i stands at who * 360 i / B + what * 360 (t - (N - 1) / 2) / N degrees: `who` in [0, 1] is how far people
    differ, `what` how far moments do. The face stands there; its sound is off by a normal angle of standard deviation `noise`.

    terms: those of `dsel.plots.NAMES` that may be looked at; the first is at the start. B, N: tracks, windows a track.
    seed: of the noise and of which window is picked. who, what, noise (degrees), w: where the sliders start.

        explorer = LossExplorer(("content",), seed=3)
        explorer.set_what(1.0)
        explorer.losses()["content"]
        explorer.show()
    """

    SIMILARITIES = ("scaled cosine", "inverse distance")

    def __init__(self, terms=tuple(TERMS), *, B: int = 3, N: int = 4, seed: int = 0, who=0.5, what=0.5, noise=15.0, w=10.0):
        self.terms, self.term, self.similarity = tuple(terms), terms[0], self.SIMILARITIES[0]
        self.who, self.what, self.noise, self.w = who, what, noise, w
        generator = torch.Generator().manual_seed(seed)
        self.pick = draw_pick(B, N, generator)  # (B,)
        self._off = torch.randn(B, N, dtype=torch.float64, generator=generator)
        self._screens = {}

    def points(self) -> tuple[Tensor, Tensor]:
        """The embeddings as they are set now: face, audio, each (B, N, 2)."""
        B, N = self._off.shape
        track, window = torch.arange(B, dtype=torch.float64)[:, None], torch.arange(N, dtype=torch.float64)
        degrees = self.who * 360 * track / B + self.what * 360 * (window - (N - 1) / 2) / N  # (B, N)
        return _on_circle(degrees), _on_circle(degrees + self.noise * self._off)

    def logits(self, term: str) -> Tensor:
        """Of the task behind a term: (B, N, N) or (B, B)."""
        similarity = inverse_distance if self.similarity == "inverse distance" else partial(scaled_cosine, w=self.w, b=0.0)
        if TERMS[term][0] == "content":
            return content_logits(*self.points(), similarity)
        return identity_logits(*self.points(), similarity, self.pick)

    def losses(self) -> dict[str, float]:
        """The value of every term."""
        return {term: TERMS[term][1](self.logits(term)).item() for term in self.terms}

    def chance(self) -> dict[str, float]:
        """log K of every term: what a guesser pays a matching loss, and the floor of a confusion loss."""
        return {term: float(np.log(self.logits(term).shape[-1])) for term in self.terms}

    def figure(self):
        """The points, the logits and softmax of the task in view, and the losses."""
        from dsel.plots.losses import points_and_losses

        identity = TERMS[self.term][0] == "identity"
        logits = self.logits(self.term) if identity else self.logits(self.term)[0]
        losses, K = self.losses(), len(logits)
        kind = "its floor" if self.term.startswith("confusion") else "chance"
        title = f"{NAMES[self.term].capitalize()} {losses[self.term]:.3f}; {kind} is log {K} = {np.log(K):.3f}"
        pick = self.pick if identity else None
        return points_and_losses(*self.points(), logits, losses, self.chance(), term=self.term, title=title, pick=pick)

    def set_term(self, name: str) -> None:
        """Look at another term."""
        self._set("term", name)

    def set_similarity(self, name: str) -> None:
        """Scaled cosine or inverse distance. (The latter has no w.)"""
        self._set("similarity", name)
        if self._screens:
            self._controls["w"].disabled = name == "inverse distance"

    def set_w(self, w: float) -> None:
        """The scale of the cosine."""
        self._set("w", w)

    def set_who(self, share: float) -> None:
        """How far people differ: 0, all tracks stand in one place; 1, spread over the circle."""
        self._set("who", share)

    def set_what(self, share: float) -> None:
        """How far the moments of a track differ: 0, all stand in one place; 1, spread over the circle."""
        self._set("what", share)

    def set_noise(self, degrees: float) -> None:
        """How far the sound of a match stands from its face."""
        self._set("noise", degrees)

    def show(self) -> None:
        """Controls and figure, in the cell's output."""
        import ipywidgets

        def slider(name, top, step, text):
            kind = {"value": getattr(self, name), "min": 0, "max": top, "step": step, "continuous_update": False}
            return ipywidgets.FloatSlider(description=text, readout_format=".0f" if step >= 1 else ".2f", style=WIDE, **kind)

        options = [(NAMES[term], term) for term in self.terms]
        self._controls = {
            "what": slider("what", 1, 0.05, "moments differ"),
            "who": slider("who", 1, 0.05, "people differ"),
            "noise": slider("noise", 90, 5, "matches off, °"),
            "w": slider("w", 30, 1, "scale w"),
            "similarity": ipywidgets.Dropdown(
                options=self.SIMILARITIES, value=self.similarity, description="similarity", style=WIDE
            ),
        }
        if len(options) > 1:
            self._controls["term"] = ipywidgets.Dropdown(options=options, value=self.term, description="question", style=WIDE)
        screen.show(self)

    def _set(self, name: str, value) -> None:
        setattr(self, name, value)
        screen.follow(self)


def _on_circle(degrees: Tensor) -> Tensor:
    """Angles (...) to unit vectors (..., 2)."""
    angle = torch.deg2rad(degrees)
    return torch.stack([angle.cos(), angle.sin()], dim=-1)
