"""Right and wrong answers to every exercise, written as readers write them.

RIGHT and WRONG list (exercise, label, candidate) and (exercise, label, name of the mistake,
candidate). None of the candidates uses the code that the self-checks compare with.
"""

import math

import numpy as np
import torch
import torch.nn.functional as F

# --- Notebook 03: the content loss ----------------------------------------------------------------


def content_by_loops(
    *, scale=lambda B, N: 1 / (B * N), sign=-1, axis="tau", cost=torch.log, choices="own", base=1.0
):
    """Return the content loss in loops, with one part replaced."""

    def loss(face, audio, similarity):
        (B, N, _), total = face.shape, 0.0
        for i in range(B):
            for t in range(N):
                if axis == "tau":
                    weights = [similarity(face[i, [t]], audio[i, [tau]]).exp() for tau in range(N)]
                else:
                    weights = [similarity(face[i, [tau]], audio[i, [t]]).exp() for tau in range(N)]
                match = weights[t]
                if choices == "all":
                    pairs = [(face[i, [t]], audio[j, [k]]) for j in range(B) for k in range(N)]
                    weights = [similarity(*pair).exp() for pair in pairs]
                if choices == "matrix":
                    pairs = [(face[i, [k]], audio[i, [n]]) for k in range(N) for n in range(N)]
                    weights = [similarity(*pair).exp() for pair in pairs]
                if choices == "others":
                    weights = weights[:t] + weights[t + 1 :]
                total = total + sign * cost(match / sum(weights))
        return total.squeeze() * scale(B, N) / base

    return loss


def content_from(finish):
    """Return a loss that does `finish` with the logits (B, N, N)."""
    return lambda face, audio, similarity: finish(similarity(face, audio))


def diag(logits):
    return torch.einsum("bkk->bk", logits)


def content_stacked(face, audio, similarity):
    log_p = similarity(face, audio).log_softmax(dim=-1)
    return -torch.stack([matrix.diag() for matrix in log_p]).mean()


def content_cross_entropy(face, audio, similarity):
    B, N, _ = face.shape
    logits = similarity(face, audio).reshape(B * N, N)
    return F.cross_entropy(logits, torch.arange(N).repeat(B))


def content_logsumexp(face, audio, similarity):
    logits = similarity(face, audio)
    return (logits.logsumexp(dim=-1) - diag(logits)).mean()


def content_masked(face, audio, similarity):
    log_p = similarity(face, audio).log_softmax(-1)
    eye = torch.eye(log_p.shape[-1], dtype=torch.bool).expand_as(log_p)
    return -log_p[eye].mean()


def content_per_track(face, audio, similarity):
    target = torch.arange(face.shape[1])
    losses = [F.cross_entropy(similarity(v, a), target) for v, a in zip(face, audio, strict=True)]
    return sum(losses) / len(losses)


def content_float32(face, audio, similarity):
    return content_stacked(face.float(), audio.float(), similarity)


def clip_loss(logits):
    target = torch.arange(logits.shape[-1])
    rows = torch.stack([F.cross_entropy(m, target) for m in logits]).mean()
    columns = torch.stack([F.cross_entropy(m.T, target) for m in logits]).mean()
    return (rows + columns) / 2


def cross_entropy_of_softmax(logits):
    target = torch.arange(logits.shape[-1])
    return torch.stack([F.cross_entropy(m.softmax(1), target) for m in logits]).mean()


def naive_content(face, audio, similarity):
    weights = similarity(face, audio).exp()
    return -(weights.diagonal(dim1=-2, dim2=-1) / weights.sum(-1)).log().mean()


def spoilt(change):
    """Return a right content loss that is spoilt at the end."""
    return lambda *arguments: change(content_stacked(*arguments))


def half_detached(face, audio, similarity):
    return content_stacked(face, audio.detach() / 2 + audio / 2, similarity)


def raising(error):
    def candidate(*arguments):
        raise error

    return candidate


