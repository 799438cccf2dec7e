// The list of tasks, filtered and searched; renewed every few seconds while it is looked at.

import { call } from "./api.js";
import { freshId, h, replace, seconds, time } from "./dom.js";
import { JOBS, jobOf } from "./jobs.js";
import { actions, badge } from "./task.js";

const PAGE = 50;
const RENEW_MS = 4000;

function select(label, options) {
  const id = freshId("filter");
  const control = h("select", { id }, options.map(([value, text]) => h("option", { value }, text)));
  return { control, element: h("div", { class: "field" }, h("label", { for: id }, label), control) };
}

const webhookState = ({ state, attempts }) => {
  const last = attempts.at(-1);
  return `${state}${attempts.length ? `, ${attempts.length} ${attempts.length === 1 ? "try" : "tries"}` : ""}${last?.http_status ? ` (${last.http_status})` : ""}`;
};

function row(task, changed) {
  const cell = (label, ...children) => h("td", { "data-label": label }, children);
  const took = task.started_at && task.completed_at ? seconds((Date.parse(task.completed_at) - Date.parse(task.started_at)) / 1000) : "";
  return h("tr", {},
    cell("Task", h("a", { href: `#task/${task.task_id}` }, jobOf(task.kind).title), h("code", { class: "hint" }, task.task_id)),
    cell("Status", badge(task.status), task.error && h("span", { class: "hint" }, task.error.replaceAll("_", " ")),
      task.status === "processing" && h("span", { class: "hint" }, `${task.phase || ""} ${task.progress ? `${Math.round(task.progress * 100)} %` : ""}`)),
    cell("Age", time(task.created_at)), cell("Took", took), cell("Webhook", task.webhook ? webhookState(task.webhook) : ""),
    h("td", {}, h("div", { class: "row" }, actions(task, (next) => { next ? (location.hash = `#task/${next}`) : changed(); }))));
}

export function tasksView(main, _, signal) {
  const status = select("Status", [["", "all"], ...["pending", "processing", "completed", "failed"].map((word) => [word, word])]);
  const kind = select("Kind", [["", "all"], ...JOBS.map((job) => [job.kind, job.title])]);
  const since = select("Sent within", [["", "any time"], ["1", "1 hour"], ["24", "24 hours"], ["168", "7 days"]]);
  const searchId = freshId("filter");
  const search = h("input", { id: searchId, type: "search", placeholder: "id, URL, project or error" });
  const body = h("tbody", {});
  const note = h("p", { class: "hint", role: "status" });
  const more = h("button", { type: "button", class: "button", hidden: true }, "Show more");
  let pages = 1;
  let tasks = [];

  function show() {
    const wanted = search.value.trim().toLowerCase();
    const found = tasks.filter((task) => !wanted || JSON.stringify({ ...task, metadata: null }).toLowerCase().includes(wanted));
    replace(body, found.map((task) => row(task, load)));
    note.textContent = found.length ? `${found.length} ${found.length === 1 ? "task" : "tasks"}` : "No tasks.";
  }
  async function load() {
    const query = new URLSearchParams({ limit: PAGE });
    if (status.control.value) query.set("status", status.control.value);
    if (kind.control.value) query.set("kind", kind.control.value);
    if (since.control.value) query.set("created_after", new Date(Date.now() - since.control.value * 3600e3).toISOString());
    const found = [];
    try {
      for (let page = 0; page < pages; page += 1) {
        const reply = await call("GET", `/api/v1/tasks?${query}`);
        found.push(...reply.tasks);
        more.hidden = !reply.next_cursor;
        if (!reply.next_cursor) break;
        query.set("cursor", reply.next_cursor);
      }
    } catch (error) {
      note.textContent = error.message;
      return;
    }
    tasks = found;
    if (!body.contains(document.activeElement)) show();  // never pull a button from under somebody
  }
  for (const filter of [status, kind, since]) filter.control.addEventListener("change", () => { pages = 1; load(); });
  search.addEventListener("input", show);
  more.addEventListener("click", () => { pages += 1; load(); });
  replace(main, h("h1", {}, "Tasks"), h("div", { class: "filters" }, status.element, kind.element, since.element,
    h("div", { class: "field grow" }, h("label", { for: searchId }, "Search"), search)),
  h("table", { class: "card tasks" }, h("caption", { class: "unseen" }, "Tasks, newest first"),
    h("thead", {}, h("tr", {}, ["Task", "Status", "Age", "Took", "Webhook"].map((text) => h("th", { scope: "col" }, text)), h("td", {}))), body), note, more);
  load();
  const timer = setInterval(() => { if (!document.hidden) load(); }, RENEW_MS);
  signal.addEventListener("abort", () => clearInterval(timer));
}
