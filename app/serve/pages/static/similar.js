// Search with a picture that is chosen, dropped or pasted, or with words; photos of the store are searched by the form itself.
import { ask, card, clocks, el, percent, post, shown } from "./common.js";

const search = document.getElementById("search");
if (search) {
  const [drop, preview, hint, answer, scored] = ["drop", "preview", "hint", "answer", "scored"].map((id) => document.getElementById(id));
  const choose = document.getElementById("file");
  const forWords = (search.dataset.textEncoders ?? "").split(" ").filter(Boolean);
  let picture = null, running = null;

  // Only what differs from empty is in the address and in a request; an empty `where` says that there is none.
  const fields = () => [...new FormData(search)].map(([name, value]) => [name, value.trim()])
    .filter(([name, value]) => value && !(name in clocks));

  function form() {
    const made = new FormData();
    for (const [name, value] of [...fields(), ...Object.entries(clocks)]) made.append(name, value);
    made.append("image", picture, picture.name);
    return made;
  }

  const asPicture = (signal) => ask("/api/v1/similar", { method: "POST", body: form(), signal });

  async function find(asking = asPicture) {
    running?.abort();
    running = new AbortController();
    const { signal } = running;
    answer.setAttribute("aria-busy", "true");
    try {
      const found = await asking(signal);
      const how = found.recall === 1 ? "exact" : `by the index, about ${percent(found.recall, 1)} of the true nearest`;
      const order = found.photos.some((photo) => "score" in photo) ? "; the order is by score" : "";
      const remarks = found.remarks.filter((text) => !/^(Popular:|Searched by the index: about)/.test(text)).map((text) => ` ${text}`).join("");
      answer.replaceChildren(
        found.photos.length
          ? el("div", { class: "row" }, ...found.photos.map((photo) => card(photo, "like_ratio", `${photo.rank}. ${photo.photo_id} · ${photo.distance.toFixed(3)}`)))
          : el("div", { class: "empty" }, el("b", {}, "No photo matches."), "Widen the filters."),
        el("p", { class: "how" }, el("small", {}, `Among ${found.n_matching.toLocaleString("en")} photos that match, by ${found.encoder}; ${how} (${found.plan.replace(/^\w+: /, "")}). Popular: above the median of ${found.population}. Shown are the share of likes, the number of swipes, and the distance${order}.${remarks}`)));
    } catch (error) {
      if (error.name !== "AbortError") answer.replaceChildren(shown(error));
    }
    answer.removeAttribute("aria-busy");
  }

  async function score() {
    scored.textContent = "";
    const made = new FormData();
    made.append("image", picture, picture.name);
    try {
      const [one] = (await ask("/api/v1/predict", { method: "POST", body: made })).photos;
      if (one.prediction === null) scored.textContent = `No prediction: ${one.status.replaceAll("_", " ")}.`;
      else scored.replaceChildren("Likely to be liked by ", el("b", {}, percent(one.prediction)), one.low === null ? "" : ` (${percent(one.low)} to ${percent(one.high)})`);
    } catch {
      scored.textContent = "";  // a store without heads has no predictions
    }
  }

  function take(file) {
    if (!file) return;
    picture = file;
    preview.src = URL.createObjectURL(file);
    preview.alt = file.name;
    preview.hidden = false;
    hint.textContent = file.name;
    find().then(score);
  }

  // A field may name no photo of the store; then it has no picture.
  for (const image of search.querySelectorAll(".held img")) {
    if (image.complete && !image.naturalWidth) image.remove();
    image.addEventListener("error", () => image.remove());
  }

  const given = (name) => fields().filter(([field]) => field === name).map(([, value]) => value);

  async function isPhoto(name) {
    const asked = { photo_ids: [name], k: 1, encoder: search.elements.encoder.value, ...clocks };
    return !(await post("/api/v1/similar", asked)).problems.unknown_photo;
  }

  // Words are a user's own, so they are in no address: neither in that of the page nor in that of a request.
  function byWords(signal) {
    const { encoder } = search.elements;
    if (!forWords.includes(encoder.value)) [encoder.value] = forWords;
    const photos = given("photo_id"), unlike = given("unlike"), body = { text: photos.pop(), ...clocks };
    if (photos.length) body.photo_id = photos;
    if (unlike.length) body.unlike = unlike;
    for (const [name, value] of fields()) {
      if (name === "photo_id" || name === "unlike") continue;
      const isNumber = name === "k" || search.elements[name].type === "number";
      body[name] = isNumber ? Number(value) : ["true", "false"].includes(value) ? value === "true" : value;
    }
    return post("/api/v1/similar", body, { signal });
  }

  async function submit() {
    if (picture) return find();
    const last = given("photo_id").at(-1);
    try {
      if (forWords.length && last && !(await isPhoto(last))) return find(byWords);
    } catch (error) {
      return answer.replaceChildren(shown(error));
    }
    const query = new URLSearchParams([...fields(), ...Object.entries(clocks)]);
    if (!query.has("where")) query.set("where", "");
    location.assign(`/similar?${query}`);
  }

  choose.addEventListener("change", () => take(choose.files[0]));
  drop.addEventListener("dragover", (event) => { event.preventDefault(); drop.classList.add("over"); });
  drop.addEventListener("dragleave", () => drop.classList.remove("over"));
  drop.addEventListener("drop", (event) => { event.preventDefault(); drop.classList.remove("over"); take(event.dataTransfer.files[0]); });
  document.addEventListener("paste", (event) => take([...event.clipboardData.files][0]));
  search.addEventListener("submit", (event) => { event.preventDefault(); submit(); });
  // A choice takes effect at once; a text does with Enter, so that the focus can move on without a new page.
  search.addEventListener("change", (event) => {
    const has_photo = picture || [...search.querySelectorAll("[name=photo_id]")].some((input) => input.value.trim());
    if (event.target.matches("select, [type=checkbox]") && has_photo && search.checkValidity()) submit();
  });
}
