// The page: one snapshot a second from /events, put into the document as text.
"use strict";

const colors = new Map();  // by the name of a source

function colorOf(name) {
  if (!colors.has(name)) colors.set(name, colors.size);
  return sourceColor(colors.get(name));
}

function makeSource() {
  const row = element("div", "source"), name = part(row, "span", "name");
  row.parts = {
    dot: part(name, "i", "dot"), text: part(name, "span"),
    state: part(row, "span", "state"), spark: part(row, "canvas", "spark"),
    rate: part(row, "span", "num", "rate"), latency: part(row, "span", "num", "latency"),
    use: part(row, "span", "num", "conns / err"), share: part(row, "span", "num share", "share"),
    button: part(row, "button", "act"), said: part(row, "span", "said"),
  };
  makeSwitch(row.parts.button, row, () => latest.routes);
  return row;
}

function fillSource(row, source, most) {
  row.source = source;
  const p = row.parts, tint = colorOf(source.source);
  p.dot.style.background = tint;
  p.text.textContent = source.source === "-" ? "named by clients" : source.source;
  p.state.textContent = isDrained(source) ? "drained" : source.state;
  p.state.className = "state " + source.state;
  p.rate.textContent = rate(source.bytes_per_second);
  p.latency.textContent = time(source.latency);
  p.latency.title = source.http || "";
  const errors = Object.values(source.errors).reduce((sum, count) => sum + count, 0);
  p.use.textContent = source.connections + " / " + errors;
  p.use.title = Object.entries(source.errors).map(pair => pair.join(": ")).join(", ");
  p.share.replaceChildren(source.share === null ? "–" : Math.round(source.share * 100) + "%");
  const bar = part(p.share, "span", "bar"), filled = part(bar, "i");
  filled.style.width = 100 * (source.share || 0) + "%";
  filled.style.background = tint;
  p.button.hidden = source.source === "-";
  fillSwitch(p.button, row);
  p.said.textContent = remark(row);
  p.said.hidden = !p.said.textContent;
  drawRates(p.spark, source.history, most, tint);
}

function makeRoute() {
  const card = element("article", "card"), top = part(card, "div", "top");
  card.parts = {
    path: part(top, "h3"), kind: part(top, "small"), rate: part(top, "span", "rate"),
    sources: part(card, "div", "sources"),
  };
  const head = part(card.parts.sources, "div", "source head");
  head.dataset.key = "";
  const names = ["source", "state", "past minute", "rate", "latency", "conns / errors", "share", ""];
  names.forEach((text, at) => head.append(element("span", at > 2 ? "num" : "", text)));
  return card;
}

function fillRoute(card, route) {
  const p = card.parts, head = p.sources.firstChild;
  p.path.textContent = route.path;
  const served = route.requests + (route.requests === 1 ? " request" : " requests");
  p.kind.textContent = [route.kind, served, route.running + " running", size(route.sent) + " sent"]
    .join(" · ");
  p.rate.textContent = rate(route.bytes_per_second);
  const most = Math.max(1, ...route.sources.flatMap(source => source.history));
  each(p.sources, [{source: ""}, ...route.sources], source => source.source,
       makeSource, (row, source) => row === head || fillSource(row, source, most));
}

function makeWorker() {
  const row = element("div", "worker");
  row.parts = {
    name: part(row, "span", "name"), state: part(row, "span", "state"),
    age: part(row, "span", "num", "up for"), requests: part(row, "span", "num", "requests"),
    clients: part(row, "span", "num", "clients"), sources: part(row, "span", "num", "to sources"),
    memory: part(row, "span", "num", "memory"),
  };
  return row;
}

const WORKER_STATES = {serving: "ok", starting: "failing"};

function fillWorker(row, one) {
  const p = row.parts, count = number => number === null ? "–" : String(number);
  p.name.replaceChildren("worker " + one.number,
                         element("span", "quiet", one.pid ? "pid " + one.pid : ""));
  p.state.textContent = one.state;
  p.state.className = "state " + (WORKER_STATES[one.state] || "down");
  p.age.textContent = one.seconds === null ? "–" : ago(one.seconds);
  p.requests.textContent = count(one.requests);
  p.clients.textContent = count(one.clients);
  p.sources.textContent = count(one.connections);
  p.memory.textContent = mib(one.memory);
}

function showWorkers(told) {
  $("fleet").hidden = !told.workers;
  if (!told.workers) return;
  const died = told.worker_restarts;
  $("restarts").textContent = died ? died + (died === 1 ? " restart" : " restarts") : "";
  const head = $("workers").firstElementChild;
  each($("workers"), [{number: ""}, ...told.workers], one => String(one.number), makeWorker,
       (row, one) => row === head || fillWorker(row, one));
}

function makeTransfer() {
  const card = element("article", "card"), top = part(card, "div", "top");
  card.parts = {
    target: part(top, "h3"), client: part(top, "small"), rate: part(top, "span", "rate"),
    whole: part(card, "canvas", "whole"), near: part(card, "canvas", "near"),
    who: part(card, "div", "who"),
  };
  return card;
}

