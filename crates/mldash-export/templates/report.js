// Draws the views of a report into its page. What can be said in words, the page has already; `show(data)` takes one document
// of numbers (crates/mldash-export/src/report/document.rs), and may be called again with a newer one: zoom and cursor stay.
// Texts only ever become text nodes, and nothing is asked of anybody.
"use strict";

const GUTTER = 54, BOTTOM = 16, PALETTE = 8, DAY = 86400;
// From, to and cursor are seconds on the axis that all plots share; `base` is the time of day at its 0, if it has one.
const state = { from: 0, to: 1, cursor: 0, length: 1, base: null, selection: null };
let views = [], readers = [], frame = 0, theme = null;

// ---- Elements and texts ---------------------------------------------------------------------------------------------

/** An element with properties and children; texts become text nodes. */
function el(tag, properties, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children.flat(Infinity));
  return element;
}

/** A view with its title. `about` is a text, or an element that has one. */
function figure(title, about, view, kind = "") {
  return el("figure", { className: kind }, el("figcaption", {}, el("b", {}, title), about), view);
}

function number(value) {
  if (!Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  return size !== 0 && (size >= 1e7 || size < 1e-4) ? value.toExponential(3) : String(Number(value.toPrecision(6)));
}

const count = (n) => n.toLocaleString("en"), clamp = (value, low, high) => Math.min(Math.max(value, low), high);

function seconds(secs) {
  const [factor, unit] = Math.abs(secs) < 1e-3 ? [1e6, "µs"] : Math.abs(secs) < 1 ? [1e3, "ms"] : [1, "s"];
  return `${Number((secs * factor).toPrecision(3))} ${unit}`;
}

/** A time of the shared axis: of day in UTC where there is one (with the day, if it is of several), else since the beginning. */
function clock(time, digits) {
  // Rounded first: 59.9996 s is a minute, not 0:60.000. What is after the year 9999 has no date.
  const date = state.base !== null && state.base + time < 253402300000 && new Date(Math.round((state.base + time) * 1000));
  if (date) return date.toISOString().slice(state.length > DAY ? 5 : 11, digits ? 20 + digits : 19).replace("T", " ");
  const round = Number(time.toFixed(digits)), hours = Math.floor(round / 3600), minutes = Math.floor(round / 60) % 60;
  const rest = (round % 60).toFixed(digits);
  return `${hours ? `${hours}:` : ""}${String(minutes).padStart(hours ? 2 : 1, "0")}:${rest.padStart(digits ? digits + 3 : 2, "0")}`;
}

// ---- Numbers out of the document ------------------------------------------------------------------------------------

function decode(text, Type) {
  if (Uint8Array.fromBase64) return new Type(Uint8Array.fromBase64(text).buffer);
  const raw = atob(text), out = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i += 1) out[i] = raw.charCodeAt(i);
  return new Type(out.buffer);
}

const shifted = (track, times) => decode(times, Float64Array).map((secs) => secs + track.offset);

/** The points of a track, decoded when they are first drawn. Times are those of the shared axis. */
function points(track) {
  if (track.points) return track.points;
  const times = shifted(track, track.times), ends = track.ends ? shifted(track, track.ends) : times;
  const gap = track.interval ? Math.max(5 * track.interval.median, 0.05) : Infinity;
  return (track.points = { times, ends, gap });
}

function curve(series) {
  const low = series.curve ? series.curve.low : decode(series.low, Float32Array);
  series.curve ||= { low, high: series.high ? decode(series.high, Float32Array) : low };
  return series.curve;
}

/** The place of the last item at or before `time`; -1 if there is none. */
function floor(times, time) {
  let low = 0, high = times.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (times[middle] <= time) low = middle + 1; else high = middle;
  }
  return low - 1;
}

/** The points that a view from `from` to `to` needs, with one on either side. */
function range(times, from, to) {
  return [Math.max(0, floor(times, from)), Math.min(times.length - 1, floor(times, to) + 1)];
}

// ---- Drawing --------------------------------------------------------------------------------------------------------

const sizes = new ResizeObserver((entries) => entries.forEach((entry) => fit(entry.target)));
const seen = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) target.view.isSeen = isIntersecting;
  refresh();
}, { rootMargin: "200px" });

