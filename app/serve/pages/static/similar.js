// Search by a photo of the store, or by a picture that is chosen, dropped or pasted.
import { ask, at, card, clocks, el, kept, percent, post, shown } from "./common.js";

// Predicate for photos above the median of their gender; `popular` compares with the median of all photos.
const WITHIN_GENDER = "photo_id in (select photo_id from photo_labels qualify value > median(value) over (partition by source, gender))";

const filters = document.getElementById("filters");
if (filters) {
  const byId = document.querySelector("[name=photo_id]");
  const [drop, preview, hint, answer, scored] = ["drop", "preview", "hint", "answer", "scored"].map((id) => document.getElementById(id));
  const choose = document.getElementById("file");
  let picture = null, running = null;

  const asked = () => {
    const form = new FormData(filters);
    const found = { encoder: form.get("encoder"), k: Number(form.get("k")), popular: form.get("popular") === "all", ...clocks };
    const where = [form.get("where").trim(), form.get("popular") === "gender" ? WITHIN_GENDER : ""].filter(Boolean);
    if (where.length) found.where = where.map((one) => `(${one})`).join(" and ");
    return found;
  };

  function form(fields) {
    const made = new FormData();
    for (const [name, value] of Object.entries(fields)) made.append(name, value);
    made.append("image", picture, picture.name);
    return made;
  }

  async function search() {
    if (!picture && !byId.value.trim()) return;
    running?.abort();
    running = new AbortController();
    const { signal } = running;
    answer.setAttribute("aria-busy", "true");
    try {
      const found = picture
        ? await ask("/api/v1/similar", { method: "POST", body: form(asked()), signal })
        : await post("/api/v1/similar", { photo_id: byId.value.trim(), ...asked() }, { signal });
      const how = found.recall === 1 ? "exact" : `about ${percent(found.recall, 1)} of the true nearest`;
      answer.replaceChildren(
        found.photos.length
          ? el("div", { class: "row" }, ...found.photos.map((photo) => card(photo, "like_ratio", `${photo.rank}. ${photo.photo_id} · ${photo.distance.toFixed(3)}`)))
          : el("div", { class: "empty" }, el("b", {}, "No photo matches."), "Widen the filters."),
        el("p", {}, el("small", {}, `Among ${found.n_matching.toLocaleString("en")} photos that match, by ${found.encoder}; ${how}. Share of likes, number of swipes, distance.`)));
    } catch (error) {
      if (error.name !== "AbortError") answer.replaceChildren(shown(error));
    }
    answer.removeAttribute("aria-busy");
  }

  async function score() {
    scored.textContent = "";
    try {
      const [one] = (await ask("/api/v1/predict", { method: "POST", body: form({}) })).photos;
      if (one.prediction === null) scored.textContent = `No prediction: ${one.status.replaceAll("_", " ")}.`;
      else scored.replaceChildren("Likely to be liked by ", el("b", {}, percent(one.prediction)), one.low === null ? "" : ` (${percent(one.low)} to ${percent(one.high)})`);
    } catch {
      scored.textContent = "";  // a store without heads has no predictions
    }
  }

  function take(file) {
    if (!file) return;
    picture = file;
    byId.value = "";
    preview.src = URL.createObjectURL(file);
    preview.alt = file.name;
    preview.hidden = false;
    hint.textContent = file.name;
    search().then(score);
  }

  choose.addEventListener("change", () => take(choose.files[0]));
  drop.addEventListener("dragover", (event) => { event.preventDefault(); drop.classList.add("over"); });
  drop.addEventListener("dragleave", () => drop.classList.remove("over"));
  drop.addEventListener("drop", (event) => { event.preventDefault(); drop.classList.remove("over"); take(event.dataTransfer.files[0]); });
  document.addEventListener("paste", (event) => take([...event.clipboardData.files][0]));

  function named() {
    const name = byId.value.trim();
    if (!name) return;
    picture = null;
    preview.src = `/thumbs/${at(name)}`;
    preview.alt = name;
    preview.hidden = false;
    preview.onerror = () => { preview.hidden = true; };
    scored.textContent = "";
    hint.textContent = name;
    history.replaceState(null, "", `?photo_id=${encodeURIComponent(name)}${kept}`);
    search();
  }

  byId.addEventListener("change", named);
  document.getElementById("search").addEventListener("submit", (event) => { event.preventDefault(); named(); });
  filters.addEventListener("submit", (event) => { event.preventDefault(); search(); });
  filters.addEventListener("change", search);
  named();
}
