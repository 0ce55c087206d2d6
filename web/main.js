// The page: what is pressed, what is said, and which picture is drawn.

import * as figures from "./figures.js";
import { contentLoss, cosine, findOffset, matrix, mean, nearest, place, row, similarities } from "./measure.js";
import { unpacked } from "./unpack.js";

const $ = (id) => document.getElementById(id), LONGEST = 8, FRAME = 640, RATE = 16000, MARGIN = 2;
const HEADS = ["content", "identity"], MICROPHONE = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
const kept = { words: {}, vectors: {}, clips: {} }; // fetched when the page opens: from then on it needs no network
const page = { takes: [], shift: 0, moment: 0 }; // takes: what was recorded or chosen, the newest last
let words = {}, facts, worker, calls = 0, player, playing = [];
globalThis.talk = page;

// --- Words ---------------------------------------------------------------------------------------

const say = (key, values = {}) => (words[key] ?? key).replace(/\{(\w+)\}/g, (_, name) => values[name]);
const percent = (x) => Math.round(100 * x);

function status(key, values, bad = false) {
  $("status").textContent = key ? say(key, values) : "";
  $("status").className = bad ? "bad" : "";
}

function language(code) {
  words = kept.words[code];
  document.documentElement.lang = code;
  document.title = words.title;
  for (const element of document.querySelectorAll("[data-t]")) element.innerHTML = words[element.dataset.t];
  for (const id of ["crop", "table", "curve", "who_map", "what_map"]) $(id).setAttribute("aria-label", words[`${id}_label`]);
  status();
  if (facts) honest(), show();
}

function honest() { // what was measured of the network in use
  for (const option of $("network").options) option.textContent = words[`network_${option.value}`] ?? option.value;
  const { measured: real, voices, identity } = facts[which()];
  const parts = [say("honest", { network: which(), eer: percent(identity.eer) }),
    voices ? say("voices_real", { miss: percent(voices.miss), alarm: percent(voices.false_alarm) }) : "",
    real ? say("real", { clips: real.clips, right: percent(real.within_one), chance: percent(real.chance) }) : say("not_measured")];
  $("honest").textContent = which() === "untrained" ? say("honest_untrained") : parts.filter(Boolean).join(" ");
}

// --- Work that takes time ------------------------------------------------------------------------

function ask(what, message = {}, transfer = []) {
  worker ??= new Worker("worker.js", { type: "module" });
  const id = ++calls;
  return new Promise((resolve, reject) => {
    const heard = ({ data }) => {
      if (data.id !== id) return;
      if (data.step) return status(data.step);
      worker.removeEventListener("message", heard);
      if (data.error) reject(new Error(data.error));
      else resolve(data.done);
    };
    worker.addEventListener("message", heard);
    worker.postMessage({ id, what, ...message }, transfer);
  });
}

async function analyse(blob, { name, whole = false } = {}) {
  silence();
  status("opening");
  await page.ready;
  try {
    const take = await ask("analyse", { blob, whole, name: best(!name), size: facts.size });
    page.takes.push({ ...take, blob, name: name || say("take", { n: page.takes.filter((t) => t.own).length + 1 }), own: !name });
    Object.assign(page, { shift: 0, moment: loudest(take.sound) });
    Object.assign($("film"), { src: URL.createObjectURL(blob), currentTime: 0.01 });
    document.body.classList.add("ready");
    honest();
    await show();
    $("face").scrollIntoView({ behavior: "smooth" });
    status("done", { seconds: ((take.ms.film + take.ms.networks) / 1000).toFixed(1) });
  } catch (error) {
    status(error.message in words ? error.message : "failed", { why: error.message }, true);
  }
}

function loudest(samples) { // the window with the most energy
  const power = Array.from({ length: samples.length / FRAME - 4 }, (_, t) =>
    samples.subarray(t * FRAME, (t + 5) * FRAME).reduce((s, x) => s + x * x, 0));
  return power.indexOf(Math.max(...power));
}

