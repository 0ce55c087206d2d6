// Find the face in pictures, follow it, and cut it out: what dsel/prepare/face_tracks.py does, in the
// browser. The detector is OpenCV's cascade for upright frontal faces, with OpenCV's numbers.
// Pictures are {data: RGBA bytes, width, height}; boxes are [x, y, side], centre and side in pixels.

export const EVERY = 0.2, LONGEST = 400; // s between two looks; longer side of the picture looked at
const FPS = 25, REACH = 0.7, GROWTH = 1.6, BRIDGE = 1, SHARE = 0.4, SMOOTH = 0.16 * FPS;
const MARGIN = 1.18, LOWER = 0.12; // side of the crop over side of the box; how much lower it lies
const SCALE = 1.15, NEIGHBOURS = 3, EPS = 0.2, DARK = 64, SHADE = 0.25, BRIGHTER = 4;

// The cascade in flat lists, see `cascade` in tools/live.py. A feature has three rectangles.
const LISTS = {
  rectangles: Int32Array, weights: Float64Array, starts: Int32Array, places: Int32Array,
  nodes: Int32Array, cuts: Float64Array, leaves: Float64Array, thresholds: Float64Array,
};

export function detector(cascade) {
  const { size } = cascade, inner = (size - 2) ** 2;
  const flat = Object.fromEntries(Object.entries(LISTS).map(([name, kind]) => [name, kind.from(cascade[name])]));
  // around: a box near which the face must be; what is found there is the same, and found sooner.
  function search(grey, width, height, around) {
    const found = [];
    const least = Math.max(24, Math.floor(Math.min(width, height) / 10));
    for (let factor = 1; ; factor *= SCALE) {
      const scale = Math.fround(factor), side = even(size * scale);
      if (side > width || side > height) break;
      if (side < least || (around && Math.max(side / around[2], around[2] / side) > 1.7)) continue;
      const w = even(width / scale), h = even(height / scale), small = shrink(grey, width, height, w, h);
      const { sum, squares, stride } = integrals(small, w, h);
      const corners = offsets(flat.rectangles, stride), step = scale >= 2 ? 1 : 2;
      const low = stride + 1, edge = size - 2, down = (size - 2) * stride;
      const [first, last] = around ? [-1, 1].map((k) => (around[1] + k * around[2] - side / 2) / scale) : [0, h];
      for (let y = step * Math.floor(Math.max(0, first) / step); y < Math.min(h + 1 - size, last); y += step) {
        for (let x = 0; x < w + 1 - size; x += step) {
          const at = y * stride + x, a = at + low, b = a + down;
          const total = sum[a] - sum[a + edge] - sum[b] + sum[b + edge];
          const power = squares[a] - squares[a + edge] - squares[b] + squares[b + edge];
          const spread = inner * power - total * total;
          const norm = spread > 0 ? 1 / Math.sqrt(spread) : 1;
          if (spread > 0 && inner * norm >= 0.1) continue;
          const passed = run(flat, corners, sum, at, norm);
          if (passed === flat.thresholds.length) found.push([even(x * scale), even(y * scale), side, side]);
          else if (passed === 0) x += step;
        }
      }
    }
    return group(found).map(([x, y, w, h]) => [x + w / 2, y + h / 2, Math.max(w, h)]);
  }
  return function detect(picture, around = null) {
    const { width, height } = picture, grey = luma(picture), found = search(grey, width, height, around);
    if (found.length || grey.filter((g) => g < DARK).length <= SHADE * grey.length) return found; // see DARK in face_tracks.py
    return search(grey.map((g) => Math.min(255, BRIGHTER * g)), width, height, around);
  };
}

const even = (x) => { // rounds halves to the even neighbour, as OpenCV does
  const r = Math.round(x);
  return Math.abs(x % 1) === 0.5 && r % 2 ? r - 1 : r;
};

function luma({ data }) {
  const grey = new Uint8Array(data.length / 4);
  for (let i = 0, k = 0; k < grey.length; i += 4, k++)
    grey[k] = (9798 * data[i] + 19235 * data[i + 1] + 3735 * data[i + 2] + 16384) >> 15;
  return grey;
}

