// A slide is 1280 x 720 px. When it is shown first, its text grows until it is full, its figure
// until the smallest letter has 20 px, its films until they fill their half.
const SMALLEST = 22, LARGEST = 66, LABEL = 20.2;

Reveal.initialize({
  controls: true, controlsTutorial: false, progress: true, history: true, center: false,
  transition: "none", slideNumber: "c/t", width: 1280, height: 720, margin: 0, minScale: 0.1,
  hideInactiveCursor: false, plugins: [RevealNotes],
});

function fitText(box) {
  const slide = box.closest("section"), scale = Reveal.getScale();
  const room = slide.clientHeight - 30 - (box.getBoundingClientRect().top - slide.getBoundingClientRect().top) / scale;
  const formulas = box.querySelectorAll(".formula");
  const fits = size => {
    box.style.fontSize = `${size}px`;
    for (const formula of formulas) {  // one that is too wide gets smaller by itself
      formula.style.fontSize = "1em";
      const wide = Math.max(...[...formula.querySelectorAll(".math")].map(e => e.getBoundingClientRect().width / scale));
      if (wide > box.clientWidth) formula.style.fontSize = `${box.clientWidth / wide - 0.01}em`;
    }
    if (box.offsetHeight > room || box.scrollWidth > box.clientWidth + 1) return false;
    const right = box.getBoundingClientRect().right + 1;
    return [...box.querySelectorAll("p .math, li .math, table")].every(
      e => e.getBoundingClientRect().right <= right);
  };
  let low = 14, high = LARGEST;
  while (high - low > 0.5) {
    const middle = (low + high) / 2;
    if (fits(middle)) low = middle; else high = middle;
  }
  fits(low);
}

const axes = plot => Object.keys(plot._fullLayout).filter(key => /^[xy]axis/.test(key));

// A legend of many rows leaves a low figure: it moves to the right, where a slide has room.
async function fitLegend(plot) {
  const legend = plot.querySelector(".legend .bg"), box = legend?.getBBox();
  if (!box || box.height < 0.2 * plot._fullLayout.height) return;
  const side = {orientation: "v", xref: "paper", x: 1.02, xanchor: "left", yref: "paper", y: 1, yanchor: "top"};
  await Plotly.relayout(plot, {legend: {...plot.layout.legend, ...side}});
}

// Names beside the rows were broken for a narrow page: on a slide they are whole if they collide.
async function fitNames(plot) {
  for (const key of axes(plot).filter(key => key[0] === "y")) {
    const axis = plot._fullLayout[key], names = axis.ticktext || axis._categories || [];
    const rows = Math.max(0, ...names.map(name => String(name).split("<br>").length));
    if (rows < 2 || names.length * rows * 1.3 * (axis.tickfont?.size || 15) < axis._length) continue;
    const places = axis.ticktext ? axis.tickvals : names.map((_, k) => k);
    const whole = names.map(name => String(name).replace(/<br>/g, " "));
    await Plotly.relayout(plot, {[`${key}.tickmode`]: "array", [`${key}.tickvals`]: places, [`${key}.ticktext`]: whole, [`${key}.automargin`]: true});
  }
}