CONTENT_RIGHT = {
    "a list of diagonals": content_stacked,
    "cross_entropy of (B N, N)": content_cross_entropy,
    "logsumexp minus the match": content_logsumexp,
    "a mask": content_masked,
    "track by track": content_per_track,
    "float32": content_float32,
}
CONTENT_WRONG = {
    "sum over windows": ("sum over windows", content_by_loops(scale=lambda B, N: 1 / B)),
    "sum over tracks": ("sum over tracks", content_by_loops(scale=lambda B, N: 1 / N)),
    "sum over both": ("sum", content_by_loops(scale=lambda B, N: 1.0)),
    "plus for minus": ("sign", content_by_loops(sign=1)),
    "sound chooses video": ("audio anchor", content_by_loops(axis="t")),
    "dim=1": ("audio anchor", content_from(lambda x: -diag(x.log_softmax(1)).mean())),
    "softmax over the matrix": ("softmax over everything", content_by_loops(choices="matrix")),
    "sounds of all tracks": ("other tracks as choices", content_by_loops(choices="all")),
    "mean probability": ("no log", content_by_loops(cost=lambda p: p)),
    "no softmax": ("logits without softmax", content_from(lambda x: -diag(x).mean())),
    "all pairs": ("all entries", content_from(lambda x: -x.softmax(-1).log().mean())),
    "softmin": ("minus the distance", content_from(lambda x: -diag((-x).softmax(-1).log()).mean())),
    "log2": ("log to base 2", content_by_loops(cost=torch.log2)),
    "symmetric, as CLIP": ("symmetric", content_from(clip_loss)),
    "cross_entropy of a softmax": ("softmax twice", content_from(cross_entropy_of_softmax)),
    ".diagonal() without dims": (
        "diagonal of the wrong axes",
        content_from(lambda x: -x.log_softmax(-1).diagonal().mean()),
    ),
    "match not in the denominator": (
        "denominator without the match",
        content_by_loops(choices="others"),
    ),
    "float32, summed": (
        "sum",
        lambda v, a, sim: content_float32(v, a, sim) * v.shape[0] * v.shape[1],
    ),
    "float32, dim=1": (
        "audio anchor",
        lambda v, a, sim: -diag(sim(v.float(), a.float()).log_softmax(1)).mean(),
    ),
    "float32, nearly": (
        "unknown",
        lambda v, a, sim: content_float32(v, a, sim) * (1 + 1e-4 * len(v)),
    ),
    "bfloat16": ("too coarse", lambda v, a, sim: content_float32(v, a, sim).bfloat16()),
    "the stub": ("not yet", raising(NotImplementedError())),
    "no return": ("not yet", lambda *arguments: None),
    "IndexError": ("raises", raising(IndexError("index 5 is out of range"))),
    "two arguments": ("raises", lambda face, audio: 0),
    "two lines of message": ("raises", raising(ValueError("one\ntwo"))),
    "a float": ("not a tensor", spoilt(torch.Tensor.item)),
    "one number a window": ("not a scalar", content_from(lambda x: -diag(x.log_softmax(-1)))),
    "infinite": ("not finite", spoilt(lambda x: x * torch.inf)),
    "detached": ("no gradient", spoilt(torch.Tensor.detach)),
    "half of it detached": ("wrong gradient", half_detached),
    "sound detached": ("no gradient", lambda v, a, sim: content_stacked(v, a.detach(), sim)),
    "exp, then log": ("overflow", naive_content),
    "three times": ("factor", spoilt(lambda x: 3 * x)),
    "squared": ("unknown", spoilt(lambda x: x**2 + 1)),
}

# --- Notebook 04: the identity loss ---------------------------------------------------------------


def identity_by_hand(face_of, audio_of, finish=lambda p: -p.diagonal().log().mean(), dim=1):
    """Return a loss that compares one face and one voice per track, and does `finish` with p."""

    def loss(face, audio, similarity, pick):
        return finish(similarity(face_of(face, pick), audio_of(audio, pick)).softmax(dim))

    return loss


def one_window(x, pick):
    return torch.cat([x[i, r : r + 1] for i, r in enumerate(pick)])


def average(x, pick):
    return x.sum(dim=1) / x.shape[1]


def mean_of_similarities(face, audio, similarity, pick):
    N = audio.shape[1]
    logits = sum(similarity(one_window(face, pick), audio[:, tau]) for tau in range(N)) / N
    return -logits.log_softmax(-1).diagonal().mean()


def identity_logits(face, audio, similarity, pick):
    return similarity(face[range(len(face)), pick], audio.mean(dim=1))


def identity_from(finish):
    """Return a loss that does `finish` with the right logits (B, B)."""
    return lambda *arguments: finish(identity_logits(*arguments))


def identity_by_loops(face, audio, similarity, pick):
    B, total = len(face), 0.0
    for i in range(B):
        face_window = face[i, pick[i]][None]
        weights = [similarity(face_window, audio[j].mean(0)[None]).squeeze() for j in range(B)]
        total = total - torch.stack(weights).log_softmax(0)[i]
    return total / B


def identity_one_hot(face, audio, similarity, pick):
    chosen = F.one_hot(pick, face.shape[1]).to(face)  # (B, N)
    logits = similarity((chosen[:, :, None] * face).sum(1), audio.mean(1))
    return F.cross_entropy(logits, torch.arange(len(face)))


def identity_float32(face, audio, similarity, pick):
    return identity_one_hot(face.float(), audio.float(), similarity, pick)