const take = () => page.takes.at(-1);
const best = (own) => ($("network").value === "best" ? facts.best[own ? "real" : "drawn"] : $("network").value);
const which = () => best(take()?.own ?? true);
const kind = (...takes) => (takes.every((one) => one.own) ? "real" : "drawn"); // which measurements hold for them
const headOf = (task) => HEADS[(task === "who") !== $("swapped").checked ? 1 : 0];

async function vectors(one, stream, task) {
  const name = which();
  one.vectors[name] ??= await ask("embed", { name, small: one.small, sound: one.sound, size: facts.size });
  return matrix(one.vectors[name][stream][headOf(task)], facts.D);
}

// Of the drawn people: "windows" of the sound; mean "voices" and "faces" of the clips. See tools/live.py.
const known = (what, task) => matrix(kept.vectors[which()].subarray(...facts.rows[what][headOf(task)]), facts.D);

// The first of each name.
const firsts = (all) => all.filter(({ name }, k) => all.findIndex((other) => other.name === name) === k);

// --- The panels ----------------------------------------------------------------------------------

async function show() {
  if (!take()) return;
  drawCrop(take().frames.subarray(Math.floor(take().sound.length / FRAME / 2) * 27648));
  $("face_said").textContent = say(take().face ? "face_found" : "face_whole", { frames: take().sound.length / FRAME });
  await showStep();
  await showWho();
  await showWhat();
}

function drawCrop(bytes) { // the face, and a frame around the mouth
  const pen = $("crop").getContext("2d"), image = new ImageData(96, 96);
  for (let k = 0; k < 9216; k++) image.data.set([bytes[3 * k], bytes[3 * k + 1], bytes[3 * k + 2], 255], 4 * k);
  pen.putImageData(image, 0, 0);
  pen.strokeStyle = "#ffb000";
  pen.strokeRect(18.5, 36.5, 59, 59); // MOUTH in dsel/model.py
}

async function showStep() {
  const C = similarities(await vectors(take(), "face", "step"), await vectors(take(), "audio", "step"));
  Object.assign(page, { C, sync: findOffset(C, facts[which()].offsets[kind(take())]) });
  const { late, right, reach } = page.sync, side = late === 0 ? "in_step" : late > 0 ? "late" : "early";
  const sure = right >= 0.95 ? "sure" : right >= 0.8 ? "likely" : right < 0.5 && take().sound.length >= 2.5 * RATE ? "fits_nobody" : "unsure";
  $("step_said").textContent = say(sure, { what: say(side, { frames: Math.abs(late), ms: 40 * Math.abs(late) }), right: percent(right), reach: (reach / 25).toFixed(1) });
  Object.assign($("shift"), { min: -reach, max: reach, value: page.shift });
  showShift();
}

function showShift() { // the slider moves the sound: frame t now hears window t + k
  const k = page.shift, { loss, chance, count } = (page.loss = contentLoss(page.C, facts[which()].w, k));
  $("shift_said").textContent = say("shift_said", { k, ms: 40 * k, loss: loss.toFixed(3), chance: chance.toFixed(3), count });
  figures.table($("table"), page.C, k, words);
  figures.curve($("curve"), page.sync, k, words);
}

async function showWho() {
  const head = facts[which()][headOf("who")], own = [], audio = await vectors(take(), "audio", "who");
  for (const one of page.takes) {
    const [voices, faces] = [mean(await vectors(one, "audio", "who")), mean(await vectors(one, "face", "who"))];
    own.push({ name: one.name, own: one.own, voices, faces });
  }
  page.who = {};
  for (const what of ["voices", "faces"]) {
    const all = known(what, "who"), people = facts.people.map(({ name }, p) => ({ name, [what]: row(all, p) }));
    const scored = [...people, ...own.slice(0, -1)].map((one) => ({ name: one.name, score: cosine(own.at(-1)[what], one[what]) }));
    page.who[what] = firsts(scored.sort((p, q) => q.score - p.score)).slice(0, 3);
    list($(what), page.who[what].map(({ name, score }) => `${name}: ${score.toFixed(2)}`));
  }
  const half = (key, from, to) => ({ name: say(key), own: take().own, voices: mean(audio, from, to) });
  const halves = [half("first_half", 0, audio.n >> 1), half("second_half", audio.n >> 1, audio.n)];
  const pairs = [halves, ...own.flatMap((p, i) => own.slice(i + 1).map((q) => [p, q]))];
  page.who.pairs = pairs.map(([p, q]) => {
    const score = cosine(p.voices, q.voices), threshold = head.threshold[kind(p, q)];
    return { a: p.name, b: q.name, score, threshold, same: score > threshold };
  });
  list($("takes"), page.who.pairs.map((pair) =>
    say(pair.same ? "same" : "other", { ...pair, score: pair.score.toFixed(2), threshold: pair.threshold.toFixed(2) })));
  const mine = own.map(({ name, voices }) => ({ name, own: true, points: [place(voices, head.who)], text: [name] }));
  figures.map($("who_map"), [...head.who.drawn, ...mine]);
}