function fillTransfer(card, one) {
  const p = card.parts;
  p.target.textContent = one.target;
  p.client.textContent = [one.client, one.id, ago(one.seconds)].join(" · ");
  p.rate.textContent = rate(one.bytes_per_second);
  const tints = (one.sources || []).map(colorOf), total = one.total;
  p.whole.hidden = !one.whole;
  p.near.hidden = !one.near;
  if (one.whole) drawMap(p.whole, one.whole, one.position, tints, false);
  if (one.near) drawMap(p.near, one.near, one.position, tints, true);
  const said = [size(one.sent) + (total ? " of " + size(total) + ", " +
    Math.floor(100 * one.sent / total) + "%" : "")];
  if (one.spliced) said.push("moved by the kernel");
  if (one.near) {
    said.push(size(one.waiting) + " waiting", "window " + size(one.window));
    if (one.duplicates) said.push(size(one.duplicates) + " twice");
    if (one.resumes) said.push("resumed " + one.resumes + "\u00d7");
  }
  p.who.replaceChildren(element("span", "", said.join(" · ")));
  (one.received ? one.sources : []).forEach((name, at) => {
    if (!one.received[at]) return;
    const who = element("span", "quiet"), dot = part(who, "i", "dot");
    dot.style.background = tints[at];
    who.append(name.replace(/^https?:\/\//, "") + " " + size(one.received[at]));
    p.who.append(who);
  });
}

function fillBrief(line, one) {
  const done = one.total ? Math.floor(100 * one.sent / one.total) + "%" : size(one.sent);
  line.replaceChildren(element("span", "", one.target),
                       element("span", "quiet", done + " · " + rate(one.bytes_per_second)));
}

function fillProblem(item, problem, now) {
  const times = problem.count > 1 ? problem.count + " times, last " : "";
  const when = times + ago(now - Date.parse(problem.at) / 1000) + " ago";
  const where = [problem.route, when].filter(Boolean).join(" · ");
  item.replaceChildren(element("b", "", problem.problem), " ", element("small", "", where),
                       element("p", "", problem.advice));
}

let latest = null;

function problemsOf(told) {
  const reload = told.reload;
  if (!reload || reload.ok) return told.problems;
  const said = "A reload was refused, and the configuration before it is still in use";
  return [{problem: said, advice: reload.message, at: reload.at, count: 1}, ...told.problems];
}

// Streams on connections, of clients and to sources.
function streams(sides) {
  return ["clients", "sources"].map(side => sides[side].streams + " on " + sides[side].connections)
    .join(", ");
}

// What the cache holds, and how many requests it served whole.
function cached(cache) {
  if (!cache.usable) return "can't be used";
  const held = size(cache.used) + " of " + size(cache.size);
  return cache.requests ? held + ", " + Math.round(100 * cache.hits / cache.requests) + "% hits"
                        : held;
}

function show(told) {
  latest = told;
  $("version").textContent = told.version;
  const ready = !told.not_ready.length;
  $("state").textContent = ready ? "ready" : told.not_ready.join("; ");
  $("state").className = "pill " + (ready ? "good" : "bad");
  document.title = (ready ? "" : "! ") + location.host + " · aprp";
  const sending = told.routes.reduce((sum, route) => sum + route.bytes_per_second, 0);
  const totals = [["sending", rate(sending)], ["running", String(told.requests)],
    ["clients", String(told.clients)], ["HTTP/2", streams(told.http2)],
    ["waiting", mib(told.memory.held) + " of " + mib(told.memory.limit)],
    ["memory", mib(told.memory.resident)]];
  if (told.cache) totals.push(["cache", cached(told.cache)]);
  each($("totals"), totals, pair => pair[0], () => element("div"), (row, [name, value]) =>
    row.replaceChildren(element("dt", "", name), element("dd", "", value)));
  const problems = problemsOf(told);
  $("troubles").hidden = !problems.length;
  each($("problems"), problems, one => [one.route, one.source, one.kind].join("\n"),
       () => element("li"), (item, problem) => fillProblem(item, problem, told.at));
  showWorkers(told);
  each($("routes"), told.routes, route => route.path, makeRoute, fillRoute);
  $("count").textContent = told.requests || "none";
  $("legend").hidden = !told.running.some(one => one.near);
  each($("running"), told.running, one => one.id, makeTransfer, fillTransfer);
  each($("brief"), told.brief, one => one.id, () => element("div"), fillBrief);
  $("others").textContent = told.others ? "and " + told.others + " more" : "";
}

function watch() {
  const events = new EventSource("/events");
  events.onmessage = message => {
    document.body.classList.remove("stale");
    show(JSON.parse(message.data));
  };
  events.onerror = () => {
    document.body.classList.add("stale");
    $("state").textContent = "aprp doesn't answer";
    $("state").className = "pill bad";
    if (events.readyState === EventSource.CLOSED) setTimeout(watch, 5000);
  };
}

makeReload($("reload"), $("outcome"));
watch();
