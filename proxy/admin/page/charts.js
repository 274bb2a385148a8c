// The two charts, drawn by dygraphs; legend, read-out and keyboard are ours.
/* global Dygraph */

import { byId, el, setAttribute, setText } from './dom.js';
import { clock, duration, rate } from './format.js';

const HOUR_MS = 3600 * 1000;
const LEAST_MS = 300 * 1000; // shown of a gateway that has only just started

// Without its legend, which writes style attributes into HTML: the page's policy forbids them.
function useAxesAndGridOnly() {
  const { Axes, Grid } = Dygraph.Plugins;
  Dygraph.PLUGINS = [Axes, Grid];
}

// 1, 2 or 5 times a power of ten: at most count steps up to most.
function stepFor(most, count) {
  const power = 10 ** Math.floor(Math.log10(most / count));
  return power * [1, 2, 5, 10].find((times) => power * times * count >= most);
}

function linearAxis(rows) {
  const most = Math.max(1, ...rows.map((row) => row.slice(1).reduce((sum, value) => sum + (value ?? 0), 0)));
  const step = stepFor(most, 4);
  const ticks = [];
  for (let value = 0; value < most + step; value += step) {
    ticks.push({ v: value, label: String(Number(value.toPrecision(3))) });
  }
  return { range: [0, ticks.at(-1).v * 1.02], ticks };
}

// Up or down to 1, 2 or 5 times a power of ten: the axis stays while the data moves a little.
function roundTo(value, isUp) {
  const power = 10 ** Math.floor(Math.log10(value));
  const steps = [1, 2, 5, 10].map((times) => times * power);
  return isUp ? steps.find((step) => step >= value) : steps.reverse().find((step) => step <= value);
}

// Logarithmic, with a line at each decade; never less than two of them.
function decadesAxis(rows) {
  const values = rows.flatMap((row) => row.slice(1)).filter((value) => value > 0);
  const range = [roundTo(0.8 * Math.min(0.001, ...values), false), roundTo(1.2 * Math.max(0.1, ...values), true)];
  const ticks = [];
  for (let power = Math.ceil(Math.log10(range[0])); power <= Math.log10(range[1]); power += 1) {
    const v = 10 ** power;
    ticks.push({ v, label: v < 1 ? `${Number((v * 1000).toPrecision(3))} ms` : `${v} s` });
  }
  return { range, ticks };
}

class Chart {
  constructor(name, { series, isStacked, format, axis, title }) {
    Object.assign(this, { series, isStacked, format, axis, title, rows: [], ends: [0, 1], at: null });
    this.host = byId(`${name}-chart`);
    this.when = byId(`${name}-when`);
    this.empty = this.host.parentElement.querySelector('.empty');
    this.graph = null;
    this.values = series.map((one) => this.addToLegend(byId(`${name}-legend`), one));
    this.listen();
  }

  addToLegend(list, { label, color, dash }) {
    const swatch = el('i', { class: dash ? 'swatch dashed' : 'swatch' });
    swatch.style.color = `var(${color})`;
    const value = el('b', {}, '–');
    list.append(el('li', {}, swatch, el('span', {}, label), value));
    return value;
  }

