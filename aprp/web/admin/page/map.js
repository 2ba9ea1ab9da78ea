// Drawing for any page: the map of a transfer's blocks, and the rates of the past minute. Colors are
// those of palette.css.
"use strict";

const DELIVERED = 1, WAITING = 2, IN_FLIGHT = 3, TWICE = 4;

function color(name) {
  return getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
}

function sourceColor(number) {
  return color("s" + (number % 8));
}

function clean(canvas) {
  const scale = window.devicePixelRatio || 1, box = canvas.getBoundingClientRect();
  const width = Math.round(box.width * scale), height = Math.round(box.height * scale);
  if (canvas.width !== width || canvas.height !== height) {
    canvas.width = width;
    canvas.height = height;
  }
  const pen = canvas.getContext("2d");
  pen.clearRect(0, 0, width, height);
  return [pen, width, height, scale];
}

function hatch(pen, x, y, width, height, scale) {
  pen.save();
  pen.beginPath();
  pen.rect(x, y, width, height);
  pen.clip();
  pen.globalAlpha = 0.25;
  pen.fillRect(x, y, width, height);
  pen.globalAlpha = 1;
  pen.lineWidth = 1.4 * scale;
  pen.strokeStyle = pen.fillStyle;
  pen.beginPath();
  const step = 5 * scale;
  for (let at = Math.floor((x - height) / step) * step; at < x + width; at += step) {
    pen.moveTo(at, y + height);
    pen.lineTo(at + height, y);
  }
  pen.stroke();
  pen.restore();
}

// `map` has start, stop and runs of [cells, state, source]; `colors` are those of its sources.
function drawMap(canvas, map, position, colors, detailed) {
  const [pen, width, height, scale] = clean(canvas);
  pen.fillStyle = color("empty");
  pen.fillRect(0, 0, width, height);
  const cells = map.runs.reduce((sum, run) => sum + run[0], 0) || 1;
  let cell = 0;
  for (const [count, state, source] of map.runs) {
    const x = Math.round(width * cell / cells);
    const wide = Math.round(width * (cell + count) / cells) - x;
    cell += count;
    const kind = state % TWICE;
    if (!kind && state < TWICE) continue;
    pen.fillStyle = source < 0 ? color("idle") : colors[source];
    if (kind === IN_FLIGHT && detailed) {
      hatch(pen, x, 0, wide, height, scale);
    } else if (kind) {
      pen.globalAlpha = kind === DELIVERED ? 0.45 : kind === IN_FLIGHT ? 0.25 : 1;
      pen.fillRect(x, 0, wide, height);
      pen.globalAlpha = 1;
    }
    if (state >= TWICE && detailed) {
      pen.fillStyle = color("bad");
      pen.fillRect(x, height - 4 * scale, wide, 4 * scale);
    }
  }
  const at = width * (position - map.start) / Math.max(1, map.stop - map.start);
  if (at >= 0 && at <= width) {
    pen.fillStyle = color("text");
    pen.fillRect(Math.min(width - 2 * scale, Math.max(0, at - scale)), 0, 2 * scale, height);
  }
}

// `history` are bytes a second, the latest last; `most` is the top of the scale.
function drawRates(canvas, history, most, line) {
  const [pen, width, height, scale] = clean(canvas);
  const step = width / 59, base = height - scale;
  pen.fillStyle = color("line");
  pen.fillRect(0, base, width, scale);
  if (!history.length || !most) return;
  const x = at => width - (history.length - 1 - at) * step;
  const y = rate => base - (base - 2 * scale) * Math.min(1, rate / most);
  pen.beginPath();
  history.forEach((rate, at) => at ? pen.lineTo(x(at), y(rate)) : pen.moveTo(x(at), y(rate)));
  pen.strokeStyle = pen.fillStyle = line;
  pen.lineWidth = 1.5 * scale;
  pen.lineJoin = "round";
  pen.stroke();
  pen.lineTo(width, base);
  pen.lineTo(x(0), base);
  pen.globalAlpha = 0.15;
  pen.fill();
  pen.globalAlpha = 1;
}
