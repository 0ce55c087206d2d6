// Draw a figure in its <div> of a page, and again when the page becomes wide or narrow.
function dselDraw(id, figure) {
  const place = document.getElementById(id);
  let drawn = 0;
  const draw = () => {
    const width = place.clientWidth;
    if (!width || width === drawn || (width >= 700 && drawn >= 700)) return;  // plotly stretches it
    const bar = width >= 700 ? 'hover' : false;  // on a phone it would lie over the title
    const config = {responsive: true, displaylogo: false, displayModeBar: bar};
    const put = drawn ? Plotly.react : Plotly.newPlot;  // what listens to clicks stays
    put(place, {...dselFit(figure, width), config});
    drawn = width;
  };
  draw();
  addEventListener('resize', draw);
}

// Fit a figure (plotly's data, layout, frames) to a page of a given width; nothing is drawn here.
//
// From 700 px on a figure stays as it is. On narrower pages at most two panels stand side by side,
// under 640 px one: the others move below, each as high as it was, with their headings. Titles and
// notes are broken into lines that fit, scales of colour lie below, buttons go above their slider.
function dselFit(figure, width) {
  if (width >= 700) return figure;
  figure = JSON.parse(JSON.stringify(figure));
  const layout = figure.layout, most = width < 640 ? 1 : 2;
  const template = layout.template?.layout || {};
  const margin = {...template.margin, ...layout.margin};
  const height = layout.height || 450;

  // --- Text: plotly breaks no lines.
  const canvas = document.createElement('canvas').getContext('2d');
  const wide = (text, size) => {
    canvas.font = `${size}px "Open Sans", verdana, arial, sans-serif`;
    return canvas.measureText(text.replace(/<[^>]+>/g, '')).width;
  };
  const broken = (text, size, room) => {
    const lines = [''];
    for (const word of text.split(/ +/)) {
      const longer = `${lines.at(-1)} ${word}`.trim();
      if (lines.at(-1) && wide(longer, size) > room) lines.push(word);
      else lines[lines.length - 1] = longer;
    }
    return lines;
  };
  const small = 15, large = layout.title?.font?.size || template.title?.font?.size || 17;
  const heading = text => {  // small print that was broken for a wide page is joined first
    const notes = [...text.matchAll(/<span style="font-size:[^"]*">(.*?)<\/span>|<sup>(.*?)<\/sup>/g)];
    const head = text.split(/<br>(?=<span|<sup)/)[0].replace(/<br>/g, ' ');
    const first = broken(head, large, width - 30);
    const rest = notes.flatMap(note => broken(note[1] ?? note[2], small, width - 30))
      .map(line => `<span style="font-size:${small}px">${line}</span>`);
    return [...first, ...rest].join('<br>');
  };
  let lines = 0;
  const titles = holder => {  // every title that a slider, a button or a frame may set
    for (const key of Object.keys(holder || {})) {
      if (key === 'title.text' || (key === 'title' && typeof holder[key] === 'string')) {
        holder[key] = heading(holder[key]);
        lines = Math.max(lines, holder[key].split('<br>').length);
      } else if (key === 'title' && holder[key]?.text) titles({'title.text': holder[key].text});
    }
  };
  const text = typeof layout.title === 'string' ? layout.title : layout.title?.text || '';
  if (text) {
    const fitted = heading(text);
    layout.title = {...(typeof layout.title === 'object' ? layout.title : {}), text: fitted};
    lines = fitted.split('<br>').length;
  }
  for (const bar of layout.sliders || []) for (const step of bar.steps || [])
    (step.args || []).forEach(titles);
  for (const menu of layout.updatemenus || []) for (const button of menu.buttons || [])
    (button.args || []).forEach(titles);
  for (const frame of figure.frames || []) if (frame.layout) titles(frame.layout);

  const wordy = one => one.visible !== false && one.showticklabels !== false;
  const rows = trace => {  // the numbers of the points that share a height, from left to right
    const found = {};
    trace.x.forEach((_, k) => (found[trace.y[k]] ||= []).push(k));
    return Object.values(found).map(row => row.sort((a, b) => trace.x[a] - trace.x[b]));
  };
  // --- Panels: pairs of axes, in the order of reading.
  const keys = [...new Set(figure.data.map(t => `${t.xaxis || 'x'} ${t.yaxis || 'y'}`))]
    .filter(() => figure.data.some(t => !['pie', 'table', 'sankey'].includes(t.type)));
  const axis = id => {
    const key = id.replace(/^([xy])(\d*)$/, '$1axis$2');
    return layout[key] ||= {};
  };
  const panels = keys.map(key => {
    const [x, y] = key.split(' ');
    return {x, y, across: axis(x).domain || [0, 1], up: axis(y).domain || [0, 1]};
  }).sort((a, b) => b.up[1] - a.up[1] || a.across[0] - b.across[0]);
  const columns = new Set(panels.map(p => p.across[0].toFixed(3))).size;
  const notes = (layout.annotations || []).filter(note => note.text);
  const over = panel => notes.filter(note =>  // headings of make_subplots
    note.xref === 'paper' && note.yref === 'paper' && note.yanchor === 'bottom' &&
    Math.abs(note.x - (panel.across[0] + panel.across[1]) / 2) < 0.02 &&
    Math.abs(note.y - panel.up[1]) < 0.02);
  let inner = height - (margin.t ?? 60) - (margin.b ?? 50);
  // --- Long names at the left are broken, and get the height that their lines need.
  const left = {}, needed = {};  // pixels of names, and of height, of each panel
  for (const panel of panels) {
    const up = axis(panel.y), own = figure.data.filter(t => (t.yaxis || 'y') === panel.y);
    const texts = own.flatMap(t => (Array.isArray(t.y) ? t.y : []).filter(y => typeof y === 'string'));
    const names = up.ticktext ? [...up.ticktext] : [...new Set(texts)];
    if (!names.length) continue;
    const places = up.ticktext ? up.tickvals : names;
    const whole = names.map(name => String(name).replace(/<br>/g, ' '));
    const lines = whole.map(name => broken(name, small, 0.36 * width));
    Object.assign(up, {tickmode: 'array', tickvals: places,
      ticktext: lines.map(parts => parts.join('<br>'))});
    left[panel.y] = Math.max(...lines.flat().map(line => wide(line, small)));
    needed[panel.y] = names.length * (20 * Math.max(...lines.map(parts => parts.length)) + 6);
  }
  // --- So is print inside bars, which plotly would make smaller and smaller.
  for (const trace of figure.data) {
    if (trace.type !== 'bar' || trace.orientation !== 'h' || trace.textposition !== 'inside') continue;
    if (!Array.isArray(trace.text)) continue;
    const parts = trace.text.map(text => broken(String(text), small, 0.6 * width));
    Object.assign(trace, {text: parts.map(lines => lines.join('<br>')), constraintext: 'none'});
    const rows = parts.length * (20 * Math.max(...parts.map(lines => lines.length)) + 16);
    needed[trace.yaxis || 'y'] = Math.max(needed[trace.yaxis || 'y'] || 0, rows);
  }
  const high = panel => Math.max((panel.up[1] - panel.up[0]) * inner, needed[panel.y] || 0);
  if (columns <= most)
    inner *= Math.max(1, ...panels.map(panel => high(panel) / ((panel.up[1] - panel.up[0]) * inner)));
  if (columns > most) {
    const room = (most > 1 ? 0.43 : 1) * (width - 70), headed = panels.flatMap(over).map(note =>
      broken(note.text.replace(/<br>/g, ' '), note.font?.size || 16, room).length);
    const titled = headed.length ? Math.max(52, 22 * Math.max(...headed) + 22) : 16;
    const below = 48;  // ticks and title of an x axis
    const square = p => axis(p.x).scaleanchor || axis(p.y).scaleanchor;  // is no higher than wide
    const heights = panels.map(p =>
      Math.max(220, Math.min(high(p), square(p) ? width - 80 : width), needed[p.y] || 0));
    const rows = [];
    for (let k = 0; k < panels.length; k += most)
      rows.push(Math.max(...heights.slice(k, k + most)) + titled + below);
    inner = rows.reduce((a, b) => a + b, 0);
    let top = 1;
    const moved = panels.map((panel, k) => {
      const column = k % most, row = Math.floor(k / most), share = rows[row] / inner;
      if (k && !column) top -= rows[row - 1] / inner;
      const gap = most > 1 ? 0.07 : 0;
      return {
        across: most > 1 ? [column * (0.5 + gap), column * (0.5 + gap) + 0.5 - gap] : [0, 1],
        up: [top - share + below / inner, top - titled / inner],
      };
    });
    const headings = panels.map(over);
    panels.forEach((panel, k) => {
      const {across, up} = moved[k];
      const along = (v, from, to) => to[0] + (v - from[0]) / (from[1] - from[0]) * (to[1] - to[0]);
      for (const note of headings[k]) {
        const room = (across[1] - across[0]) * (width - 70);
        const fitted = broken(note.text.replace(/<br>/g, ' '), note.font?.size || 16, room);
        note.text = fitted.join('<br>');
        note.x = (across[0] + across[1]) / 2;
        note.y = up[1];
      }
      for (const shape of layout.shapes || []) {
        if (shape.xref !== panel.x && shape.xref !== 'paper') continue;
        if (shape.yref !== 'paper' || shape.moved) continue;
        if (shape.xref === 'paper' && panels.length > 1) continue;
        shape.y0 = along(shape.y0, panel.up, up);
        shape.y1 = along(shape.y1, panel.up, up);
        shape.moved = true;
      }
      Object.assign(axis(panel.x), {domain: across, automargin: true});
      Object.assign(axis(panel.y), {domain: up, automargin: true});
      if (square(panel)) axis(panel.y).constraintoward = 'top';  // near its heading
      // Ticks that the panels shared are each panel's own now.
      if (axis(panel.x).visible !== false && axis(panel.x).matches) axis(panel.x).showticklabels ??= true;
    });
    for (const shape of layout.shapes || []) delete shape.moved;
  } else {
    for (const panel of panels) for (const note of over(panel)) {
      const room = (panel.across[1] - panel.across[0]) * (width - 60);
      note.text = broken(note.text.replace(/<br>/g, ' '), note.font?.size || 16, room).join('<br>');
    }
  }
  const headings = columns > most ? 0 : Math.max(0, ...panels.flatMap(panel =>
    over(panel).map(note => note.text.split('<br>').length)));

  let extra = 0;  // pixels of further lines below the x axes
  for (const {x, y} of panels) {
    const title = axis(x).title, [from, to] = axis(x).domain || [0, 1];
    const room = (to - from) * (width - 70) - Math.max(0, (left[y] || 0) - 60);
    if (!title?.text) continue;
    const lines = broken(title.text, small, room);
    title.text = lines.join('<br>');
    extra = Math.max(extra, 20 * (lines.length - 1));
  }

  // --- Marks in a row, on axes without numbers, become as small as their places; words beside
  //     them that would touch move to a second line, notes are broken.
  const bare = panels.length === 1 && panels.every(p => !wordy(axis(p.x)) && !wordy(axis(p.y)));
  const sides = bare ? [10, 10] : [Math.min(margin.l ?? 60, 45), Math.min(margin.r ?? 20, 14)];
  for (const panel of panels) {
    const {x: id, y} = panel, own = figure.data.filter(t => (t.xaxis || 'x') === id && Array.isArray(t.x));
    const [from, to] = axis(id).domain || [0, 1], pixels = (to - from) * (width - sides[0] - sides[1]);
    const queue = bare && own.some(t => t.marker?.size >= 20 && rows(t).some(row => row.length > 2));
    if (queue) {
      const all = own.flatMap(t => t.x).filter(Number.isFinite);
      axis(id).range ||= [Math.min(...all) - 0.6, Math.max(...all) + 0.6];
    }
    const range = axis(id).range;
    if (!range || !range.every(Number.isFinite)) continue;
    const unit = pixels / Math.abs(range[1] - range[0]);
    const shares = own.filter(t => t.marker?.size >= 20).map(t => rows(t).map(row => row.map((k, n) =>
      n ? 0.9 * unit * (t.x[k] - t.x[row[n - 1]]) / t.marker.size : 1))).flat(2);
    const share = queue ? Math.min(1, ...shares) : 1;
    for (const trace of own) {
      if (trace.marker?.size >= 20) trace.marker = {...trace.marker, size: share * trace.marker.size};
      if (trace.mode !== 'text' || !Array.isArray(trace.text)) continue;
      trace.text = [...trace.text];
      for (const row of rows(trace)) row.reduce((end, k) => {
        const start = unit * trace.x[k];
        if (start >= end) return start + wide(trace.text[k], small) + 5;
        trace.text[k] = `<br>${trace.text[k]}`;
        return end;
      }, -Infinity);
    }
  }
  for (const trace of figure.data) {  // words beside lying bars need room
    if (trace.type !== 'bar' || trace.orientation !== 'h' || trace.textposition === 'inside') continue;
    if (!Array.isArray(trace.text) || !Array.isArray(trace.x)) continue;
    const across = axis(trace.xaxis || 'x'), [from, to] = across.domain || [0, 1];
    const room = (to - from) * (width - 30 - (left[trace.yaxis || 'y'] || 0));
    const words = Math.max(...trace.text.map(text => wide(String(text), small))) + 12;
    const [low, high] = across.range || [0, 0], end = Math.max(...trace.x) / (1 - words / room);
    if (words < 0.8 * room) across.range = [low, Math.max(high, end)];
  }
  const placed = new Set(panels.flatMap(over));
  for (const note of notes) {
    if (placed.has(note)) continue;
    note.font = {...note.font, size: Math.min(note.font?.size || 16, small)};
    const room = width - 120;
    if (!note.showarrow && note.text.split('<br>').some(line => wide(line, small) > room))
      note.text = broken(note.text.replace(/<br>/g, ' '), small, room).join('<br>');
  }

  // --- Handles: buttons above their slider, both over the whole width.
  let controls = 0;
  (layout.sliders || []).forEach((bar, k) => {
    const buttons = (layout.updatemenus || []).filter(menu => menu.type === 'buttons' && menu.y <= 0);
    bar.x = 0.04; bar.len = 0.92; bar.xanchor = 'left';
    bar.pad = {...bar.pad, t: (bar.pad?.t ?? 20) + extra};
    if (!k) for (const menu of buttons) {
      menu.x = 0; menu.xanchor = 'left'; menu.y = 0; menu.yanchor = 'top';
      menu.pad = {...menu.pad, t: bar.pad.t ?? 20};
      bar.pad.t = (bar.pad.t ?? 20) + 52;
    }
    controls = Math.max(controls, (bar.pad.t ?? 20) + 75);
  });
  // --- Scales of colour lie below the panels.
  const flat = bar => bar && Object.assign(bar, {orientation: 'h', y: 0, yanchor: 'top', x: 0.5,
    xanchor: 'center', len: 0.9, thickness: 12, ypad: 40, xpad: 0});
  if (layout.coloraxis && layout.coloraxis.showscale !== false)
    flat(layout.coloraxis.colorbar ||= {});
  for (const trace of figure.data) if (trace.marker?.showscale) flat(trace.marker.colorbar ||= {});

  for (const trace of figure.data) if (trace.name && wide(trace.name, small) > width - 80)
    trace.name = broken(trace.name, small, width - 80).join('<br>');
  // --- Height: the legend has more rows on a narrow page, and plotly takes them from the panels.
  const listed = figure.data.filter(t => t.showlegend !== false && t.name && t.visible !== false);
  const legend = layout.showlegend === false || (listed.length < 2 && !layout.showlegend) ? 0
    : Math.ceil(listed.reduce((sum, t) => sum + wide(t.name, small) + 60, 0) / (width - 40));
  layout.margin = {...margin, l: sides[0], r: sides[1], t: 24 + 23 * (lines + headings)};
  layout.height = Math.round(inner + layout.margin.t + Math.max(margin.b ?? 50, 50) + extra + 22 * legend +
    (columns > most ? controls : Math.min(controls, 60)));
  layout.autosize = true;
  delete layout.width;
  return figure;
}
