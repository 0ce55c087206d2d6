// Decode a film into pictures by their time stamps and sound of 16 kHz: dsel/prepare/decode.py in the
// browser. One clock serves both, the time stamps of the file. Trouble is an Error whose message is a
// key of the strings.

import {
  ALL_FORMATS, AudioSampleSink, BlobSource, Input, VideoSample, VideoSampleSink,
} from "./vendor/mediabunny.min.mjs";
import { EVERY, LONGEST, crop, follow } from "./face.js";

export const FPS = 25, RATE = 16000, FRAME = RATE / FPS, SIZE = 96;
export const SECONDS = 10; // of a film that are looked at
const SHORTEST = 1, SLOWEST = 10, SILENT = 1e-3, LATEST = 0.6, SAME_INSTANT = 0.0005;

// -> {frames: (T, 96, 96, 3) bytes, sound: (640 T,) floats, boxes, shift}
export async function read(blob, { detect, whole, tell }) {
  if (!blob.size) throw new Error("empty");
  const input = new Input({ source: new BlobSource(blob), formats: ALL_FORMATS });
  let video, audio;
  try {
    [video, audio] = [await input.getPrimaryVideoTrack(), await input.getPrimaryAudioTrack()];
  } catch {
    throw new Error("not_video");
  }
  if (!video) throw new Error("no_picture");
  if (!audio) throw new Error("no_sound");
  if (!(await video.canDecode()) || !(await audio.canDecode())) throw new Error("cannot_decode");
  tell("looking");
  const { times, face } = await look(video, detect, whole);
  const sound = await hear(audio, times[0]);
  const { origin, cells, count } = grid(times), clip = span(sound, origin, count, face);
  tell("cutting");
  const frames = await cut(video, face, times, cells, count, clip);
  return { ...clip, frames, sound: piece(sound, origin + clip.first / FPS, (clip.stop - clip.first) * FRAME) };
}

// Every picture of the first seconds, in order: (time, picture of a wanted longer side).
async function* pictures(video, longest) {
  const { matrix } = await video.getColorSpace();
  let canvas, begin = null, last = -Infinity;
  for await (const decoded of new VideoSampleSink(video).samples()) {
    const sample = matrix ? decoded : await coloured(decoded);
    const { timestamp: time, displayWidth, displayHeight } = sample;
    begin ??= time;
    if (time - begin >= SECONDS) { sample.close(); return; }
    if (time > last) {
      const scale = Math.min(1, longest / Math.max(displayWidth, displayHeight));
      const width = Math.max(1, Math.round(displayWidth * scale)), height = Math.max(1, Math.round(displayHeight * scale));
      last = time;
      yield [time, (w = width, h = height) => {
        if (!canvas || canvas.width !== w || canvas.height !== h) canvas = new OffscreenCanvas(w, h);
        const pen = canvas.getContext("2d", { willReadFrequently: true });
        pen.imageSmoothingQuality = "high";
        sample.draw(pen, 0, 0, w, h);
        return pen.getImageData(0, 0, w, h);
      }, Math.max(displayWidth, displayHeight)];
    }
    sample.close();
  }
}

// Where a film does not say how its colours are coded, FFmpeg takes BT.601 and a browser BT.709: say it.
async function coloured(sample) {
  const { format, timestamp, duration, rotation, flip, displayWidth, displayHeight } = sample;
  if (!format) return sample;
  const data = new Uint8Array(sample.allocationSize()), layout = await sample.copyTo(data);
  const { width: codedWidth, height: codedHeight } = sample.visibleRect;
  const colorSpace = { matrix: "smpte170m", primaries: "bt709", transfer: "bt709", fullRange: false };
  sample.close();
  return new VideoSample(data, { format, codedWidth, codedHeight, displayWidth, displayHeight, timestamp, duration, rotation, flip, layout, colorSpace });
}

async function look(video, detect, whole) {
  const times = [], looks = [];
  let due = -Infinity, full = 1;
  for await (const [time, picture, longest] of pictures(video, LONGEST)) {
    times.push(time);
    if (whole || time < due) continue;
    full = longest;
    const image = picture(), scale = Math.max(image.width, image.height) / full;
    const last = looks.length % 5 && looks.at(-1).boxes; // every second, faces are looked for everywhere
    const around = last?.length === 1 ? last[0].map((x) => x * scale) : null;
    looks.push({ time, boxes: detect(image, around).map((box) => box.map((x) => x / scale)) });
    due = time + EVERY - 0.001;
  }
  const seconds = times.at(-1) - times[0], rate = seconds > 0 ? (times.length - 1) / seconds : FPS;
  if (!times.length) throw new Error("cannot_decode");
  if (times.length / rate < SHORTEST - 0.5 / FPS) throw new Error("short");
  if (rate < SLOWEST) throw new Error("slow");
  const face = whole ? null : follow(looks);
  if (!whole && !face) throw new Error("no_face");
  return { times, face: face && { ...face, full } };
}