function shrink(grey, width, height, w, h) { // bilinear, with 8 bits of weight
  const taps = (n, size) => Array.from({ length: n }, (_, d) => {
    const at = ((d + 0.5) * size) / n - 0.5, low = Math.floor(at), part = even((at - low) * 256);
    return low < 0 ? [0, 0, 0] : low >= size - 1 ? [size - 1, size - 1, 0] : [low, low + 1, part];
  });
  const columns = taps(w, width), small = new Uint8Array(w * h);
  taps(h, height).forEach(([top, bottom, down], y) => {
    const above = top * width, below = bottom * width;
    for (let x = 0; x < w; x++) {
      const [left, right, along] = columns[x];
      const first = grey[above + left] * (256 - along) + grey[above + right] * along;
      const second = grey[below + left] * (256 - along) + grey[below + right] * along;
      small[y * w + x] = (first * (256 - down) + second * down + 32768) >> 16;
    }
  });
  return small;
}

function integrals(grey, w, h) {
  const stride = w + 1, sum = new Int32Array(stride * (h + 1)), squares = new Float64Array(stride * (h + 1));
  for (let y = 0; y < h; y++) {
    for (let x = 0, row = 0, power = 0, k = (y + 1) * stride + 1; x < w; x++, k++) {
      const value = grey[y * w + x];
      row += value, power += value * value;
      sum[k] = sum[k - stride] + row, squares[k] = squares[k - stride] + power;
    }
  }
  return { sum, squares, stride };
}

function offsets(rectangles, stride) { // x, y, w, h -> the places of the four corners
  const corners = new Int32Array(rectangles.length);
  for (let i = 0; i < rectangles.length; i += 4) {
    const a = rectangles[i + 1] * stride + rectangles[i], b = a + rectangles[i + 3] * stride, w = rectangles[i + 2];
    corners.set([a, a + w, b, b + w], i);
  }
  return corners;
}

function run({ starts, places, nodes, leaves, weights, cuts, thresholds }, corners, sum, at, norm) {
  for (let s = 0; s < thresholds.length; s++) { // returns how many stages are passed
    let total = 0;
    for (let tree = starts[s]; tree < starts[s + 1]; tree++) {
      const root = places[2 * tree];
      let k = 0;
      do {
        const node = root + k, f = nodes[3 * node + 2], c = 12 * f, w = 3 * f;
        let value = weights[w] * (sum[at + corners[c]] - sum[at + corners[c + 1]] - sum[at + corners[c + 2]] + sum[at + corners[c + 3]])
          + weights[w + 1] * (sum[at + corners[c + 4]] - sum[at + corners[c + 5]] - sum[at + corners[c + 6]] + sum[at + corners[c + 7]]);
        if (weights[w + 2]) value += weights[w + 2] * (sum[at + corners[c + 8]] - sum[at + corners[c + 9]] - sum[at + corners[c + 10]] + sum[at + corners[c + 11]]);
        k = value * norm < cuts[node] ? nodes[3 * node] : nodes[3 * node + 1];
      } while (k > 0);
      total += leaves[places[2 * tree + 1] - k];
    }
    if (total < thresholds[s]) return s;
  }
  return thresholds.length;
}

function group(boxes) { // boxes that nearly coincide become their mean, if there are enough of them
  const kind = boxes.map((_, i) => i), root = (i) => (kind[i] === i ? i : root(kind[i]));
  const near = (p, q) => {
    const d = EPS * (Math.min(p[2], q[2]) + Math.min(p[3], q[3])) * 0.5;
    return [p[0] - q[0], p[1] - q[1], p[0] + p[2] - q[0] - q[2], p[1] + p[3] - q[1] - q[3]]
      .every((x) => Math.abs(x) <= d);
  };
  boxes.forEach((p, i) => { for (let j = 0; j < i; j++) if (near(p, boxes[j])) kind[root(i)] = root(j); });
  const groups = new Map();
  boxes.forEach((p, i) => groups.set(root(i), [...(groups.get(root(i)) || []), p]));
  const means = [...groups.values()].filter((g) => g.length > NEIGHBOURS).map((g) => ({
    n: g.length, box: [0, 1, 2, 3].map((k) => even(g.reduce((s, p) => s + p[k], 0) / g.length)),
  }));
  const inside = ({ box: p, n }, { box: q, n: m }) => {
    const dx = even(q[2] * EPS), dy = even(q[3] * EPS);
    return p[0] >= q[0] - dx && p[1] >= q[1] - dy && p[0] + p[2] <= q[0] + q[2] + dx
      && p[1] + p[3] <= q[1] + q[3] + dy && m > Math.max(3, n);
  };
  return means.filter((p) => !means.some((q) => p !== q && inside(p, q))).map((p) => p.box);
}

