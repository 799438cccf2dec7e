// The inputs of a job's form. Each is {element, path, value(), check()}: `check` returns a sentence or "".

import { upload } from "./api.js";
import { announce, freshId, h } from "./dom.js";

/** A label, its control, a hint and a place for what is wrong with it. */
export function labelled(field, control, path = field.name) {
  const id = (control.id = freshId("field"));
  const hint = field.hint && h("span", { class: "hint", id: `${id}-hint` }, field.hint);
  const error = h("span", { class: "error", id: `${id}-error` });
  control.setAttribute("aria-describedby", [hint && hint.id, error.id].filter(Boolean).join(" "));
  const label = h("label", { for: id }, field.label, field.required && h("span", { class: "must", title: "required" }, " *"));
  const parts = field.type === "check" ? [h("div", { class: "check" }, control, label)] : [label, control.holder || control];
  return {
    path,
    control,
    element: h("div", { class: `field ${field.type}` }, parts, hint, error),
    say(text) {
      error.textContent = text;
      if (text) control.setAttribute("aria-invalid", "true");
      else control.removeAttribute("aria-invalid");
    },
  };
}

const address = (text) => {
  if (!text) return "Put in a URL or choose a file.";
  return /^https?:\/\/[^\s/]/i.test(text) ? "" : "Begins with http:// or https://.";
};

/** A URL, typed, or got by uploading a file that is chosen or dropped. */
export function sourceInput(field, path) {
  const control = h("input", { type: "text", inputmode: "url", placeholder: "https://…", autocomplete: "off", list: "results" });
  const file = h("input", { type: "file", accept: field.accept, class: "unseen", "aria-label": `${field.label}: choose a file` });
  const state = h("span", { class: "upload-state" });
  const bar = h("progress", { max: 1, value: 0, hidden: true, "aria-label": `${field.label}: upload` });
  control.holder = h("div", { class: "source-box" }, control, h("label", { class: "button" }, "Choose file", file), bar, state);
  const input = labelled(field, control, path);
  let uploading = null;

  async function send(chosen) {
    if (!chosen) return;
    if (uploading) uploading.abort();
    const own = (uploading = new AbortController());
    bar.hidden = false;
    input.say("");
    try {
      const url = await upload(chosen, (part) => {
        bar.value = part;
        state.textContent = `${chosen.name}: ${Math.round(part * 100)} %`;
      }, own.signal);
      control.value = url;
      state.textContent = `${chosen.name} is uploaded and kept for 24 hours.`;
      announce(state.textContent);
      control.dispatchEvent(new Event("input", { bubbles: true }));
    } catch (error) {
      if (uploading === own) { state.textContent = ""; input.say(error.message); }
    } finally {
      if (uploading === own) { uploading = null; bar.hidden = true; }
      file.value = "";
    }
  }
  file.addEventListener("change", () => send(file.files[0]));
  control.holder.addEventListener("dragover", (event) => { if (event.dataTransfer.types.includes("Files")) event.preventDefault(); });
  control.holder.addEventListener("drop", (event) => { event.preventDefault(); send(event.dataTransfer.files[0]); });
  return Object.assign(input, {
    value: () => control.value.trim(),
    check: () => (uploading ? "Wait until the file is uploaded." : address(control.value.trim())),
  });
}

function plainInput(field) {
  const control = {
    choice: () => h("select", {}, field.options.map((option) => h("option", { value: String(option) }, option === "" ? "as the source" : String(option).replaceAll("_", " ")))),
    check: () => h("input", { type: "checkbox", checked: field.preset }),
    number: () => h("input", { type: "number", min: String(field.min), max: String(field.max), step: "any", value: String(field.preset) }),
    url: () => h("input", { type: "text", inputmode: "url", placeholder: "https://…", autocomplete: "off" }),
    text: () => h("input", { type: "text", value: field.start || "", maxlength: "256", autocomplete: "off" }),
  }[field.type]();
  const written = () => control.value.trim();
  return Object.assign(labelled(field, control), {
    value() {
      if (field.type === "check") return control.checked === field.preset ? undefined : control.checked;
      const text = written();
      if (text === "" || text === String(field.preset)) return undefined;
      return field.type === "number" || field.numeric ? Number(text) : text;
    },
    check() {
      if (field.required && !written()) return "Is needed.";
      if (field.type === "url" && written()) return address(written());
      if (field.type === "number" && !control.validity.valid) return `A number from ${field.min} to ${field.max}.`;
      return "";
    },
  });
}

function silenceInput(path) {
  const field = { label: "Silence (seconds)", type: "number", min: 0.1, max: 3600, preset: "" };
  const control = h("input", { type: "number", min: "0.1", max: "3600", step: "any", value: "1" });
  return Object.assign(labelled(field, control, path), {
    value: () => `empty:${control.value}`,
    check: () => (control.value && control.validity.valid ? "" : "From 0.1 to 3600 seconds."),
  });
}

function sceneInput(field, path) {
  const source = sourceInput(field, `${path}.video_url`);
  const seconds = h("input", { type: "number", min: "0", max: "86400", step: "any" });
  const expected = labelled({ label: "Expected length (s)", type: "number" }, seconds, `${path}.expected_duration`);
  return {
    parts: [source, Object.assign(expected, { check: () => (seconds.validity.valid ? "" : "From 0 to 86400 seconds.") })],
    element: h("div", { class: "scene" }, source.element, expected.element),
    value: () => ({ video_url: source.value(), ...(seconds.value && { expected_duration: Number(seconds.value) }) }),
  };
}

