// The view of one task: live progress, its results, its webhook, and what may be done with it.

import { ApiError, call, watch } from "./api.js";
import { announce, copyButton, h, replace, seconds, time } from "./dom.js";
import { snippetPanel } from "./form.js";
import { itemOf, jobOf, requestOf, snippets } from "./jobs.js";
import { length, metadata, result } from "./result.js";

export const badge = (status) => h("span", { class: `badge ${status}` }, status);

export const isFinished = (task) => task.status === "completed" || task.status === "failed";

/** Buttons for what the task's state allows; `done` is called with the new task id, or null. */
export function actions(task, done) {
  const act = (text, work, question) => {
    const button = h("button", { type: "button", class: "small", "aria-label": `${text} ${task.task_id}` }, text);
    button.addEventListener("click", async () => {
      if (question && !confirm(question)) return;
      button.disabled = true;
      try {
        done((await work()) || null);
      } catch (error) {
        button.disabled = false;
        announce(error.message);
        button.after(h("span", { class: "error" }, error.message));
      }
    });
    return button;
  };
  const id = task.task_id;
  const remove = async () => { await call("DELETE", `/api/v1/tasks/${id}`); };
  const found = [];
  if (!isFinished(task)) found.push(act("Cancel", remove));
  if (task.status === "failed") found.push(act("Retry", async () => (await call("POST", `/api/v1/tasks/${id}/retry`, {})).task_id));
  if (task.status === "completed") found.push(act("Delete", remove, "Delete this task and its results?"));
  if (isFinished(task) && task.webhook) {
    found.push(act("Send webhook again", async () => { await call("POST", `/api/v1/tasks/${id}/webhook/redeliver`, {}); }));
  }
  return found;
}

function webhook({ url, state, attempts, next_attempt_at: next }) {
  return h("section", { class: "card" }, h("h2", {}, "Webhook"), h("p", {}, h("code", {}, url), " ", badge(state)),
    next && state === "pending" && h("p", { class: "hint" }, "Next try at ", new Date(next).toLocaleTimeString()),
    attempts.length > 0 && h("table", {}, h("caption", { class: "unseen" }, "Attempts"),
      h("thead", {}, h("tr", {}, ["When", "Answer", "Took"].map((text) => h("th", { scope: "col" }, text)))),
      h("tbody", {}, attempts.map((one) => h("tr", {}, h("td", { "data-label": "When" }, time(one.at)),
        h("td", { "data-label": "Answer" }, one.error || `HTTP ${one.http_status}`), h("td", { "data-label": "Took" }, seconds(one.duration_seconds)))))));
}

function inputs(task) {
  const urls = [task.video_url, task.music_url, task.media_url, ...(task.video_urls || []), ...(task.audio_urls || [])].filter(Boolean);
  return urls.length > 0 && h("section", { class: "card" }, h("h2", {}, "Sources"), h("ol", { class: "sources" }, urls.map((url) => h("li", {}, url))));
}

function progress(task) {
  if (isFinished(task)) return null;
  const part = task.progress ?? (task.status === "pending" ? 0 : undefined);
  const bar = h("progress", { max: 1, "aria-label": "Progress" });
  if (part !== undefined) bar.value = part;
  return h("div", { class: "card" }, bar, h("p", {}, task.status === "pending" ? "Waiting for a free worker" : `${task.phase || "starting"}${task.progress === undefined ? "" : `, ${Math.round(part * 100)} %`}`));
}

function failure(task) {
  if (task.status !== "failed") return null;
  return h("section", { class: "card failed", role: "alert" }, h("h2", {}, task.error.replaceAll("_", " ")), h("p", {}, task.error_message, task.error_input && ["; at ", h("code", {}, task.error_input)]),
    task.retries && h("p", { class: "hint" }, `Tried ${task.attempt} times.`));
}

export function taskView(main, [taskId], signal) {
  const title = h("h1", {}, "Task");
  const about = h("p", { class: "about row" });
  const live = h("div", { class: "live" });
  const rest = h("div", { class: "results" });
  replace(main, h("div", { class: "task" }, title, about, live, rest));
  let before = "";

  function show(task) {
    const job = jobOf(task.kind);
    title.textContent = job.title;
    const sent = h("span", {}, task.project_id && `project ${task.project_id}, `, "sent ", time(task.created_at),
      task.started_at && task.completed_at && `, took ${seconds((Date.parse(task.completed_at) - Date.parse(task.started_at)) / 1000)}`,
      task.expires_at && `, kept until ${new Date(task.expires_at).toLocaleDateString()}`,
      task.retry_of && [", repeats ", h("a", { href: `#task/${task.retry_of}` }, task.retry_of.slice(0, 8))]);
    replace(about, badge(task.status), h("code", {}, task.task_id), copyButton(task.task_id, "Copy id"), sent,
      actions(task, (next) => { next ? (location.hash = `#task/${next}`) : load(); }));
    replace(live, progress(task), failure(task));
    if (task.status !== before) announce(`${job.title}: ${task.status}`);
    before = task.status;
    if (!isFinished(task)) return;
    const request = requestOf(task);
    replace(rest, task.status === "completed" && job.results.filter(({ name }) => task[name]).map((one) => result(one, task)),
      task.status === "completed" && task.kind === "media_length" && length(task),
      task.metadata && metadata(task.metadata, itemOf(job)), h("div", { class: "stack" }, task.webhook && webhook(task.webhook), inputs(task),
        request && snippetPanel(() => snippets(job.path, request)).element));
  }
  async function load() {
    try {
      const task = await call("GET", `/api/v1/status/${taskId}`);
      show(task);
      if (!isFinished(task)) await watch(taskId, show, signal);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      replace(live, h("p", { class: "error", role: "alert" }, error.word === "task_not_found" ? "This task is gone." : error.message));
      replace(rest);
      replace(about);
    }
  }
  load();
}
