// Show the description of the API with a form to try each endpoint.
import { ask, el, shown } from "./common.js";

const place = document.getElementById("api");

function tried(path, method, told) {
  const body = told.requestBody?.content["application/json"]?.schema;
  const form = told.requestBody?.content["multipart/form-data"];
  const inputs = (told.parameters ?? []).map((one) => [one, el("input", { name: one.name, placeholder: String(one.schema.default ?? one.schema.enum?.join(" | ") ?? "") })]);
  const text = body ? el("textarea", { class: "mono", "aria-label": "Body" }, JSON.stringify(body.example ?? sample(body), null, 1)) : null;
  const file = form ? el("input", { type: "file", "aria-label": "image", accept: "image/*" }) : null;
  const out = el("pre", { hidden: true, tabindex: 0, role: "region", "aria-label": "Answer" });
  const send = async () => {
    let address = `/api/v1${path}`;
    const query = new URLSearchParams();
    for (const [one, input] of inputs) {
      if (one.in === "path") address = address.replace(`{${one.name}}`, encodeURIComponent(input.value));
      else if (input.value) query.set(one.name, input.value);
    }
    const options = { method: method.toUpperCase() };
    if (file?.files[0]) { options.body = new FormData(); options.body.append("image", file.files[0]); }
    else if (text) Object.assign(options, { body: text.value, headers: { "Content-Type": "application/json" } });
    const answer = await fetch(`${address}${query.size ? `?${query}` : ""}`, options);
    const said = await answer.text();
    out.hidden = false;
    out.textContent = `${answer.status}\n${said.startsWith("{") ? JSON.stringify(JSON.parse(said), null, 1).slice(0, 20000) : said.slice(0, 20000)}`;
  };
  const codes = Object.entries(told.responses).map(([status, one]) => el("li", {}, el("b", {}, status), ` ${one.description}`));
  return el("details", {}, el("summary", {}, el("span", { class: "verb" }, method.toUpperCase()), el("code", {}, path), ` ${told.summary}`),
    ...inputs.map(([one, input]) => el("p", {}, el("label", { class: "field" }, el("span", {}, one.name + (one.required ? " (needed)" : "")), input))),
    text, file ? el("p", {}, file) : null, el("p", {}, el("button", { class: "first", on: { click: send } }, "Send")), out, el("ul", { class: "dim" }, ...codes));
}

function sample(schema) {
  if (schema.type === "array") return [sample(schema.items)];
  if (schema.type !== "object") return schema.default ?? (schema.type === "integer" ? 1 : "");
  return Object.fromEntries(schema.required.map((name) => [name, sample(schema.properties[name])]));
}

try {
  const { paths } = await ask("/api/openapi.json");
  for (const [path, methods] of Object.entries(paths)) for (const [method, told] of Object.entries(methods)) place.append(tried(path, method, told));
} catch (error) {
  place.append(shown(error));
}
