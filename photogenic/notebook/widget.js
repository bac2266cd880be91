/* Photos of a frame: a list box that holds the rows in view and asks Python for them, page by page. */

const CELL = 152, TALL = 204, PAGE = 60, SPARE_ROWS = 2;

function text(parent, kind, name, said) {
  const made = document.createElement(kind);
  made.className = name;
  made.textContent = said;
  parent.append(made);
  return made;
}

function render({ model, el }) {
  const name = `photogenic-${Math.random().toString(36).slice(2)}`;
  const rows = new Map(), asked = new Set(), cells = new Map();
  let active = 0, anchor = 0, columns = 1;
  let selected = new Set(model.get("selected"));

  el.classList.add("photogenic-browser");
  const bar = document.createElement("div");
  bar.className = "bar";
  const status = text(bar, "span", "status", "");
  status.setAttribute("role", "status");
  const clear = text(bar, "button", "clear", "Clear selection");
  clear.type = "button";
  const box = document.createElement("div");
  box.className = "box";
  box.tabIndex = 0;
  box.setAttribute("role", "listbox");
  box.setAttribute("aria-multiselectable", "true");
  box.setAttribute("aria-label", "Photos");
  const sheet = document.createElement("div");
  sheet.className = "sheet";
  sheet.setAttribute("role", "presentation");
  box.append(sheet);
  const help = text(el, "p", "help",
    "Click or Space selects, Shift extends, arrows move, Ctrl+A selects all, Escape clears.");
  help.id = `${name}-help`;
  box.setAttribute("aria-describedby", help.id);
  el.append(bar, box, help);

  const count = () => model.get("n_rows");

  function say() {
    const n = count();
    status.textContent =
      `${n.toLocaleString("en")} ${n === 1 ? "photo" : "photos"}, ${selected.size.toLocaleString("en")} selected`;
    clear.disabled = selected.size === 0;
  }

  function ask(first, last) {
    for (let from = Math.floor(first / PAGE) * PAGE; from < last; from += PAGE) {
      if (asked.has(from)) continue;
      asked.add(from);
      model.send({ kind: "rows", from, to: Math.min(from + PAGE, count()) });
    }
  }

  function fill(cell, at) {
    const row = rows.get(at);
    cell.setAttribute("aria-selected", String(selected.has(at)));
    cell.classList.toggle("active", at === active);
    if (!row || cell.dataset.filled) return;
    cell.dataset.filled = "yes";
    cell.replaceChildren();
    if (row.url) {
      const picture = document.createElement("img");
      picture.src = row.url;
      picture.alt = "";
      picture.draggable = false;
      cell.append(picture);
    } else {
      text(cell, "div", "absent", row.absent || "no picture");
    }
    text(cell, "div", "id", row.photo_id ?? "null");
    for (const caption of row.captions) text(cell, "div", "caption", caption);
    cell.setAttribute("aria-label", [row.photo_id ?? "no id", row.url ? "" : row.absent, ...row.captions]
      .filter(Boolean).join(", "));
  }

  function draw() {
    const n = count();
    columns = Math.max(1, Math.floor(box.clientWidth / CELL));
    sheet.style.height = `${Math.ceil(n / columns) * TALL}px`;
    const first = Math.max(0, Math.floor(box.scrollTop / TALL) - SPARE_ROWS) * columns;
    const last = Math.min(n, (Math.ceil((box.scrollTop + box.clientHeight) / TALL) + SPARE_ROWS) * columns);
    for (const [at, cell] of cells) {
      if (at < first || at >= last) {
        cell.remove();
        cells.delete(at);
      }
    }
    let after = null;
    for (let at = first; at < last; at++) {
      let cell = cells.get(at);
      if (!cell) {
        cell = document.createElement("div");
        cell.className = "cell";
        cell.id = `${name}-${at}`;
        cell.setAttribute("role", "option");
        cell.setAttribute("aria-setsize", String(n));
        cell.setAttribute("aria-posinset", String(at + 1));
        cell.setAttribute("aria-label", `photo ${at + 1}`);
        cell.dataset.at = String(at);
        cells.set(at, cell);
        if (after) after.after(cell);
        else sheet.prepend(cell);
      }
      cell.style.transform = `translate(${(at % columns) * CELL}px, ${Math.floor(at / columns) * TALL}px)`;
      fill(cell, at);
      after = cell;
    }
    if (last > first) ask(first, last);
    if (cells.has(active)) box.setAttribute("aria-activedescendant", `${name}-${active}`);
    else box.removeAttribute("aria-activedescendant");
  }

  function show(at) {
    const top = Math.floor(at / columns) * TALL;
    if (top < box.scrollTop) box.scrollTop = top;
    else if (top + TALL > box.scrollTop + box.clientHeight) box.scrollTop = top + TALL - box.clientHeight;
  }

  function choose(next) {
    selected = next;
    model.set("selected", [...selected].sort((a, b) => a - b));
    model.save_changes();
    say();
    draw();
  }

  function range(from, to) {
    const next = new Set();
    for (let at = Math.min(from, to); at <= Math.max(from, to); at++) next.add(at);
    return next;
  }

  function toggle(at) {
    const next = new Set(selected);
    if (!next.delete(at)) next.add(at);
    anchor = at;
    choose(next);
  }

  function move(to, extend) {
    if (count() === 0) return;
    active = Math.max(0, Math.min(count() - 1, to));
    show(active);
    if (extend) choose(range(anchor, active));
    else {
      anchor = active;
      draw();
    }
  }

  box.addEventListener("click", (event) => {
    const cell = event.target.closest(".cell");
    if (!cell) return;
    active = Number(cell.dataset.at);
    if (event.shiftKey) choose(range(anchor, active));
    else toggle(active);
  });

  box.addEventListener("keydown", (event) => {
    const page = Math.max(1, Math.floor(box.clientHeight / TALL)) * columns;
    const steps = {
      ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns, PageDown: page, PageUp: -page,
      Home: -count(), End: count(),
    };
    if (event.key in steps) move(active + steps[event.key], event.shiftKey);
    else if (event.key === " ") { if (count()) toggle(active); }
    else if (event.key === "Escape") choose(new Set());
    else if (event.key.toLowerCase() === "a" && (event.ctrlKey || event.metaKey)) choose(range(0, count() - 1));
    else return;
    event.preventDefault();
    event.stopPropagation();
  });

  clear.addEventListener("click", () => { choose(new Set()); box.focus(); });
  box.addEventListener("scroll", draw, { passive: true });
  const sized = new ResizeObserver(draw);
  sized.observe(box);

  function arrived(message, buffers) {
    if (message.kind !== "rows") return;
    message.rows.forEach((row, place) => {
      const at = message.from + place;
      const held = rows.get(at);
      if (held?.url) URL.revokeObjectURL(held.url);
      const url = row.picture === null || row.picture === undefined
        ? null : URL.createObjectURL(new Blob([buffers[row.picture]], { type: "image/jpeg" }));
      rows.set(at, { ...row, url });
    });
    draw();
  }

  function changed() {
    selected = new Set(model.get("selected"));
    say();
    draw();
  }

  model.on("msg:custom", arrived);
  model.on("change:selected", changed);
  say();
  draw();

  return () => {
    sized.disconnect();
    model.off("msg:custom", arrived);
    model.off("change:selected", changed);
    for (const row of rows.values()) if (row.url) URL.revokeObjectURL(row.url);
  };
}

export default { render };