function fit(canvas) {
  const [width, height] = [canvas.clientWidth, canvas.clientHeight].map((side) => Math.round(side * devicePixelRatio));
  if (canvas.width === width && canvas.height === height) return;
  Object.assign(canvas, { width, height });
  canvas.view.isStale = true;
  refresh();
}

/** A canvas that `draw` fills whenever something has changed. */
function canvas(kind, label, draw) {
  const element = el("canvas", { className: kind, role: "img", ariaLabel: label, tabIndex: kind.startsWith("time") ? 0 : -1 });
  element.view = { element, draw, isSeen: false, isStale: true };
  views.push(element.view);
  sizes.observe(element);
  seen.observe(element);
  return element;
}

const refresh = () => { frame ||= requestAnimationFrame(drawAll); };
const changed = () => { views.forEach((view) => { view.isStale = true; }); refresh(); };

function drawAll() {
  frame = 0;
  if (!theme) {
    const style = getComputedStyle(document.documentElement), color = (name) => style.getPropertyValue(`--${name}`).trim();
    theme = Object.fromEntries(["text", "muted", "line", "accent", "soft", "bad", "gap", "select", "card"].map((n) => [n, color(n)]));
    theme.series = Array.from({ length: PALETTE }, (_, i) => color(`series-${i}`));
  }
  for (const view of views) {
    const { width, height, clientWidth, clientHeight } = view.element;
    if (!view.isSeen || !view.isStale || !width || !height) continue;
    const g = view.element.getContext("2d");
    g.setTransform(width / clientWidth, 0, 0, height / clientHeight, 0, 0);
    g.clearRect(0, 0, clientWidth, clientHeight);
    g.font = "11px system-ui, sans-serif";
    view.isStale = false;
    view.draw(g, clientWidth, clientHeight);
    view.read?.();
  }
  readers.forEach((read) => read());
}

function dot(g, x, y, radius, color) {
  g.fillStyle = color;
  g.beginPath();
  g.arc(x, y, radius, 0, 7);
  g.fill();
}

const left = (width) => (width < 480 ? 40 : GUTTER);
const toX = (width) => (time) => left(width) + (time - state.from) / (state.to - state.from) * (width - left(width));
// The multiples of `each` in a range; never many, also where they are so large that a float can't count them.
const multiples = (low, high, each, first = Math.ceil(low / each)) =>
  Array.from({ length: clamp(Math.floor(high / each) - first + 1, 0, 100) || 0 }, (_, i) => (first + i) * each);
const toTime = (x, width) => state.from + (x - left(width)) / (width - left(width)) * (state.to - state.from);

/** Round steps of which about `wanted` fit into `span`. */
function step(span, wanted) {
  const rough = span / wanted, unit = 10 ** Math.floor(Math.log10(rough));
  return unit * ([1, 2, 5].find((n) => n * unit >= rough) || 10);
}

function timeAxis(g, width, height) {
  const rough = (state.to - state.from) / ((width - left(width)) / (state.length > DAY ? 140 : 100));
  const nice = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21600, 43200, 86400];
  const x = toX(width), each = rough < 1 ? step(rough, 1) : nice.find((n) => n >= rough) || rough;
  const align = state.base === null ? 0 : state.base % each;
  Object.assign(g, { strokeStyle: theme.line, fillStyle: theme.muted, textAlign: "center" });
  g.beginPath();
  for (const time of multiples(state.from + align, state.to + align, each).map((tick) => tick - align)) {
    g.moveTo(x(time), 0);
    g.lineTo(x(time), height - BOTTOM);
    const digits = each >= 1 ? 0 : Math.min(3, Math.ceil(-Math.log10(each)));
    const half = g.measureText(clock(time, digits)).width / 2;
    if (x(time) > half && x(time) + half < width) g.fillText(clock(time, digits), x(time), height - 4);
  }
  g.stroke();
}

function valueAxis(g, width, height, [low, high]) {
  const y = (value) => height - BOTTOM - 4 - (value - low) / (high - low) * (height - BOTTOM - 10);
  const each = step(high - low, Math.max(3, height / 40));
  Object.assign(g, { strokeStyle: theme.line, fillStyle: theme.muted, textAlign: "right" });
  g.beginPath();
  for (const value of multiples(low, high, each)) {
    g.moveTo(left(width), y(value));
    g.lineTo(width, y(value));
    g.fillText(number(Number(value.toPrecision(12))), left(width) - 5, y(value) + 4);
  }
  g.stroke();
  return y;
}

