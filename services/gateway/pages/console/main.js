// Signing in, and which view the address asks for.

import { call, key } from "./api.js";
import { announce, h, replace } from "./dom.js";
import { newJob } from "./form.js";
import { systemView } from "./system.js";
import { taskView } from "./task.js";
import { tasksView } from "./tasks.js";

const VIEWS = { new: newJob, task: taskView, tasks: tasksView, system: systemView };
const main = document.getElementById("main");
const nav = document.getElementById("nav");
const signOut = document.getElementById("sign-out");
let leaving = new AbortController();

function signIn() {
  const input = h("input", { id: "key", type: "password", autocomplete: "off", required: true, "aria-describedby": "key-error" });
  const error = h("span", { class: "error", id: "key-error", role: "alert" });
  async function enter(event) {
    event.preventDefault();
    key.set(input.value.trim());
    try {
      await call("GET", "/api/v1/server/status");
      show();
    } catch (problem) {
      key.forget();
      error.textContent = problem.status === 401 ? "This key is not known here." : problem.message;
      input.setAttribute("aria-invalid", "true");
      input.focus();
    }
  }
  replace(main, h("form", { class: "card sign-in", onsubmit: enter }, h("h1", {}, "Sign in"),
    h("p", { class: "about" }, "The key stays in this tab and is gone when you close it."),
    h("div", { class: "field" }, h("label", { for: "key" }, "API key"), input, error), h("button", { type: "submit", class: "primary" }, "Sign in")));
  input.focus();
}

function show() {
  leaving.abort();
  leaving = new AbortController();
  nav.hidden = signOut.hidden = !key.get();
  if (!key.get()) return signIn();
  const [name, ...rest] = location.hash.slice(1).split("/");
  const view = VIEWS[name] ? name : "new";
  for (const link of nav.children) {
    if (link.hash === `#${view}` || (view === "task" && link.hash === "#tasks")) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  VIEWS[view](main, rest, leaving.signal);
}

signOut.addEventListener("click", () => { key.forget(); announce("Signed out"); show(); });
addEventListener("signed-out", () => { if (key.get() && !main.querySelector(".sign-in")) { key.forget(); show(); } });
addEventListener("hashchange", () => { show(); main.focus({ preventScroll: true }); scrollTo(0, 0); });
show();
