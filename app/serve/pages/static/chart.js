// Draw bars, lines and points as SVG from {labels|x, series: [{name, values}]}. Styles are set by classes only.
import { el, svg } from "./common.js";

const R = 14, T = 10;
let L = 46, B = 30;  // left and bottom margin for ticks and axis titles, in pixels
let W = 640, H = 260;  // size of the current chart in pixels, so that text has its normal size on a phone

// Return round numbers from below `low` to above `high`; integers for counts. No value is outside of them.
function ticks(low, high, whole = false) {
  const rough = (high - low) / 4 || Math.abs(high) / 4 || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  let step = [1, 2, 2.5, 5, 10].map((n) => n * power).find((n) => n >= rough * 0.999);
  if (whole) step = Math.max(1, Math.ceil(step));
  const found = [];
  for (let n = Math.floor(low / step + 1e-9); found.length === 0 || found.at(-1) < high - step * 1e-9; n += 1) found.push(Number((n * step).toPrecision(12)));
  return found;
}

export const brief = (value) => {
  if (typeof value !== "number") return String(value);
  const size = Math.abs(value);
  if (size >= 1e6) return `${Number((value / 1e6).toPrecision(3))}M`;
  if (size >= 1e4) return `${Number((value / 1e3).toPrecision(3))}k`;
  return String(Number(value.toPrecision(3)));
};

function frame(values, says, { xTitle = "", yTitle = "", zero = false } = {}) {
  const whole = values.every(Number.isInteger), found = ticks(Math.min(...values, ...(zero ? [0] : [])), Math.max(...values, ...(zero ? [0] : [])), whole);
  const low = found[0], high = found.at(-1);
  L = yTitle ? 62 : 46;
  B = xTitle ? 46 : 30;
  const y = (value) => H - B - ((value - low) / (high - low || 1)) * (H - B - T);
  const made = svg("svg", { viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": says });
  if (xTitle) made.append(svg("text", { x: L + (W - L - R) / 2, y: H - 6, "text-anchor": "middle" }, xTitle.slice(0, 60)));
  if (yTitle) made.append(svg("text", { x: 12, y: T + (H - B - T) / 2, "text-anchor": "middle", transform: `rotate(-90 12 ${T + (H - B - T) / 2})` }, yTitle.slice(0, 32)));
  for (const tick of found) {
    made.append(svg("line", { class: "axis", x1: L, x2: W - R, y1: y(tick), y2: y(tick) }),
      svg("text", { x: L - 6, y: y(tick) + 4, "text-anchor": "end" }, brief(tick)));
  }
  return [made, y];
}

function below(made, labels, x) {
  const every = Math.ceil(labels.length / Math.max(2, Math.floor(W / 85)));
  labels.forEach((label, at) => {
    if (at % every === 0) made.append(svg("text", { x: Math.min(x(at), W - R), y: H - B + 17, "text-anchor": x(at) > W - R - 40 ? "end" : "middle" }, String(label ?? "∅").slice(0, 14)));
  });
}

const numbers = (series) => series.flatMap((one) => one.values).filter((value) => Number.isFinite(value));

function bars({ labels, series, ...titles }, says) {
  const values = numbers(series);
  const [made, y] = frame(values.length ? values : [1], says, { ...titles, zero: true });
  const slot = (W - L - R) / Math.max(labels.length, 1), wide = (slot * 0.8) / series.length;
  series.forEach((one, which) => one.values.forEach((value, at) => {
    if (!Number.isFinite(value)) return;
    const top = Math.min(y(value), y(0));
    const rect = svg("rect", { class: `s${which % 4}`, x: L + slot * (at + 0.1) + wide * which, y: top, width: Math.max(wide - 0.5, 0.5), height: Math.abs(y(value) - y(0)), rx: Math.min(2, wide / 4) });
    rect.append(svg("title", {}, `${labels[at]}${series.length > 1 ? `, ${one.name}` : ""}: ${brief(value)}`));
    made.append(rect);
  }));
  below(made, labels, (at) => L + slot * (at + 0.5));
  return made;
}

function line({ labels, series, ...titles }, says) {
  const values = numbers(series);
  const [made, y] = frame(values.length ? values : [0, 1], says, titles);
  const x = (at) => L + ((W - L - R) * at) / Math.max(labels.length - 1, 1);
  series.forEach((one, which) => {
    let path = "", open = false;
    one.values.forEach((value, at) => {
      if (!Number.isFinite(value)) { open = false; return; }
      path += `${open ? "L" : "M"}${x(at).toFixed(1)} ${y(value).toFixed(1)}`;
      open = true;
    });
    made.append(svg("path", { class: `s${which % 4}`, d: path }));
  });
  below(made, labels, x);
  return made;
}

function points({ x: across, labels, series, diagonal, ...titles }, says) {
  const values = numbers(series).concat(diagonal ? across.filter(Number.isFinite) : []);
  const [made, y] = frame(values.length ? values : [0, 1], says, titles);
  const known = diagonal ? values : across.filter(Number.isFinite);
  const scale = ticks(Math.min(...known), Math.max(...known), known.every(Number.isInteger)), low = scale[0], high = scale.at(-1);
  const x = (value) => L + ((value - low) / (high - low || 1)) * (W - L - R);
  for (const tick of scale) made.append(svg("text", { x: x(tick), y: H - B + 17, "text-anchor": "middle" }, brief(tick)));
  if (diagonal) made.append(svg("line", { class: "axis", x1: x(low), y1: y(low), x2: x(high), y2: y(high) }));
  series.forEach((one, which) => one.values.forEach((value, at) => {
    if (!Number.isFinite(value) || !Number.isFinite(across[at])) return;
    const dot = svg("circle", { class: `s${which % 4}`, cx: x(across[at]).toFixed(1), cy: y(value).toFixed(1), r: 3 });
    dot.append(svg("title", {}, `${labels?.[at] ?? ""} ${brief(across[at])}, ${brief(value)}`));
    made.append(dot);
  }));
  return made;
}

export function draw(kind, data, says = "chart", width = 640) {
  W = Math.max(280, width);
  H = W < 420 ? 210 : 260;
  const made = el("figure", { class: "chart" });
  if (data.series.length > 1) made.append(el("div", { class: "legend" }, ...data.series.map((one, at) => el("span", { class: `s${at % 4}` }, one.name))));
  made.append({ bars, line, points }[kind](data, says));
  return made;
}

for (const place of document.querySelectorAll("figure[data-chart]")) {
  const caption = place.querySelector("figcaption")?.textContent ?? "chart";
  place.append(...draw(place.dataset.kind, JSON.parse(place.dataset.chart), caption, place.clientWidth).children);
}
