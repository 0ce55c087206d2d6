"""The losses: two tasks x two targets.

                                     target: the match        target: nothing
    content task,  N x N in a track  content loss             confusion of the identity embeddings
    identity task, B x B over tracks identity loss            confusion of the content embeddings

A task turns embeddings into logits (`content_logits`, `identity_logits`); a target turns logits into a loss
(`matching_loss`, `confusion_loss`). These four pure functions are the whole method; `DisentangledLoss` is their sum.

Letters, everywhere: B tracks i, N windows t (video) and tau (audio) a track, D numbers an embedding, K things to choose from;
v = face, a = audio; superscript c = content head, s = identity (speaker) head; l(x, y) the similarity of two embeddings.
`dsel.reference` says the same in plain loops.
"""

from __future__ import annotations

import math
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def inverse_distance(x: Tensor, y: Tensor, eps: float = 1e-2) -> Tensor:
    """l(x, y) = 1 / max(||x - y||_2, eps) for all pairs. (Source: notes; the eps is ours: it bounds l at 1/eps.)

    x (..., K, D), y (..., M, D) -> logits (..., K, M). The gradient is finite everywhere, and 0 where ||x - y|| < eps.
    """
    distance = torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist")  # (..., K, M); the fast mode loses digits
    return 1 / distance.clamp(min=eps)


def scaled_cosine(x: Tensor, y: Tensor, w: Tensor | float, b: Tensor | float) -> Tensor:
    """l(x, y) = w cos(x, y) + b for all pairs: x (..., K, D), y (..., M, D) -> logits (..., K, M). (Source: authors' code.)"""
    x, y = F.normalize(x, dim=-1, eps=1e-6), F.normalize(y, dim=-1, eps=1e-6)
    return w * (x @ y.transpose(-1, -2)) + b


class ScaledCosine(nn.Module):
    """l(x, y) = w cos(x, y) + b with w and b learnt; the same call as `inverse_distance`. (Source: authors' code.)

    What is learnt is log w, so that w > 0 whatever the optimiser does. (Ours; the authors' code calls torch.clamp on w and
    throws the result away.) b moves all logits of a row alike, so no softmax, and hence no loss here, depends on it.

    Raises:
        ValueError: w <= 0.
    """

    def __init__(self, w: float = 10.0, b: float = -5.0):
        super().__init__()
        if w <= 0:
            raise ValueError(f"w must be positive, not {w}")
        self.log_w = nn.Parameter(torch.tensor(math.log(w)))
        self.b = nn.Parameter(torch.tensor(float(b)))

    @property
    def w(self) -> Tensor:
        """The scale, a scalar > 0."""
        return self.log_w.exp()

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return scaled_cosine(x, y, self.w.to(x.dtype), self.b.to(x.dtype))

    def frozen(self):
        """The same similarity with w and b as constants: no gradient reaches them. (Ours.)"""
        return partial(scaled_cosine, w=self.w.detach(), b=self.b.detach())

    @torch.no_grad()
    def limit_(self, w_max: float) -> None:
        """Clamp w in place to at most w_max, as CLIP clamps its logit scale; call it after each optimiser step. (Ours.)"""
        self.log_w.clamp_(max=math.log(w_max))


def frozen(similarity):
    """A similarity whose own parameters, if it has any, receive no gradient."""
    return similarity.frozen() if hasattr(similarity, "frozen") else similarity


def content_logits(face: Tensor, audio: Tensor, similarity) -> Tensor:
    """Content task: each video window of a track against all N audio windows of the same track. (Source: notes.)

    l(v_{i,t}, a_{i,tau}): face (B, N, D), audio (B, N, D) -> (B, N, N), rows t, columns tau.
    """
    return similarity(face, audio)


def draw_pick(tracks: int, windows: int, generator: torch.Generator | None = None) -> Tensor:
    """r_i ~ Uniform{0..N-1}, one for each of B tracks: (B,). (Source: notes; the authors' code draws one for the batch.)"""
    return torch.randint(windows, (tracks,), generator=generator)


def pool(face: Tensor, audio: Tensor, pick: Tensor) -> tuple[Tensor, Tensor]:
    """One face window and the mean audio of each track: vhat_i = v_{i,r_i}, abar_j = 1/N sum_tau a_{j,tau}. (Source: notes.)

    face (B, N, D), audio (B, N, D), pick r (B,) window index -> (B, D), (B, D).
    """
    rows = torch.arange(len(face), device=face.device)
    return face[rows, pick], audio.mean(dim=1)


def identity_logits(face: Tensor, audio: Tensor, similarity, pick: Tensor) -> Tensor:
    """Identity task: one face window of each track against the mean audio of all B tracks. (Source: notes.)

    l(vhat_i, abar_j): face (B, N, D), audio (B, N, D), pick r (B,) -> (B, B), rows i, columns j.
    """
    vhat, abar = pool(face, audio, pick)
    return similarity(vhat, abar)


def matching_loss(logits: Tensor) -> Tensor:
    """Target 'the match': - mean_k log softmax(logits)_{k,k}. (Source: notes.)

    logits (..., K, K) -> scalar >= 0. All logits equal: log K, the chance level. K = 1: 0.
    """
    return -logits.log_softmax(dim=-1).diagonal(dim1=-2, dim2=-1).mean()