IDENTITY_RIGHT = {
    "trace": identity_from(lambda x: -x.log_softmax(1).trace() / len(x)),
    "loops": identity_by_loops,
    "one-hot pick": identity_one_hot,
    "float32": identity_float32,
}
IDENTITY_WRONG = {
    "sum": ("sum", identity_by_hand(one_window, average, lambda p: -p.diagonal().log().sum())),
    "plus for minus": (
        "sign",
        identity_by_hand(one_window, average, lambda p: p.diagonal().log().mean()),
    ),
    "voices choose": ("audio anchor", identity_by_hand(one_window, average, dim=0)),
    "mean face": ("mean face", identity_by_hand(average, average)),
    "one window of sound": ("picked sound", identity_by_hand(one_window, one_window)),
    "sides swapped": ("sides swapped", identity_by_hand(average, one_window)),
    "first pick": ("one pick for all", identity_by_hand(lambda x, pick: x[:, pick[0]], average)),
    "window 0": ("pick ignored", identity_by_hand(lambda x, pick: x[:, 0], average)),
    "mean over dim 0": (
        "mean over tracks",
        identity_by_hand(one_window, lambda x, pick: x.mean(0)),
    ),
    "similarities averaged": ("mean of similarities", mean_of_similarities),
    "all pairs": ("all entries", identity_by_hand(one_window, average, lambda p: -p.log().mean())),
    "mean probability": (
        "no log",
        identity_by_hand(one_window, average, lambda p: -p.diagonal().mean()),
    ),
    "windows summed": (
        "sum of the windows",
        identity_by_hand(one_window, lambda x, pick: x.sum(dim=1)),
    ),
    "symmetric, as CLIP": ("symmetric", identity_from(lambda x: clip_loss(x[None]))),
    "cross_entropy of a softmax": (
        "softmax twice",
        identity_from(lambda x: F.cross_entropy(x.softmax(1), torch.arange(len(x)))),
    ),
    "match not in the denominator": (
        "denominator without the match",
        identity_from(
            lambda x: -(x.diagonal().exp() / (x.exp().sum(1) - x.diagonal().exp())).log().mean()
        ),
    ),
    "no softmax": ("logits without softmax", identity_from(lambda x: -x.diagonal().mean())),
    "log2": (
        "log to base 2",
        identity_by_hand(one_window, average, lambda p: -p.diagonal().log2().mean()),
    ),
    "every pick of every track": ("raises", lambda v, a, sim, r: sim(v[:, r], a.mean(1)).trace()),
    "median voice": (
        "unknown",
        identity_by_hand(one_window, lambda x, pick: x.median(dim=1).values),
    ),
}

# --- Notebook 05: the confusion loss --------------------------------------------------------------


def uniform(logits):
    return torch.full_like(logits, 1 / logits.shape[-1])


def confusion_by_loops(logits):
    K, total, rows = logits.shape[-1], 0.0, 0
    for row in logits.reshape(-1, K):
        q = (row - row.max()).exp()
        total = total - ((row - row.max()) - q.sum().log()).sum() / K
        rows += 1
    return total / rows


def categorical(logits):
    return torch.distributions.Categorical(logits=logits)


def kl_div(logits, **options):
    return F.kl_div(logits.log_softmax(-1), uniform(logits), **options)


CONFUSION_RIGHT = {
    "mean of everything": lambda logits: -logits.log_softmax(dim=-1).sum() / logits.numel(),
    "loops": confusion_by_loops,
    "logsumexp": lambda logits: (logits.logsumexp(-1) - logits.mean(-1)).mean(),
    "cross_entropy against uniform": lambda logits: F.cross_entropy(
        logits.flatten(0, -2), uniform(logits.flatten(0, -2))
    ),
    "KL + log K": lambda logits: (
        kl_div(logits, reduction="sum") / logits[..., 0].numel() + math.log(logits.shape[-1])
    ),
    "float32": lambda logits: -logits.float().log_softmax(-1).mean(),
}
CONFUSION_WRONG = {
    "sum over choices": (
        "no 1/K",
        lambda logits: -logits.softmax(-1).log().sum() / logits[..., 0].numel(),
    ),
    "sum": ("sum", lambda logits: -logits.softmax(-1).log().sum()),
    "plus for minus": ("sign", lambda logits: logits.softmax(-1).log().mean()),
    "entropy": ("entropy", lambda logits: categorical(logits).entropy().mean()),
    "minus entropy": ("minus entropy", lambda logits: -categorical(logits).entropy().mean()),
    "KL(u || q)": (
        "divergence",
        lambda logits: kl_div(logits, reduction="sum") / logits[..., 0].numel(),
    ),
    "KL(q || u)": (
        "divergence the wrong way",
        lambda logits: torch.distributions.kl_divergence(
            categorical(logits), categorical(torch.zeros_like(logits))
        ).mean(),
    ),
    "kl_div batchmean": ("kl_div batchmean", lambda logits: kl_div(logits, reduction="batchmean")),
    "kl_div": ("kl_div mean", lambda logits: kl_div(logits, reduction="mean")),
    "matching loss": (
        "the match",
        lambda logits: torch.stack([-m.softmax(-1).diag().log() for m in logits]).mean(),
    ),
    "mean probability": ("no log", lambda logits: -logits.softmax(-1).mean()),
    "softmax over rows": ("wrong axis", lambda logits: -logits.softmax(-2).log().mean()),
    "cross_entropy of (B, K, K)": (
        "wrong axis",
        lambda logits: F.cross_entropy(logits, uniform(logits)),
    ),
    "softmax over the matrix": (
        "softmax over the matrix",
        lambda logits: -torch.stack([m.reshape(-1).softmax(0).log() for m in logits]).mean(),
    ),
    "softmax over the batch": (
        "softmax over everything",
        lambda logits: -(logits.exp() / logits.exp().sum()).log().mean(),
    ),
    "two softmaxes": ("softmax twice", lambda logits: -logits.softmax(-1).log_softmax(-1).mean()),
    "MSE": ("squared error", lambda logits: F.mse_loss(logits.softmax(-1), uniform(logits))),
    "squared distance of rows": (
        "squared error",
        lambda logits: (logits.softmax(-1) - uniform(logits)).norm(dim=-1).square().mean(),
    ),
    "log2": ("log to base 2", lambda logits: -logits.softmax(-1).log2().mean()),
    "eps in the log": (
        "unknown",
        lambda logits: -(logits.softmax(-1) + 1e-3).log().mean(),
    ),
}

