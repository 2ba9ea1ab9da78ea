// What can be done from the page: drain a source, bring it back, reload the configuration.
"use strict";

// Execute a command. Returns its result and null, or null and what kept it from being executed.
async function command(name, sent) {
  try {
    const answer = await fetch("/" + name, {
      method: "POST", headers: {"Content-Type": "application/json"}, body: JSON.stringify(sent),
    });
    const said = await answer.text();
    if (answer.headers.get("Content-Type") !== "application/json") return [null, said.trim()];
    const told = JSON.parse(said);
    return answer.ok ? [told, null] : [null, told.error];
  } catch {
    return [null, "aprp doesn't answer"];
  }
}

const isDrained = source => source.out_of_service === "drained";

// The routes that a source alone still serves.
function routesWithout(name, routes) {
  const has = route => route.sources.some(one => one.source === name && one.state !== "out");
  return routes.filter(has).filter(route =>
    route.sources.every(one => one.source === name || one.state === "out")).map(one => one.path);
}

// A button that drains the row's source, or brings it back; `row.source` is the source as it was
// shown last. It stays pressed until the source is shown in its new state.
function makeSwitch(button, row, routes) {
  button.type = "button";
  button.addEventListener("click", async () => {
    const {source} = row.source, name = isDrained(row.source) ? "resume" : "drain";
    const left = name === "drain" ? routesWithout(source, routes()) : [];
    const question = "No other source is in service for " + left.join(" and ") +
      ": requests will get 503.\n\nDrain " + source + "?";
    if (left.length && !confirm(question)) return;
    row.wanted = name;
    row.refused = "";
    fillSwitch(button, row);
    const [, error] = await command(name, {source});
    if (error !== null) {
      row.wanted = null;
      row.refused = error;
    }
    fillSwitch(button, row);
  });
}

function fillSwitch(button, row) {
  const drained = isDrained(row.source);
  if (row.wanted === (drained ? "drain" : "resume")) row.wanted = null;
  button.disabled = Boolean(row.wanted);
  button.textContent = row.wanted ? row.wanted + "…" : drained ? "resume" : "drain";
  button.setAttribute("aria-label", button.textContent + " " + row.source.source);
}

// What is said of a source beside its numbers.
function remark(row) {
  const source = row.source, count = source.connections;
  if (row.refused) return row.refused;
  if (isDrained(source)) {
    return "gets no new requests" + (count ? "; " + count + " in flight end as usual" : "");
  }
  return source.out_of_service || (source.failures ? source.last_error : "") || "";
}

function makeReload(button, outcome) {
  button.addEventListener("click", async () => {
    button.disabled = true;
    outcome.textContent = "reloading…";
    const [told, error] = await command("reload", {});
    button.disabled = false;
    outcome.textContent = error === null ? told.message : error.split("\n")[0].replace(/:$/, "");
    outcome.className = error === null ? "" : "refused";
  });
}
