// Reload the page when a snapshot is published or a writer starts or ends; show the progress of the writer.
import { ask, el } from "./common.js";

const live = document.getElementById("live");
const underway = document.getElementById("underway");
const number = new Intl.NumberFormat("en");

function line(stage) {
  const of = stage.total === null ? "" : ` of ${stage.at_most ? "up to " : ""}${number.format(stage.total)}`;
  const rate = stage.per_s === null ? "" : `, ${number.format(stage.per_s)} a second`;
  const text = `${stage.name}: ${number.format(stage.done)}${of} ${stage.unit} in ${Math.round(stage.seconds)} s${rate}`;
  const bar = stage.total ? [el("progress", { max: stage.total, value: stage.done, "aria-label": stage.name })] : [];
  return el("li", {}, ...bar, text);
}

async function look() {
  if (document.hidden) return;
  try {
    const now = await ask("/api/v1/store");
    if (now.snapshot_at !== live.dataset.at || (now.writer ?? "") !== live.dataset.writer) location.reload();
    underway?.replaceChildren(...now.underway.map(line));
  } catch {
    // the server does not answer; the page is kept
  }
}

setInterval(look, underway ? 1000 : 4000);
if (underway) look();