# --- Notebook 00: chance levels -------------------------------------------------------------------

LOSSES = ("content", "identity", "confusion_cs", "confusion_sc")


def four(*values):
    return dict(zip(LOSSES, values, strict=True))


CHANCE_RIGHT = {
    "logs": four(math.log(16), math.log(24), math.log(24), math.log(16)),
    "two decimals": four(2.77, 3.18, 3.18, 2.77),
    "NumPy": four(*np.log([16, 24, 24, 16])),
    "torch": four(*torch.tensor([16.0, 24, 24, 16]).log()),
    "minus log 1/K": four(*(-math.log(1 / K) for K in (16, 24, 24, 16))),
}
CHANCE_WRONG = {
    "untouched": ("not yet", four(None, None, None, None)),
    "half done": ("not yet", four(math.log(16), None, None, None)),
    "copied from the log": ("copied", four(2.70, 2.41, 3.25, 2.95)),
    "tasks exchanged": (
        "the other task",
        four(math.log(24), math.log(16), math.log(16), math.log(24)),
    ),
    "log2": ("log to base 2", four(4.0, math.log2(24), math.log2(24), 4.0)),
    "log10": ("log to base 10", four(*np.log10([16, 24, 24, 16]))),
    "text": ("not a number", four("log 16", "log 24", "log 24", "log 16")),
    "True": ("not a number", four(True, True, True, True)),
    "a function": ("not a number", four(*[math.log] * 4)),
    "probabilities": ("probability", four(1 / 16, 1 / 24, 1 / 24, 1 / 16)),
    "numbers of choices": ("choices", four(16, 24, 24, 16)),
    "negative": ("sign", four(*(math.log(1 / K) for K in (16, 24, 24, 16)))),
    "zeros": ("unknown", four(0, 0, 0, 0)),
    "confusion zero": ("unknown", four(math.log(16), math.log(24), 0.0, 0.0)),
    "a list": ("form", [2.77, 3.18, 3.18, 2.77]),
    "a name missing": ("form", {"content": math.log(16)}),
}

# --- Notebook 01: sound and offset ----------------------------------------------------------------


def sound_by_windows(waveform, first, N):
    heard = {s for t in range(first, first + N) for s in range(640 * t, 640 * t + 3200)}
    return waveform[sorted(heard)]


SOUND_RIGHT = {
    "a slice": lambda waveform, first, N: waveform[640 * first : 640 * (first + N + 4)],
    "start and length": lambda w, first, N: w[first * 640 :][: (N - 1) * 640 + 3200],
    "window by window": sound_by_windows,
    "a list": lambda w, first, N: [int(x) for x in w[640 * first : 640 * (first + N + 4)]],
}
SOUND_WRONG = {
    "N frames": ("N frames", lambda w, first, N: w[640 * first : 640 * first + 640 * N]),
    "N + 5 frames": ("N + 5", lambda w, first, N: w[640 * first :][: 640 * N + 3200]),
    "windows side by side": ("far windows", lambda w, first, N: w[3200 * first :][: 3200 * N]),
    "mel frames": ("mel frames", lambda w, first, N: w[160 * first : 160 * (first + N + 4)]),
    "44.1 kHz": ("44.1 kHz", lambda w, first, N: w[1764 * first : 1764 * (first + N + 4)]),
    "first ignored": ("first ignored", lambda w, first, N: w[: 640 * (N + 4)]),
    "first in samples": (
        "first as the start",
        lambda w, first, N: w[first : first + 640 * (N + 4)],
    ),
    "one window": ("one window", lambda w, first, N: w[640 * first : 640 * first + 3200]),
    "one sample short": ("unknown", lambda w, first, N: w[640 * first : 640 * (first + N + 4) - 1]),
    "one sample late": (
        "unknown",
        lambda w, first, N: w[640 * first + 1 : 640 * (first + N + 4) + 1],
    ),
    "no return": ("not yet", lambda w, first, N: None),
    "text": ("not a number", lambda w, first, N: "640 * first"),
}


