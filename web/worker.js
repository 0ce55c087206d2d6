// The work that takes seconds, beside the page: decode, find the face, run both streams.

import * as ort from "./vendor/ort.wasm.min.mjs";
import { crop, detector, resize } from "./face.js";
import { SIZE, read } from "./media.js";
import { unpacked } from "./unpack.js";

const NETS = {}; // name -> Promise of {audio, face}
let find; // Promise of the face detector

const engine = unpacked("vendor/ort-wasm-simd-threaded.wasm.gz").then((wasm) => {
  ort.env.wasm.wasmBinary = wasm;
  ort.env.wasm.wasmPaths = new URL("vendor/", self.location.href).href;
  ort.env.wasm.numThreads = self.crossOriginIsolated ? Math.min(4, navigator.hardwareConcurrency) : 1;
});

const networks = (name) => (NETS[name] ??= (async () => {
  await engine;
  const load = async (stream) => ort.InferenceSession.create(new Uint8Array(await unpacked(`networks/${name}/${stream}.onnx.gz`)));
  return { audio: await load("audio"), face: await load("face") };
})());

const detect = () => (find ??= unpacked("cascade.json.gz").then((b) => detector(JSON.parse(new TextDecoder().decode(b)))));

async function embed(name, small, sound, size) { // -> {face: {content, identity}, audio: ...}, (N, D) each
  const { audio, face } = await networks(name), T = sound.length / 640;
  const flat = (found) => Object.fromEntries(Object.entries(found).map(([head, x]) => [head, x.data]));
  return {
    audio: flat(await audio.run({ samples: new ort.Tensor("float32", sound, [1, sound.length]) })),
    face: flat(await face.run({ frames: new ort.Tensor("uint8", small, [1, T, size, size, 3]) })),
  };
}

function shrunk(frames, size) { // (T, 96, 96, 3) -> (T, size, size, 3)
  const one = SIZE * SIZE * 3, T = frames.length / one, out = new Uint8Array(T * size * size * 3);
  for (let t = 0; t < T; t++) out.set(resize(frames.subarray(t * one, (t + 1) * one), SIZE, size), t * size * size * 3);
  return out;
}

const DO = {
  async analyse({ blob, whole, name, size }, tell) {
    const begun = performance.now();
    const clip = await read(blob, { detect: whole ? null : await detect(), whole, tell });
    const seen = performance.now();
    tell("listening");
    const small = shrunk(clip.frames, size), vectors = { [name]: await embed(name, small, clip.sound, size) };
    return { ...clip, small, vectors, ms: { film: seen - begun, networks: performance.now() - seen } };
  },
  async embed({ name, small, sound, size }) { return embed(name, small, sound, size); },
  async look({ picture }) { // of the camera -> the crop of the largest face, or nothing
    const { width, height } = picture, pen = new OffscreenCanvas(width, height).getContext("2d");
    pen.drawImage(picture, 0, 0);
    const image = pen.getImageData(0, 0, width, height), boxes = (await detect())(image).sort((p, q) => q[2] - p[2]);
    return boxes.length ? crop(image, boxes[0], SIZE) : null;
  },
  async warm({ name, size }) { // a first run takes longer than later ones: not the visitor's
    await detect();
    await embed(name, new Uint8Array(25 * size * size * 3), new Float32Array(25 * 640), size);
  },
};

self.onmessage = async ({ data: { id, what, ...rest } }) => {
  try {
    postMessage({ id, done: await DO[what](rest, (step) => postMessage({ id, step })) });
  } catch (error) {
    postMessage({ id, error: error.message });
  }
};
