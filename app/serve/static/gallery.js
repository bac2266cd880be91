// The next stretch of photos when the end comes into sight. Each stretch is a chunk that costs nothing off screen.
import { ask, card, el, shown } from "./common.js";

const more = document.getElementById("more");
const photos = document.getElementById("photos");
for (const select of document.querySelectorAll("form.filters select")) select.addEventListener("change", () => select.form.requestSubmit());
document.querySelector("form.filters")?.addEventListener("formdata", (event) => {
  for (const [name, value] of [...event.formData]) if (value === "") event.formData.delete(name);
});

async function next() {
  const { query, offset, by } = more.dataset;
  const answer = await ask(`/api/v1/gallery?${query}&offset=${offset}&limit=60`);
  photos.append(el("div", { class: "chunk" }, ...answer.photos.map((photo) => card(photo, by))));
  more.dataset.offset = Number(offset) + answer.photos.length;
  if (Number(more.dataset.offset) >= answer.n_photos || answer.photos.length === 0) return false;
  return true;
}

if (more) {
  let busy = false;
  const load = async () => {
    if (busy) return;
    busy = true;
    try {
      while (more.isConnected && more.getBoundingClientRect().top < innerHeight + 900) {
        if (!(await next())) more.remove();
      }
    } catch (error) {
      more.replaceWith(shown(error));
    }
    busy = false;
  };
  more.addEventListener("click", (event) => { event.preventDefault(); load(); });
  new IntersectionObserver(load, { rootMargin: "900px" }).observe(more);
}
