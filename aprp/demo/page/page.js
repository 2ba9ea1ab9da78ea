// The page: four snapshots a second from /demo/events; the map of the film, and what happens to it.
"use strict";

const CELLS = 600;  // of the map of the whole film
const fetched = new Array(CELLS).fill(-1);  // the mirror that sent each, -1 for none
const told = {mirrors: [], alive: [], request: null, latest: null, before: null};
let losses = [];  // blocks that killed mirrors had begun

for (const place of document.querySelectorAll(".here")) place.textContent = location.origin;

// Have each mirror's number, its source in aprp, and the top of the scale of rates.
function join(snapshot) {
  const route = snapshot.routes.find(each => each.path === "/films/");
  const sources = route ? route.sources : [];
  const of = port => sources.find(each => each.source.includes(":" + port + "/"));
  const most = Math.max(1, ...sources.flatMap(each => each.history));
  return snapshot.mirrors.map((mirror, number) =>
    ({...mirror, number, scale: most, source: of(mirror.port)}));
}

// Numbers of mirrors for those of a request's sources.
function numbersOf(request, mirrors) {
  return request.sources.map(name => mirrors.findIndex(each => name.includes(":" + each.port + "/")));
}

// Calls use(start, stop, state, mirror) for each run of a map, in bytes.
function runsOf(map, numbers, use) {
  const cells = map.runs.reduce((sum, run) => sum + run[0], 0) || 1;
  const step = (map.stop - map.start) / cells;
  let at = map.start;
  for (const [count, state, source] of map.runs) {
    use(at, at + count * step, state, source < 0 ? -1 : numbers[source]);
    at += count * step;
  }
}

function wholeFilm(requests, mirrors, complete) {
  const now = new Array(CELLS).fill(0);
  for (const request of requests) {
    if (request.whole.start === 0 && request.id !== told.request) fetched.fill(-1);
    if (request.whole.start === 0) told.request = request.id;
    runsOf(request.whole, numbersOf(request, mirrors), (start, stop, state, mirror) => {
      if (!state) return;
      const last = Math.ceil(stop / complete * CELLS);
      for (let cell = Math.floor(start / complete * CELLS); cell < last && cell < CELLS; cell++) {
        now[cell] = state;
        fetched[cell] = mirror;
      }
    });
  }
  return fetched.map((mirror, cell) => [1, mirror < 0 ? 0 : now[cell] || DELIVERED, mirror]);
}

// The map below, without its second half as long as that is empty.
function trimmed(map) {
  const cells = map.runs.reduce((sum, run) => sum + run[0], 0), [last, state] = map.runs.at(-1);
  const half = cells / 2;
  if (cells % 2 || state || last < half) return map;
  const runs = [...map.runs.slice(0, -1), [last - half, 0, -1]];
  return {start: map.start, stop: (map.start + map.stop) / 2, runs};
}

// Bytes a second that the film needs, 0 where that isn't known.
const rateOf = request => request && film.duration ? request.complete / film.duration : 0;

// Lines from the piece of the whole film to the map below that shows it larger.
function drawZoom(near, complete) {
  const [pen, width, height, scale] = clean($("zoom"));
  const left = width * near.start / complete, right = width * near.stop / complete;
  pen.fillStyle = color("empty");
  pen.beginPath();
  for (const [x, y] of [[left, 0], [right, 0], [width, height], [0, height]]) pen.lineTo(x, y);
  pen.fill();
  const above = $("whole").getContext("2d");
  above.strokeStyle = color("text");
  above.lineWidth = 1.5 * scale;
  above.strokeRect(left, 0.75 * scale, Math.max(3 * scale, right - left),
                   $("whole").height - 1.5 * scale);
}

function drawMaps(snapshot, mirrors) {
  const requests = snapshot.running.filter(each => each.whole && each.near);
  const request = requests.reduce(
    (found, each) => !found || each.seconds <= found.seconds ? each : found, null);
  if (request && request.id !== told.latest?.id)
    say(`The player requested the film from ${clock(request.whole.start / rateOf(request))} on.`);
  if (request) told.latest = request;
  const shown = told.latest, complete = shown && shown.complete;
  $("waiting").textContent = request ? size(request.waiting) : "–";
  if (!complete) return null;
  const tints = mirrors.map(each => sourceColor(each.number));
  const playing = film.duration ? film.currentTime / film.duration * complete : 0;
  const runs = wholeFilm(requests.filter(each => each.complete === complete), mirrors, complete);
  drawMap($("whole"), {start: 0, stop: complete, runs}, playing, tints, false);
  const numbers = numbersOf(shown, mirrors);
  const near = trimmed(shown.near);
  drawMap($("near"), near, shown.position, numbers.map(each => tints[each]), true);
  drawZoom(near, complete);
  return request;
}

