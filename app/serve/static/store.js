// Shows the page anew when a snapshot was published, or when a writer came or went.
import { ask } from "./common.js";

const live = document.getElementById("live");
setInterval(async () => {
  if (document.hidden) return;
  try {
    const now = await ask("/api/v1/store");
    if (now.snapshot_at !== live.dataset.at || (now.writer ?? "") !== live.dataset.writer) location.reload();
  } catch {
    // the server is away; the page stays as it was
  }
}, 4000);
