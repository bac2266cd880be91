// SQL page: completion, results as a grid with pictures, charts, a link to share the query, downloads.
import { ask, at, clocks, el, kept, photoPage, post, shown } from "./common.js";
import { draw } from "./chart.js";
import { completing } from "./complete.js";

const PICTURED = new Set(["photo_id", "other_id", "neighbour_id", "cluster_id"]);
const NUMBERS = /^(DOUBLE|FLOAT|DECIMAL|U?(BIG|HUGE|SMALL|TINY)?INT(EGER)?)(?!.*\])/;
const [query, run, stop, said, views, files, plan, answer] = ["query", "run", "stop", "said", "views", "files", "plan", "answer"].map((id) => document.getElementById(id));
let running = null, result = null, view = "table";

completing(query, document.getElementById("offers"), JSON.parse(document.getElementById("ask").dataset.words), () => go());

// A query with $upload needs a picture, which is sent beside it and not stored.
const UPLOAD = /\$upload\b/i;
const picture = document.getElementById("picture"), file = document.getElementById("upload");
const offerPicture = () => { picture.hidden = !UPLOAD.test(query.value); };

function send(body, more) {
  if (!UPLOAD.test(body.query)) return post("/api/v1/sql", body, more);
  const form = new FormData();
  form.append("request", JSON.stringify(body));
  if (file.files[0]) form.append("upload", file.files[0]);
  return ask("/api/v1/sql", { method: "POST", body: form, ...more });
}

async function go() {
  const text = query.value.trim();
  offerPicture();
  if (!text) return;
  if (UPLOAD.test(text) && !file.files.length) {
    answer.replaceChildren(notice("The query needs a picture.", "Choose the picture for $upload."));
    return;
  }
  running?.abort();
  running = new AbortController();
  const mine = running;
  said.textContent = "Running…";
  plan.replaceChildren();
  stop.hidden = false;
  history.replaceState(null, "", `?q=${encodeURIComponent(text)}${kept}`);
  try {
    result = await send({ query: text, limit: 1000, ...clocks }, { signal: mine.signal });
    result.text = text;
    said.textContent = `${result.n_rows.toLocaleString("en")} row${result.n_rows === 1 ? "" : "s"}${result.cut ? " shown; there are more, downloads have all" : ""} · ${(1000 * result.seconds).toFixed(0)} ms`;
    plan.replaceChildren(...(result.plan ?? []).map((line) => el("div", {}, line)));
    views.hidden = false;
    files.hidden = UPLOAD.test(text);
    for (const link of files.querySelectorAll("a")) link.href = `/api/v1/sql/export?query=${encodeURIComponent(text)}&format=${link.dataset.format}${kept}`;
    show();
  } catch (error) {
    if (mine !== running) return;
    views.hidden = files.hidden = true;
    said.textContent = error.name === "AbortError" ? "Stopped." : "";
    answer.replaceChildren(...(error.name === "AbortError" ? [] : [problem(error)]));
  }
  if (mine === running) stop.hidden = true;
}

function show() {
  for (const button of views.children) button.setAttribute("aria-pressed", String(button.dataset.view === view));
  if (view === "table") return answer.replaceChildren(table());
  if (result.cut && view !== "points") return answer.replaceChildren(notice("The result has more rows than are shown here.", `${view === "bars" ? "Bars" : "A line"} of its first ${result.n_rows.toLocaleString("en")} rows would be misleading: group the query, or add a limit. Points shows a random sample.`));
  chart(result.cut ? null : result, result.cut ? `a random sample of ${SAMPLE.toLocaleString("en")} rows of the result` : "the result");
}

const SAMPLE = 1000;
const notice = (what, why) => el("div", { class: "empty" }, el("b", {}, what), why);