async function showWhat() {
  const audio = await vectors(take(), "audio", "what"), t = Math.min(page.moment, audio.n - 1);
  const { windows, people } = facts, { what: map } = facts[which()][headOf("what")];
  const heard = nearest(row(audio, t), known("windows", "what")).map(({ k, cosine: score }) =>
    ({ k, score, name: people[windows.track[k]].name, phoneme: windows.phoneme[k], word: windows.word[k] }));
  page.what = firsts(heard.filter(({ k, name }) => windows.kind[k] && name !== take().name)).slice(0, 5);
  Object.assign($("moment"), { max: audio.n - 1, value: t });
  $("moment_said").textContent = say("moment_said", { seconds: ((t + 2.5) / 25).toFixed(2) });
  list($("sounds"), page.what.map((w) => say("sound_of", { ...w, score: w.score.toFixed(2) })));
  const groups = map.drawn.map((group) => ({ ...group, name: say(`kind_${group.name}`) }));
  figures.map($("what_map"), [...groups, { name: say("here"), own: true, points: [place(row(audio, t), map)], text: [say("here")] }]);
}

function list(where, texts) {
  where.replaceChildren(...texts.map((text) => Object.assign(document.createElement("li"), { textContent: text })));
}

// --- Sound ---------------------------------------------------------------------------------------

function silence() {
  playing.forEach((source) => source.stop());
  playing = [];
  $("film").pause();
}

function sound(samples, when = 0, offset = 0) {
  player ??= new AudioContext();
  player.resume();
  const buffer = player.createBuffer(1, samples.length, RATE), source = player.createBufferSource();
  buffer.copyToChannel(samples, 0);
  source.buffer = buffer;
  source.connect(player.destination);
  source.start(player.currentTime + when, offset);
  playing.push(source);
}

async function play() { // the film is mute; its sound is played beside it, moved by the slider
  silence();
  const one = take(), film = $("film"), late = page.shift / 25;
  film.currentTime = Math.max(0, one.first / 25);
  try {
    await film.play();
  } catch (error) {
    if (error.name === "AbortError") return; // something else was started meanwhile
    throw error;
  }
  sound(one.sound, Math.max(0, -late), Math.max(0, late));
}

function excerpt(samples, t) { // the window and two frames on either side, all equally loud
  const part = samples.slice(Math.max(0, t - MARGIN) * FRAME, (t + 5 + MARGIN) * FRAME), n = part.length;
  const level = Math.sqrt(part.reduce((s, x) => s + x * x, 0) / n) || 1;
  return part.map((x, i) => Math.max(-1, Math.min(1, (0.1 / level) * x * Math.min(1, i / 160, (n - i) / 160))));
}

function hear() {
  silence();
  const others = page.what.map(({ k }) =>
    excerpt(kept.sounds.subarray(...facts.people[facts.windows.track[k]].samples), facts.windows.at[k]));
  [excerpt(take().sound, page.moment), ...others].forEach((part, k) => sound(part, 0.45 * k));
}

// --- Recording -----------------------------------------------------------------------------------

