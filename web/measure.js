// The formulas of the course on small arrays. A matrix is {n, D, x}: n rows of D numbers.

// Of dsel/evaluate/sync.py: frames by which the sound is tried early and late, and further where that
// is not sure; frames on either side of the peak that belong to it; s that the curves were fitted on.
export const REACH = 15, WIDE = 75, NEAR = 2, LONGEST = 8, LIKELY = 0.8;

export const matrix = (x, D) => ({ n: x.length / D, D, x });
export const row = ({ D, x }, k) => x.subarray(k * D, (k + 1) * D);
export const dot = (a, b) => { let s = 0; for (let k = 0; k < a.length; k++) s += a[k] * b[k]; return s; };
export const unit = (v) => { const length = Math.max(1e-12, Math.sqrt(dot(v, v))); return v.map((x) => x / length); };
export const cosine = (a, b) => dot(unit(a), unit(b));

export function mean(m, from = 0, to = m.n) {
  const out = new Float32Array(m.D);
  for (let k = from; k < to; k++) row(m, k).forEach((v, d) => (out[d] += v / (to - from)));
  return out;
}

// C[t][tau] = cos(v_t, a_tau)
export function similarities(face, audio) {
  const [v, a] = [face, audio].map((m) => Array.from({ length: m.n }, (_, k) => unit(row(m, k))));
  return v.map((p) => Float32Array.from(a, (q) => dot(p, q)));
}

const average = (v) => v.reduce((s, x) => s + x, 0) / v.length;

// By how many frames the sound is late: dsel.evaluate.sync.sync_offset.
export function offset(C, reach = Math.min(REACH, (C.length - 1) >> 1)) {
  const N = C.length;
  const rows = C.map(average), columns = C[0].map((_, j) => average(C.map((r) => r[j])));
  const curve = Array.from({ length: 2 * reach + 1 }, (_, i) => {
    const k = i - reach, values = [];
    for (let t = Math.max(0, -k); t < Math.min(N, N - k); t++) values.push(C[t][t + k] - rows[t] - columns[t + k]);
    return average(values);
  });
  const best = Math.max(...curve), sorted = [...curve].sort((a, b) => a - b);
  return { late: curve.indexOf(best) - reach, confidence: best - sorted[reach], curve, reach };
}

// How far the peak stands out over the next best shift, in standard deviations of the rest.
export function margin(curve) {
  const peak = curve.indexOf(Math.max(...curve)), rest = curve.filter((_, k) => Math.abs(k - peak) > NEAR);
  const middle = average(rest), spread = Math.sqrt(average(rest.map((x) => (x - middle) ** 2)));
  return spread > 0 ? (curve[peak] - Math.max(...rest)) / spread : 0;
}

// The same with the probability of being right within a frame, see dsel.evaluate.sync.find_offset.
export function findOffset(C, { constant, margin: steep, length }) {
  const octaves = Math.log2(Math.min(LONGEST, Math.max(1, (C.length + 4) / 25)));
  const look = (reach) => {
    const found = offset(C, reach);
    return { ...found, right: 1 / (1 + Math.exp(-(constant + steep * margin(found.curve) + length * octaves))) };
  };
  const found = look(), wide = Math.min(WIDE, (C.length - 8) >> 1), edge = Math.abs(found.late) === found.reach;
  if (wide <= found.reach || (!edge && found.right >= LIKELY)) return found;
  const further = look(wide);
  return edge || further.right > found.right ? further : found;
}

// The content loss of the windows that a shift of k frames leaves: -mean log softmax(w C)_tt.
export function contentLoss(C, w, k) {
  const first = Math.max(0, -k), count = C.length - Math.abs(k), losses = [];
  for (let t = first; t < first + count; t++) {
    const logits = Array.from(C[t].subarray(first + k, first + k + count), (c) => w * c), most = Math.max(...logits);
    losses.push(most + Math.log(logits.reduce((s, l) => s + Math.exp(l - most), 0)) - logits[t - first]);
  }
  return { loss: average(losses), chance: Math.log(count), count };
}

// Rows sorted by their cosine with a vector, the nearest first: [{k, cosine}].
export const nearest = (vector, m) => Array.from({ length: m.n }, (_, k) => ({ k, cosine: cosine(vector, row(m, k)) }))
  .sort((a, b) => b.cosine - a.cosine);

// The place of a vector on a map: P (x / |x| - m).
export const place = (vector, { middle, axes }) => axes.map((axis) => dot(axis, unit(vector).map((x, d) => x - middle[d])));
