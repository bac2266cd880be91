// Bars, lines and points as SVG, drawn from {labels|x, series: [{name, values}]}. No style is set, only classes.
import { el, svg } from "./common.js";

const L = 46, R = 10, T = 10, B = 30;
let W = 640, H = 260;  // of the chart that is being drawn: pixels, so that text has its size on a phone too

function ticks(low, high) {
  const rough = (high - low) / 4 || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((n) => n * power).find((n) => n >= rough * 0.999);
  const found = [];
  for (let at = Math.ceil(low / step) * step; at <= high + step * 1e-9; at += step) found.push(Number(at.toPrecision(12)));
  return found;
}

export const brief = (value) => {
  if (typeof value !== "number") return String(value);
  const size = Math.abs(value);
  if (size >= 1e6) return `${Number((value / 1e6).toPrecision(3))}M`;
  if (size >= 1e4) return `${Number((value / 1e3).toPrecision(3))}k`;
  return String(Number(value.toPrecision(3)));
};

function frame(low, high, says) {
  const y = (value) => H - B - ((value - low) / (high - low || 1)) * (H - B - T);
  const made = svg("svg", { viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": says });
  for (const tick of ticks(low, high)) {
    made.append(svg("line", { class: "axis", x1: L, x2: W - R, y1: y(tick), y2: y(tick) }),
      svg("text", { x: L - 6, y: y(tick) + 4, "text-anchor": "end" }, brief(tick)));
  }
  return [made, y];
}

function below(made, labels, x) {
  const every = Math.ceil(labels.length / Math.max(2, Math.floor(W / 85)));
  labels.forEach((label, at) => {
    if (at % every === 0) made.append(svg("text", { x: x(at), y: H - B + 17, "text-anchor": "middle" }, String(label ?? "∅").slice(0, 14)));
  });
}

const numbers = (series) => series.flatMap((one) => one.values).filter((value) => Number.isFinite(value));

function bars({ labels, series }, says) {
  const values = numbers(series);
  const [made, y] = frame(Math.min(0, ...values), Math.max(0, ...values) || 1, says);
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

function line({ labels, series }, says) {
  const values = numbers(series), low = Math.min(...values), high = Math.max(...values);
  const room = (high - low) * 0.08 || 0.1;
  const [made, y] = frame(low >= 0 ? Math.max(0, low - room) : low - room, high + room, says);
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

function points({ x: across, labels, series, diagonal }, says) {
  const values = numbers(series).concat(diagonal ? across.filter(Number.isFinite) : []);
  const [made, y] = frame(Math.min(...values), Math.max(...values), says);
  const known = diagonal ? values : across.filter(Number.isFinite), low = Math.min(...known), high = Math.max(...known);
  const x = (value) => L + ((value - low) / (high - low || 1)) * (W - L - R);
  for (const tick of ticks(low, high)) made.append(svg("text", { x: x(tick), y: H - B + 17, "text-anchor": "middle" }, brief(tick)));
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
