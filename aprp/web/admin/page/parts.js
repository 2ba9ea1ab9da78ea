// For any page: elements, lists of them, and numbers in words.
"use strict";

const $ = id => document.getElementById(id);

function element(kind, name, text) {
  const made = document.createElement(kind);
  if (name) made.className = name;
  if (text !== undefined) made.textContent = text;
  return made;
}

function size(bytes) {
  if (bytes === null || bytes === undefined) return "–";
  const units = ["B", "kB", "MB", "GB", "TB"];
  let unit = 0;
  while (bytes >= 999.5 && unit < 4) { bytes /= 1000; unit += 1; }
  return (bytes >= 100 || !unit ? Math.round(bytes) : bytes.toFixed(1)) + "\u202f" + units[unit];
}

// Of memory, which is configured in these units.
function mib(bytes) {
  return bytes === null ? "–" : Math.round(bytes / 1048576) + "\u202fMiB";
}

const rate = bytes => bytes ? size(bytes) + "/s" : "–";

function time(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  return seconds < 1 ? (seconds * 1000).toFixed(seconds < 0.01 ? 1 : 0) + "\u202fms"
                     : seconds.toFixed(1) + "\u202fs";
}

function ago(seconds) {
  if (seconds < 90) return Math.max(0, Math.round(seconds)) + " s";
  return seconds < 5400 ? Math.round(seconds / 60) + " min" : Math.round(seconds / 3600) + " h";
}

// Have a child for each item, keep those that stay, and fill each.
function each(parent, items, key, make, fill) {
  const there = new Map(Array.from(parent.children, child => [child.dataset.key, child]));
  let before = null;
  for (const item of items) {
    const name = key(item);
    let child = there.get(name);
    there.delete(name);
    if (!child) {
      child = make(item);
      child.dataset.key = name;
    }
    const place = before ? before.nextSibling : parent.firstChild;
    if (child !== place) parent.insertBefore(child, place);
    fill(child, item);
    before = child;
  }
  for (const gone of there.values()) gone.remove();
}

function part(parent, kind, name, label) {
  const made = element(kind, name);
  if (label) made.dataset.label = label;
  parent.append(made);
  return made;
}
