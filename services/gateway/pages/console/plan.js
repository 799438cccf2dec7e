// A plan as people read it: what it costs, what becomes of each input, and the facts.

import { bytes, h, seconds } from "./dom.js";
import { facts, fates, warnings } from "./result.js";

const TOLD = new Set(["estimated_seconds", "estimated_bytes", "bytes_to_fetch", "bytes_fetched", "copied", "reencoded", "parts", "warnings"]);

/** `item` is what the job calls one of its inputs: `Clip`, `Scene`. */
export function planView(plan, item) {
  return h("section", { class: "plan", tabIndex: -1, "aria-label": "Plan" }, h("h2", {}, "Plan"),
    h("p", { class: "big" }, `about ${plan.estimated_seconds < 60 ? `${Math.ceil(plan.estimated_seconds)} s` : seconds(plan.estimated_seconds)}`),
    h("p", { class: "hint" }, `${bytes(plan.bytes_to_fetch)} to fetch`, plan.estimated_bytes > 0 && `, about ${bytes(plan.estimated_bytes)} of results`),
    fates(plan, item, "is"), parts(plan.parts), warnings(plan.warnings),
    facts(Object.entries(plan).filter(([name]) => !TOLD.has(name))));
}

function parts(list) {
  return list && h("table", {}, h("caption", { class: "unseen" }, "Parts"),
    h("thead", {}, h("tr", {}, ["Part", "Begins", "Lasts"].map((text) => h("th", { scope: "col" }, text)))),
    h("tbody", {}, list.map((part, index) => h("tr", {},
      h("td", { "data-label": "Part" }, part.source === null || part.source === undefined ? "silence" : `sound ${index + 1}`),
      h("td", { "data-label": "Begins" }, `${part.start_seconds.toFixed(3)} s`),
      h("td", { "data-label": "Lasts" }, `${part.duration_seconds.toFixed(3)} s`)))));
}
