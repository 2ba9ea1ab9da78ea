// The player: what it holds, whether it had to wait, and what to do when it gives up.
"use strict";

const film = document.querySelector("video");
const waits = {count: 0, seconds: 0, since: null, began: false, settled: false, given_up: null};
const SETTLED = 1;  // seconds ahead

function ahead() {
  for (let n = 0; n < film.buffered.length; n++)
    if (film.buffered.start(n) <= film.currentTime + 0.1 && film.currentTime < film.buffered.end(n))
      return film.buffered.end(n) - film.currentTime;
  return 0;
}

function drawHeld() {
  if (!film.duration) return;
  const share = seconds => 100 * seconds / film.duration + "%";
  const parts = [];
  for (let n = 0; n < film.buffered.length; n++) {
    const held = element("i");
    held.style.left = share(film.buffered.start(n));
    held.style.width = share(film.buffered.end(n) - film.buffered.start(n));
    parts.push(held);
  }
  const now = element("b");
  now.style.left = share(film.currentTime);
  $("held").replaceChildren(...parts, now);
}

function drawFacts() {
  drawHeld();
  $("ahead").textContent = waits.began ? ahead().toFixed(1) + "\u202fs of film" : "–";
  const stops = $("stops");
  if (waits.given_up !== null) stops.textContent = "was cut";
  else if (waits.since !== null) stops.textContent = "waits for bytes";
  else if (!waits.began) stops.textContent = "is loading";
  else if (!waits.count) stops.textContent = "has not stopped once";
  else stops.textContent = `stopped ${waits.count}\u00d7, ${waits.seconds.toFixed(1)}\u202fs in all`;
  const bad = waits.since !== null || waits.given_up !== null;
  stops.className = bad ? "bad" : waits.began && !waits.count ? "good" : "";
}

// Loading is no stop: neither the first time nor after a click on the time line.
function stopped() {
  if (!waits.settled || waits.since !== null) return;
  waits.count += 1;
  waits.since = performance.now();
}
film.addEventListener("seeking", () => { waits.settled = false; });
film.addEventListener("timeupdate", () => {
  if (!film.seeking && ahead() > SETTLED) waits.settled = true;
});
film.addEventListener("waiting", () => {
  if (!film.seeking && !film.ended) stopped();
  drawFacts();
});
film.addEventListener("playing", () => {
  if (waits.since !== null) waits.seconds += (performance.now() - waits.since) / 1000;
  waits.began = true;
  waits.since = null;
  drawFacts();
});
film.addEventListener("error", () => {
  waits.given_up = film.currentTime;
  stopped();
  $("fault").hidden = false;
  $("fault").textContent = "The player gave up: with no mirror left, aprp cuts the response rather " +
    "than end it as if it were whole. Bring a mirror back, and the film plays on from here.";
  drawFacts();
});
for (const name of ["progress", "timeupdate", "seeked", "loadedmetadata"])
  film.addEventListener(name, drawFacts);

// Load the film again where it was cut, once there is someone to send it.
function playOn(mirrors) {
  if (waits.given_up === null || !mirrors.some(mirror => mirror.alive && mirror.rate)) return;
  const at = waits.given_up;
  waits.given_up = null;
  $("fault").hidden = true;
  film.load();
  film.currentTime = at;
  film.play().catch(() => {});  // where a page may not start films, its reader may
}
