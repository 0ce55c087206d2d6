// The pictures. Each takes the element to draw into, and what is to be seen.

const FONT = { family: "system-ui, sans-serif", size: 13 }, OPTIONS = { displayModeBar: false, responsive: true };
const margin = { l: 48, r: 12, t: 12, b: 44 };
const COLOURS = ["#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#777777", "#dd7722", "#44bb99", "#994455", "#6699cc", "#333333"];

const draw = (where, data, layout) => Plotly.react(where, data, { font: FONT, margin, height: 330, hovermode: "closest", ...layout }, OPTIONS);

export function table(where, C, k, words) {
  const N = C.length, line = [Math.max(0, -k), Math.min(N, N - k) - 1];
  draw(where, [
    { type: "heatmap", z: C.map((r) => [...r]), colorscale: "Viridis", colorbar: { thickness: 10 }, hovertemplate: "%{y}, %{x}: %{z:.2f}<extra></extra>" },
    { x: line.map((t) => t + k), y: line, mode: "lines", line: { color: "#ff5533", width: 2, dash: "dot" }, hoverinfo: "skip" },
  ], { showlegend: false, xaxis: { title: { text: words.sound } }, yaxis: { title: { text: words.image }, autorange: "reversed", scaleanchor: "x" } });
}

export function curve(where, { curve: values, reach, late }, k, words) {
  const x = values.map((_, i) => i - reach);
  draw(where, [
    { x, y: values, mode: "lines+markers", name: "", hovertemplate: "%{x}: %{y:.3f}<extra></extra>", line: { color: COLOURS[0] } },
    { x: [late], y: [values[late + reach]], mode: "markers", marker: { size: 13, color: COLOURS[1] }, hoverinfo: "skip" },
  ], { showlegend: false, xaxis: { title: { text: words.shift } }, yaxis: { title: { text: words.similarity }, automargin: true },
    shapes: [{ type: "line", x0: k, x1: k, yref: "paper", y0: 0, y1: 1, line: { dash: "dot", color: "#ff5533" } }] });
}

// groups: [{name, points: [[x, y]], text, own}]
export function map(where, groups) {
  draw(where, groups.map(({ name, points, text, own }, i) => ({
    name, text, x: points.map((p) => p[0]), y: points.map((p) => p[1]), mode: own ? "markers+text" : "markers",
    hovertemplate: "%{text}<extra></extra>",
    textposition: "top center", marker: { size: own ? 13 : 7, symbol: own ? "star" : "circle", color: own ? "#000000" : COLOURS[i % COLOURS.length], opacity: own ? 1 : 0.75,
      line: { width: own ? 1 : 0, color: "#ffffff" } },
  })), { legend: { orientation: "h", y: -0.1, font: { size: 11 } }, height: 400,
    xaxis: { showticklabels: false, zeroline: false }, yaxis: { showticklabels: false, zeroline: false, scaleanchor: "x" } });
}