function clock(seconds) {
  const at = Math.floor(seconds || 0);
  return Math.floor(at / 60) + ":" + String(at % 60).padStart(2, "0");
}

function say(text) {
  const item = element("li");
  item.append(element("time", "", clock(film.currentTime)), element("span", "", text));
  $("news").prepend(item);
  while ($("news").children.length > 3) $("news").lastChild.remove();
}

const letters = numbers => [...numbers].sort().map(number => "ABC"[number]).join(" and ");

// What a mirror had in flight in the last snapshot before it was killed.
function lossOf(number) {
  const begun = told.before;
  if (!begun) return null;
  const parts = [];
  runsOf(begun.near, begun.numbers, (start, stop, state, mirror) => {
    if (state % TWICE === IN_FLIGHT && mirror === number) parts.push([start, stop]);
  });
  const bytes = parts.reduce((sum, [start, stop]) => sum + stop - start, 0);
  return bytes ? {number, parts, bytes, by: new Set(), id: begun.id} : null;
}

function tellChanges(mirrors) {
  mirrors.forEach(({number, name, alive}) => {
    const before = told.alive[number];
    told.alive[number] = alive;
    if (before === undefined || before === alive) return;
    losses = losses.filter(loss => loss.number !== number);
    if (alive) return say(`Mirror ${name} is back.`);
    const loss = lossOf(number);
    if (loss) losses.push(loss);
    say(`Mirror ${name} was killed` + (loss ? `; ${size(loss.bytes)} that it had begun are missing.`
                                            : ", with nothing in flight."));
  });
}

// Who fetches what a killed mirror had begun: told when nothing of it is left unasked.
function tellTakenOver(request, numbers) {
  losses = losses.filter(loss => {
    if (!request || request.id !== loss.id) return false;
    let open = 0;
    runsOf(request.near, numbers, (start, stop, state, mirror) => {
      const middle = (start + stop) / 2;
      for (const [low, high] of loss.parts) {
        const shared = Math.min(high, stop) - Math.max(low, start);
        if (shared <= 0) continue;
        if (mirror >= 0 && mirror !== loss.number) loss.by.add(mirror);
        else if (state % TWICE === 0 || state % TWICE === IN_FLIGHT) open += shared;
      }
    });
    if (open > loss.bytes / 50) return true;
    if (loss.by.size) say(`${letters(loss.by)} took over what was missing of ${"ABC"[loss.number]}.`);
    return false;
  });
}

function show(snapshot) {
  $("state").textContent = "live";
  $("state").className = "pill good";
  const mirrors = told.mirrors = join(snapshot);
  const request = drawMaps(snapshot, mirrors);
  each($("mirrors"), mirrors, mirror => mirror.name, makeMirror, fillMirror);
  fillSupply(mirrors, rateOf(told.latest));
  tellChanges(mirrors);
  const numbers = request && numbersOf(request, mirrors);
  tellTakenOver(request, numbers);
  told.before = request && {id: request.id, near: request.near, numbers};
  playOn(mirrors);
  drawFacts();
}

const events = new EventSource("/demo/events");
events.onmessage = message => show(JSON.parse(message.data));
events.onerror = () => {
  $("state").textContent = "aprp doesn't answer";
  $("state").className = "pill bad";
};

// Without anybody: each mirror in turn is away for half of a time.
const TURN = 16000;
let turn = 0, next = 0;
function takeTurns() {
  clearTimeout(next);
  if (!$("auto").checked) return;
  const number = turn++ % told.mirrors.length;
  press(number, "kill");
  setTimeout(() => press(number, "revive"), TURN / 2);
  next = setTimeout(takeTurns, TURN);
}
$("auto").addEventListener("change", takeTurns);
