// Check for a newer snapshot. A page that waits for data is reloaded; other pages show a line with a reload button.
import { ask, el } from "./common.js";

const EVERY_MS = 4000;
const shown = document.body.dataset.snapshot;

async function look() {
  if (document.hidden || document.getElementById("live")) return;  // store.js updates the store page
  let now;
  try {
    now = (await ask("/api/v1/health")).snapshot_at;
  } catch {
    return;  // the server does not answer; the page is kept
  }
  if (now === shown) return;
  if (document.querySelector("[data-waits]")) return location.reload();
  if (document.getElementById("newer")) return;
  document.getElementById("main").prepend(el("div", { id: "newer", class: "problem", role: "status" },
    "A newer snapshot is published. ", el("button", { type: "button", on: { click: () => location.reload() } }, "Show it")));
}

if (shown) setInterval(look, EVERY_MS);