/** Items in an order that is changed by dragging the handle, by its arrow keys, or by buttons. */
function listInput(field) {
  const rows = [];
  const list = h("ol", { class: "order" });
  const heading = freshId("list");
  const note = h("p", { class: "error", id: `${heading}-error` });

  function settle(changed) {
    list.replaceChildren(...rows.map((row) => row.element));
    rows.forEach((row, index) => {
      const path = `${field.name}[${index}]`;
      for (const part of row.input.parts || [row.input]) part.path = part.path.replace(/^\w+\[\d*\]/, path);
      row.element.querySelector("span.number").textContent = index + 1;
      row.up.disabled = index === 0;
      row.down.disabled = index === rows.length - 1;
      row.remove.disabled = rows.length <= (field.silence ? 1 : field.least);
      for (const [button, does] of [[row.handle, "move by dragging or with the arrow keys"], [row.up, "move up"], [row.down, "move down"], [row.remove, "remove"]]) {
        button.setAttribute("aria-label", `${row.name} ${index + 1}: ${does}`);
      }
    });
    add.disabled = rows.length >= field.most;
    if (changed) list.dispatchEvent(new Event("input", { bubbles: true }));
  }
  function move(row, to, focused) {
    const from = rows.indexOf(row);
    if (to < 0 || to >= rows.length || to === from) return;
    rows.splice(to, 0, ...rows.splice(from, 1));
    settle(true);
    focused.focus();
    announce(`${row.name} is now number ${to + 1} of ${rows.length}`);
  }
  function drag(row, event) {
    row.handle.setPointerCapture(event.pointerId);
    row.element.classList.add("dragged");
    const over = (moved) => {
      const at = rows.findIndex((other) => {
        const box = other.element.getBoundingClientRect();
        return moved.clientY < box.top + box.height / 2;
      });
      const from = rows.indexOf(row);
      const to = at < 0 ? rows.length - 1 : at > from ? at - 1 : at;
      if (to !== from) {
        rows.splice(to, 0, ...rows.splice(from, 1));
        rows.forEach((other, index) => { other.element.style.order = index; });  // the pointer stays captured
      }
    };
    row.handle.addEventListener("pointermove", over);
    row.handle.addEventListener("lostpointercapture", () => {
      row.handle.removeEventListener("pointermove", over);
      row.element.classList.remove("dragged");
      rows.forEach((other) => { other.element.style.order = ""; });
      settle(true);
    }, { once: true });
  }
  function append(silence, changed = true) {
    const path = `${field.name}[${rows.length}]`;
    const one = { label: field.item, type: "source", accept: field.accept };
    const input = silence ? silenceInput(path) : field.scenes ? sceneInput(one, path) : sourceInput(one, path);
    const button = (text, act) => h("button", { type: "button", class: "small", onclick: act }, text);
    const row = { input, name: silence ? "Silence" : field.item };
    row.handle = h("button", { type: "button", class: "handle", onkeydown: (event) => {
      const step = { ArrowUp: -1, ArrowDown: 1 }[event.key];
      if (step) { event.preventDefault(); move(row, rows.indexOf(row) + step, row.handle); }
    }, onpointerdown: (event) => drag(row, event) }, h("span", { "aria-hidden": "true" }, "⠿"));
    row.up = button("↑", () => move(row, rows.indexOf(row) - 1, row.up.disabled ? row.down : row.up));
    row.down = button("↓", () => move(row, rows.indexOf(row) + 1, row.down));
    row.remove = button("✕", () => { rows.splice(rows.indexOf(row), 1); settle(true); add.focus(); });
    row.element = h("li", {}, row.handle, h("span", { class: "number", "aria-hidden": "true" }), input.element, h("span", { class: "moves" }, row.up, row.down, row.remove));
    rows.push(row);
    settle(changed);
  }
  const add = h("button", { type: "button", class: "button", onclick: () => append(false) }, `Add a ${field.item.toLowerCase()}`);
  const pause = field.silence && h("button", { type: "button", class: "button", onclick: () => append(true) }, "Add a silence");
  for (let index = 0; index < Math.max(field.least, 1); index += 1) append(false, false);
  return {
    path: field.name,
    element: h("fieldset", { class: "list", "aria-describedby": note.id }, h("legend", { id: heading }, field.label), list, note, h("div", { class: "adds" }, add, pause)),
    get parts() { return rows.flatMap((row) => row.input.parts || [row.input]); },
    control: add,
    value: () => rows.map((row, index) => (field.scenes ? { scene_id: `scene_${String(index + 1).padStart(3, "0")}`, sequence_number: index + 1, ...row.input.value() } : row.input.value())),
    check: () => (field.silence && !rows.some((row) => row.name !== "Silence") ? "At least one item must be a sound." : ""),
    say: (text) => { note.textContent = text; },
  };
}

export const inputFor = (field) =>
  field.type === "source" ? sourceInput(field, field.name) : field.type === "list" ? listInput(field) : plainInput(field);