// Where frames fall on the grid of 25 a second, see `frame_grid` in Python.
export function grid(times) {
  let origin = times[0];
  const late = times.map((t, k) => (t - origin) * FPS - k), least = Math.min(...late);
  if (Math.max(...late) - least < 0.5 && -least > SAME_INSTANT * FPS) origin += least / FPS;
  const cells = times.map((t) => Math.floor((t - origin + SAME_INSTANT) * FPS));
  const gaps = times.slice(1).map((t, k) => t - times[k]).sort((p, q) => p - q), n = gaps.length;
  const hold = n ? (gaps[(n - 1) >> 1] + gaps[n >> 1]) / 2 : 1 / FPS;
  const end = Math.floor((times.at(-1) + hold - origin + SAME_INSTANT) * FPS);
  return { origin, cells, count: Math.min(Math.max(cells.at(-1) + 1, end), SECONDS * FPS) };
}

function span(sound, origin, count, face) { // the grid frames with face and sound
  let first = Math.max(0, Math.ceil((sound.start - origin) * FPS - 1));
  let stop = Math.min(count, Math.floor((sound.start + sound.samples.length / RATE - origin) * FPS + 1));
  if (face) first = Math.max(first, Math.round((face.start - origin) * FPS));
  if (face) stop = Math.min(stop, Math.round((face.end - origin) * FPS));
  if (stop - first < SHORTEST * FPS) throw new Error("short");
  return { first, stop, begin: origin + first / FPS, face: !!face };
}

async function cut(video, face, times, cells, count, { first, stop }) {
  const frames = new Uint8Array((stop - first) * SIZE * SIZE * 3), one = SIZE * SIZE * 3;
  const longest = face ? Math.ceil(face.full * Math.min(1, (2 * SIZE) / face.side)) : SIZE;
  let k = 0, done = 0, before = null;
  for await (const [time, picture] of pictures(video, longest)) {
    const cell = cells[k], next = k + 1 < times.length ? cells[k + 1] : count;
    k += 1;
    if (cell >= stop) break;
    if (Math.max(next, cell + 1) <= first) continue;
    let image;
    if (face) {
      const shown = picture(), scale = Math.max(shown.width, shown.height) / face.full;
      image = crop(shown, face.at(time).map((x) => x * scale), SIZE);
    } else image = picture(SIZE, SIZE).data.filter((_, i) => i % 4 < 3);
    if (cell >= first && done === cell - first + 1) { // two source frames within one of the grid
      image = image.map((x, i) => Math.round(LATEST * x + (1 - LATEST) * before[i]));
      frames.set(image, (done - 1) * one);
    }
    for (; done < Math.min(Math.max(next, cell + 1), stop) - first; done++) frames.set(image, done * one);
    before = image;
  }
  return frames;
}

async function hear(audio, begin) { // every sample where its time stamp puts it
  const parts = [];
  let rate = RATE, start = null, end = 0;
  for await (const sample of new AudioSampleSink(audio).samples()) {
    if (sample.timestamp - begin >= SECONDS + 1) { sample.close(); break; }
    const { numberOfFrames: n, numberOfChannels: channels } = sample, mono = new Float32Array(n);
    rate = sample.sampleRate;
    for (let planeIndex = 0; planeIndex < channels; planeIndex++) {
      const plane = new Float32Array(n);
      sample.copyTo(plane, { planeIndex, format: "f32-planar" });
      plane.forEach((x, i) => (mono[i] += x / channels));
    }
    const runIn = Math.min(n, Math.max(0, Math.round(-sample.timestamp * rate))); // of AAC: before 0, not to be heard
    const time = sample.timestamp + runIn / rate;
    sample.close();
    if (runIn === n) continue;
    start ??= time;
    let place = Math.round((time - start) * rate);
    if (Math.abs(place - end) <= 0.02 * rate) place = end; // unbroken sound
    parts.push([place, mono.subarray(runIn)]);
    end = Math.max(end, place + n - runIn);
  }
  if (start === null) throw new Error("no_sound");
  const whole = new Float32Array(end);
  for (const [place, mono] of parts) whole.set(mono, place);
  const samples = resample(whole, rate);
  if (samples.every((x) => Math.abs(x) < SILENT)) throw new Error("silent");
  return { samples, start };
}

// To 16 kHz by a windowed sinc with the settings of FFmpeg's resampler: 32 taps, Kaiser 9, 0.97.
export function resample(x, rate) {
  if (rate === RATE) return x;
  const factor = Math.min(1, (0.97 * RATE) / rate), half = Math.ceil(16 / factor), out = new Float32Array(Math.round((x.length * RATE) / rate));
  const bessel = (z) => { let s = 1, t = 1; for (let k = 1; k < 40; k++) s += t *= (z / 2 / k) ** 2; return s; };
  const table = new Float32Array(half * 512 + 2).map((_, i) => {
    const t = i / 512, p = Math.PI * t * factor, w = Math.max(0, 1 - (t / half) ** 2);
    return factor * (t ? Math.sin(p) / p : 1) * (bessel(9 * Math.sqrt(w)) / bessel(9));
  });
  for (let k = 0; k < out.length; k++) {
    const at = (k * rate) / RATE, first = Math.max(0, Math.ceil(at - half)), last = Math.min(x.length - 1, Math.floor(at + half));
    for (let i = first; i <= last; i++) out[k] += x[i] * table[Math.round(Math.abs(i - at) * 512)];
  }
  return out;
}

function piece({ samples, start }, time, count) { // zeros before the beginning and after the end
  const first = Math.round((time - start) * RATE), out = new Float32Array(count);
  for (let k = Math.max(0, -first); k < count && first + k < samples.length; k++)
    out[k] = Math.min(1, Math.max(-1, samples[first + k]));
  return out;
}
