// Results as they are: a picture to look into, players, a waveform.

import { bytes, copyButton, h, s, seconds } from "./dom.js";

const WAVEFORM_BYTES = 64 << 20;  // more is not fetched just to draw it
const COLUMNS = 400;

function picture(url, task) {
  const image = h("img", { src: url, alt: "The last frame" });
  const view = h("div", { class: "zoom", tabIndex: 0, role: "group", "aria-label": "Picture; scroll when it is enlarged" }, image);
  const state = h("span", { class: "hint" }, "fitted");
  let scale = 0;  // 0 fits the view
  function zoom(next) {
    const shown = image.clientWidth / (image.naturalWidth || 1);
    scale = next === 0 ? 0 : Math.min(16, Math.max(0.05, next * (next === 1 ? 1 : scale || shown)));
    if (next === 1) scale = 1;
    image.style.width = scale ? `${image.naturalWidth * scale}px` : "";
    image.style.maxWidth = image.style.maxHeight = scale ? "none" : "";
    image.classList.toggle("pixels", scale > 2);
    state.textContent = scale ? `${Math.round(scale * 100)} %` : "fitted";
  }
  const button = (text, name, act) => h("button", { type: "button", class: "small", "aria-label": name, onclick: act }, text);
  const found = task.metadata || {};
  return [view, h("div", { class: "row" },
    button("−", "Smaller", () => zoom(0.5)), button("+", "Larger", () => zoom(2)), button("1:1", "1:1, every pixel", () => zoom(1)),
    button("Fit", "Fit", () => zoom(0)), state,
    h("strong", { class: "frame" }, `Frame ${found.frame_index ?? "?"}`),
    h("span", { class: "hint" }, `shown at ${Number(found.frame_pts).toFixed(3)} s · ${found.video_resolution} · ${bytes(found.image_bytes || 0)}`))];
}

/** The loudest sample of each column, as a path; clicking seeks. */
async function waveform(url, player) {
  const reply = await fetch(url);
  if (Number(reply.headers.get("content-length")) > WAVEFORM_BYTES) return null;
  const sound = await new OfflineAudioContext(1, 1, 44100).decodeAudioData(await reply.arrayBuffer());
  const samples = sound.getChannelData(0);
  const step = samples.length / COLUMNS;
  let path = "";
  for (let column = 0; column < COLUMNS; column += 1) {
    let peak = 0;
    for (let at = Math.floor(column * step); at < (column + 1) * step && at < samples.length; at += 1) peak = Math.max(peak, Math.abs(samples[at]));
    path += `M${column + 0.5} ${(40 - 38 * Math.min(1, peak)).toFixed(1)}V${(40 + 38 * Math.min(1, peak) + 0.3).toFixed(1)}`;
  }
  const cursor = s("line", { class: "cursor", x1: 0, x2: 0, y1: 0, y2: 80 });
  const drawing = s("svg", {
    class: "waveform", viewBox: `0 0 ${COLUMNS} 80`, preserveAspectRatio: "none", role: "img",
    "aria-label": `Waveform, ${seconds(sound.duration)}`,
    onclick: (event) => {
      const box = drawing.getBoundingClientRect();
      player.currentTime = ((event.clientX - box.left) / box.width) * sound.duration;
    },
  }, s("path", { d: path }), cursor);
  player.addEventListener("timeupdate", () => {
    const x = (player.currentTime / sound.duration) * COLUMNS;
    cursor.setAttribute("x1", x);
    cursor.setAttribute("x2", x);
  });
  return drawing;
}

function sound(url, label) {
  const player = h("audio", { src: url, controls: true, preload: "metadata", "aria-label": label });
  const place = h("div", { class: "wave-place" });
  waveform(url, player).then((drawing) => drawing && place.replaceChildren(drawing)).catch(() => place.remove());
  return [place, player];
}

const video = (url, label) => h("video", { src: url, controls: true, preload: "metadata", "aria-label": label });

/** One result with its link. */
export function result({ name, label, type }, task) {
  const url = task[name];
  const shown = { image: () => picture(url, task), video: () => video(url, label), audio: () => sound(url, label) }[type]();
  return h("figure", { class: `card ${type}` }, h("figcaption", {}, h("h2", {}, label)), shown,
    h("div", { class: "row link" }, h("a", { href: url, target: "_blank", rel: "noopener" }, url), copyButton(url, "Copy link")));
}

/** What a length job found. */
export function length(task) {
  const found = task.metadata;
  return h("section", { class: "card" }, h("h2", {}, "Length"),
    h("p", { class: "big" }, `${Number(found.media_duration).toFixed(3)} s`),
    h("p", { class: "hint" }, [found.media_type, found.media_codec, found.video_resolution, bytes(found.file_size || 0)].filter(Boolean).join(" · ")));
}

const word = (name) => name.replaceAll("_", " ");

/** Those of these [name, value] that are plain, as a list. */
export function facts(entries) {
  const plain = entries.filter(([, value]) => typeof value !== "object").sort(([a], [b]) => a.localeCompare(b));
  return h("dl", { class: "facts" }, plain.map(([name, value]) => h("div", {}, h("dt", {}, word(name)), h("dd", {}, String(value)))));
}

/** What becomes of each input (`verb` "is"), or became of it ("was"); of a plan or of a finished task's metadata. */
export function fates({ copied, reencoded }, item, verb) {
  if (!copied) return null;
  const all = [...copied, ...reencoded].sort((a, b) => a.index - b.index);
  return h("ol", { class: "fates" }, all.map(({ index, reasons }) =>
    h("li", {}, h("strong", {}, `${item} ${index + 1} `), `${verb} ${reasons ? `encoded: ${reasons.join("; ")}` : "copied bit for bit"}`)));
}

/** Sentences that people should read, as a list; nothing where there are none. */
export const warnings = (list) => list?.length > 0 && h("ul", { class: "warnings" }, list.map((text) => h("li", {}, text)));

/** The metadata: what was not as it should be, what became of the inputs, plain facts as a list, the rest folded. */
export function metadata(found, item) {
  return h("section", { class: "card" }, h("h2", {}, "Metadata"), warnings(found.warnings), fates(found, item, "was"), facts(Object.entries(found)),
    h("details", {}, h("summary", {}, "All of it as JSON"), h("pre", { tabIndex: 0, "aria-label": "Metadata as JSON" }, JSON.stringify(found, null, 2))));
}
