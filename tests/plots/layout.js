// What is wrong with a drawn figure: {past, overlaps, faint, pale, hidden}, each a list of texts.
// Measured in the page: boxes of all labels, colours of texts and of marks.
plot => {
  const wrong = {past: [], overlaps: [], faint: [], pale: [], hidden: [], small: []};
  const frame = plot.getBoundingClientRect();
  const scale = frame.width / plot.offsetWidth || 1;
  const rgba = text => {
    const v = (text.match(/[\d.]+/g) || []).map(Number);
    return v.length < 3 ? null : [...v.slice(0, 3), v[3] ?? 1];
  };
  const over = ([r, g, b, a], under) => [r, g, b].map((v, k) => a * v + (1 - a) * under[k]);
  const linear = v => v / 255 <= 0.04045 ? v / 3294.6 : ((v / 255 + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b) + 0.05;
  const contrast = (a, b) => Math.max(light(a), light(b)) / Math.min(light(a), light(b));
  const opacity = node => node === plot ? 1
    : Number(getComputedStyle(node).opacity) * opacity(node.parentElement);
  const seen = node => {
    const style = getComputedStyle(node);
    return style.visibility !== 'hidden' && style.display !== 'none' && opacity(node) > 0.01;
  };
  const paint = (node, kind) => {
    const style = getComputedStyle(node), colour = rgba(style[kind]);
    if (!colour || style[kind] === 'none' || style[kind].startsWith('url')) return null;
    colour[3] *= Number(style[kind + 'Opacity']) * opacity(node);
    return colour[3] > 0.01 ? colour : null;
  };
  const name = node => (node.textContent || '').trim().slice(0, 40);
  const white = [255, 255, 255];

  // Labels: titles, ticks, headings, legend, sliders, buttons; and the words beside points.
  const skip = '.hoverlayer, .modebar, .modebar-container, .notifier, defs';
  const labels = [...plot.querySelectorAll('svg text')].filter(text =>
    name(text) && !text.closest(skip) && seen(text) && text.getBoundingClientRect().width);
  const box = label => {
    const {left, right, top, bottom} = label.getBoundingClientRect();
    return {left, right, top, bottom};
  };
  const inside = ({left, right, top, bottom}) =>
    left >= frame.left - 1 && right <= frame.right + 1 &&
    top >= frame.top - 1 && bottom <= frame.bottom + 1;
  for (const label of labels) {
    if (!inside(box(label))) wrong.past.push(name(label));
    const size = parseFloat(getComputedStyle(label).fontSize);
    const raised = label.querySelector('tspan') ? 0 : size;  // indices are smaller
    if (raised && size < 14.5 && !label.closest('.legendtoggle')) wrong.small.push(name(label));
  }
  const turned = label => /rotate\(-?(?!0[,)]|90[,)]|180)/.test(label.getAttribute('transform') || '');
  const inRows = label => {
    const all = labels.filter(other => other.closest('.trace') === label.closest('.trace'));
    return all.length > 3 && new Set(all.map(one => Math.round(box(one).top))).size < 3;
  };
  const data = label => label.closest('.scatterlayer, .barlayer, .heatmaplayer');
  for (let i = 0; i < labels.length; i++) for (let k = i + 1; k < labels.length; k++) {
    const [a, b] = [labels[i], labels[k]];
    if (turned(a) || turned(b)) continue;
    const [p, q] = [box(a), box(b)];
    // Points may cover each other; words that stand in a row or two may not.
    if (data(a) && data(b) && (a.closest('.trace') !== b.closest('.trace') || !inRows(a))) continue;
    const wide = Math.min(p.right, q.right) - Math.max(p.left, q.left);
    const high = Math.min(p.bottom, q.bottom) - Math.max(p.top, q.top);
    if (wide > 2 * scale && high > 3 * scale) wrong.overlaps.push(`${name(a)} | ${name(b)}`);
  }

  // Every handle is on the figure, and so is every button.
  for (const handle of plot.querySelectorAll(
    '.slider-grip-rect, .slider-rail-touch-rect, .updatemenu-button'))
    if ((seen(handle) || handle.matches('.slider-rail-touch-rect')) && !inside(box(handle))) wrong.hidden.push(handle.getAttribute('class'));

  // The letters against what lies behind them: a mark of the same trace, a button, or the paper.
  const shapes = [...plot.querySelectorAll(
    '.barlayer path, .scatterlayer .point, .updatemenu-item-rect, .annotation-text-g rect.bg, ' +
    '.hm image')];
  for (const label of labels) {
    const ink = paint(label, 'fill');
    if (!ink) continue;
    const r = label.getBoundingClientRect(), x = (r.left + r.right) / 2, y = (r.top + r.bottom) / 2;
    let behind = white, picture = false;
    for (const shape of shapes) {
      const s = shape.getBoundingClientRect();
      if (x < s.left || x > s.right || y < s.top || y > s.bottom) continue;
      if (shape.tagName === 'image') { picture = true; continue; }
      const open = /open/.test(shape.__data__?.mx || shape.__data__?.trace?.marker?.symbol || '');
      const colour = open ? null : paint(shape, 'fill');
      if (colour) { behind = over(colour, behind); picture = false; }
    }
    if (picture) continue;  // numbers on a heatmap: see the test of its colours
    if (contrast(over(ink, behind), behind) < 4.5) wrong.faint.push(name(label));
  }

  // Marks against the paper: the fill or the outline of points and bars, lines of traces.
  for (const mark of plot.querySelectorAll(
    '.scatterlayer .point, .barlayer .point path, .scatterlayer .js-line')) {
    if (!seen(mark)) continue;
    const inks = mark.matches('.js-line') ? [paint(mark, 'stroke')]
      : [paint(mark, 'fill'), parseFloat(getComputedStyle(mark).strokeWidth) ? paint(mark, 'stroke') : null];
    const best = Math.max(0, ...inks.filter(Boolean).map(ink => contrast(over(ink, white), white)));
    if (best && best < 3) wrong.pale.push(`${mark.getAttribute('class') || 'bar'} ${best.toFixed(2)}`);
  }
  for (const key in wrong) wrong[key] = [...new Set(wrong[key])];
  return wrong;
}