async function fitFigure(stage) {
  const plot = stage.querySelector(".js-plotly-plot");
  if (!plot || !plot._fullLayout) return;
  const change = {};  // plotly writes the digits between powers of ten at three quarters
  for (const key of axes(plot)) if (String(plot._fullLayout[key].dtick).startsWith("D")) change[`${key}.tickfont.size`] = 20;
  if (Object.keys(change).length) await Plotly.relayout(plot, change);
  const letters = [...plot.querySelectorAll("text, tspan")].filter(e =>
    !e.closest(".bars, [style*='70%']") && [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim()));
  const smallest = Math.min(16, ...letters.map(e => parseFloat(getComputedStyle(e).fontSize)));
  const {clientWidth: width, clientHeight: height} = stage, own = plot.layout.height || 450;
  // Small print down to 12 px is enlarged with everything; a lower figure may grow more.
  const zoom = Math.max(LABEL / Math.max(smallest, 12), Math.min(height / own, width / 840));
  const holder = stage.firstElementChild;
  for (let box = plot; box !== stage; box = box.parentElement) {
    box.style.width = `${width / zoom}px`;
    box.style.height = `${height / zoom}px`;
  }
  holder.style.transform = `scale(${zoom})`;
  const thin = plot.querySelectorAll(".bars .point").length > 12;
  await Plotly.relayout(plot, {
    width: width / zoom, height: height / zoom, autosize: false,
    // Text in bars is as large as other labels; in thin bars it only shows under the mouse.
    uniformtext: {minsize: LABEL / zoom, mode: thin ? "hide" : "show"},
  });
  await fitLegend(plot);
  await fitNames(plot);
  const heading = plot.querySelector(".gtitle"), room = width / zoom - 20;
  if (heading && heading.getBBox().width > room) {
    const words = plot.layout.title.text.split(/ (?![^<]*>)/);
    const lines = Math.ceil(heading.getBBox().width / room), each = Math.ceil(words.length / lines);
    const text = words.map((word, k) => k && k % each === 0 ? `<br>${word}` : `${k ? " " : ""}${word}`).join("");
    if (!/<br>|<span/.test(plot.layout.title.text)) await Plotly.relayout(plot, {"title.text": text});
  }
  const titles = {};  // a panel may be lower than its title is long
  for (const key of axes(plot).filter(key => key[0] === "y")) {
    const title = plot.querySelector(`.${key.replace("axis", "")}title`), axis = plot._fullLayout[key];
    if (!title || title.textContent.includes("\n") || title.getBBox().width <= axis._length) continue;
    const words = axis.title.text.split(" "), half = Math.ceil(words.length / 2);
    if (words.length < 2 || axis.title.text.includes("<br>")) continue;
    titles[`${key}.title.text`] = `${words.slice(0, half).join(" ")}<br>${words.slice(half).join(" ")}`;
    titles[`${key}.automargin`] = true;
  }
  if (Object.keys(titles).length) await Plotly.relayout(plot, titles);
}

function fitFilms(box) {
  const films = [...box.querySelectorAll("video")], {clientWidth: width, clientHeight: height} = box;
  if (!films.length) return;
  const captions = 40;
  let best = 0, across = 1;
  for (let columns = 1; columns <= films.length; columns++) {
    const rows = Math.ceil(films.length / columns);
    const size = Math.min((width - 12 * columns) / columns, height / rows - captions);
    if (size > best) [best, across] = [size, columns];  // of as few columns as need be
  }
  if (box.children.length === 1) {  // films that one cell shows beside each other
    Object.assign(box.firstElementChild.style, {justifyContent: "center", alignContent: "flex-start"});
    box.style.paddingInline = `${Math.max(0, (width - across * (best + 16)) / 2 - 8)}px`;
  }
  do {
    films.forEach(film => { film.style.width = film.style.height = `${Math.floor(best)}px`; });
    best *= 0.95;
  } while (best > 100 && box.scrollHeight > box.clientHeight);
}

function fitHeader(header) {
  const sentence = header.querySelector(".sentence");
  for (let size = 21; sentence && header.scrollHeight > header.clientHeight && size > 17; size -= 0.5)
    sentence.style.fontSize = `${size}px`;
}

async function fit(slide) {
  if (!slide || slide.dataset.fitted) return;
  slide.dataset.fitted = "yes";
  slide.querySelectorAll(".films").forEach(fitFilms);
  slide.querySelectorAll(".fit").forEach(fitText);
  slide.querySelectorAll("header").forEach(fitHeader);
  for (const stage of slide.querySelectorAll(".stage")) await fitFigure(stage);
  slide.dataset.fitted = "done";
}
function show() { if (!document.body.classList.contains("setting")) fit(Reveal.getCurrentSlide()); }
document.body.classList.add("setting");  // formulas are set first: their size is part of the text's
MathJax.Hub.Register.StartupHook("End", () => { document.body.classList.remove("setting"); show(); });
Reveal.on("ready", show);
Reveal.on("slidechanged", show);