  // Left and Right, Home and End read the values one by one.
  listen() {
    setAttribute(this.host, 'tabindex', '0');
    setAttribute(this.host, 'role', 'img');
    this.host.addEventListener('keydown', (event) => {
      const last = this.rows.length - 1;
      const now = this.at === null ? last : this.at;
      const next = { ArrowLeft: now - 1, ArrowRight: now + 1, Home: 0, End: last }[event.key];
      if (next !== undefined && last >= 0) {
        event.preventDefault();
        this.select(Math.min(Math.max(next, 0), last));
      }
    });
    this.host.addEventListener('blur', () => this.select(null));
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.draw());
    new ResizeObserver(() => this.graph?.resize()).observe(this.host);
  }

  // rows: [milliseconds, value or null, …]; ends: the first and last moment shown.
  show(rows, ends) {
    const chosen = this.at === null ? null : this.rows[this.at]?.[0];
    Object.assign(this, { rows, ends });
    const found = chosen === null ? -1 : rows.findIndex((row) => row[0] === chosen);
    this.at = found < 0 ? null : found;
    this.empty.hidden = rows.some((row) => row.slice(1).some((value) => value > 0));
    this.draw();
    this.read();
  }

  colours() {
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(name).trim();
    return { lines: this.series.map((one) => colour(one.color)), grid: colour('--grid'), axis: colour('--line') };
  }

  options() {
    const { range, ticks } = this.axis(this.rows);
    const { lines, grid, axis } = this.colours();
    return {
      file: this.rows.length > 0 ? this.rows.map(([time, ...values]) => [new Date(time), ...values])
        : [[new Date(this.ends[0]), ...this.series.map(() => null)]],
      dateWindow: this.ends, valueRange: range, colors: lines, gridLineColor: grid, axisLineColor: axis,
      axes: { y: { ticker: () => ticks, axisLabelWidth: 48 },
              x: { pixelsPerLabel: this.host.clientWidth < 450 ? 46 : 70, drawGrid: false } },
    };
  }

  draw() {
    if (this.host.clientWidth === 0) {
      return;
    }
    if (this.graph) {
      this.graph.updateOptions(this.options());
      this.mark();
      return;
    }
    const { file, ...options } = this.options();
    this.graph = new Dygraph(this.host, file, {
      ...options, labels: ['time', ...this.series.map((one) => one.label)],
      stackedGraph: this.isStacked, fillAlpha: 0.75, strokeWidth: this.isStacked ? 0 : 1.5, logscale: !this.isStacked,
      series: Object.fromEntries(this.series.filter((one) => one.dash)
        .map((one) => [one.label, { strokePattern: one.dash }])),
      axisLabelFontSize: 11, highlightCircleSize: 3, interactionModel: {}, rightGap: 8,
      highlightCallback: (event, x, points, row) => this.select(row),
      unhighlightCallback: () => this.select(null),
    });
  }

  // null: back to the newest values. The other chart follows through this.follower.
  select(row, isFollowing = false) {
    if (row !== this.at) {
      this.at = row;
      this.read();
      this.mark();
    }
    if (!isFollowing) {
      this.follower?.select(row, true);
    }
  }

  mark() {
    if (this.at === null) {
      this.graph?.clearSelection();
    } else {
      this.graph?.setSelection(this.at);
    }
  }

  read() {
    const row = this.at === null ? this.rows.at(-1) : this.rows[this.at];
    const moment = row ? `${clock(new Date(row[0]))}${this.at === null ? ', newest' : ''}` : '';
    setText(this.when, moment);
    this.values.forEach((node, i) => setText(node, row ? this.format(row[i + 1]) : '–'));
    const said = this.series.map((one, i) => `${one.label} ${this.values[i].textContent}`).join(', ');
    setAttribute(this.host, 'aria-label', `${this.title}, the last hour. ${moment}: ${said}. Arrow keys read other times.`);
  }
}

// What was neither answered from the cache nor by an error of the gateway or upstream.
function kindsOf(point, step) {
  const { requests, hits, refused, errors } = point;
  const forwarded = Math.max(0, requests - hits - refused - errors);
  return [errors, refused, forwarded, hits].map((value) => value / step);
}

// The points whose time is over, each with its moment in ms; the last one is still growing.
export function finishedPoints(history, now) {
  const from = Date.parse(history.from);
  const step = history.step * 1000;
  return history.points.map((point, i) => ({ ...point, time: from + i * step }))
    .filter((point) => point.time + step <= now);
}

export function makeCharts() {
  useAxesAndGridOnly();
  const requests = new Chart('requests', {
    title: 'Requests a second', isStacked: true, format: (value) => rate(value ?? 0), axis: linearAxis,
    series: [{ label: 'errors', color: '--c-error' }, { label: 'refused', color: '--c-refused' },
             { label: 'forwarded', color: '--c-forwarded' }, { label: 'from cache', color: '--c-hit' }],
  });
  const latency = new Chart('latency', {
    title: 'Latency', isStacked: false, format: duration, axis: decadesAxis,
    series: [{ label: 'p50', color: '--c-p50' }, { label: 'p90', color: '--c-p90' }, { label: 'p99', color: '--c-p99' },
             { label: 'upstream p50', color: '--c-up50', dash: [4, 3] },
             { label: 'upstream p99', color: '--c-up99', dash: [4, 3] }],
  });
  requests.follower = latency;
  latency.follower = requests;
  return (status) => {
    const now = Date.parse(status.now);
    const points = finishedPoints(status.history, now);
    const started = Math.min(Date.parse(status.started), now - LEAST_MS);
    const ends = [Math.max(started, now - HOUR_MS), now];
    requests.show(points.map((point) => [point.time, ...kindsOf(point, status.history.step)]), ends);
    latency.show(points.map((point) => [point.time, point.p50, point.p90, point.p99,
      point.upstream_p50 ?? null, point.upstream_p99 ?? null]), ends);
  };
}
