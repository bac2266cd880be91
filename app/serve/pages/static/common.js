// Functions for all pages: make elements without markup strings, call the API, make photo cards.

export function el(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key === "on") for (const [event, call] of Object.entries(value)) made.addEventListener(event, call);
    else made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

export function svg(name, attributes = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

export class Problem extends Error {
  constructor({ message, remedy }) {
    super(message);
    this.remedy = remedy;
  }
}

export async function ask(path, options = {}) {
  let answer;
  try {
    answer = await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem({ message: "The server does not answer.", remedy: "features serve" });
  }
  const told = await answer.json();
  if (!answer.ok) throw new Problem(told);
  return told;
}

export const post = (path, value, options = {}) =>
  ask(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(value), ...options });

export function shown(error) {
  if (!(error instanceof Problem)) throw error;
  return el("div", { class: "problem", role: "alert" }, error.message, error.remedy ? el("div", {}, "Try: ", el("code", {}, error.remedy)) : null);
}

export const percent = (value, digits = 0) => (value === null || value === undefined ? "–" : `${(100 * value).toFixed(digits)} %`);
export const count = (value) => Math.round(value).toLocaleString("en");
// The moment in the address of the page, which its requests and links keep.
export const clocks = Object.fromEntries([...new URLSearchParams(location.search)].filter(([name]) => name === "as_of" || name === "known_at"));
export const kept = Object.entries(clocks).map(([name, value]) => `&${name}=${encodeURIComponent(value)}`).join("");
export const at = (photoId) => photoId === "." || photoId === ".." ? `?photo_id=${photoId}` : encodeURIComponent(photoId);
export const photoPage = (photoId) => `/photos/${at(photoId)}${at(photoId).startsWith("?") ? kept : kept.replace("&", "?")}`;

export function bar(value) {
  return svg("svg", { class: "bar", viewBox: "0 0 100 4", preserveAspectRatio: "none", "aria-hidden": "true" },
    svg("rect", { width: (100 * (value ?? 0)).toFixed(1), height: 4 }));
}

export function thumbnail(photoId) {
  return el("img", { src: `/thumbs/${at(photoId)}`, alt: "", width: 240, height: 240, loading: "lazy" });
}

export function card(photo, by = "like_ratio", more = null) {
  const says = {
    prediction: [percent(photo.prediction), `liked ${percent(photo.like_ratio)}`, photo.prediction],
    percentile: [photo.percentile === null ? "–" : `${photo.percentile.toFixed(0)}.`, percent(photo.like_ratio), (photo.percentile ?? 0) / 100],
    like_ratio: [percent(photo.like_ratio), photo.weight === null ? "" : count(photo.weight), photo.like_ratio],
  }[by];
  return el("a", { class: "card", href: photoPage(photo.photo_id) }, thumbnail(photo.photo_id),
    el("span", { class: "says" }, el("b", {}, says[0]), el("span", { class: "dim" }, says[1])), bar(says[2]),
    el("span", { class: "more" }, more ?? `${photo.photo_id}${photo.gender ? ` · ${photo.gender}` : ""}`));
}