def mean_of(logits, k):
    N = len(logits)
    return sum(logits[t][t + k] for t in range(max(0, -k), min(N, N - k))) / (N - abs(k))


def argmax_offset(shifts, score=mean_of):
    """Return a function that takes the shift of shifts(reach) whose diagonal scores highest."""

    def offset(logits, reach):
        return max(shifts(reach), key=lambda k: score(logits, k))

    return offset


def offset_numpy(logits, reach):
    shifts = np.arange(-reach, reach + 1)
    return shifts[np.argmax([np.diagonal(logits, k).mean() for k in shifts])]


def offset_matrix(logits, reach):
    t = np.arange(len(logits))
    shift = t[None] - t[:, None]  # tau - t
    return int(np.argmax([logits[shift == k].mean() for k in range(-reach, reach + 1)])) - reach


def both(reach):
    return range(-reach, reach + 1)


def votes(logits, reach):
    best = [int(np.argmax(row)) - t for t, row in enumerate(logits)]
    best = [k for k in best if abs(k) <= reach]
    return max(dict.fromkeys(best), key=best.count)


OFFSET_RIGHT = {
    "loops": argmax_offset(both),
    "NumPy": offset_numpy,
    "a mask of each diagonal": offset_matrix,
    "a float": lambda logits, reach: float(offset_numpy(logits, reach)),
}
OFFSET_WRONG = {
    "transposed": ("sign", lambda logits, reach: offset_numpy(logits.T, reach)),
    "minus": ("sign", lambda logits, reach: -offset_numpy(logits, reach)),
    "sums": ("sum", argmax_offset(both, lambda x, k: np.diagonal(x, k).sum())),
    "place in the list": ("index", lambda logits, reach: offset_numpy(logits, reach) + reach),
    "size": ("size", lambda logits, reach: abs(offset_numpy(logits, reach))),
    "range(-reach, reach)": (
        "last shift missing",
        argmax_offset(lambda reach: range(-reach, reach)),
    ),
    "range(-reach + 1, reach)": (
        "both ends missing",
        argmax_offset(lambda reach: range(-reach + 1, reach)),
    ),
    "range(-reach + 1, reach + 1)": (
        "first shift missing",
        argmax_offset(lambda reach: range(-reach + 1, reach + 1)),
    ),
    "all diagonals": ("reach ignored", argmax_offset(lambda reach: range(-23, 24))),
    "reach always 15": ("reach ignored", argmax_offset(lambda reach: range(-15, 16))),
    "reach always 8": ("reach ignored", argmax_offset(lambda reach: range(-8, 9))),
    "reach always 4": ("unknown", argmax_offset(lambda reach: range(-4, 5))),
    "late only": ("late sound only", argmax_offset(lambda reach: range(reach + 1))),
    "median": ("median", argmax_offset(both, lambda x, k: np.median(np.diagonal(x, k)))),
    "majority": ("majority", votes),
    "largest entry": ("one entry", argmax_offset(both, lambda x, k: np.diagonal(x, k).max())),
    "always 3": ("unknown", lambda logits, reach: 3),
    "unknown name": ("raises", lambda logits, reach: undefined_name),  # noqa: F821
}

# --- Notebook 02: the receptive field -------------------------------------------------------------


def field_forward(pairs):
    r, jump = 1, 1
    for k, s in pairs:
        r += (k - 1) * jump
        jump *= s
    return r


def field_backward(pairs):
    r = 1
    for k, s in reversed(pairs):
        r = s * (r - 1) + k
    return r


def field_by_counting(pairs):
    seen = {0}
    for k, s in reversed(pairs):
        seen = {s * x + n for x in seen for n in range(k)}
    return max(seen) - min(seen) + 1


def field_with(update):
    """Return a walk through the layers: `update` takes (r, jump, k, s) and gives (r, jump)."""

    def field(pairs):
        r, jump = 1, 1
        for k, s in pairs:
            r, jump = update(r, jump, k, s)
        return r

    return field


FIELD_RIGHT = {
    "forward": field_forward,
    "backward": field_backward,
    "counted": field_by_counting,
    "a tensor": lambda pairs: torch.tensor(field_forward(pairs)),
}
FIELD_WRONG = {
    "a constant": ("unknown", lambda pairs: 24),
    "strides forgotten": ("no strides", field_with(lambda r, j, k, s: (r + k - 1, j))),
    "starts from 0": ("off by one", lambda pairs: field_forward(pairs) - 1),
    "own stride": ("own stride", field_with(lambda r, j, k, s: (r + (k - 1) * j * s, j * s))),
    "k for k - 1": ("k jumps", field_with(lambda r, j, k, s: (r + k * j, j * s))),
    "the jump": ("the jump", lambda pairs: math.prod(s for _, s in pairs)),
    "jump = s": ("last stride", field_with(lambda r, j, k, s: (r + (k - 1) * j, s))),
    "jump += s": ("strides added", field_with(lambda r, j, k, s: (r + (k - 1) * j, j + s))),
    "backward by mistake": ("last layer first", lambda pairs: field_forward(pairs[::-1])),
    "product of kernels": ("product of kernels", lambda pairs: math.prod(k for k, _ in pairs)),
    "the stub": ("not yet", lambda pairs: None),
    "unpacks wrongly": ("raises", lambda pairs: [a + b + c for a, b, c in pairs]),
}