// Looks [{time, boxes}] in order of time -> the face of the greatest presence, or null.
export function follow(looks) {
  const chains = [];
  let open = [];
  for (const { time, boxes } of looks) {
    open = open.filter((chain) => time - chain.at(-1).time < BRIDGE + EVERY / 2);
    const pairs = open.flatMap((chain) => boxes.map((box) => ({ chain, box, far: distance(chain, time, box) })));
    const taken = new Set();
    for (const { chain, box, far } of pairs.sort((p, q) => p.far - q.far)) {
      if (far >= REACH || taken.has(chain) || taken.has(box)) continue;
      chain.push({ time, box });
      taken.add(chain).add(box);
    }
    const fresh = boxes.filter((box) => !taken.has(box)).map((box) => [{ time, box }]);
    chains.push(...fresh), open.push(...fresh);
  }
  const faces = chains.filter((chain) => {
    const looked = looks.filter((l) => l.time >= chain[0].time && l.time <= chain.at(-1).time).length;
    return chain.length >= Math.min(3, looks.length) && chain.length >= SHARE * looked;
  }).map(track);
  return faces.sort((p, q) => q.presence - p.presence)[0] || null;
}

function distance(chain, time, box) {
  const { time: last, box: at } = chain.at(-1), before = chain.at(-2);
  if (Math.max(box[2], at[2]) / Math.min(box[2], at[2]) > GROWTH) return Infinity;
  const speed = before ? (time - last) / (last - before.time) : 0;
  const due = [0, 1].map((k) => at[k] + (before ? (at[k] - before.box[k]) * speed : 0));
  const far = (p) => Math.hypot(box[0] - p[0], box[1] - p[1]);
  return Math.min(far(due), far(at)) / Math.min(box[2], at[2]);
}

function track(chain) {
  const times = chain.map((seen) => seen.time), first = times[0], last = times.at(-1);
  const sides = chain.map((seen) => seen.box[2]).sort((p, q) => p - q), n = sides.length;
  const side = (sides[(n - 1) >> 1] + sides[n >> 1]) / 2;
  const count = Math.max(1, even((last - first) * FPS)) + 1;
  const steps = Array.from({ length: count }, (_, k) => first + ((last - first) * k) / (count - 1));
  const path = [0, 1, 2].map((k) => {
    const column = withoutOutliers(chain.map((seen) => seen.box[k]));
    return gaussian(steps.map((t) => between(times, column, t)));
  });
  const start = first - EVERY, end = last + EVERY, reach = even(2 * EVERY * FPS);
  const at = (time) => {
    const box = path.map((column) => between(steps, column, time));
    const beyond = time - Math.min(Math.max(time, first), last);
    if (!beyond || count <= reach || last <= first) return box;
    const [edge, inner] = beyond < 0 ? [0, reach] : [count - 1, count - 1 - reach];
    for (const k of [0, 1])
      box[k] += (beyond * (path[k][edge] - path[k][inner])) / (steps[edge] - steps[inner]);
    return box;
  };
  return { start, end, side, at, presence: side * side * (end - start) };
}

function between(xs, ys, x) { // linear interpolation; the ends go on
  if (x <= xs[0]) return ys[0];
  const k = xs.findIndex((v) => v >= x);
  return k < 0 ? ys.at(-1) : ys[k - 1] + ((ys[k] - ys[k - 1]) * (x - xs[k - 1])) / (xs[k] - xs[k - 1]);
}

const withoutOutliers = (v) => v.map((x, i) =>
  i && i < v.length - 1 ? [v[i - 1], x, v[i + 1]].sort((p, q) => p - q)[1] : x);

function gaussian(v) { // beyond the ends the values go on as mirrored through their end point
  const reach = Math.ceil(3 * SMOOTH), n = v.length, pad = Math.min(reach, n - 1);
  const value = (i) => (i < 0 ? 2 * v[0] - v[Math.min(-i, pad)]
    : i >= n ? 2 * v[n - 1] - v[n - 1 - Math.min(i - n + 1, pad)] : v[i]);
  return v.map((_, i) => {
    let sum = 0, total = 0;
    for (let k = -reach; k <= reach; k++) {
      const weight = Math.exp(-0.5 * (k / SMOOTH) ** 2);
      sum += weight * value(i + k), total += weight;
    }
    return sum / total;
  });
}

