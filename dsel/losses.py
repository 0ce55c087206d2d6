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

    def forward(
        self, face: dict, audio: dict, pick=None, extra=None, gather=None, ramp: float = 1.0
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Embeddings of a batch -> total loss and its four parts by name.

        Args:
            face, audio: {"content": (B, N, D), "identity": (B, N, D)}.
            pick: r (B,) which window of each track represents its face in the identity task; None draws it (`draw_pick`).
            extra: (vhat, abar), each (E, D), of further tracks for the identity loss alone: it needs one face window a
                track, so more negatives are nearly free. (Ours.)
            gather: maps (B', D) to (R B', D) over R processes, for identity matching over the global batch. (Ours.)
            ramp: share of lam that counts in this step; a trainer raises it from 0 to 1. (Ours.)
        """
        (v_c, v_s), (a_c, a_s) = ((e["content"], e["identity"]) for e in (face, audio))
        pick = draw_pick(*v_s.shape[:2]).to(v_s.device) if pick is None else pick
        vhat, abar = self._pool(v_s, a_s, pick)  # (B, D), (B, D)
        vhat_c, abar_c = self._pool(v_c, a_c, pick)
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
        return self.alpha_c * parts["content"] + self.alpha_s * parts["identity"] + self.lam * ramp * confusion, parts

    def _pool(self, face: Tensor, audio: Tensor, pick: Tensor) -> tuple[Tensor, Tensor]:
        """`pool`; a further loss may take another mean."""
        return pool(face, audio, pick)

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


# --- Beyond the notes: further terms, compared in the ablation; the trainer's default is `within` = 1, the others are off ----


def mean_voice(audio: Tensor, pick: Tensor, leave_out: int | None = None) -> Tensor:
    """Mean audio of each track, without the windows near the picked one. (Ours.)

        abar_j^{(-r)} = mean of a_{j,tau} over the tau with |tau - r_j| > leave_out

    The full mean contains the sound of the picked face window, so content alone can find the match. With leave_out = 4 no
    window is left that shares a frame with the picked one. Every track leaves out windows near its *own* pick, in all rows of
    the task: the match is then a mean over as few windows as the other tracks', and there is one mean voice a track.
    audio (B, N, D), pick r (B,) -> (B, D). None: the full mean of the notes.

    Raises:
        ValueError: N < 2 leave_out + 2, so that no window may be left.
    """
    if leave_out is None:
        return audio.mean(dim=1)
    N = audio.shape[1]
    if 2 * leave_out + 2 > N:
        raise ValueError(f"leave_out {leave_out} needs N >= {2 * leave_out + 2} windows, not {N}")
    far = (torch.arange(N, device=audio.device) - pick[:, None]).abs() > leave_out  # (B, N)
    weights = far.to(audio.dtype) / far.sum(dim=1, keepdim=True)
    return (weights[..., None] * audio).sum(dim=1)


def others(logits: Tensor) -> Tensor:
    """The logits without their diagonal, rows in order: (..., K, K) -> (..., K, K - 1), K >= 2. (Ours.)

    For a task within one modality, where everything matches itself. No mask, so that a GPU need not be waited for.
    """
    K = logits.shape[-1]
    after = logits.flatten(-2)[..., 1:].unflatten(-1, (K - 1, K + 1))  # each row now ends with a diagonal element
    return after[..., :-1].flatten(-2).unflatten(-1, (K, K - 1))


def within_loss(a_c: Tensor, a_s: Tensor, content_similarity, identity_similarity, gather=None) -> Tensor:
    """Confusion within the audio stream, which the two confusion terms of the notes never compare with itself. (Ours.)

        hbar_i, kbar_i = mean of a^c over the first, the second half of track i
        L_within = confusion of l_s(hbar_i, kbar_j) over tracks j + confusion of l_c(a^s_{i,t}, a^s_{i,tau}) over tau != t

    Halves of a track must not find each other by content embeddings; windows of a track must all look alike to the identity
    head. a_c, a_s (B, N, D), N >= 2 -> scalar >= log B + log(N - 1). gather: as in `DisentangledLoss.forward`.
    """
    half = a_c.shape[1] // 2
    first, second = a_c[:, :half].mean(dim=1), a_c[:, half:].mean(dim=1)  # (B, D), (B, D)
    if gather is not None:
        first, second = gather(first), gather(second)
    windows = others(content_similarity(a_s, a_s))  # (B, N, N - 1)
    return confusion_loss(identity_similarity(first, second)) + confusion_loss(windows)


def intra_loss(x: Tensor, y: Tensor, similarity) -> Tensor:
    """Matching x_k with y_k among y_k and the other x_j: separation within a modality. x, y (..., K, D), K >= 2 -> scalar.

        L_intra = - mean_k log [ exp l(x_k, y_k) / (exp l(x_k, y_k) + sum_{j != k} exp l(x_k, x_j)) ]

    (Source: the idea of Chung, Kang and Chung 2020, arXiv:2004.14326; this form is our reading of it.)
    """
    own = similarity(x, y).diagonal(dim1=-2, dim2=-1)[..., None]  # (..., K, 1)
    logits = torch.cat([own, others(similarity(x, x))], dim=-1)  # (..., K, K), the match first
    return -logits.log_softmax(dim=-1)[..., 0].mean()


def reverse(x: Tensor, lam: float) -> Tensor:
    """x, but the gradient that comes back is multiplied by -lam: what follows learns a task, what precedes unlearns it.

    (Source: Ganin and Lempitsky 2015, arXiv:1409.7495, gradient reversal.)
    """
    return x.detach() + lam * (x.detach() - x)


class BeyondLoss(DisentangledLoss):
    """L + within L_within + intra (L_intra,content + L_intra,identity) + the matching losses of two adversaries.

    Args:
        within, intra: weights of `within_loss` and `intra_loss` (the mean of face and audio as anchors), both >= 0.
        reversal: how strongly the embeddings work against two trained adversaries, which do the *other* task on them:
            identity from content embeddings, content from identity embeddings; an MLP for each stream. 0: none. Set lam = 0
            to have them instead of the notes' confusion.
        leave_out: the identity task and its confusion compare with the mean voice without the windows within so many of the
            picked one, see `mean_voice`; None: the full mean of the notes.
        D: numbers an embedding (for the adversaries).
        options: those of `DisentangledLoss`.
    The argument `ramp` of `forward` scales `within` and `reversal` as it scales lam.
    Raises:
        ValueError: a negative weight.
    """

    def __init__(self, within=0.0, reversal=0.0, intra=0.0, leave_out=None, D=128, **options):
        super().__init__(**options)
        if min(within, reversal, intra) < 0:
            raise ValueError(f"weights must not be negative: within={within}, reversal={reversal}, intra={intra}")
        if leave_out is not None and leave_out < 0:
            raise ValueError(f"leave_out must be None or at least 0, not {leave_out}")
        self.within, self.reversal, self.intra = within, reversal, intra
        self.leave_out = leave_out
        pairs = [f"{stream}_{head}" for stream in ("face", "audio") for head in ("content", "identity")] if reversal else []
        self.adversary = nn.ModuleDict({name: _adversary(D) for name in pairs})
        self.adversary_scale = nn.ModuleDict({head: ScaledCosine() for head in ("content", "identity")} if reversal else {})

    def forward(
        self, face: dict, audio: dict, pick=None, extra=None, gather=None, ramp: float = 1.0
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """As in `DisentangledLoss`; further parts "within", "intra", "adversary_cs", "adversary_sc" where they are on.

        `gather` reaches the terms of the notes and the halves of `within`; intra and adversaries stay within a process.
        """
        (v_c, v_s), (a_c, a_s) = ((e["content"], e["identity"]) for e in (face, audio))
        pick = draw_pick(*v_s.shape[:2]).to(v_s.device) if pick is None else pick
        total, parts = super().forward(face, audio, pick, extra, gather, ramp)
        content, identity = self.content_similarity, self.identity_similarity
        if self.within:
            parts["within"] = within_loss(a_c, a_s, self._confuse(content), self._confuse(identity), gather)
            total = total + ramp * self.within * parts["within"]
        if self.intra:
            pairs = ((v_c, a_c, content), (*self._pool(v_s, a_s, pick), identity))
            parts["intra"] = sum((intra_loss(x, y, alike) + intra_loss(y, x, alike)) / 2 for x, y, alike in pairs)
            total = total + self.intra * parts["intra"]
        if self.reversal:
            vhat_c, abar_c = self._pool(v_c, a_c, pick)
            parts["adversary_cs"] = self._adversary_loss("content", vhat_c, abar_c, ramp)
            parts["adversary_sc"] = self._adversary_loss("identity", v_s, a_s, ramp)
            total = total + parts["adversary_cs"] + parts["adversary_sc"]
        return total, parts

    def _pool(self, face: Tensor, audio: Tensor, pick: Tensor) -> tuple[Tensor, Tensor]:
        """One face window and the mean audio of each track, without the windows near the pick if so asked."""
        return pool(face, audio, pick)[0], mean_voice(audio, pick, self.leave_out)

    def _adversary_loss(self, head: str, x: Tensor, y: Tensor, ramp: float) -> Tensor:
        """The adversaries of a head match x with y, (..., K, D) each, through the reversed gradient."""
        against = ramp * self.reversal
        x, y = (self.adversary[f"{s}_{head}"](reverse(e, against)) for s, e in (("face", x), ("audio", y)))
        return matching_loss(self.adversary_scale[head](x, y))


def _adversary(D: int) -> nn.Sequential:
    """(..., D) -> (..., D): LayerNorm, so that it sees directions as the cosine does; then two layers."""
    return nn.Sequential(nn.LayerNorm(D), nn.Linear(D, D), nn.ReLU(), nn.Linear(D, D))