# --- Notebook 06: the schedule --------------------------------------------------------------------


def half_cosine(share):
    return (1 + math.cos(math.pi * share)) / 2


SCHEDULE_RIGHT = {
    "two cases": lambda s, a, n: min(1, (s + 1) / a) if s < a else half_cosine((s - a) / (n - a)),
    "NumPy": lambda s, a, n: np.where(
        s < a, (s + 1) / a, np.cos(np.pi * (s - a) / (n - a) / 2) ** 2
    ),
}
SCHEDULE_WRONG = {
    "from zero": ("from zero", lambda s, a, n: s / a if s < a else half_cosine((s - a) / (n - a))),
    "one step late": (
        "late",
        lambda s, a, n: (s + 1) / (a + 1) if s < a else half_cosine((s - a) / (n - a)),
    ),
    "cosine from step 0": (
        "not zero at the end",
        lambda s, a, n: (s + 1) / a if s < a else half_cosine((s - a) / n),
    ),
    "a parabola": (
        "not half in the middle",
        lambda s, a, n: (s + 1) / a if s < a else (1 - (s - a) / (n - a)) ** 2,
    ),
    "no warm-up": ("no warm-up", lambda s, a, n: half_cosine(s / n)),
    "a line": (
        "unknown",
        lambda s, a, n: (s + 1) / a if s < a else 1 - (s - a) / (n - a),
    ),
    "the stub": ("not yet", raising(NotImplementedError())),
}

# --- Notebook 07: purity --------------------------------------------------------------------------


def purity_by_loops(x, y, clip, k, *, key=None, others=lambda clip, p, q: clip[p] != clip[q]):
    """Count neighbours in loops; `key` scores a pair (larger is nearer), by default the cosine."""

    def cosine(one, other):
        return one @ other / math.sqrt((one @ one) * (other @ other))

    key, shares = key or cosine, []
    for p in range(len(x)):
        pairs = [(key(x[p], x[q]), y[p] == y[q]) for q in range(len(x)) if others(clip, p, q)]
        nearest = sorted(pairs, key=lambda pair: -pair[0])[:k]
        shares.append(sum(same for _, same in nearest) / k)
    return sum(shares) / len(shares)


def purity_torch(x, y, clip, k):
    z, clip = F.normalize(torch.from_numpy(x), dim=1), torch.from_numpy(clip)
    scores = (z @ z.T).masked_fill(clip[:, None] == clip[None], -torch.inf)
    nearest = scores.topk(k, dim=1).indices.numpy()
    return (y[nearest] == y[:, None]).mean()


PURITY_RIGHT = {"loops": purity_by_loops, "topk": purity_torch}
PURITY_WRONG = {
    "itself and its clip": (
        "itself counts",
        lambda *a: purity_by_loops(*a, others=lambda clip, p, q: True),
    ),
    "its own clip": (
        "own clip counts",
        lambda *a: purity_by_loops(*a, others=lambda clip, p, q: p != q),
    ),
    "distance": ("distance", lambda *a: purity_by_loops(*a, key=lambda x, y: -math.dist(x, y))),
    "dot product": ("dot product", lambda *a: purity_by_loops(*a, key=lambda x, y: x @ y)),
    "farthest": (
        "farthest",
        lambda *a: purity_by_loops(
            *a, key=lambda x, y: -(x @ y) / np.linalg.norm(x) / np.linalg.norm(y)
        ),
    ),
    "percent": ("percent", lambda *a: 100 * purity_by_loops(*a)),
    "always 1": ("unknown", lambda x, y, clip, k: 1.0),
    "the stub": ("not yet", lambda x, y, clip, k: None),
}

# --- Notebook 08: verification --------------------------------------------------------------------


def rates(scores, target, cut):
    miss = sum(s <= cut for s, t in zip(scores, target, strict=True) if t) / sum(target)
    alarm = sum(s > cut for s, t in zip(scores, target, strict=True) if not t)
    return miss, alarm / (len(target) - sum(target))


def eer_by_search(scores, target):
    return min((abs(m - f), m) for m, f in (rates(scores, target, cut) for cut in scores))[1]


def eer_by_sorting(scores, target):
    order = np.argsort(scores)
    miss = np.cumsum(target[order]) / target.sum()
    alarm = 1 - np.cumsum(~target[order]) / (~target).sum()
    return miss[np.argmax(miss >= alarm - 1e-12)]