async function chart(whole, says) {
  const mine = result;
  try {
    whole ??= mine.sampled ??= await send({ query: mine.text, limit: SAMPLE, sample: SAMPLE, ...clocks });
  } catch (error) {
    answer.replaceChildren(problem(error));
    return;
  }
  if (mine !== result || view === "table") return;
  const numeric = whole.columns.map((column, i) => (NUMBERS.test(column.type) ? i : -1)).filter((i) => i >= 0);
  if (!numeric.length || !whole.rows.length) return answer.replaceChildren(notice("Nothing to draw.", "A chart needs a column of numbers."));
  const named = whole.columns.findIndex((_, i) => !numeric.includes(i));
  mine.x ??= {};
  mine.y ??= {};
  mine.x[view] ??= view === "points" && numeric.length > 1 ? numeric[0] : named;
  const x = mine.x[view], drawn = numeric.filter((i) => i !== x), y = drawn.includes(mine.y[view]) ? mine.y[view] : -1;
  const across = view === "points" ? [-1, ...numeric] : [-1, ...whole.columns.keys()];
  const choices = el("div", { class: "bar-of-tools" },
    chosen("x", across, x, (i) => (i < 0 ? "row number" : whole.columns[i].name), (i) => { mine.x[view] = i; show(); }),
    chosen("y", [-1, ...drawn], y, (i) => (i < 0 ? "every number, each on its own axis" : whole.columns[i].name), (i) => { mine.y[view] = i; show(); }),
    el("span", { class: "dim" }, says));
  const labels = whole.rows.map((row, i) => (x < 0 ? i + 1 : String(row[x] ?? "∅").replace(/T00:00:00Z$/, "")));
  const places = x < 0 || !numeric.includes(x) ? whole.rows.map((_, i) => i + 1) : whole.rows.map((row) => number(row[x]));
  const shown = y >= 0 ? [y] : drawn.slice(0, 6);
  answer.replaceChildren(choices, ...shown.map((i) => draw(view, { labels, x: places, xTitle: x < 0 ? "row number" : whole.columns[x].name, yTitle: whole.columns[i].name, series: [{ name: whole.columns[i].name, values: whole.rows.map((row) => number(row[i])) }] }, `${whole.columns[i].name}, ${says}`, answer.clientWidth)),
    ...(y < 0 && drawn.length > shown.length ? [el("p", { class: "dim" }, `${drawn.length - shown.length} more columns of numbers: choose one as y.`)] : []));
}

const number = (value) => (value === null ? NaN : Number(value));

function chosen(name, options, value, says, take) {
  const select = el("select", { "aria-label": name, on: { change: () => take(Number(select.value)) } }, ...options.map((i) => el("option", { value: i, selected: i === value }, says(i))));
  return el("label", { class: "field" }, el("span", {}, name), select);
}

// A shell command does not help on this page; point to the dictionary instead.
function problem(error) {
  if (error.remedy?.startsWith("features sql")) error.remedy = "";
  const made = shown(error);
  if (!error.remedy) made.append(el("div", {}, "The dictionary on this page lists relations and columns."));
  return made;
}

function table() {
  const numeric = result.columns.map((column) => NUMBERS.test(column.type));
  const head = el("tr", {}, ...result.columns.map((column, i) => el("th", { scope: "col", class: numeric[i] ? null : "text", title: column.type }, column.name)));
  const rows = result.rows.map((row) => el("tr", {}, ...row.map((value, i) => cell(value, result.columns[i], numeric[i]))));
  if (!rows.length) return el("div", { class: "empty" }, el("b", {}, "No rows."), "The query is valid, but no row matches.");
  return el("div", { class: "grid", tabindex: 0, role: "region", "aria-label": "Result" }, el("table", {}, el("thead", {}, head), el("tbody", {}, ...rows)));
}

function cell(value, column, numeric) {
  const kind = numeric ? null : "text";
  if (value === null) return el("td", { class: `${kind ?? ""} null` }, "∅");
  if (PICTURED.has(column.name) && typeof value === "string") {
    const picture = el("img", { src: `/thumbs/${at(value)}`, alt: "", width: 42, height: 42, loading: "lazy", on: { error: () => picture.remove() } });
    return el("td", { class: kind }, el("a", { href: photoPage(value) }, picture, value));
  }
  if (numeric && typeof value === "string") return el("td", { title: value }, /^-?\d+$/.test(value) ? BigInt(value).toLocaleString("en") : value);
  if (typeof value === "object") return el("td", { class: kind, title: JSON.stringify(value) }, JSON.stringify(value));
  if (typeof value === "number" && !Number.isInteger(value)) return el("td", { title: value }, Number(value.toPrecision(5)));
  if (typeof value === "number") return el("td", {}, value.toLocaleString("en"));
  return el("td", { class: kind, title: value }, String(value).replace(/T(\d\d:\d\d:\d\d)(\.\d+)?Z$/, " $1"));
}

run.addEventListener("click", go);
query.addEventListener("input", offerPicture);
file.addEventListener("change", () => {
  picture.firstElementChild.textContent = file.files.length ? `$upload: ${file.files[0].name}` : "Picture for $upload";
  if (file.files.length) go();
});
stop.addEventListener("click", () => running?.abort());
views.addEventListener("click", (event) => { view = event.target.dataset.view ?? view; if (result) show(); });
document.getElementById("share").addEventListener("click", async (event) => {
  await navigator.clipboard.writeText(location.href);
  event.target.textContent = "Copied";
  setTimeout(() => { event.target.textContent = "Copy link"; }, 1500);
});
document.addEventListener("click", (event) => {
  const { query: whole, insert } = event.target.dataset ?? {};
  if (whole) { query.value = whole; go(); }
  if (insert) { query.setRangeText(insert, query.selectionStart, query.selectionEnd, "end"); query.focus(); }
});
if (query.value.trim()) go();
