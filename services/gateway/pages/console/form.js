// The view "New job": one form for each kind, and the request that it would send.

import { ApiError, call } from "./api.js";
import { copyButton, h, replace } from "./dom.js";
import { inputFor } from "./inputs.js";
import { JOBS, itemOf, jobOf, remember, snippets } from "./jobs.js";
import { planView } from "./plan.js";

function body(inputs) {
  const request = {};
  for (const input of inputs) {
    const value = input.value();
    if (value === undefined || value === "") continue;
    const [head, tail] = input.path.split(".");
    if (tail) (request[head] ??= {})[tail] = value;
    else request[head] = value;
  }
  return request;
}

/** A panel with a text as curl and as Python; `give` returns {curl, Python}. */
export function snippetPanel(give) {
  const code = h("code", {});
  const pre = h("pre", { tabIndex: 0, "aria-label": "The request as a program" }, code);
  let shown = "curl";
  const tabs = ["curl", "Python"].map((name) => h("button", {
    type: "button", class: "small", "aria-pressed": String(name === shown),
    onclick: () => { shown = name; update(); },
  }, name));
  function update() {
    code.textContent = give()[shown];
    for (const tab of tabs) tab.setAttribute("aria-pressed", String(tab.textContent === shown));
  }
  update();
  return { update, element: h("section", { class: "snippet card", "aria-label": "The same request" }, h("div", { class: "row" }, h("h2", {}, "The same request"), tabs, copyButton(() => code.textContent)), pre) };
}

/** Puts each sentence of an API error beside the field that it names; returns what names none. */
function place(detail, parts) {
  return detail.split("; ").filter((sentence) => {
    const path = /^[a-z_]+(\[\d+\])?(\.[a-z_]+)?/.exec(sentence)?.[0];
    const input = parts.find((part) => part.path === path);
    input?.say(sentence.slice(path.length).replace(/^[:\s]+/, ""));
    return !input;
  }).join("; ");
}

export function newJob(main, [kind]) {
  const job = jobOf(kind);
  const inputs = job.fields.map(inputFor);
  const options = job.options.map(inputFor);
  const all = [...inputs, ...options];
  const parts = () => all.flatMap((input) => [input, ...(input.parts || [])]);
  const panel = snippetPanel(() => snippets(job.path, body(all)));
  const alert = h("p", { class: "error", role: "alert" });
  const send = h("button", { type: "submit", class: "primary" }, "Send");
  const plan = h("button", { type: "button", class: "plan", onclick: () => submit(true) }, "Plan");
  const planned = h("div", {});
  const more = h("details", {}, h("summary", {}, "Options"), h("div", { class: "options" }, options.map((input) => input.element)));

  async function submit(isDry) {
    alert.textContent = "";
    replace(planned);
    for (const part of parts()) part.say(part.check?.() || "");
    const wrong = parts().find((part) => part.check?.());
    if (wrong) {
      if (options.includes(wrong)) more.open = true;
      alert.textContent = "Something is missing above.";
      wrong.control.focus();
      return;
    }
    send.disabled = plan.disabled = true;
    if (isDry) replace(planned, h("p", { class: "hint", role: "status" }, "Looking at the sources…"));
    try {
      const request = body(all);
      if (isDry) {
        const { plan: found } = await call("POST", job.path, { ...request, dry_run: true });
        replace(planned, planView(found, itemOf(job)));
        planned.firstChild.focus();
        return;
      }
      const { task_id } = await call("POST", job.path, request);
      remember(task_id, request);
      location.hash = `#task/${task_id}`;
    } catch (error) {
      replace(planned);
      if (!(error instanceof ApiError)) throw error;
      alert.textContent = place(error.message, parts());
      const named = parts().find((part) => part.control.getAttribute("aria-invalid"));
      if (named && options.includes(named)) more.open = true;
      named?.control.focus();
    } finally {
      send.disabled = plan.disabled = false;
    }
  }
  const form = h("form", { class: "card", noValidate: true, onsubmit: (event) => { event.preventDefault(); submit(false); }, oninput: () => { panel.update(); replace(planned); } },
    h("h1", {}, job.title), h("p", { class: "about" }, job.about), inputs.map((input) => input.element), more, alert,
    h("div", { class: "sends" }, send, plan, h("span", { class: "hint" }, "A plan says what would be done, and makes no task.")), planned);
  const kinds = h("nav", { class: "kinds", "aria-label": "Kinds of job" }, JOBS.map((one) =>
    h("a", { href: `#new/${one.kind}`, "aria-current": one === job ? "page" : null }, one.title)));
  replace(main, h("div", { class: "new" }, kinds, form, panel.element, earlierResults()));
  kinds.scrollLeft = kinds.querySelector("[aria-current]").offsetLeft - 16;
}

/** What earlier tasks made, offered wherever a source is asked for. */
function earlierResults() {
  const list = h("datalist", { id: "results" });
  call("GET", "/api/v1/tasks?status=completed&limit=50").then(({ tasks }) => {
    for (const task of tasks) {
      for (const { name, label, type } of jobOf(task.kind).results) {
        if (task[name] && type !== "image") list.append(h("option", { value: task[name] }, `${label}, ${new Date(task.created_at).toLocaleTimeString()}`));
      }
    }
  }).catch(() => {});  // a convenience only
  return list;
}
