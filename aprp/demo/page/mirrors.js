// The mirrors: their speeds, and the buttons. What is pressed goes to /demo/mirrors/ by POST.
"use strict";

async function press(number, verb, body) {
  let said = "";
  try {
    const answer = await fetch(`/demo/mirrors/${number}/${verb}`, {method: "POST", body});
    if (!answer.ok) said = (await answer.text()).trim() || "the answer was " + answer.status;
  } catch {
    said = "aprp doesn't answer; is the demo still running?";
  }
  $("fault").hidden = !said;
  $("fault").textContent = said && `Mirror ${"ABC"[number]}: ${said}`;
}

function makeMirror(mirror) {
  const card = element("article", "card mirror"), top = part(card, "div", "top");
  const p = card.parts = {
    name: part(top, "h2"), says: part(top, "span", "says"), rate: part(top, "span", "rate"),
    spark: part(card, "canvas", "spark"),
  };
  const set = part(card, "div", "set");
  Object.assign(p, {
    slider: part(set, "input"), most: part(set, "output"), button: part(set, "button"),
  });
  const number = mirror.number, tint = `var(--s${number})`;
  card.style.setProperty("--tint", tint);
  p.name.textContent = "Mirror " + mirror.name;
  p.slider.type = "range";
  p.slider.min = 0;
  p.slider.max = mirror.most;
  p.slider.step = 50000;
  p.slider.setAttribute("aria-label", `Speed of mirror ${mirror.name}, bytes a second`);
  p.slider.addEventListener("input", () => changeRate(card, number));
  p.button.addEventListener("click", async () => {
    p.button.disabled = true;
    await press(number, card.alive ? "kill" : "revive");
    p.button.disabled = false;
  });
  return card;
}

// One request at a time; what was set meanwhile is sent after it.
async function changeRate(card, number) {
  showRate(card.parts);
  if (card.changing) return;
  card.changing = true;
  let sent;
  while (sent !== card.parts.slider.value) {
    sent = card.parts.slider.value;
    await press(number, "rate", sent);
  }
  card.changing = false;
}

function showRate({slider, most}) {
  const value = Number(slider.value);
  slider.style.setProperty("--part", 100 * value / slider.max + "%");
  most.textContent = value ? "up to " + rate(value) : "sends nothing";
}

function fillMirror(card, mirror) {
  const p = card.parts, source = mirror.source;
  card.alive = mirror.alive;
  card.classList.toggle("dead", !mirror.alive);
  p.says.textContent = mirror.alive
    ? `port ${mirror.port}, ${mirror.connections} connection${mirror.connections === 1 ? "" : "s"}`
    : "killed: port closed, connections reset";
  p.rate.textContent = rate(mirror.alive && source ? source.bytes_per_second : 0);
  p.button.textContent = mirror.alive ? "Kill" : "Bring back";
  p.button.setAttribute("aria-label", `${p.button.textContent} mirror ${mirror.name}`);
  if (!card.changing) {
    p.slider.value = mirror.rate;
    showRate(p);
  }
  drawRates(p.spark, source ? source.history : [], mirror.scale, sourceColor(mirror.number));
}

// What the mirrors that live can send together, beside what the film needs.
function fillSupply(mirrors, need) {
  const alive = mirrors.filter(mirror => mirror.alive);
  const sum = alive.reduce((total, mirror) => total + mirror.rate, 0);
  const scale = Math.max(1, need * 1.4, mirrors.reduce((total, mirror) => total + mirror.rate, 0));
  each($("shares"), mirrors, mirror => String(mirror.number), () => element("span"),
       (share, mirror) => {
         share.style.background = sourceColor(mirror.number);
         share.style.width = 100 * (mirror.alive ? mirror.rate : 0) / scale + "%";
       });
  $("need").hidden = !need;
  $("need").style.left = 100 * need / scale + "%";
  $("sum").textContent = sum ? "up to " + rate(sum) : "nothing";
  if (!need) return;
  const enough = sum >= need;
  $("verdict").className = enough ? "" : "bad";
  $("verdict").textContent = `The film needs ${rate(need)} (the mark)` + (enough
    ? "; this is enough."
    : sum ? "; this is less. It will wait when the player has used up what it holds."
          : ". With no mirror left, aprp waits 30 s before it cuts the response.");
}
