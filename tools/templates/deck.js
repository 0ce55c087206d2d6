// A slide is 1280 x 720 px. When it is shown first, its text grows until it is full, its figure
// until the smallest letter has 20 px, its films until they fill their half.
const SMALLEST = 22, LARGEST = 56, LABEL = 20.2;

Reveal.initialize({
  controls: true, controlsTutorial: false, progress: true, history: true, center: false,
  transition: "none", slideNumber: "c/t", width: 1280, height: 720, margin: 0, minScale: 0.1,
  hideInactiveCursor: false, plugins: [RevealNotes],
});

function fitText(box) {
  const slide = box.closest("section"), scale = Reveal.getScale();
  const room = slide.clientHeight - 16 - (box.getBoundingClientRect().top - slide.getBoundingClientRect().top) / scale;
  const fits = size => {
    box.style.fontSize = `${size}px`;
    if (box.offsetHeight > room || box.scrollWidth > box.clientWidth + 1) return false;
    const right = box.getBoundingClientRect().right + 1;
    return [...box.querySelectorAll(".math, table")].every(
      e => e.getBoundingClientRect().right <= right);
  };
  let low = 14, high = LARGEST;
  while (high - low > 0.5) {
    const middle = (low + high) / 2;
    if (fits(middle)) low = middle; else high = middle;
  }
  fits(low);
}

function fitFigure(stage) {
  const plot = stage.querySelector(".js-plotly-plot");
  if (!plot || !plot._fullLayout) return Promise.resolve();
  const letters = [...plot.querySelectorAll("text, tspan")].filter(e =>
    [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim()));
  const smallest = Math.min(16, ...letters.map(e => parseFloat(getComputedStyle(e).fontSize)));
  const {clientWidth: width, clientHeight: height} = stage, own = plot.layout.height || 450;
  // Small print down to 12 px is enlarged with everything; a lower figure may grow more.
  const zoom = Math.max(LABEL / Math.max(smallest, 12), Math.min(height / own, width / 840));
  const holder = stage.firstElementChild;
  plot.style.width = `${width / zoom}px`;
  plot.style.height = `${height / zoom}px`;
  holder.style.width = `${width / zoom}px`;
  holder.style.height = `${height / zoom}px`;
  holder.style.transform = `scale(${zoom})`;
  return Plotly.relayout(plot, {width: width / zoom, height: height / zoom, autosize: false});
}

function fitFilms(box) {
  const films = [...box.querySelectorAll("video")], {clientWidth: width, clientHeight: height} = box;
  if (!films.length) return;
  const captions = 40;
  let best = 0;
  for (let columns = 1; columns <= films.length; columns++) {
    const rows = Math.ceil(films.length / columns);
    best = Math.max(best, Math.min((width - 12 * columns) / columns, height / rows - captions));
  }
  films.forEach(film => { film.style.width = `${Math.floor(best)}px`; film.style.height = `${Math.floor(best)}px`; });
}

async function fit(slide) {
  if (!slide || slide.dataset.fitted) return;
  slide.dataset.fitted = "yes";
  slide.querySelectorAll(".films").forEach(fitFilms);
  slide.querySelectorAll(".fit").forEach(fitText);
  for (const stage of slide.querySelectorAll(".stage")) await fitFigure(stage);
  slide.dataset.fitted = "done";
}
function show() { if (!document.body.classList.contains("setting")) fit(Reveal.getCurrentSlide()); }
document.body.classList.add("setting");  // formulas are set first: their size is part of the text's
MathJax.Hub.Register.StartupHook("End", () => { document.body.classList.remove("setting"); show(); });
Reveal.on("ready", show);
Reveal.on("slidechanged", show);
