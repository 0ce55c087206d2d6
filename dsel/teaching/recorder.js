// Record camera and microphone, or upload a file: both leave in small pieces, each after the last one
// has arrived. One large message would be dropped by the server without a word.
const PIECE = 256 * 1024; // bytes; Colab takes 1 MB, JupyterLab 10 MiB
const LONGEST = 60; // seconds
const AS_IT_IS = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
const KINDS = ["video/webm;codecs=vp8,opus", "video/webm", "video/mp4"];
const WHY = {
  NotFoundError: "No camera or microphone here.",
  NotAllowedError: "The browser does not allow the camera.",
  NotReadableError: "Another program uses the camera.",
};

function render({ model, el }) {
  const add = (tag, props) => el.appendChild(Object.assign(document.createElement(tag), props));
  const record = add("button", { textContent: "Record" });
  const upload = add("button", { textContent: "Upload a file" });
  const file = add("input", { type: "file", accept: "video/*,.mkv,.mpg", hidden: true });
  const line = add("span", { style: "margin-left: 1em" });
  const video = Object.assign(document.createElement("video"), { muted: true, playsInline: true, width: 240 });
  const view = add("div", { hidden: true }); // below the buttons; takes no place until it is shown
  view.append(video);
  const say = (text) => (line.textContent = text);
  let arrived = () => {}, recorder = null;

  model.on("msg:custom", (answer) => {
    if (answer.say) say(answer.say);
    arrived(!answer.stop);
  });
  const send = (content, buffers = []) => new Promise((done) => {
    arrived = done;
    model.send(content, undefined, buffers);
  });
  async function deliver(name, blobs) { // blobs: of a file, or of a recording that goes on
    let size = 0;
    if (!(await send({ begin: name }))) return;
    for await (const blob of blobs)
      for (let at = 0; at < blob.size; at += PIECE) {
        const piece = await blob.slice(at, at + PIECE).arrayBuffer();
        size += piece.byteLength;
        if (!(await send({ piece: size }, [piece]))) return;
        say(`${(size / 1e6).toFixed(1)} MB sent`);
      }
    await send({ end: size });
  }
  async function* parts(recorder) { // a blob each second, until the recording stops
    const waiting = [];
    let wake = () => {}, over = false;
    recorder.ondataavailable = (event) => (waiting.push(event.data), wake());
    recorder.onstop = () => ((over = true), wake());
    while (!over || waiting.length) {
      if (!waiting.length) await new Promise((done) => (wake = done));
      while (waiting.length) yield waiting.shift();
    }
  }
  async function start() {
    if (!navigator.mediaDevices)
      return say("No camera here: the page must come from localhost or over https. Upload a file.");
    try {
      const size = { width: 640, height: 480, frameRate: 25 };
      const stream = await navigator.mediaDevices.getUserMedia({ video: size, audio: AS_IT_IS });
      const mimeType = KINDS.find((kind) => MediaRecorder.isTypeSupported(kind));
      recorder = new MediaRecorder(stream, { mimeType, videoBitsPerSecond: 1.5e6 });
      view.hidden = false;
      Object.assign(video, { srcObject: stream }).play();
      record.textContent = "Stop";
      setTimeout(stop.bind(null, recorder), LONGEST * 1000);
      recorder.start(1000);
      await deliver(mimeType.includes("mp4") ? "take.mp4" : "take.webm", parts(recorder));
    } catch (error) {
      say(`${WHY[error.name] || error.message} Upload a file instead.`);
    }
    stop(recorder);
  }
  function stop(which) {
    if (which?.state === "recording") which.stop();
    if (which !== recorder) return;
    which?.stream.getTracks().forEach((track) => track.stop());
    video.srcObject = null;
    view.hidden = true;
    record.textContent = "Record";
  }
  record.onclick = () => (record.textContent === "Stop" ? stop(recorder) : start());
  upload.onclick = () => file.click();
  file.onchange = () => file.files.length && deliver(file.files[0].name, [file.files[0]]);
}
export default { render };