function cursorLine(g, width, height) {
  const x = toX(width)(state.cursor);
  g.fillStyle = theme.text;
  if (x >= left(width)) g.fillRect(x - 0.5, 0, 1, height - BOTTOM);
  if (state.selection) {
    const [from, to] = state.selection.map(toX(width));
    g.fillStyle = theme.select;
    g.fillRect(from, 0, to - from, height - BOTTOM);
  }
}

const gaps = (track) => (track.interval ? track.interval.gaps : []).map((gap) => gap.map((secs) => secs + track.offset));
const jumps = (track) => track.jumps.map((jump) => jump.map((secs) => secs + track.offset));

/** A plot over the shared axis. `ends` says from where to where its values go, if it has a scale. */
function timePlot(kind, label, tracks, ends, draw) {
  return canvas(`time ${kind}`, label, (g, width, height) => {
    const x = toX(width);
    timeAxis(g, width, height);
    const y = ends && valueAxis(g, width, height, ends(width - left(width)));
    g.save();
    g.beginPath();
    g.rect(left(width), 0, width, height - BOTTOM);
    g.clip();
    g.fillStyle = theme.gap;
    for (const [from, to] of tracks.flatMap(gaps)) g.fillRect(x(from), 0, x(to) - x(from), height);
    draw(g, x, y, width, height - BOTTOM);
    g.restore();
    cursorLine(g, width, height);
  });
}

/** The smallest and largest value of curves within the view, with some room. */
function extent(curves) {
  let low = Infinity, high = -Infinity;
  for (const { track, series } of curves) {
    const { times } = points(track), { low: lows, high: highs } = curve(series);
    const [first, last] = range(times, state.from, state.to);
    for (let i = first; i <= last; i += 1) {
      const least = lows[i] + series.base, most = highs[i] + series.base;
      if (least < low) low = least;
      if (most > high) high = most;
    }
  }
  if (low > high) return [0, 1];
  const room = high > low ? (high - low) * 0.06 : Math.abs(high) * 0.05 || 1;
  return [low - room, high + room];
}

/** One curve: a line through the smallest and the largest value of each point, so that no spike is lost. */
function drawCurve(g, x, y, { track, series, color }) {
  const { times, ends, gap } = points(track), { low, high } = curve(series);
  const [first, last] = range(times, state.from, state.to), hasDots = last - first < 80;
  Object.assign(g, { strokeStyle: theme.series[color], fillStyle: theme.series[color], lineWidth: 1.4, lineJoin: "round" });
  g.beginPath();
  let isDown = false;
  for (let i = first; i <= last; i += 1) {
    if (Number.isNaN(low[i])) { isDown = false; continue; }
    const at = x(times[i]), top = y(high[i] + series.base), bottom = y(low[i] + series.base);
    if (isDown && times[i] - ends[i - 1] <= gap) g.lineTo(at, bottom); else g.moveTo(at, bottom);
    g.lineTo(at, top === bottom ? bottom + 0.01 : top);
    if (hasDots) g.fillRect(at - 1.5, bottom - 1.5, 3, 3);
    isDown = true;
  }
  g.stroke();
  g.lineWidth = 1;
}

// ---- Views ----------------------------------------------------------------------------------------------------------

/** Rows a second, from the points' times. */
function rates(track, width) {
  const { times, ends } = points(track), each = track.rowsPerPoint;
  const rowsUntil = (time) => {
    const i = floor(times, time);
    if (i < 0) return 0;
    const rows = i === times.length - 1 ? track.rows - i * each : each;
    const part = ends[i] > times[i] ? Math.min(1, (time - times[i]) / (ends[i] - times[i])) : 1;
    return i * each + rows * part;
  };
  const usual = track.interval ? track.interval.median : 1, span = state.to - state.from;
  const bins = clamp(Math.floor(span / (8 * usual)) || 4, 4, Math.floor(width / 4)), secs = span / bins;
  let before = rowsUntil(state.from - 1e-9);
  return Array.from({ length: bins }, (_, i) => {
    const until = rowsUntil(state.from + secs * (i + 1)), rate = (until - before) / secs;
    before = until;
    return rate;
  });
}

function rateView(track) {
  let bins = [];
  const ends = (width) => [0, Math.max(...(bins = rates(track, width))) * 1.15 || 1];
  return timePlot("rate", `rate of ${track.topic} over time`, [track], ends, (g, x, y, width) => {
    const wide = (width - left(width)) / bins.length;
    g.fillStyle = theme.accent;
    bins.forEach((rate, i) => g.fillRect(left(width) + i * wide, y(rate), wide + 0.5, y(0) - y(rate)));
  });
}

