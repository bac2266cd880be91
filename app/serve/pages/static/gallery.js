// Load the next chunk of photos near the end of the page. Chunks far off screen are emptied and loaded again when they
// come near, so that the page holds only some hundreds of cards.
import { ask, card, el, shown } from "./common.js";

const more = document.getElementById("more");
const photos = document.getElementById("photos");
for (const select of document.querySelectorAll("form.filters select")) select.addEventListener("change", () => select.form.requestSubmit());
document.querySelector("form.filters")?.addEventListener("formdata", (event) => {
  for (const [name, value] of [...event.formData]) if (value === "") event.formData.delete(name);
});

const near = new IntersectionObserver((seen) => {
  for (const { target, isIntersecting } of seen) isIntersecting ? fill(target) : clear(target);
}, { rootMargin: "4000px 0px" });

async function fetched(offset) {
  return ask(`/api/v1/gallery?${more.dataset.query}&offset=${offset}&limit=60`);
}

function cards(photos) {
  return photos.map((photo) => card(photo, more.dataset.by));
}

function clear(chunk) {
  if (chunk.childElementCount === 0 || chunk.contains(document.activeElement)) return;
  chunk.style.height = `${chunk.offsetHeight}px`;
  chunk.replaceChildren();
}

async function fill(chunk) {
  if (chunk.childElementCount > 0 || chunk.dataset.busy) return;
  chunk.dataset.busy = "true";
  try {
    const { photos } = await fetched(chunk.dataset.offset);
    chunk.replaceChildren(...cards(photos));
    chunk.style.height = "";
  } catch {
    // the server does not answer; the next scroll to this chunk tries again
  }
  delete chunk.dataset.busy;
}

async function next() {
  const offset = Number(more.dataset.offset);
  const answer = await fetched(offset);
  const chunk = el("div", { class: "chunk", "data-offset": offset }, ...cards(answer.photos));
  photos.append(chunk);
  near.observe(chunk);
  more.dataset.offset = offset + answer.photos.length;
  return offset + answer.photos.length < answer.n_photos && answer.photos.length > 0;
}

if (more) {
  near.observe(photos.firstElementChild);
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
