// Completion in a textarea: columns of the relations in the query, relations, keywords.
import { el } from "./common.js";

export function completing(area, list, words, run) {
  let offered = [], chosen = 0;

  const before = () => area.value.slice(0, area.selectionStart).match(/[A-Za-z_]\w*$/)?.[0] ?? "";
  const close = () => { list.hidden = true; area.setAttribute("aria-expanded", "false"); area.removeAttribute("aria-activedescendant"); };

  function offers(word) {
    const named = Object.keys(words.relations).filter((name) => new RegExp(`\\b${name}\\b`, "i").test(area.value));
    const columns = named.flatMap((name) => words.relations[name].map((column) => [column, name]));
    const all = [...columns, ...Object.keys(words.relations).map((name) => [name, "relation"]), ...words.keywords.map((name) => [name, ""])];
    const seen = new Set(), low = word.toLowerCase();
    return all.filter(([name]) => name.toLowerCase().startsWith(low) && name.toLowerCase() !== low && !seen.has(name) && seen.add(name)).slice(0, 12);
  }

  function look() {
    const word = before();
    offered = word.length >= 2 ? offers(word) : [];
    if (!offered.length) return close();
    chosen = 0;
    list.replaceChildren(...offered.map(([name, from], i) =>
      el("li", { id: `offer-${i}`, role: "option", "aria-selected": String(i === 0), on: { mousedown: (event) => { event.preventDefault(); take(i); } } }, name, el("small", { class: "dim" }, from))));
    const line = area.value.slice(0, area.selectionStart).split("\n");
    list.style.top = `${Math.min(line.length * 22 + 18 - area.scrollTop, area.clientHeight)}px`;
    list.style.left = `${Math.min(line.at(-1).length * 8.2 + 10, area.clientWidth - 230)}px`;
    list.hidden = false;
    area.setAttribute("aria-expanded", "true");
    mark();
  }

  function mark() {
    [...list.children].forEach((item, i) => item.setAttribute("aria-selected", String(i === chosen)));
    list.children[chosen]?.scrollIntoView({ block: "nearest" });
    area.setAttribute("aria-activedescendant", `offer-${chosen}`);
  }

  function take(which) {
    const word = before();
    area.setRangeText(offered[which][0], area.selectionStart - word.length, area.selectionStart, "end");
    close();
  }

  area.addEventListener("input", look);
  area.addEventListener("blur", close);
  area.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); close(); run(); return; }
    if (list.hidden) return;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      chosen = (chosen + (event.key === "ArrowDown" ? 1 : offered.length - 1)) % offered.length;
      mark();
    } else if (event.key === "Tab" || event.key === "Enter") { event.preventDefault(); take(chosen); }
    else if (event.key === "Escape") { event.preventDefault(); close(); }
  });
}