/** Curves of one column over time. `group` has those of all experiments, which share their scale. */
function curvesView(track, column, curves, group) {
  const plot = timePlot("", `${column} of ${track.topic} over time`, [track], () => extent(group),
    (g, x, y) => curves.forEach((one) => drawCurve(g, x, y, one)));
  const values = curves.map(() => el("output", {}));
  plot.view.read = () => curves.forEach((one, i) => { values[i].textContent = valueAt(one); });
  const keys = curves.map(({ color, series: { element, mean, nonFinite } }, i) => {
    const title = `mean ${number(mean ?? NaN)}${nonFinite ? `, ${count(nonFinite)} NaN or infinite` : ""}`;
    return el("span", { className: `key series-${color}`, title }, element === null ? "" : `${element} `, values[i]);
  });
  return figure(column, el("span", { className: "keys" }, keys), plot);
}

/** What a curve shows at the cursor: a value, or the smallest and largest of the rows that a point stands for. */
function valueAt({ track, series }) {
  const { times, ends, gap } = points(track), { low, high } = curve(series), i = floor(times, state.cursor);
  if (i < 0 || Number.isNaN(low[i]) || state.cursor - ends[i] > gap) return "–";
  const [least, most] = [number(low[i] + series.base), number(high[i] + series.base)];
  return least === most ? least : `${least} … ${most}`;
}

function textsView(track) {
  return el("dl", { className: "texts" }, track.texts.map(({ column, kept, changes }) => {
    const times = kept.map(([secs]) => secs + track.offset), text = el("dd", {});
    readers.push(() => { text.textContent = kept[floor(times, state.cursor)]?.[1] ?? "–"; });
    return [el("dt", { title: `${count(changes)} times another text` }, column), text];
  }));
}

function histogramView(title, { histogram, median, p99 }) {
  const { from, width: each, counts, below, above } = histogram, to = from + each * counts.length;
  const element = canvas("square small", `${title}: median ${seconds(median)}`, (g, width, height) => {
    const most = Math.max(...counts) || 1, wide = width / counts.length, bottom = height - BOTTOM;
    const tall = (n) => n && Math.max(1, n / most * (bottom - 4));
    g.fillStyle = theme.accent;
    counts.forEach((n, i) => g.fillRect(i * wide, bottom - tall(n), Math.max(1, wide - 0.5), tall(n)));
    g.fillStyle = theme.text;
    g.fillRect((median - from) / (to - from) * width, 0, 1, bottom);
    Object.assign(g, { fillStyle: theme.muted, textAlign: "left" });
    g.fillText(seconds(from), 0, height - 4);
    g.textAlign = "right";
    g.fillText(seconds(to), width, height - 4);
  });
  const about = `median ${seconds(median)}, 99 % within ${seconds(p99)}, ${count(Math.round(below + above))} beyond`;
  return figure(title, about, element, "side");
}

function pathView(track) {
  const { column } = track.path;
  const element = canvas("square", `path of ${track.topic} in the plane`, (g, width, height) => {
    track.path.xy ||= [decode(track.path.x, Float32Array), decode(track.path.y, Float32Array)];
    const { times } = points(track), [xs, ys] = track.path.xy;
    const [west, east, south, north] = [xs, ys].flatMap((values) => {
      const finite = values.filter(Number.isFinite);
      return [Math.min(...finite), Math.max(...finite)];
    });
    const scale = Math.min((width - 24) / (east - west || 1), (height - 34) / (north - south || 1));
    const x = (value) => width / 2 + (value - (west + east) / 2) * scale;
    const y = (value) => (height - 10) / 2 - (value - (south + north) / 2) * scale;
    const line = (first, last, color) => {
      g.strokeStyle = color;
      g.beginPath();
      for (let i = first; i <= last; i += 1) if (!Number.isNaN(xs[i])) g.lineTo(x(xs[i]), y(ys[i]));
      g.stroke();
    };
    g.lineWidth = 2;
    line(0, xs.length - 1, theme.line);
    line(...range(times, state.from, state.to), theme.accent);
    const at = Math.max(0, floor(times, state.cursor));
    dot(g, x(xs[at]), y(ys[at]), 5, theme.bad);
    scaleBar(g, height, scale);
  });
  return figure("path", `x and y of ${column}`, element, "side");
}