EER_RIGHT = {"smallest gap": eer_by_search, "sorted": eer_by_sorting}
EER_WRONG = {
    "low scores accepted": ("turned round", lambda s, t: 1 - eer_by_search(s, t)),
    "least errors": (
        "least errors",
        lambda s, t: min(sum(rates(s, t, cut)) / 2 for cut in s),
    ),
    "at the mean": ("middle threshold", lambda s, t: sum(rates(s, t, np.mean(s))) / 2),
    "at zero": ("threshold zero", lambda s, t: sum(rates(s, t, 0)) / 2),
    "share of all": ("share of all trials", lambda s, t: eer_by_search(s, t) / 2),
    "the threshold": (
        "the threshold",
        lambda s, t: next(c for c in np.sort(s) if np.subtract(*rates(s, t, c)) >= 0),
    ),
    "percent": ("percent", lambda s, t: 100 * eer_by_search(s, t)),
    "a coin": ("unknown", lambda s, t: 0.5),
    "no return": ("not yet", lambda s, t: None),
}


def weights_by_listing(n, a, b):
    """Pair every copy of a speaker with every copy of another; targets come once a copy."""
    copies, found = np.repeat(np.arange(len(n)), n), []
    for x, y in zip(a, b, strict=True):
        met = [(one, other) for one in copies for other in copies if (one, other) == (x, y)]
        found.append(sum(one == x for one in copies) if x == y else len(met))
    return np.array(found)


WEIGHTS_RIGHT = {
    "listed": weights_by_listing,
    "where": lambda n, a, b: n[a] * np.where(a == b, 1, n[b]),
}
WEIGHTS_WRONG = {
    "product throughout": ("squared targets", lambda n, a, b: n[a] * n[b]),
    "sum": ("added", lambda n, a, b: np.where(a == b, n[a], n[a] + n[b])),
    "drawn or not": ("present or not", lambda n, a, b: (n[a] > 0) & (n[b] > 0)),
    "first speaker": ("one side", lambda n, a, b: n[a]),
    "targets once": ("impostors only", lambda n, a, b: np.where(a == b, 1, n[a] * n[b])),
    "ones": ("unknown", lambda n, a, b: np.ones(len(a))),
}

# --- Notebook 09: the paired interval -------------------------------------------------------------


def paired(a, b, t, ddof=1, root=0.5, t_of=None):
    d = [a[seed] - b[seed] for seed in sorted(set(a) & set(b))]
    n, mean = len(d), sum(d) / len(d)
    s = math.sqrt(sum((x - mean) ** 2 for x in d) / (n - ddof))
    half = (t if t_of is None else t_of)(n) * s / n**root
    return mean - half, mean + half


def two_groups(a, b, t):
    x, y = np.array([*a.values()]), np.array([*b.values()])
    error = math.sqrt(x.var(ddof=1) / len(x) + y.var(ddof=1) / len(y))
    middle, half = x.mean() - y.mean(), t(min(len(x), len(y))) * error
    return [middle - half, middle + half]


PAIRED_RIGHT = {"loops": paired, "an array": lambda a, b, t: np.array(paired(a, b, t))}
PAIRED_WRONG = {
    "two groups": ("unpaired", two_groups),
    "n": ("n, not n - 1", lambda a, b, t: paired(a, b, t, ddof=0)),
    "b - a": ("the wrong sign", lambda a, b, t: paired(b, a, t)),
    "s / n": ("no root", lambda a, b, t: paired(a, b, t, root=1)),
    "t s": ("no n", lambda a, b, t: paired(a, b, t, root=0)),
    "1.96": ("normal", lambda a, b, t: paired(a, b, t, t_of=lambda n: 1.96)),
    "t(n - 1)": ("n - 1 into t", lambda a, b, t: paired(a, b, t, t_of=lambda n: t(n - 1))),
    "the mean alone": ("unknown", lambda a, b, t: sum(paired(a, b, t)) / 2),
    "a missing seed": ("raises", lambda a, b, t: [a[k] - b[k] for k in (*a, *b)]),
}

# --- Notebook 10: nearest rows, in step -----------------------------------------------------------


def row_cosines(query, known):
    return [query @ row / math.sqrt((query @ query) * (row @ row)) for row in known]


def nearest_sorted(query, known, count):
    scores = row_cosines(query, known)
    return sorted(range(len(known)), key=lambda k: -scores[k])[:count]


NEAREST_RIGHT = {
    "sorted": nearest_sorted,
    "torch": lambda q, x, n: torch.tensor(row_cosines(q, x)).topk(n).indices,
}
NEAREST_WRONG = {
    "argsort upwards": ("farthest", lambda q, x, n: np.argsort(row_cosines(q, x))[:n]),
    "dot product": ("dot product", lambda q, x, n: np.argsort(-x @ q)[:n]),
    "distance": ("distance", lambda q, x, n: np.argsort([math.dist(q, row) for row in x])[:n]),
    "cosines": ("cosines", lambda q, x, n: sorted(-x @ q / np.linalg.norm(x, axis=1))[:n]),
    "last first": ("last ones", lambda q, x, n: np.argsort(row_cosines(q, x))[-n:]),
    "all": ("all rows", lambda q, x, n: nearest_sorted(q, x, len(x))),
    "rows": ("the rows themselves", lambda q, x, n: x[nearest_sorted(q, x, n)]),
    "first rows": ("unknown", lambda q, x, n: np.arange(n)),
}


