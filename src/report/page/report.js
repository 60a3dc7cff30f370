// SPDX-License-Identifier: Apache-2.0
// Draws the curves and tables of a report from the JSON in this page. docs/report.md describes that JSON.
"use strict";
(function () {
  const data = JSON.parse(document.getElementById("data").textContent);
  // Okabe and Ito's colours, which colour-blind people tell apart; yellow is darker for white paper.
  const colors = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#a68a00", "#56b4e9", "#555555", "#7b3294"];
  const parts = [
    ["computation", "computation", "#0072b2"],
    ["data", "waiting for data", "#d55e00"],
    ["communication", "communication", "#009e73"],
    ["between", "between steps", "#8a93a0"],
  ];
  const smoothings = [0, 5, 10, 20, 50, 100, 200, 500, 1000, 5000, 10000];
  const color = (run) => colors[run % colors.length];
  const byId = (id) => document.getElementById(id);
  const shown = data.runs.map(() => true);
  let charts = [];

  function element(name, text, className) {
    const made = document.createElement(name);
    if (text !== undefined) made.textContent = text;
    if (className) made.className = className;
    return made;
  }

  // --- numbers ---

  function grouped(value) {
    return Math.round(value).toString().replace(/\B(?=(\d{3})+$)/g, ",");
  }

  function number(value) {
    if (value === null || value === undefined || !isFinite(value)) return "–";
    const size = Math.abs(value);
    if (size >= 1000 || (Number.isInteger(value) && size < 1e15)) return grouped(value);
    if (size !== 0 && size < 1e-3) return value.toExponential(3);
    return parseFloat(value.toPrecision(5)).toString();
  }

  function short(value) {
    for (const [unit, size] of [["T", 1e12], ["G", 1e9], ["M", 1e6], ["k", 1e3]])
      if (Math.abs(value) >= size) return parseFloat((value / size).toPrecision(4)) + unit;
    if (value !== 0 && Math.abs(value) < 1e-3) return value.toExponential(1);
    return parseFloat(value.toPrecision(4)).toString();
  }

  function duration(seconds) {
    if (seconds === null || seconds === undefined) return "–";
    if (seconds < 120) return parseFloat(seconds.toPrecision(4)) + " s";
    const whole = Math.round(seconds);
    const two = (n) => String(n).padStart(2, "0");
    return Math.floor(whole / 3600) + ":" + two(Math.floor(whole / 60) % 60) + ":" + two(whole % 60) + " h";
  }

  function xText(value) {
    const axis = byId("axis").value;
    return axis === "time" ? duration(value) : axis === "tokens" ? short(value) : number(value);
  }

  // --- curves ---

  // A moving mean that forgets with the number of rows, not of points: what is reduced is smoothed as the whole is. The mean is
  // free of the bias of its start.
  function smooth(xs, values, rows, over) {
    const keep = 1 - 1 / over;
    let sum = 0, weight = 0;
    return values.map((value, i) => {
      if (value === null) return [xs[i], NaN];
      const old = Math.pow(keep, rows ? rows[i] : 1);
      sum = old * sum + (1 - old) * value;
      weight = old * weight + (1 - old);
      return [xs[i], sum / weight];
    });
  }

  function smoothOf(curve, axis, over) {
    const means = curve.means;
    return means ? smooth(means[axis], means.value, means.rows, over) : smooth(curve[axis], curve.value, null, over);
  }

  // The last value of each line, for people who search the page, and for tests.
  function lastValues(lines) {
    return lines.filter((line) => !line.faint).map((line) => {
      const finite = line.points.filter((point) => isFinite(point[1]));
      return finite.length > 0 ? finite[finite.length - 1][1].toPrecision(6) : "none";
    }).join(" ");
  }

  // The lines of a chart: of each run that is shown and has the curve, the points, and with smoothing the smooth line.
  function linesOf(name, axis, over) {
    const lines = [];
    data.runs.forEach((run, index) => {
      const curve = run.curves[name];
      if (!shown[index] || !curve) return;
      const raw = curve[axis].map((x, i) => [x, curve.value[i] === null ? NaN : curve.value[i]]);
      const line = { key: String(index), label: run.name, color: color(index), width: 1.5, points: raw };
      if (index >= colors.length) line.pattern = Dygraph.DASHED_LINE;
      lines.push(over === 0 ? line : Object.assign({}, line, { key: index + " rows", color: color(index) + "40", width: 1, faint: true }));
      if (over > 0) lines.push(Object.assign({}, line, { width: 2, points: smoothOf(curve, axis, over) }));
    });
    return lines;
  }

  // One row for each x that a line has, as dygraphs takes them: null is no point, NaN is a gap.
  function tableOf(lines, logX, logY) {
    const at = new Map();
    lines.forEach((line, column) => {
      for (const [x, y] of line.points) {
        if (x === null || (logX && !(x > 0)) || (logY && y <= 0)) continue;
        let row = at.get(x);
        if (!row) {
          row = new Array(lines.length + 1).fill(null);
          row[0] = x;
          at.set(x, row);
        }
        row[column + 1] = y;
      }
    });
    return Array.from(at.values()).sort((a, b) => a[0] - b[0]);
  }

  // The point of a line that is nearest to x; null where the line does not reach it.
  function nearest(points, x) {
    let low = 0, high = points.length - 1;
    if (high < 0 || x < points[0][0] || x > points[high][0]) return null;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (points[middle][0] < x) low = middle + 1;
      else high = middle;
    }
    const before = points[Math.max(0, low - 1)], after = points[low];
    return x - before[0] < after[0] - x ? before : after;
  }

  function showValues(chart, x) {
    chart.values.textContent = "";
    if (x === undefined) return;
    chart.values.append(element("b", xText(x)));
    for (const line of chart.lines) {
      const point = line.faint ? null : nearest(line.points, x);
      if (point === null) continue;
      const text = element("span", (data.runs.length > 1 ? line.label + " " : "") + (isNaN(point[1]) ? "not finite" : number(point[1])));
      text.style.color = line.color;
      chart.values.append(text);
    }
  }

  let zooming = false;
  function zoomAll(from) {
    if (zooming) return;
    zooming = true;
    const range = from.isZoomed("x") ? from.xAxisRange() : null;
    for (const chart of charts)
      if (chart.graph && chart.graph !== from) chart.graph.updateOptions({ dateWindow: range });
    zooming = false;
  }

  function drawChart(chart) {
    const axis = byId("axis").value, over = Number(byId("smoothing").value);
    const logX = byId("log_x").checked, logY = byId("log_y").checked;
    if (chart.graph) chart.graph.destroy();
    chart.lines = linesOf(chart.curve.name, axis, chart.curve.smoothed ? over : 0);
    const table = tableOf(chart.lines, logX, logY);
    chart.box.dataset.last = lastValues(chart.lines);
    chart.box.hidden = table.length === 0;
    if (table.length === 0) {
      chart.graph = null;
      return;
    }
    const series = {};
    for (const line of chart.lines) series[line.key] = { strokeWidth: line.width, color: line.color, strokePattern: line.pattern || null };
    chart.graph = new Dygraph(chart.plot, table, {
      labels: ["x"].concat(chart.lines.map((line) => line.key)),
      series,
      legend: "never",
      connectSeparatedPoints: true,
      drawPoints: table.length <= 60,
      pointSize: 2,
      highlightCircleSize: 3,
      logscale: logY,
      gridLineColor: "#e6eaef",
      axisLineColor: "#b8c0ca",
      axes: {
        x: { logscale: logX, axisLabelFormatter: (x) => xText(x), pixelsPerLabel: 70 },
        y: { axisLabelFormatter: short, axisLabelWidth: 52, pixelsPerLabel: 28 },
      },
      highlightCallback: (event, x) => showValues(chart, x),
      unhighlightCallback: () => showValues(chart),
      drawCallback: (graph, initial) => { if (!initial) zoomAll(graph); },
    });
  }

  function makeCharts() {
    for (const curve of data.curves) {
      if (!data.runs.some((run) => run.curves[curve.name])) continue;
      const box = element("div", undefined, "chart"), title = element("h3", curve.title + " ");
      if (curve.unit !== "1") title.append(element("small", curve.unit));
      const values = element("div", "", "values"), plot = element("div", undefined, "plot");
      box.id = "chart_" + curve.name;
      box.append(title, values, plot);
      byId("charts").append(box);
      charts.push({ curve, box, values, plot, graph: null, lines: [] });
    }
  }

  function draw() {
    for (const chart of charts) drawChart(chart);
    charts.forEach((chart) => { chart.hasGraph = chart.graph !== null; });
    document.body.dataset.drawn = charts.filter((chart) => chart.hasGraph).length;
  }

  // --- tables ---

  function headRow(first) {
    const row = element("tr");
    row.append(element("th", first));
    data.runs.forEach((run, index) => {
      const cell = element("th"), swatch = element("span", undefined, "swatch");
      swatch.style.background = color(index);
      cell.append(swatch, " " + run.name);
      row.append(cell);
    });
    return row;
  }

  function addRow(table, name, values, isText) {
    const row = element("tr");
    row.append(element("th", name));
    for (const value of values) row.append(element("td", value, isText ? "text" : ""));
    table.append(row);
    return row;
  }

  function fillResults() {
    const table = byId("results");
    table.append(headRow(""));
    addRow(table, "Outcome", data.runs.map((run) => run.outcome), true);
    for (const result of data.results) {
      const values = data.runs.map((run) => run.results[result.name]);
      if (values.every((value) => value === null)) continue;
      const unit = result.unit && result.unit !== "s" ? " [" + result.unit + "]" : "";
      const row = addRow(table, result.text + unit, values.map(result.unit === "s" ? duration : number));
      row.dataset.result = result.name;
    }
  }

  function fillDifferences() {
    const table = byId("differences");
    if (data.differences.length === 0) {
      const several = data.runs.length > 1;
      table.replaceWith(element("p", several ? "The configurations are the same." : "There is one run.", "hint"));
      return;
    }
    table.append(headRow("option"));
    for (const difference of data.differences)
      addRow(table, difference.name, difference.values.map((value) => (value === null ? "not there" : value)), true);
  }

  // --- time ---

  function bar(values) {
    const box = element("div", undefined, "bar"), sum = values.reduce((a, b) => a + b[1], 0);
    for (const [label, value, background] of values) {
      const share = (100 * value) / sum, part = element("div", share >= 6 ? share.toFixed(1) + " %" : "");
      part.style.width = share + "%";
      part.style.background = background;
      part.title = label + ": " + share.toFixed(2) + " %";
      box.append(part);
    }
    return box;
  }

  function fillRanks(box, run) {
    if (run.ranks.length === 0) return;
    const most = 64, grid = element("div", undefined, "ranks");
    const ranks = run.ranks.slice().sort((a, b) => b.busy - a.busy).slice(0, most);
    box.append(element("p", run.ranks.length > most ? "The " + most + " ranks with the longest steps without communication:" :
      "Ranks, those with the longest steps without communication first:", "hint"));
    for (const rank of ranks) {
      const values = [parts[0], parts[1], parts[2]].map(([name, label, background]) =>
        [label, name === "computation" ? Math.max(0, rank.busy - rank.data) : rank[name], background]);
      grid.append(element("span", "rank " + rank.rank), bar(values), element("span", number(rank.busy) + " s, " + number(rank.memory) + " GiB"));
    }
    box.append(grid);
  }

  function fillTime() {
    const box = byId("time"), key = element("p", undefined, "key");
    for (const [, label, background] of parts) {
      const entry = element("span"), swatch = element("span", undefined, "swatch");
      swatch.style.background = background;
      entry.append(swatch, label);
      key.append(entry);
    }
    box.append(key);
    for (const run of data.runs) {
      const time = run.time, card = element("div", undefined, "bars");
      if (!(time.steps > 0)) continue;
      card.append(element("h3", run.name), bar(parts.map(([name, label, background]) => [label, time[name], background])));
      const each = parts.map(([name, label]) => label + " " + number(time[name] / time.steps) + " s").join(", ");
      card.append(element("p", "Per step: " + each + ". The slowest rank's steps take " + number(100 * time.imbalance) +
        " % of a step longer than the mean rank's.", "hint"));
      fillRanks(card, run);
      box.append(card);
    }
  }

  // --- what the runs say of themselves ---

  function fillAbout() {
    for (const run of data.runs) {
      const details = element("details"), table = element("table");
      details.append(element("summary", run.name));
      addRow(table, "file", [run.path], true);
      addRow(table, "rows", [grouped(run.rows)], true);
      if (run.message) addRow(table, "message", [run.message], true);
      for (const [name, value] of Object.entries(run.about))
        if (value !== null && name !== "configuration") addRow(table, name, [value], true);
      details.append(table);
      for (const warning of run.warnings || []) details.append(element("p", "Warning: " + warning, "hint"));
      if (run.about.configuration) details.append(element("h3", "Configuration"), element("pre", run.about.configuration));
      byId("about").append(details);
    }
  }

  function fillControls() {
    for (const over of smoothings) {
      const option = element("option", over === 0 ? "no" : grouped(over));
      option.value = over;
      byId("smoothing").append(option);
    }
    data.runs.forEach((run, index) => {
      const label = element("label"), box = element("input"), swatch = element("span", undefined, "swatch");
      box.type = "checkbox";
      box.checked = true;
      swatch.style.background = color(index);
      box.addEventListener("change", () => { shown[index] = box.checked; draw(); });
      label.append(box, swatch, run.name);
      if (data.runs.length > 1) byId("runs").append(label);
    });
    for (const id of ["axis", "smoothing", "log_x", "log_y"]) byId(id).addEventListener("change", draw);
    byId("reset").addEventListener("click", () => charts.forEach((chart) => chart.graph && chart.graph.resetZoom()));
  }

  // The part of the address behind "#" presets the controls: #axis=tokens&smoothing=100&log_y=1.
  function readAddress() {
    for (const [id, value] of new URLSearchParams(location.hash.slice(1))) {
      const control = ["axis", "smoothing", "log_x", "log_y"].includes(id) ? byId(id) : null;
      if (control && control.type === "checkbox") control.checked = value !== "0";
      else if (control) control.value = value;
    }
  }

  const names = data.runs.length <= 4 ? data.runs.map((run) => run.name).join(", ") : data.runs.length + " runs";
  byId("title").textContent = names;
  document.title = names + " – report";
  byId("subtitle").textContent = data.program + ", " + data.date;
  for (const note of data.notes) byId("notes").append(element("li", note));
  fillControls();
  readAddress();
  makeCharts();
  draw();
  fillResults();
  fillTime();
  fillDifferences();
  fillAbout();
})();