function scaleBar(g, height, scale) {
  const metres = step(80 / scale * 2, 2);
  Object.assign(g, { fillStyle: theme.muted, textAlign: "left" });
  g.fillRect(8, height - 8, metres * scale, 2);
  g.fillText(`${number(metres)} m`, 8, height - 13);
}

function scansView(track) {
  const { firstAngle, angleStep, beams, maxRange, usualRange } = track.scans, about = el("span", {});
  const times = shifted(track, track.scans.times);
  let ranges = null;
  const element = canvas("square", `scans of ${track.topic} at the cursor's time`, (g, width, height) => {
    ranges ||= decode(track.scans.ranges, Uint16Array);
    const at = Math.max(0, floor(times, state.cursor)), scale = (Math.min(width, height) / 2 - 6) / (usualRange || 1);
    const [middle, centre] = [width / 2, height / 2];
    about.textContent = `${clock(times[at], 2)}; ${count(times.length)} of ${count(track.rows)}`;
    for (const part of [1, 0.66, 0.33]) {
      dot(g, middle, centre, usualRange * scale * part, theme.line);
      dot(g, middle, centre, usualRange * scale * part - 1, theme.card);
    }
    g.fillStyle = theme.accent;
    for (let beam = 0; beam < beams; beam += 1) {
      const range = ranges[at * beams + beam];
      if (range === 65535) continue;
      // Ahead is up, left is left.
      const angle = firstAngle + angleStep * beam, far = range / 65534 * maxRange * scale;
      g.fillRect(middle - Math.sin(angle) * far - 1.25, centre - Math.cos(angle) * far - 1.25, 2.5, 2.5);
    }
    dot(g, middle, centre, 4, theme.bad);
    scaleBar(g, height, scale);
  });
  return figure("scan", about, element, "side");
}

function picturesView(track) {
  const times = shifted(track, track.pictures.times);
  const { files } = track.pictures, images = [], large = el("img", { alt: "" }), about = el("span", {});
  const source = (i) => `data:image/jpeg;base64,${files[i]}`;
  const image = (i) => (images[i] ||= el("img", { src: source(i), onload: changed }));
  const strip = timePlot("strip", `pictures of ${track.topic} along the time axis`, [], null, (g, x, y, width, height) => {
    const [first, last] = range(times, state.from, state.to);
    for (let i = first, free = -Infinity; i <= last; i += 1) {
      if (x(times[i]) < free || x(times[i]) > width) continue;
      const { naturalWidth, naturalHeight } = image(i), wide = naturalWidth ? height * naturalWidth / naturalHeight : height * 4 / 3;
      if (naturalWidth) g.drawImage(images[i], x(times[i]), 0, wide, height);
      free = x(times[i]) + wide + 2;
    }
  });
  readers.push(() => {
    const i = Math.max(0, floor(times, state.cursor)), alt = `picture of ${track.topic} at ${clock(times[i], 2)}`;
    if (alt !== large.alt) Object.assign(large, { alt, src: source(i) });
    about.textContent = `${clock(times[i], 2)}; ${count(files.length)} of ${count(track.rows)}`;
  });
  return [figure("pictures", "", strip), figure("picture", about, el("div", { className: "square" }, large), "side")];
}

