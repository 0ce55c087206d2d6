"""The losses: two tasks times two targets.

                                     target: the match        target: nothing
    content task,  N x N in a track  content loss             confusion of the identity embeddings
    identity task, B x B over tracks identity loss            confusion of the content embeddings

A task turns embeddings into logits (`content_logits`, `identity_logits`). A target turns logits
into a loss (`matching_loss`, `confusion_loss`). These four pure functions are the whole method;
`DisentangledLoss` is their weighted sum. `dsel.reference` computes the same in plain loops.

Letters: B tracks i; N windows per track, t of the face and tau of the audio; D numbers per
embedding; K things to choose from. v = face, a = audio; superscript c = content head, s = identity
(speaker) head; l(x, y) is the similarity of two embeddings.

Sources: "notes" are the lecture notes this package follows; "authors' code" is the code published
with the paper; "ours" is what this package adds.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Similarity = Callable[[Tensor, Tensor], Tensor]  # x (..., K, D), y (..., M, D) -> (..., K, M)


def inverse_distance(x: Tensor, y: Tensor, eps: float = 1e-2) -> Tensor:
    """Compute l(x, y) = 1 / max(||x - y||_2, eps) for all pairs.

    (Source: notes. The eps is ours: it bounds l by 1/eps.)

    Args:
        x, y: (..., K, D) and (..., M, D).
        eps: the smallest distance that counts. Below it the gradient is 0; it is finite everywhere.
    Returns:
        x (..., K, D), y (..., M, D) -> logits (..., K, M).

    >>> inverse_distance(torch.tensor([[3.0, 4.0]]), torch.tensor([[0.0, 0.0], [3.0, 4.0]]))
    tensor([[  0.2000, 100.0000]])
    """
    # the other mode of cdist is faster and loses digits
    distance = torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist")  # (..., K, M)
    return 1 / distance.clamp(min=eps)


def scaled_cosine(x: Tensor, y: Tensor, w: Tensor | float, b: Tensor | float) -> Tensor:
    """Compute l(x, y) = w cos(x, y) + b for all pairs. (Source: authors' code.)

    Args:
        x, y: (..., K, D) and (..., M, D).
        w, b: scale and offset, numbers or scalar tensors.
    Returns:
        x (..., K, D), y (..., M, D) -> logits (..., K, M).

    >>> x, y = torch.tensor([[2.0, 0.0]]), torch.tensor([[1.0, 0.0], [0.0, 5.0]])
    >>> scaled_cosine(x, y, w=10, b=-5)
    tensor([[ 5., -5.]])
    """
    x, y = F.normalize(x, dim=-1, eps=1e-6), F.normalize(y, dim=-1, eps=1e-6)
    return w * (x @ y.transpose(-1, -2)) + b


class ScaledCosine(nn.Module):
    """The similarity l(x, y) = w cos(x, y) + b with learnt w and b. (Source: authors' code.)

    It is called like `inverse_distance`. The parameter is log w, so w > 0 at every step (ours; the
    authors' code calls torch.clamp on w and ignores the result). b moves all logits of a row
    equally, so no softmax depends on it, and no loss here.

    Args:
        w, b: scale and offset before training.
    Raises:
        ValueError: w <= 0.
    """

    def __init__(self, w: float = 10.0, b: float = -5.0) -> None:
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
        """Compute the logits of all pairs: x (..., K, D), y (..., M, D) -> (..., K, M)."""
        return scaled_cosine(x, y, self.w.to(x.dtype), self.b.to(x.dtype))

    def frozen(self) -> Similarity:
        """Return this similarity with w and b as constants that receive no gradient. (Ours.)"""
        return partial(scaled_cosine, w=self.w.detach(), b=self.b.detach())

    @torch.no_grad()
    def limit_(self, w_max: float) -> None:
        """Clamp w in place to at most w_max; call it after each optimiser step.

        (Ours; CLIP limits its logit scale in the same way.)
        """
        self.log_w.clamp_(max=math.log(w_max))


def frozen(similarity: Similarity) -> Similarity:
    """Return a similarity whose own parameters, if it has any, receive no gradient."""
    return similarity.frozen() if hasattr(similarity, "frozen") else similarity


def content_logits(face: Tensor, audio: Tensor, similarity: Similarity) -> Tensor:
    """Content task: compare each face window of a track with all N audio windows of that track.

    The logits are l(v_{i,t}, a_{i,tau}); row t, column tau. (Source: notes.)

    Args:
        face, audio: (B, N, D).
        similarity: l, such as `inverse_distance` or a `ScaledCosine`.
    Returns:
        face (B, N, D), audio (B, N, D) -> (B, N, N).

    >>> face, audio = torch.randn(4, 30, 128), torch.randn(4, 30, 128)
    >>> content_logits(face, audio, inverse_distance).shape
    torch.Size([4, 30, 30])
    """
    return similarity(face, audio)


def draw_pick(tracks: int, windows: int, generator: torch.Generator | None = None) -> Tensor:
    """Draw one window r_i of each of B tracks: r_i ~ Uniform{0..N-1}.

    (Source: notes; the authors' code draws one number for the whole batch.)

    Args:
        tracks, windows: B and N.
        generator: where the random numbers come from; None: torch's global generator.
    Returns:
        (B,), int64.

    >>> draw_pick(3, 30, torch.Generator().manual_seed(0)).shape
    torch.Size([3])
    """
    return torch.randint(windows, (tracks,), generator=generator)


def pool(face: Tensor, audio: Tensor, pick: Tensor) -> tuple[Tensor, Tensor]:
    """Take one face window and the mean audio of each track. (Source: notes.)

        vhat_i = v_{i,r_i},    abar_j = 1/N sum_tau a_{j,tau}

    Args:
        face, audio: (B, N, D).
        pick: r (B,), which face window of each track is taken.
    Returns:
        face (B, N, D), audio (B, N, D), pick (B,) -> (B, D), (B, D).

    >>> face = audio = torch.arange(3.0).reshape(1, 3, 1)  # one track of three windows, D = 1
    >>> pool(face, audio, pick=torch.tensor([2]))
    (tensor([[2.]]), tensor([[1.]]))
    """
    rows = torch.arange(len(face), device=face.device)
    return face[rows, pick], audio.mean(dim=1)


def identity_logits(face: Tensor, audio: Tensor, similarity: Similarity, pick: Tensor) -> Tensor:
    """Identity task: compare one face window of each track with the mean audio of all B tracks.

    The logits are l(vhat_i, abar_j), see `pool`; row i, column j. (Source: notes.)

    Args:
        face, audio: (B, N, D).
        similarity: l, such as `inverse_distance` or a `ScaledCosine`.
        pick: r (B,), which face window of each track is taken, see `draw_pick`.
    Returns:
        face (B, N, D), audio (B, N, D), pick (B,) -> (B, B).

    >>> face, audio = torch.randn(4, 30, 128), torch.randn(4, 30, 128)
    >>> identity_logits(face, audio, inverse_distance, draw_pick(4, 30)).shape
    torch.Size([4, 4])
    """
    vhat, abar = pool(face, audio, pick)
    return similarity(vhat, abar)


def matching_loss(logits: Tensor) -> Tensor:
    """Target 'the match': - mean_k log softmax(logits)_{k,k}. (Source: notes.)

    logits (..., K, K) -> scalar >= 0. If all logits are equal it is log K, the chance level; for
    K = 1 it is 0.

    >>> chance = matching_loss(torch.zeros(5, 5))
    >>> round(chance.item(), 4), round(math.log(5), 4)
    (1.6094, 1.6094)
    >>> matching_loss(10 * torch.eye(5)) < chance
    tensor(True)
    """
    return -logits.log_softmax(dim=-1).diagonal(dim1=-2, dim2=-1).mean()


def confusion_loss(logits: Tensor) -> Tensor:
    """Target 'nothing': cross-entropy between the uniform distribution and softmax(logits).

        - mean_k 1/K sum_j log q(j | k),    q(. | k) = softmax of row k

    (Source: notes.) logits (..., K, K) -> scalar >= log K. It is log K exactly where all logits of
    a row are equal, so that nothing can be chosen.

    >>> lowest = confusion_loss(torch.zeros(5, 5))
    >>> round(lowest.item(), 4), round(math.log(5), 4)
    (1.6094, 1.6094)
    >>> confusion_loss(10 * torch.eye(5)) > lowest
    tensor(True)
    """
    return -logits.log_softmax(dim=-1).mean()


def top1(logits: Tensor) -> Tensor:
    """Compute the share of rows whose largest logit is the match: (..., K, K) -> scalar in [0, 1].

    If m logits of a row tie for the largest and the match is one of them, the row counts 1/m.

    >>> top1(torch.tensor([[2.0, 1.0], [3.0, 0.0]]))
    tensor(0.5000)
    """
    best = logits == logits.amax(dim=-1, keepdim=True)
    return (best.diagonal(dim1=-2, dim2=-1) / best.sum(dim=-1)).mean()


class DisentangledLoss(nn.Module):
    """L = alpha_c L_content + alpha_s L_identity + lam (L_{c->s} + L_{s->c}).

    (Source: the terms from the notes; 'detached' and the bound at 20 are ours, from measurement.)

    Args:
        alpha_c, alpha_s, lam: the three weights, all >= 0; 0 takes a term out of the gradient.
        similarity: 'cosine' (each task learns its own w and b) or 'inverse_distance'.
        confusion_scale: how w enters the confusion terms. 'detached': as a constant. 'trained': as
            a parameter; then training shrinks w instead of changing the embeddings. 'fixed': as w0.
        w0: the scale w before training.
        w_max: the largest w, kept by `limit_()` after each step; None: no bound.
    Raises:
        ValueError: an unknown similarity or confusion_scale, or a negative weight.

    >>> face = {"content": torch.randn(4, 8, 16), "identity": torch.randn(4, 8, 16)}
    >>> audio = {"content": torch.randn(4, 8, 16), "identity": torch.randn(4, 8, 16)}
    >>> total, parts = DisentangledLoss(lam=3.0)(face, audio)
    >>> list(parts)
    ['content', 'identity', 'confusion_cs', 'confusion_sc']
    """

    def __init__(
        self,
        alpha_c: float = 1.0,
        alpha_s: float = 1.0,
        lam: float = 1.0,
        similarity: str = "cosine",
        confusion_scale: str = "detached",
        w0: float = 10.0,
        w_max: float | None = 20.0,
    ) -> None:
        super().__init__()
        if similarity not in ("cosine", "inverse_distance"):
            raise ValueError(f"similarity: 'cosine' or 'inverse_distance', not {similarity!r}")
        if confusion_scale not in ("detached", "trained", "fixed"):
            raise ValueError(
                f"confusion_scale: detached, trained or fixed, not {confusion_scale!r}"
            )
        if min(alpha_c, alpha_s, lam) < 0:
            weights = f"alpha_c={alpha_c}, alpha_s={alpha_s}, lam={lam}"
            raise ValueError(f"weights must not be negative: {weights}")
        self.alpha_c, self.alpha_s, self.lam = alpha_c, alpha_s, lam
        self.confusion_scale, self.w_max = confusion_scale, w_max
        cosine = similarity == "cosine"
        self.content_similarity: Similarity = ScaledCosine(w0) if cosine else inverse_distance
        self.identity_similarity: Similarity = ScaledCosine(w0) if cosine else inverse_distance
        self._fixed = partial(scaled_cosine, w=w0, b=0.0) if cosine else inverse_distance

    def forward(
        self,
        face: dict[str, Tensor],
        audio: dict[str, Tensor],
        pick: Tensor | None = None,
        extra: tuple[Tensor, Tensor] | None = None,
        gather: Callable[[Tensor], Tensor] | None = None,
        ramp: float = 1.0,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Compute the total loss of a batch, and its four parts by name.

        Args:
            face, audio: {"content": (B, N, D), "identity": (B, N, D)}.
            pick: r (B,), which face window of each track the identity task takes; None: drawn.
            extra: (vhat, abar), each (E, D), of further tracks for the identity loss alone. That
                needs one face window per track, so more negatives cost little. (Ours.)
            gather: maps (B', D) to (R B', D) over R processes, so that the identity task compares
                the tracks of all processes. (Ours.)
            ramp: the share of lam that counts in this step; training raises it from 0 to 1. (Ours.)
        """
        (v_c, v_s), (a_c, a_s) = ((e["content"], e["identity"]) for e in (face, audio))
        pick = _picked(v_s, pick)
        vhat, abar = self._one_per_track(v_s, a_s, pick, extra, gather)
        vhat_c, abar_c = self._one_per_track(v_c, a_c, pick, gather=gather)
        parts = {
            "content": matching_loss(content_logits(v_c, a_c, self.content_similarity)),
            "identity": matching_loss(self.identity_similarity(vhat, abar)),
            "confusion_cs": confusion_loss(self._confuse(self.identity_similarity)(vhat_c, abar_c)),
            "confusion_sc": confusion_loss(
                content_logits(v_s, a_s, self._confuse(self.content_similarity))
            ),
        }
        matching = self.alpha_c * parts["content"] + self.alpha_s * parts["identity"]
        confusion = parts["confusion_cs"] + parts["confusion_sc"]
        return matching + self.lam * ramp * confusion, parts

    def _one_per_track(
        self,
        face: Tensor,
        audio: Tensor,
        pick: Tensor,
        extra: tuple[Tensor, Tensor] | None = None,
        gather: Callable[[Tensor], Tensor] | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Return vhat and abar of these and the extra tracks, of all processes: (K, D), (K, D)."""
        vhat, abar = self._pool(face, audio, pick)  # (B, D), (B, D)
        if extra is not None:
            vhat, abar = torch.cat([vhat, extra[0]]), torch.cat([abar, extra[1]])  # (B + E, D)
        return (vhat, abar) if gather is None else (gather(vhat), gather(abar))

    def _pool(self, face: Tensor, audio: Tensor, pick: Tensor) -> tuple[Tensor, Tensor]:
        """Take one vector per track, as `pool` does. A subclass may take another mean."""
        return pool(face, audio, pick)

    def _confuse(self, similarity: Similarity) -> Similarity:
        """Return the similarity as the confusion terms use it, see `confusion_scale`."""
        modes = {"detached": frozen(similarity), "trained": similarity, "fixed": self._fixed}
        return modes[self.confusion_scale]

    def limit_(self) -> None:
        """Limit both scales to w_max, in place. Call it after each optimiser step."""
        for similarity in (self.content_similarity, self.identity_similarity):
            if self.w_max is not None and isinstance(similarity, ScaledCosine):
                similarity.limit_(self.w_max)

    def scales(self) -> dict[str, float]:
        """Return {"w_content": w, "w_identity": w}; empty for the inverse distance.

        Reading the numbers waits for the device.
        """
        pairs = (("w_content", self.content_similarity), ("w_identity", self.identity_similarity))
        return {name: s.w.item() for name, s in pairs if isinstance(s, ScaledCosine)}


# --- Beyond the notes: further terms, compared in the ablation ----------------------------------


def mean_voice(audio: Tensor, pick: Tensor, leave_out: int | None = None) -> Tensor:
    """Average the audio windows of each track, without those near the picked face window. (Ours.)

        abar_j^{(-r)} = mean of a_{j,tau} over the tau with |tau - r_j| > leave_out

    The full mean contains the sound of the picked face window, so content alone can find the match.
    With leave_out = 4, no window remains that shares a frame with the picked one. Every track
    leaves out windows near its own pick, in all rows of the task. So every mean is over about as
    many windows, and there is one mean per track.

    Args:
        audio: (B, N, D).
        pick: r (B,).
        leave_out: how many windows on each side of the pick; None: the full mean of the notes.
    Returns:
        audio (B, N, D), pick (B,) -> (B, D).
    Raises:
        ValueError: N < 2 leave_out + 2, so that no window might be left.

    >>> audio = torch.arange(4.0).reshape(1, 4, 1)  # one track of four windows, D = 1
    >>> mean_voice(audio, torch.tensor([0])), mean_voice(audio, torch.tensor([0]), leave_out=1)
    (tensor([[1.5000]]), tensor([[2.5000]]))
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
    """Drop the diagonal and keep the order: (..., K, K) -> (..., K, K - 1), K >= 2. (Ours.)

    For a task within one modality, where everything matches itself. A mask would do the same, but
    the host would have to wait for the device.

    >>> others(torch.tensor([[0, 1, 2], [3, 4, 5], [6, 7, 8]]))
    tensor([[1, 2],
            [3, 5],
            [6, 7]])
    """
    K = logits.shape[-1]
    # without its first number, the matrix has a diagonal number at the end of every K + 1
    after = logits.flatten(-2)[..., 1:].unflatten(-1, (K - 1, K + 1))
    return after[..., :-1].flatten(-2).unflatten(-1, (K, K - 1))


def within_loss(
    a_c: Tensor,
    a_s: Tensor,
    content_similarity: Similarity,
    identity_similarity: Similarity,
    gather: Callable[[Tensor], Tensor] | None = None,
) -> Tensor:
    """Confusion within the audio stream, which the notes' confusion terms do not cover. (Ours.)

        hbar_i, kbar_i = mean of a^c over the first, the second half of track i
        L_within = confusion of l_s(hbar_i, kbar_j) over tracks j
                 + confusion of l_c(a^s_{i,t}, a^s_{i,tau}) over tau != t

    Content embeddings must not reveal which halves belong to the same track. To the identity head,
    all windows of a track must look alike.

    Args:
        a_c, a_s: (B, N, D) audio embeddings of the content and the identity head, N >= 2.
        content_similarity, identity_similarity: l_c and l_s.
        gather: as in `DisentangledLoss.forward`.
    Returns:
        (B, N, D), (B, N, D) -> scalar >= log B + log(N - 1).
    """
    half = a_c.shape[1] // 2
    first, second = a_c[:, :half].mean(dim=1), a_c[:, half:].mean(dim=1)  # (B, D), (B, D)
    if gather is not None:
        first, second = gather(first), gather(second)
    windows = others(content_similarity(a_s, a_s))  # (B, N, N - 1)
    return confusion_loss(identity_similarity(first, second)) + confusion_loss(windows)


def intra_loss(x: Tensor, y: Tensor, similarity: Similarity) -> Tensor:
    """Match x_k with y_k among y_k and the other x_j: separation within a modality.

        L_intra = - mean_k log [exp l(x_k, y_k) / (exp l(x_k, y_k) + sum_{j!=k} exp l(x_k, x_j))]

    (Source: the idea of Chung, Kang and Chung 2020, arXiv:2004.14326; this form is our reading.)

    Args:
        x, y: (..., K, D) each, K >= 2.
        similarity: l.
    Returns:
        x (..., K, D), y (..., K, D) -> scalar.
    """
    own = similarity(x, y).diagonal(dim1=-2, dim2=-1)[..., None]  # (..., K, 1)
    logits = torch.cat([own, others(similarity(x, x))], dim=-1)  # (..., K, K), the match first
    return -logits.log_softmax(dim=-1)[..., 0].mean()


def reverse(x: Tensor, lam: float) -> Tensor:
    """Return x, and multiply the gradient that comes back by -lam.

    What follows learns a task, and what precedes unlearns it.
    (Source: Ganin and Lempitsky 2015, arXiv:1409.7495, gradient reversal.)

    Args:
        x: of any shape.
        lam: factor on the gradient.

    >>> x = torch.tensor(3.0, requires_grad=True)
    >>> y = reverse(x, lam=0.5)
    >>> y.backward()
    >>> y.item(), x.grad.item()
    (3.0, -0.5)
    """
    return x.detach() + lam * (x.detach() - x)


class ExtendedLoss(DisentangledLoss):
    """The loss of the notes and three further terms, each with a weight that is 0 by default.

        L + within L_within + intra (L_intra,content + L_intra,identity)
          + the matching losses of two adversaries

    Args:
        within, intra: weights of `within_loss` and of `intra_loss`, both >= 0. Face and audio are
            the anchors of `intra_loss` in turn; the mean of both counts.
        reversal: how strongly the embeddings work against two adversaries, >= 0; 0: none. An
            adversary is an MLP per stream. It is trained to do the *other* task: identity from
            content embeddings, content from identity embeddings. lam = 0 with reversal > 0 has
            adversaries instead of the notes' confusion terms.
        leave_out: the mean audio of a track leaves out this many windows on each side of the picked
            one, see `mean_voice`; None: the full mean of the notes.
        D: numbers per embedding (for the adversaries).
        options: the arguments of `DisentangledLoss`.
    Raises:
        ValueError: a negative weight or leave_out, and what `DisentangledLoss` refuses.
    """

    def __init__(
        self,
        within: float = 0.0,
        reversal: float = 0.0,
        intra: float = 0.0,
        leave_out: int | None = None,
        D: int = 128,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        if min(within, reversal, intra) < 0:
            weights = f"within={within}, reversal={reversal}, intra={intra}"
            raise ValueError(f"weights must not be negative: {weights}")
        if leave_out is not None and leave_out < 0:
            raise ValueError(f"leave_out must be None or at least 0, not {leave_out}")
        self.within, self.reversal, self.intra, self.leave_out = within, reversal, intra, leave_out
        heads = ("content", "identity") if reversal else ()
        pairs = [f"{stream}_{head}" for stream in ("face", "audio") for head in heads]
        self.adversary = nn.ModuleDict({name: _adversary(D) for name in pairs})
        self.adversary_scale = nn.ModuleDict({head: ScaledCosine() for head in heads})

    def forward(
        self,
        face: dict[str, Tensor],
        audio: dict[str, Tensor],
        pick: Tensor | None = None,
        extra: tuple[Tensor, Tensor] | None = None,
        gather: Callable[[Tensor], Tensor] | None = None,
        ramp: float = 1.0,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Compute the total loss and its parts, as `DisentangledLoss.forward` does.

        Further parts are "within", "intra", "adversary_cs" and "adversary_sc", each if its weight
        is not 0. `ramp` scales `within` and `reversal` as it scales lam. `gather` reaches the terms
        of the notes and `within`; the other terms compare the tracks of one process.
        """
        pick = _picked(face["identity"], pick)
        total, parts = super().forward(face, audio, pick, extra, gather, ramp)
        if self.within:
            l_c, l_s = map(self._confuse, (self.content_similarity, self.identity_similarity))
            parts["within"] = within_loss(audio["content"], audio["identity"], l_c, l_s, gather)
            total = total + ramp * self.within * parts["within"]
        if self.intra:
            parts["intra"] = self._intra_loss(face, audio, pick)
            total = total + self.intra * parts["intra"]
        if self.reversal:
            parts |= self._adversary_losses(face, audio, pick, ramp * self.reversal)
            total = total + parts["adversary_cs"] + parts["adversary_sc"]
        return total, parts

    def _pool(self, face: Tensor, audio: Tensor, pick: Tensor) -> tuple[Tensor, Tensor]:
        """Take one face window of each track, and its mean audio as `leave_out` says."""
        return pool(face, audio, pick)[0], mean_voice(audio, pick, self.leave_out)

    def _intra_loss(self, face: dict, audio: dict, pick: Tensor) -> Tensor:
        """Add up `intra_loss` of both tasks; face and audio are the anchors in turn."""
        v_c, a_c, l_c = face["content"], audio["content"], self.content_similarity
        vhat, abar = self._pool(face["identity"], audio["identity"], pick)
        l_s = self.identity_similarity
        content = (intra_loss(v_c, a_c, l_c) + intra_loss(a_c, v_c, l_c)) / 2
        return content + (intra_loss(vhat, abar, l_s) + intra_loss(abar, vhat, l_s)) / 2

    def _adversary_losses(self, face: dict, audio: dict, pick: Tensor, lam: float) -> dict:
        """Compute both adversaries' losses; their gradient reaches the embeddings times -lam."""
        vhat, abar = self._pool(face["content"], audio["content"], pick)
        v_s, a_s = face["identity"], audio["identity"]
        return {
            "adversary_cs": self._adversary_loss("content", vhat, abar, lam),
            "adversary_sc": self._adversary_loss("identity", v_s, a_s, lam),
        }

    def _adversary_loss(self, head: str, x: Tensor, y: Tensor, lam: float) -> Tensor:
        """Match x with y, (..., K, D) each, by a head's adversaries; the gradient is reversed."""
        x = self.adversary[f"face_{head}"](reverse(x, lam))
        y = self.adversary[f"audio_{head}"](reverse(y, lam))
        return matching_loss(self.adversary_scale[head](x, y))


BeyondLoss = ExtendedLoss  # its older name


def _adversary(D: int) -> nn.Sequential:
    """Make an adversary, (..., D) -> (..., D); it sees directions, as the cosine does."""
    return nn.Sequential(nn.LayerNorm(D), nn.Linear(D, D), nn.ReLU(), nn.Linear(D, D))


def _picked(face: Tensor, pick: Tensor | None) -> Tensor:
    """Return pick (B,) if there is one, else draw it for embeddings (B, N, D)."""
    return draw_pick(*face.shape[:2]).to(face.device) if pick is None else pick