def confusion_loss(logits: Tensor) -> Tensor:
    """Target 'nothing': cross-entropy of softmax(logits) against uniform, - mean_k 1/K sum_j log q(j | k). (Source: notes.)

    logits (..., K, K) -> scalar >= log K, with equality exactly where the logits of every row are equal.
    """
    return -logits.log_softmax(dim=-1).mean()


def top1(logits: Tensor) -> Tensor:
    """Share of rows whose largest logit is the match: (..., K, K) -> scalar in [0, 1]. A tie counts as its share."""
    best = logits == logits.amax(dim=-1, keepdim=True)
    return (best.diagonal(dim1=-2, dim2=-1) / best.sum(dim=-1)).mean()


class DisentangledLoss(nn.Module):
    """L = alpha_c L_content + alpha_s L_identity + lam (L_{c->s} + L_{s->c}).

    Args:
        alpha_c, alpha_s, lam: the three weights, all >= 0; 0 leaves a term out of the gradient.
        similarity: 'cosine' (each task learns its own w, b) or 'inverse_distance'.
        confusion_scale: how w enters the confusion terms. 'detached' (default): as a constant; 'trained': it is trained by
            them too, and gives way instead of the embeddings; 'fixed': the constant w0.
        w0: the scale at the start. w_max: its bound, kept by `limit_()` after each step; None for no bound.
    Raises:
        ValueError: an unknown similarity or confusion_scale, or a negative weight.
    (Source: the terms from the notes; 'detached' and the bound at 20 are ours, from measurement.)
    """

    def __init__(self, alpha_c=1.0, alpha_s=1.0, lam=1.0, similarity="cosine", confusion_scale="detached", w0=10.0, w_max=20.0):
        super().__init__()
        if similarity not in ("cosine", "inverse_distance"):
            raise ValueError(f"similarity must be 'cosine' or 'inverse_distance', not {similarity!r}")
        if confusion_scale not in ("detached", "trained", "fixed"):
            raise ValueError(f"confusion_scale must be 'detached', 'trained' or 'fixed', not {confusion_scale!r}")
        if min(alpha_c, alpha_s, lam) < 0:
            raise ValueError(f"weights must not be negative: alpha_c={alpha_c}, alpha_s={alpha_s}, lam={lam}")
        self.alpha_c, self.alpha_s, self.lam = alpha_c, alpha_s, lam
        self.confusion_scale, self.w_max = confusion_scale, w_max
        cosine = similarity == "cosine"
        self.content_similarity = ScaledCosine(w0) if cosine else inverse_distance
        self.identity_similarity = ScaledCosine(w0) if cosine else inverse_distance
        self._fixed = partial(scaled_cosine, w=w0, b=0.0) if cosine else inverse_distance

    def forward(self, face: dict, audio: dict, pick=None, extra=None, gather=None) -> tuple[Tensor, dict[str, Tensor]]:
        """Embeddings of a batch -> total loss and its four parts by name.

        Args:
            face, audio: {"content": (B, N, D), "identity": (B, N, D)}.
            pick: r (B,) which window of each track represents its face in the identity task; None draws it (`draw_pick`).
            extra: (vhat, abar), each (E, D), of further tracks for the identity loss alone: it needs one face window a
                track, so more negatives are nearly free. (Ours.)
            gather: maps (B', D) to (R B', D) over R processes, for identity matching over the global batch. (Ours.)
        """
        (v_c, v_s), (a_c, a_s) = ((e["content"], e["identity"]) for e in (face, audio))
        pick = draw_pick(*v_s.shape[:2]).to(v_s.device) if pick is None else pick
        vhat, abar = pool(v_s, a_s, pick)  # (B, D), (B, D)
        vhat_c, abar_c = pool(v_c, a_c, pick)
        if extra is not None:
            vhat, abar = torch.cat([vhat, extra[0]]), torch.cat([abar, extra[1]])  # (B + E, D)
        if gather is not None:
            vhat, abar, vhat_c, abar_c = map(gather, (vhat, abar, vhat_c, abar_c))
        parts = {
            "content": matching_loss(content_logits(v_c, a_c, self.content_similarity)),
            "identity": matching_loss(self.identity_similarity(vhat, abar)),
            "confusion_cs": confusion_loss(self._confuse(self.identity_similarity)(vhat_c, abar_c)),
            "confusion_sc": confusion_loss(content_logits(v_s, a_s, self._confuse(self.content_similarity))),
        }
        confusion = parts["confusion_cs"] + parts["confusion_sc"]
        return self.alpha_c * parts["content"] + self.alpha_s * parts["identity"] + self.lam * confusion, parts

    def _confuse(self, similarity):
        """The similarity as the confusion terms see it."""
        return {"detached": frozen(similarity), "trained": similarity, "fixed": self._fixed}[self.confusion_scale]

    def limit_(self) -> None:
        """Keep both scales within w_max, in place. Call it after each optimiser step."""
        for similarity in (self.content_similarity, self.identity_similarity):
            if self.w_max is not None and isinstance(similarity, ScaledCosine):
                similarity.limit_(self.w_max)

    def scales(self) -> dict[str, float]:
        """The present scales: {"w_content": w, "w_identity": w}; empty for the inverse distance. Waits for the device."""
        pairs = (("w_content", self.content_similarity), ("w_identity", self.identity_similarity))
        return {name: s.w.item() for name, s in pairs if isinstance(s, ScaledCosine)}
