// The system: what waits, what works, how much gets done, what fails. Tasks are those that the key may see.

import { call } from "./api.js";
import { bytes, h, replace, s, seconds } from "./dom.js";
import { JOBS } from "./jobs.js";

const RENEW_MS = 2000;
const KEPT = 150;  // readings
const SHOWN_MS = KEPT * RENEW_MS;  // five minutes
const MINUTES = 60;

/** A line of the last readings, scaled to `top` or to the largest. */
function line(label, readings, top, show = String) {
  const highest = Math.max(top || 1, ...readings);
  const x = (index) => (index / (KEPT - 1)) * 200;
  const from = KEPT - readings.length;
  const points = readings.map((value, index) => `${x(from + index).toFixed(1)},${(48 - (value / highest) * 44).toFixed(1)}`);
  const now = readings.at(-1) ?? 0;
  return h("section", { class: "card tile" }, h("h2", {}, label), h("p", { class: "big" }, show(now)),
    s("svg", { viewBox: "0 0 200 50", preserveAspectRatio: "none", role: "img", "aria-label": `${label}: now ${show(now)}, at most ${show(Math.max(0, ...readings))} in the last five minutes` },
      s("polyline", { points: points.join(" ") })));
}

/** How many tasks were in a state at each reading: from the time named `since` until the one named `until`. */
const overTime = (tasks, since, until) => Array.from({ length: KEPT }, (_, index) => {
  const moment = Date.now() - SHOWN_MS + (index + 1) * RENEW_MS;
  return tasks.filter((task) => Date.parse(task[since]) <= moment && !(Date.parse(task[until] || task.completed_at) <= moment)).length;
});

function bars(label, counts, describe) {
  const highest = Math.max(1, ...counts.map(({ ok, failed }) => ok + failed));
  const width = 600 / counts.length;
  const column = ({ ok, failed }, index) => [
    s("rect", { class: "ok", x: index * width, width: width - 1, y: 100 - (ok / highest) * 96, height: (ok / highest) * 96 }),
    s("rect", { class: "bad", x: index * width, width: width - 1, y: 100 - ((ok + failed) / highest) * 96, height: (failed / highest) * 96 }),
  ];
  return h("section", { class: "card" }, h("h2", {}, label), h("p", { class: "hint" }, describe),
    s("svg", { viewBox: "0 0 600 100", preserveAspectRatio: "none", class: "bars", role: "img", "aria-label": describe }, counts.map(column)),
    h("p", { class: "row hint axis" }, h("span", {}, "an hour ago"), h("span", {}, "now")));
}

function byMinute(tasks) {
  const counts = Array.from({ length: MINUTES }, () => ({ ok: 0, failed: 0 }));
  for (const task of tasks) {
    if (!task.completed_at) continue;
    const index = MINUTES - 1 - Math.floor((Date.now() - Date.parse(task.completed_at)) / 60e3);
    if (counts[index]) counts[index][task.status === "completed" ? "ok" : "failed"] += 1;
  }
  return counts;
}

function failures(tasks, within) {
  const words = new Map();
  for (const { error } of tasks) if (error) words.set(error, (words.get(error) || 0) + 1);
  const sorted = [...words].sort(([, a], [, b]) => b - a);
  return h("section", { class: "card" }, h("h2", {}, `Failures ${within}`), sorted.length === 0 && h("p", { class: "hint" }, "None."),
    h("dl", { class: "counts" }, sorted.map(([word, count]) => h("div", {}, h("dt", {}, word.replaceAll("_", " ")),
      h("dd", {}, s("svg", { viewBox: "0 0 100 10", preserveAspectRatio: "none", "aria-hidden": "true" }, s("rect", { width: (100 * count) / sorted[0][1], height: 10 })), String(count))))));
}