/** All tracks of an experiment, one above the other: where there are rows, where there are none, and what cuts their time. */
function timelineView({ name, tracks, marks, offset }) {
  const label = `timeline of the ${tracks.length} tracks of ${name}`, cuts = marks.map(([secs, text]) => [secs + offset, text]);
  const plot = timePlot("timeline", label, [], null, (g, x, y, width, height) => {
    tracks.forEach((track, i) => {
      const { times, ends } = points(track), isRegular = track.interval && track.interval.isRegular;
      const bar = (from, to, color, top, tall) => {
        g.fillStyle = color;
        g.fillRect(x(from), i * 28 + top, Math.max(1.5, x(to) - x(from)), tall);
      };
      bar(times[0], ends[ends.length - 1], isRegular ? theme.accent : theme.soft, 15, 10);
      if (!isRegular) times.forEach((time, p) => bar(time, ends[p], theme.accent, 15, 10));
      for (const [from, to] of gaps(track)) [[theme.card, 15, 10], [theme.bad, 19, 2]].forEach((one) => bar(from, to, ...one));
      // From the later time, at which it was set back, to the earlier one.
      for (const [from, to] of jumps(track)) [[to, from, 25, 2], [to, to, 13, 14], [from, from, 13, 14]].forEach(
        ([begin, end, top, tall]) => bar(begin, end, theme.series[3], top, tall));
      Object.assign(g, { fillStyle: theme.text, textAlign: "left" });
      g.fillText(track.topic + (track.clockJumps ? `  ↶ clock set back, ${track.clockJumps}×` : ""), left(width) + 5, i * 28 + 11);
    });
    g.fillStyle = theme.series[4];
    for (const [time] of cuts) for (let top = 0; top < height; top += 10) g.fillRect(x(time) - (time < state.to ? 0 : 3), top, 3, 6);
  });
  // A canvas has one title: what is said of what the pointer is over.
  const said = (track) => jumps(track).flatMap(([from, to]) =>
    [from, to].map((time) => [time, `${track.topic}: clock set back from ${clock(from, 1)} to ${clock(to, 1)}`]));
  plot.addEventListener("pointermove", ({ offsetX }) => {
    const x = toX(plot.clientWidth), here = [...cuts, ...tracks.flatMap(said)].filter(([time]) => Math.abs(x(time) - offsetX) < 8);
    plot.title = here.map(([, text]) => text).join("\n");
  });
  plot.style.setProperty("--rows", tracks.length);
  return plot;
}

// ---- Moving about ---------------------------------------------------------------------------------------------------

/** Shows `from` to `to`, within the whole and no closer than a millisecond. */
function look(from, to) {
  const span = clamp(to - from, 1e-3, state.length);
  state.from = clamp((from + to - span) / 2, 0, state.length - span);
  state.to = state.from + span;
  changed();
}

function zoom(factor, around = state.cursor) {
  const middle = clamp(around, state.from, state.to);
  look(middle - (middle - state.from) * factor, middle + (state.to - middle) * factor);
}

const pan = (part) => look(state.from + (state.to - state.from) * part, state.to + (state.to - state.from) * part);

/** Moves the cursor; the view follows if the cursor leaves it. */
function point(time) {
  state.cursor = clamp(time, 0, state.length);
  const ahead = Math.max(0, state.cursor - state.to) + Math.min(0, state.cursor - state.from);
  look(state.from + ahead, state.to + ahead);
}

const ACTIONS = {
  in: () => zoom(0.5), out: () => zoom(2), all: () => look(0, state.length), earlier: () => pan(-0.25), later: () => pan(0.25),
  back: () => point(state.cursor - (state.to - state.from) / 100), on: () => point(state.cursor + (state.to - state.from) / 100),
};
const KEYS = { "+": "in", "=": "in", "-": "out", 0: "all", Escape: "all", ArrowLeft: "back", ArrowRight: "on" };

function onKey(event) {
  if (event.ctrlKey || event.altKey || event.metaKey || event.target.closest("input, summary, a, button, pre")) return;
  const action = event.shiftKey && { ArrowLeft: "earlier", ArrowRight: "later" }[event.key] || KEYS[event.key];
  if (!action) return;
  event.preventDefault();
  ACTIONS[action]();
}

/** Mouse: move to read, drag to zoom, shift and drag to pan. Fingers: drag to read, pinch to zoom. */
function onPlots(page) {
  const fingers = new Map();
  let drag = null;
  const at = (event) => toTime(event.offsetX, event.target.clientWidth);
  const isPlot = (event) => event.target.matches("canvas.time");
  const spread = () => Math.max(20, Math.max(...fingers.values()) - Math.min(...fingers.values()));
  page.addEventListener("pointerdown", (event) => {
    if (!isPlot(event) || event.button > 0) return;
    event.target.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, event.offsetX);
    drag = { from: at(event), x: event.offsetX, isPan: event.shiftKey, spread: fingers.size > 1 ? spread() : 0 };
    if (event.pointerType !== "mouse") point(at(event));
  });
  page.addEventListener("pointermove", (event) => {
    if (!isPlot(event)) return;
    if (fingers.has(event.pointerId)) fingers.set(event.pointerId, event.offsetX);
    if (drag && drag.spread && fingers.size > 1) {
      zoom(drag.spread / spread());
      drag.spread = spread();
    } else if (drag && drag.isPan) {
      const moved = drag.from - at(event);
      look(state.from + moved, state.to + moved);
    } else {
      if (drag && event.pointerType === "mouse" && Math.abs(event.offsetX - drag.x) > 4) state.selection = [drag.from, at(event)];
      state.cursor = clamp(at(event), state.from, state.to);
      changed();
    }
  });
  const end = (event) => {
    fingers.delete(event.pointerId);
    if (state.selection && event.type === "pointerup") look(Math.min(...state.selection), Math.max(...state.selection));
    drag = state.selection = null;
    changed();
  };
  page.addEventListener("pointerup", end);
  page.addEventListener("pointercancel", end);
  page.addEventListener("dblclick", (event) => isPlot(event) && ACTIONS.all());
  page.addEventListener("wheel", (event) => {
    if (!isPlot(event) || !(event.ctrlKey || Math.abs(event.deltaX) > Math.abs(event.deltaY))) return;
    event.preventDefault();
    if (event.ctrlKey) zoom(Math.exp(event.deltaY / 200), at(event)); else pan(event.deltaX / event.target.clientWidth);
  }, { passive: false });
}

