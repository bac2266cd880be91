// Lineage page: show the node of the page in the middle of the graph, and the lines of the node under the pointer.
const graph = document.getElementById("graph");

function light(box, on) {
  for (const line of graph.querySelectorAll(`[data-from="${box.dataset.box}"], [data-to="${box.dataset.box}"]`)) line.classList.toggle("lit", on);
}

if (graph) {
  const root = graph.querySelector("[aria-current] rect");
  if (root) {
    graph.scrollLeft = Number(root.getAttribute("x")) - (graph.clientWidth - Number(root.getAttribute("width"))) / 2;
    graph.scrollTop = Number(root.getAttribute("y")) - (graph.clientHeight - Number(root.getAttribute("height"))) / 2;
  }
  for (const [begin, end] of [["pointerover", "pointerout"], ["focusin", "focusout"]]) {
    graph.addEventListener(begin, (event) => { const box = event.target.closest("[data-box]"); if (box) light(box, true); });
    graph.addEventListener(end, (event) => { const box = event.target.closest("[data-box]"); if (box) light(box, false); });
  }
}