function kinds(tasks) {
  const rows = JOBS.map(({ kind, title }) => {
    const took = tasks.filter((task) => task.kind === kind && task.status === "completed" && task.started_at)
      .map((task) => (Date.parse(task.completed_at) - Date.parse(task.started_at)) / 1000).sort((a, b) => a - b);
    const at = (part) => (took.length ? seconds(took[Math.ceil(part * took.length) - 1]) : "–");
    return h("tr", {}, h("th", { scope: "row" }, title), h("td", { "data-label": "Done" }, String(took.length)), h("td", { "data-label": "Median" }, at(0.5)), h("td", { "data-label": "95 %" }, at(0.95)));
  });
  return h("section", { class: "card" }, h("h2", {}, "How long jobs took"), h("table", {}, h("caption", { class: "unseen" }, "Completed in the last hour, by kind"),
    h("thead", {}, h("tr", {}, ["Kind", "Done", "Median", "95 %"].map((text) => h("th", { scope: "col" }, text)))), h("tbody", {}, rows)));
}

function parts(health, stats) {
  return h("section", { class: "card" }, h("h2", {}, "Parts"), h("p", {}, h("span", { class: `badge ${health.status}` }, health.status), " up for ", seconds(stats.server.uptime)),
    h("dl", { class: "facts" }, Object.entries(health.services).map(([name, word]) => h("div", {}, h("dt", {}, name), h("dd", {}, word)))));
}

export function systemView(main, _, signal) {
  const history = { gpu: [], memory: [] };
  const view = h("div", { class: "system" });
  const note = h("p", { class: "error", role: "status" });
  replace(main, h("h1", {}, "System"), note, view);
  async function load() {
    const hourAgo = new Date(Date.now() - 3600e3).toISOString();
    try {
      const [stats, health, recent] = await Promise.all([
        call("GET", "/api/v1/server/stats"), call("GET", "/health"), call("GET", `/api/v1/tasks?limit=1000&created_after=${hourAgo}`),
      ]);
      if (signal.aborted) return;
      const readings = { gpu: stats.system.gpu_utilization, memory: stats.system.memory_usage };
      for (const [name, value] of Object.entries(readings)) history[name] = [...history[name], value].slice(-KEPT);
      const percent = (value) => `${Math.round(value)} %`;
      const { completed, failed } = stats.tasks;
      const within = recent.next_cursor ? `among the newest ${recent.tasks.length} tasks` : "in the last hour";  // one page is asked for
      const counts = byMinute(recent.tasks);
      const done = counts.reduce((sum, one) => sum + one.ok, 0);
      const made = recent.tasks.reduce((sum, { metadata = {} }) => sum + (metadata.output_file_size || metadata.output_audio_file_size || metadata.image_bytes || metadata.file_sizes?.full_video || 0), 0);
      note.textContent = "";
      const waiting = [...overTime(recent.tasks, "created_at", "started_at").slice(1), stats.queue.queue_size];
      const working = [...overTime(recent.tasks, "started_at", "completed_at").slice(1), stats.queue.active_tasks];
      const tiles = [line("Waiting", waiting), line("Working", working, stats.queue.max_concurrent, (value) => `${value} of ${stats.queue.max_concurrent}`),
        line("GPU", history.gpu, 100, health.services.gpu === "unavailable" ? () => "none" : percent), line("Memory", history.memory, 100, percent)];
      replace(view, h("div", { class: "tiles" }, tiles),
        bars("Throughput", counts, `${done} completed and ${counts.reduce((sum, one) => sum + one.failed, 0)} failed ${within}, ${bytes(made)} made; ${completed} completed and ${failed} failed in all`),
        h("div", { class: "lower" }, failures(recent.tasks, within), kinds(recent.tasks), parts(health, stats)));
    } catch (error) {
      note.textContent = error.message;
    }
  }
  load();
  const timer = setInterval(() => { if (!document.hidden) load(); }, RENEW_MS);
  signal.addEventListener("abort", () => clearInterval(timer));
}