// The square of a picture with its margin, as (size, size, 3) bytes; the rim is repeated beyond it.
export function crop({ data, width, height }, [x, y, side], size) {
  const n = Math.max(2, even(side * MARGIN)), left = x - (n - 1) / 2, top = y + LOWER * side - (n - 1) / 2;
  const x0 = Math.floor(left), y0 = Math.floor(top), a = left - x0, b = top - y0;
  const columns = Int32Array.from({ length: n + 1 }, (_, i) => 4 * Math.min(Math.max(x0 + i, 0), width - 1));
  const row = (j) => 4 * width * Math.min(Math.max(y0 + j, 0), height - 1);
  const patch = new Uint8Array(n * n * 3);
  for (let j = 0, k = 0; j < n; j++) {
    const above = row(j), below = row(j + 1);
    for (let i = 0; i < n; i++) {
      const here = columns[i], next = columns[i + 1];
      for (let c = 0; c < 3; c++, k++)
        patch[k] = Math.round((1 - b) * ((1 - a) * data[above + here + c] + a * data[above + next + c])
          + b * ((1 - a) * data[below + here + c] + a * data[below + next + c]));
    }
  }
  return resize(patch, n, size, n > size ? area : cubic);
}

// Squares (n, n, 3) -> (size, size, 3). A kernel gives K pixels and their weights for each new pixel.
export function resize(square, n, size, kernel = triangle) {
  if (n === size && kernel !== cubic) return square;
  const taps = kernel(n, size), half = new Float32Array(n * size * 3), out = new Uint8ClampedArray(size * size * 3);
  for (let y = 0; y < n; y++) blend(square, y * n * 3, 3, taps, half, y * size * 3, 3);
  for (let x = 0; x < size; x++) blend(half, x * 3, size * 3, taps, out, x * 3, size * 3);
  return new Uint8Array(out.buffer);
}

function blend(from, start, step, { places, weights, K }, to, begin, stride) {
  const whole = to instanceof Uint8ClampedArray;
  for (let d = 0, at = begin; d < places.length; d += K, at += stride) {
    for (let c = 0; c < 3; c++) {
      let sum = 0;
      for (let k = d; k < d + K; k++) sum += weights[k] * from[start + step * places[k] + c];
      to[at + c] = whole ? Math.round(sum) : sum;
    }
  }
}

const known = new Map(); // kernels that were made

const kernels = (name, n, size, make) => { // beyond the rim the rim is repeated
  const key = `${name} ${n} ${size}`;
  if (!known.has(key)) {
    const rows = Array.from({ length: size }, (_, d) => make(d, n / size));
    const K = Math.max(...rows.map(([, weights]) => weights.length));
    const places = new Int32Array(size * K), shares = new Float64Array(size * K);
    rows.forEach(([first, weights], d) => {
      const total = weights.reduce((s, w) => s + w, 0);
      for (let k = 0; k < K; k++) places[d * K + k] = Math.min(Math.max(first + k, 0), n - 1);
      weights.forEach((w, k) => (shares[d * K + k] = w / total));
    });
    known.set(key, { places, weights: shares, K });
  }
  return known.get(key);
};

export const area = (n, size) => kernels("area", n, size, (d, s) => { // how much of each pixel is covered
  const first = Math.floor(d * s), last = Math.min(n, Math.ceil((d + 1) * s - 1e-9));
  return [first, Array.from({ length: last - first }, (_, k) =>
    Math.min(first + k + 1, (d + 1) * s) - Math.max(first + k, d * s))];
});

export const cubic = (n, size) => kernels("cubic", n, size, (d, s) => { // OpenCV's, with A = -0.75
  const at = (d + 0.5) * s - 0.5, first = Math.floor(at) - 1, A = -0.75;
  return [first, [0, 1, 2, 3].map((k) => {
    const x = Math.abs(at - first - k);
    return x < 1 ? ((A + 2) * x - A - 3) * x * x + 1 : ((A * x - 5 * A) * x + 8 * A) * x - 4 * A;
  })];
});

export const triangle = (n, size) => kernels("triangle", n, size, (d, s) => { // torch's, with antialiasing
  const wide = Math.max(1, s), middle = s * (d + 0.5);
  const first = Math.max(0, Math.floor(middle - wide + 0.5)), last = Math.min(n, Math.floor(middle + wide + 0.5));
  return [first, Array.from({ length: last - first }, (_, k) =>
    Math.max(0, 1 - Math.abs((k + first - middle + 0.5) / wide)))];
});
