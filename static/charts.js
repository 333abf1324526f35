// Draws the charts of the insights with Chart.js. What is drawn is in the page as JSON beside each canvas, and as a table
// for those who cannot see it; this file adds pictures, keeps them fresh, and makes them into files.
(function () {
  "use strict";

  const $$ = (selector, root) => Array.from((root || document).querySelectorAll(selector));
  const TONES = { good: "--good", harm: "--harm", wait: "--wait", machine: "--machine", ours: "--ours", plain: "--ink-3", faint: "--line-2" };
  // More series than tones: the same colours again, told apart by dashes and, in bars, by their paler half.
  const ROUND = ["ours", "machine", "wait", "good", "harm", "plain"];
  const FRESH = 15000; // milliseconds between two looks at what has changed
  const drawn = new Map(); // canvas id -> Chart

  function colour(name) {
    const probe = document.createElement("span");
    probe.hidden = true;
    document.body.append(probe);
    // A property of the element, set by script: the policy forbids style attributes in markup alone.
    probe.style.color = "var(" + name + ")";
    const found = getComputedStyle(probe).color;
    probe.remove();
    return found;
  }

  function faded(rgb, share) {
    return rgb.replace("rgb(", "rgba(").replace(")", ", " + share + ")");
  }

  // Numbers as the page writes them: see console/templatetags/sayso.py.
  function said(value, unit) {
    if (value === null || value === undefined) return "no data";
    if (unit === "seconds") return lasting(value);
    if (unit === "dollars") return "$" + (value >= 100 || value === 0 ? value.toFixed(0) : value >= 0.1 ? value.toFixed(2) : value.toPrecision(2));
    if (unit === "share") return (value * 100).toFixed(value < 0.1 ? 1 : 0) + " %";
    const whole = Math.round(value * 100) / 100;
    if (whole >= 1e6) return (whole / 1e6).toFixed(1).replace(".0", "") + " M";
    if (whole >= 1e4) return Math.round(whole / 1e3) + " k";
    return whole.toLocaleString("en-US");
  }

  function lasting(s) {
    if (s === 0) return "0 s";
    if (s < 1) return Math.round(s * 1000) + " ms";
    if (s < 60) return (s < 10 ? s.toFixed(1).replace(".0", "") : Math.round(s)) + " s";
    if (s < 3600) return (s / 60).toFixed(s < 600 ? 1 : 0).replace(".0", "") + " min";
    if (s < 172800) return (s / 3600).toFixed(s < 36000 ? 1 : 0).replace(".0", "") + " h";
    return (s / 86400).toFixed(1).replace(".0", "") + " d";
  }

  // Round durations for an axis: seconds, minutes, hours and days have other round numbers than decimals.
  const ROUNDS = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 604800, 1209600, 2592000];
  const DECADES = [0.001, 0.01, 0.1, 1, 10, 60, 600, 3600, 21600, 86400, 604800, 2592000];

  function durations(scale, log) {
    if (log) {
      const shown = DECADES.filter((value) => value >= scale.min && value <= scale.max);
      if (shown.length > 1) scale.ticks = shown.map((value) => ({ value: value }));
      return;
    }
    const step = ROUNDS.find((each) => scale.max / each <= 5) || Math.ceil(scale.max / 5 / 2592000) * 2592000;
    const shown = [];
    for (let at = 0; at <= scale.max * 1.0001 && shown.length < 8; at += step) shown.push({ value: at });
    scale.ticks = shown;
  }

  // A value with nothing on either side has no line to be part of: it is drawn as a point, however many there are.
  function marks(values, usual) {
    const nothing = (value) => value === null || value === undefined;
    return values.map((value, at) => (!nothing(value) && nothing(values[at - 1]) && nothing(values[at + 1]) ? 2.5 : usual));
  }

  function dataset(series, index, spec) {
    const tone = series.tone || ROUND[index % ROUND.length];
    const plain = colour(TONES[tone]);
    const again = !series.tone && index >= ROUND.length;
    const base = { label: series.name, data: series.values, said: series };
    if (spec.kind === "line") {
      return Object.assign(base, {
        borderColor: plain, backgroundColor: plain, borderWidth: series.dash ? 1.5 : 2, borderDash: series.dash ? [4, 3] : again ? [2, 2] : [],
        pointRadius: marks(series.values, spec.labels.length > 60 ? 0 : 2), pointHoverRadius: 5, pointHitRadius: 12, spanGaps: false, tension: 0,
      });
    }
    return Object.assign(base, { backgroundColor: again ? faded(plain, 0.45) : plain, borderRadius: 2, maxBarThickness: 34, borderWidth: 0 });
  }

  // Chart.js gives a line's label the look of its points, which have no dashes: p50 and p95 would look alike.
  function labels(chart) {
    return Chart.defaults.plugins.legend.labels.generateLabels(chart).map(function (label) {
      const drawn = chart.data.datasets[label.datasetIndex];
      return drawn.borderDash ? Object.assign(label, { lineDash: drawn.borderDash, lineWidth: drawn.borderWidth }) : label;
    });
  }

  function address(spec, series, index) {
    if (!series.link || series.values[index] === null) return "";
    const base = Array.isArray(series.link) ? series.link[index] : series.link;
    if (!base || !spec.starts) return base || "";
    return base + (base.includes("?") ? "&" : "?") + "from=" + encodeURIComponent(spec.starts[index]) + "&to=" + encodeURIComponent(spec.ends[index]);
  }

  function configuration(spec) {
    const ink = colour("--ink-2"), line = colour("--line"), across = spec.kind === "across";
    const font = { family: getComputedStyle(document.body).fontFamily, size: 11.5 };
    const numbers = {
      type: spec.log ? "logarithmic" : "linear", beginAtZero: true, stacked: !!spec.stacked, border: { display: false },
      afterBuildTicks: spec.unit === "seconds" ? (scale) => durations(scale, spec.log) : undefined,
      grid: { color: line }, title: { display: !!spec.axis, text: spec.axis || "", color: ink, font: font },
      ticks: { color: ink, font: font, maxTicksLimit: 6, callback: (value) => said(value, spec.unit), precision: spec.unit === "count" ? 0 : undefined },
    };
    const names = { stacked: !!spec.stacked, border: { display: false }, grid: { display: false }, ticks: { color: ink, font: font, maxRotation: 0, autoSkip: !across, autoSkipPadding: 14 } };
    return {
      type: spec.kind === "line" ? "line" : "bar",
      data: { labels: spec.labels, datasets: spec.series.map((one, index) => dataset(one, index, spec)) },
      options: {
        animation: false, responsive: true, maintainAspectRatio: false, indexAxis: across ? "y" : "x",
        interaction: { mode: spec.kind === "line" ? "index" : "nearest", intersect: false, axis: across ? "y" : "x" },
        scales: across ? { x: numbers, y: names } : { x: names, y: numbers },
        plugins: {
          legend: { display: spec.series.length > 1, position: "top", align: "end", labels: { color: ink, font: font, boxWidth: spec.kind === "line" ? 22 : 9, boxHeight: 9, padding: 12, usePointStyle: spec.kind === "line", pointStyle: "line", pointStyleWidth: 24, generateLabels: labels } },
          tooltip: {
            callbacks: {
              title: (items) => (items.length ? (spec.titles || spec.labels)[items[0].dataIndex] : ""),
              label: (item) => " " + item.dataset.label + ": " + said(item.raw, spec.unit),
              footer: (items) => (items.length && address(spec, items[0].dataset.said, items[0].dataIndex) ? "Click: the runs behind it" : ""),
            },
          },
        },
        onHover: (event, found) => { event.native.target.style.cursor = found.length && address(spec, spec.series[found[0].datasetIndex], found[0].index) ? "pointer" : ""; },
        onClick: function (event, found, chart) {
          const near = chart.getElementsAtEventForMode(event, "nearest", { intersect: false }, true)[0] || found[0];
          const where = near && address(spec, spec.series[near.datasetIndex], near.index);
          if (where) location.assign(where);
        },
      },
    };
  }

  function specOf(canvas) {
    const source = document.getElementById(canvas.dataset.chart);
    return source ? JSON.parse(source.textContent) : null;
  }

  function draw(root) {
    if (!window.Chart) return;
    $$("canvas[data-chart]", root).forEach(function (canvas) {
      const before = drawn.get(canvas.id);
      if (before) before.destroy();
      const spec = specOf(canvas);
      if (!spec) return;
      canvas.closest(".plot").hidden = false;
      drawn.set(canvas.id, new window.Chart(canvas, configuration(spec)));
    });
    $$("[data-png]", root).forEach((button) => { button.hidden = false; });
  }

  // A picture with its name and its time under a ground of its own, as a file.
  function picture(button) {
    const panel = button.closest(".panel"), canvas = panel.querySelector("canvas[data-chart]");
    const ratio = window.devicePixelRatio || 1, head = 40 * ratio, edge = 16 * ratio;
    const out = document.createElement("canvas");
    out.width = canvas.width + 2 * edge;
    out.height = canvas.height + head + edge;
    const pen = out.getContext("2d");
    pen.fillStyle = colour("--panel");
    pen.fillRect(0, 0, out.width, out.height);
    pen.fillStyle = colour("--ink");
    pen.font = "600 " + 14 * ratio + "px " + getComputedStyle(document.body).fontFamily;
    pen.fillText(panel.querySelector("h2").textContent.trim() + " · " + button.dataset.png, edge, 26 * ratio);
    pen.drawImage(canvas, edge, head);
    out.toBlob(function (blob) {
      const link = document.createElement("a");
      link.href = URL.createObjectURL(blob);
      link.download = "sayso-" + canvas.id + ".png";
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    });
  }

  // Fresh figures: the page again, and of it the panels that say something else. What a reader has unfolded stays so.
  async function refresh() {
    const page = document.getElementById("insights");
    if (!page || page.dataset.live !== "1" || document.hidden) return;
    let text;
    try {
      const answer = await fetch(location.href, { headers: { "X-Fresh": "1" }, credentials: "same-origin" });
      if (!answer.ok || answer.redirected) return;
      text = await answer.text();
    } catch {
      return; // the next look is soon enough; the page's own banner says when the server is away
    }
    const fresh = new DOMParser().parseFromString(text, "text/html");
    $$("[data-fresh]", page).forEach(function (old) {
      const now = fresh.getElementById(old.id);
      const held = old.contains(document.activeElement) ? document.activeElement.closest("details[id]") : null;
      if (!now || now.dataset.fresh === old.dataset.fresh || (!held && old.contains(document.activeElement))) return;
      const open = $$("details[open]", old).map((each) => each.id);
      old.replaceWith(document.importNode(now, true));
      const placed = document.getElementById(old.id);
      open.forEach((id) => { const each = id && document.getElementById(id); if (each) each.open = true; });
      const again = held && document.getElementById(held.id);
      if (again) again.querySelector("summary").focus({ preventScroll: true });
      draw(placed);
    });
    const stamp = document.getElementById("as-of"), later = fresh.getElementById("as-of");
    if (stamp && later) stamp.textContent = later.textContent;
  }

  document.addEventListener("click", function (event) {
    const button = event.target.closest("[data-png]");
    if (button) picture(button);
  });
  addEventListener("DOMContentLoaded", function () {
    draw(document);
    setInterval(refresh, FRESH);
    document.addEventListener("insights:refresh", refresh);
    const again = () => draw(document);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
    new MutationObserver(again).observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
  });
})();