// ---- The page -------------------------------------------------------------------------------------------------------

/** Curves by column, those of one column in one plot. */
function columns(track) {
  const found = new Map();
  for (const series of track.series) {
    if (!found.has(series.column)) found.set(series.column, []);
    found.get(series.column).push({ track, series, color: found.get(series.column).length % PALETTE });
  }
  return found;
}

/** All views of a track. `others` are the tracks of the same name in all experiments. */
function trackViews(track, others) {
  const group = (column) => others.flatMap((other) => columns(other).get(column) || []);
  const curves = [...columns(track)].map(([column, own]) => curvesView(track, column, own, group(column)));
  const [strip, picture] = track.pictures ? picturesView(track) : [], isHandful = track.rows <= 20;
  const sides = [
    picture, track.scans && scansView(track), track.path && pathView(track),
    !isHandful && histogramView("time between stamps", track.interval), track.lag && histogramView("lag", track.lag),
  ];
  return [!isHandful && figure("rows a second", "", rateView(track)), strip, el("div", { className: "sides" }, sides.filter(Boolean)),
    el("div", { className: "curves" }, curves), track.texts.length && textsView(track)].filter(Boolean);
}

function show({ experiments, base }) {
  for (const view of views) { sizes.unobserve(view.element); seen.unobserve(view.element); }
  [views, readers] = [[], []];
  const wasWhole = state.from === 0 && state.to === state.length;
  state.base = base;
  state.length = Math.max(1e-3, ...experiments.map(({ offset, length }) => offset + length));
  for (const { offset, tracks } of experiments) tracks.forEach((track) => Object.assign(track, { offset }));
  const alike = (topic) => experiments.flatMap(({ tracks }) => tracks.filter((track) => track.topic === topic));
  for (const place of document.querySelectorAll("[data-timeline]")) place.replaceChildren(timelineView(experiments[place.dataset.timeline]));
  for (const place of document.querySelectorAll("[data-track]")) {
    const track = experiments[place.dataset.experiment].tracks[place.dataset.track];
    place.replaceChildren(...trackViews(track, alike(track.topic)));
  }
  const slider = document.getElementById("slider"), now = document.getElementById("now");
  readers.push(() => {
    slider.value = state.cursor / state.length * 1000;
    now.textContent = slider.ariaValueText = clock(state.cursor, 3);
  });
  look(wasWhole ? 0 : state.from, wasWhole ? state.length : state.to);
}

function start() {
  const bar = Object.assign(document.getElementById("bar"), { hidden: false });
  document.getElementById("slider").addEventListener("input", (event) => point(event.target.value / 1000 * state.length));
  bar.addEventListener("click", (event) => event.target.dataset.do && ACTIONS[event.target.dataset.do]());
  document.addEventListener("keydown", onKey);
  document.addEventListener("click", ({ target: { dataset } }) => {
    if (!dataset || !dataset.at) return;
    const time = Number(dataset.at), wide = Math.max(4, 3 * dataset.wide);
    point(time);
    look(time - wide / 2, time + wide);
  });
  onPlots(document.querySelector("main"));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { theme = null; changed(); });
  addEventListener("beforeprint", () => { views.forEach((view) => { view.isSeen = true; }); drawAll(); });
  show(JSON.parse(document.getElementById("document").textContent));
}

start();