async function record() {
  if (!navigator.mediaDevices?.getUserMedia) return status("not_https", {}, true);
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 640 }, height: { ideal: 480 }, frameRate: { ideal: 25 } }, audio: MICROPHONE });
  } catch (error) {
    return status({ NotAllowedError: "denied", NotFoundError: "no_camera", NotReadableError: "busy" }[error.name] || "failed", { why: error.message }, true);
  }
  const live = $("live"), kinds = ["video/webm;codecs=vp8,opus", "video/mp4", "video/webm"];
  live.srcObject = stream;
  document.body.classList.add("recording"); // shows the camera, and makes room for it
  await live.play();
  let watching = true;
  const watch = async () => {
    if (!watching || !live.videoWidth) return;
    const longer = live.videoWidth > live.videoHeight ? "resizeWidth" : "resizeHeight";
    const face = await ask("look", { picture: await createImageBitmap(live, { [longer]: 400 }) });
    if (face) drawCrop(face);
    $("face_said").textContent = say(face ? "face_seen" : "face_lost");
    setTimeout(watch, 150);
  };
  watch();
  for (let n = 3; n; n--) {
    status("countdown", { n });
    await pause(700);
  }
  const recorder = new MediaRecorder(stream, { mimeType: kinds.find((kind) => MediaRecorder.isTypeSupported(kind)) });
  const parts = [], ended = new Promise((resolve) => (recorder.onstop = resolve));
  recorder.ondataavailable = ({ data }) => parts.push(data);
  recorder.start();
  $("stop").hidden = false;
  $("stop").focus();
  $("stop").onclick = () => recorder.state === "recording" && recorder.stop();
  for (let n = 0; n < LONGEST && recorder.state === "recording"; n++) {
    status("recording", { left: LONGEST - n });
    await Promise.race([pause(1000), ended]);
  }
  if (recorder.state === "recording") recorder.stop();
  await ended;
  watching = false;
  stream.getTracks().forEach((track) => track.stop());
  live.srcObject = null;
  $("stop").hidden = true;
  document.body.classList.remove("recording");
  const blob = new Blob(parts, { type: recorder.mimeType });
  Object.assign($("keep"), { href: URL.createObjectURL(blob), hidden: false });
  await analyse(blob);
}

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// --- Start ---------------------------------------------------------------------------------------

function showPeople() {
  $("people").replaceChildren(...firsts(facts.people).map((person) => {
    const button = document.createElement("button");
    button.innerHTML = `<img src="people/${person.id}.png" alt="" width="96" height="96">${person.name}`;
    button.onclick = () => analyse(kept.clips[person.id], { name: person.name, whole: true });
    return button;
  }));
}

async function fetchAll() { // what is not needed for the first paint
  await import("./vendor/plotly.min.js").catch(() => { throw new Error("missing"); });
  kept.sounds = Float32Array.from(new Int16Array(await unpacked("people/sounds.i16.gz")), (x) => x / 32767);
  for (const name of facts.networks) kept.vectors[name] = new Float32Array(await unpacked(`people/${name}.f32.gz`));
  for (const { id } of facts.people) kept.clips[id] = await (await fetch(`people/${id}.mp4`)).blob();
  for (const name of facts.networks) await ask("warm", { name, size: facts.size });
}

const code = new URLSearchParams(location.search).get("lang") || navigator.language.slice(0, 2);
$("language").value = code === "ko" ? "ko" : "en";
for (const { value } of $("language").options) kept.words[value] = await (await fetch(`strings.${value}.json`)).json();
language($("language").value);
facts = await (await fetch("people.json")).json();
$("network").replaceChildren(...["best", ...facts.networks].map((name) => new Option(name, name)));
honest();
showPeople();
$("language").onchange = () => language($("language").value);
$("swapped").onchange = show;
$("network").onchange = () => { honest(); show(); };
$("camera").onclick = record;
$("file").onchange = () => {
  const [file] = $("file").files;
  $("file").value = ""; // so that the same film can be chosen again
  if (file) analyse(file);
};
$("play").onclick = play;
$("hear").onclick = hear;
$("shift").oninput = () => { page.shift = +$("shift").value; showShift(); };
$("shift").onchange = () => !$("film").paused && play();
$("moment").oninput = () => { page.moment = +$("moment").value; showWhat(); };
page.ready = fetchAll().then(() => true, (error) => status(error.message in words ? error.message : "failed", { why: error.message }, true));