def in_step(frames, sound, k):
    if k >= 0:
        return frames[: len(frames) - k], sound[k:]
    return frames[-k:], sound[:k]


IN_STEP_RIGHT = {"two cases": in_step, "lists": lambda x, y, k: [list(z) for z in in_step(x, y, k)]}
IN_STEP_WRONG = {
    "early for late": ("sign", lambda x, y, k: in_step(x, y, -k)),
    "ends": ("cut ends", lambda x, y, k: (x[: len(x) - abs(k)], y[: len(y) - abs(k)])),
    "heads": ("cut heads", lambda x, y, k: (x[abs(k) :], y[abs(k) :])),
    "roll": ("rolled", lambda x, y, k: (x, np.roll(y, -k))),
    "sound first": ("sides swapped", lambda x, y, k: in_step(x, y, k)[::-1]),
    "sound[:-k]": ("not a number", lambda x, y, k: (x[k:], y[:-k])),
    "early sound forgotten": ("late sound only", lambda x, y, k: in_step(x, y, abs(k))),
    "nothing cut": ("unknown", lambda x, y, k: (x, y)),
}

# --- Notebook 11: a law ---------------------------------------------------------------------------


def law_of_units(distances):
    x, y = torch.tensor([[0.0, 0.0]]), torch.tensor([[3.0, 4.0]])
    assert distances(x, y).item() == 5.0, "3, 4, and not 5"


def law_of_scale(d):
    g = torch.Generator().manual_seed(0)
    x, y = torch.randn(3, 4, generator=g), torch.randn(5, 4, generator=g)
    torch.testing.assert_close(d(2 * x, 2 * y), 2 * d(x, y))


def law_of_triangles(d):
    a, b, c = (torch.tensor([[p]]) for p in (0.0, 1.0, 3.0))
    assert d(a, c) <= d(a, b) + d(b, c) + 1e-6


def law_of_zeros(d):
    x = torch.ones(3, 2)
    torch.testing.assert_close(d(x, x).diagonal(), torch.zeros(3))


def law_of_one(d):
    assert d(torch.zeros(1, 2), torch.ones(1, 2)).item() == 1.0, "sqrt(2) is not 1"


def law_of_name(d):
    assert d is torch.cdist


def law_without_message(d):
    assert float(d(torch.zeros(1, 1), torch.full((1, 1), 2.0))) == 2.0


LAW_RIGHT = {
    "3, 4, 5": law_of_units,
    "twice as far": law_of_scale,
    "triangle": law_of_triangles,
    "no message": law_without_message,
}
LAW_WRONG = {
    "zeros only": ("too lax", law_of_zeros),
    "sqrt(2) = 1": ("too strict", law_of_one),
    "d is torch.cdist": ("too strict", law_of_name),
    "returns a bool": (
        "returned",
        lambda d: d(torch.zeros(1, 1), torch.full((1, 1), 2.0)).item() == 2.0,
    ),
    "returns a tensor": ("returned", lambda d: d(torch.zeros(1, 1), torch.ones(1, 1)) == 1),
    "the stub": ("not yet", lambda d: NotImplemented),
    "one argument": ("raises", lambda d: d(torch.zeros(1, 1))),
    "no law": ("not a function", torch.zeros(2)),
}

ANSWERS = {
    "chance_levels": (CHANCE_RIGHT, CHANCE_WRONG),
    "sound_of": (SOUND_RIGHT, SOUND_WRONG),
    "offset_of": (OFFSET_RIGHT, OFFSET_WRONG),
    "receptive_field": (FIELD_RIGHT, FIELD_WRONG),
    "content_loss": (CONTENT_RIGHT, CONTENT_WRONG),
    "identity_loss": (IDENTITY_RIGHT, IDENTITY_WRONG),
    "confusion_loss": (CONFUSION_RIGHT, CONFUSION_WRONG),
    "schedule": (SCHEDULE_RIGHT, SCHEDULE_WRONG),
    "honest_purity": (PURITY_RIGHT, PURITY_WRONG),
    "equal_error_rate": (EER_RIGHT, EER_WRONG),
    "speaker_weights": (WEIGHTS_RIGHT, WEIGHTS_WRONG),
    "paired_interval": (PAIRED_RIGHT, PAIRED_WRONG),
    "nearest_rows": (NEAREST_RIGHT, NEAREST_WRONG),
    "in_step": (IN_STEP_RIGHT, IN_STEP_WRONG),
    "distance_law": (LAW_RIGHT, LAW_WRONG),
}
RIGHT = [(e, label, answer) for e, (right, _) in ANSWERS.items() for label, answer in right.items()]
WRONG = [
    (exercise, label, name, answer)
    for exercise, (_, wrong) in ANSWERS.items()
    for label, (name, answer) in wrong.items()
]
