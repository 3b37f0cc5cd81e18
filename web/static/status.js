// The page of operators. It asks for /metrics and /readyz every few seconds, takes
// differences, and draws them.

const $ = id => document.getElementById(id);
const every = 3000;     // ms between two looks
const timeout = 10_000; // ms that one may take
const remembered = 80;  // samples of a line: 4 minutes
const smoothed = 10;    // samples that a quantile is taken over: half a minute

// The token stays in this tab.
const token = {
  get() { try { return sessionStorage.getItem("restante-admin-token") ?? ""; } catch { return this.held; } },
  set(value) { this.held = value; try { sessionStorage.setItem("restante-admin-token", value); } catch { /* held here */ } },
  clear() { this.held = ""; try { sessionStorage.removeItem("restante-admin-token"); } catch { /* nothing there */ } },
  held: "",
};

// Reading the text format of Prometheus: a map from the name of a metric to its
// values with their labels.

const lineOf = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)/;
const labelOf = /(\w+)="((?:[^"\\]|\\.)*)"/g;

function parse(text) {
  const all = new Map();
  for (const line of text.split("\n")) {
    const m = lineOf.exec(line);
    if (!m) continue;
    const labels = {};
    for (const [, key, value] of (m[2] ?? "").matchAll(labelOf)) labels[key] = value;
    if (!all.has(m[1])) all.set(m[1], []);
    all.get(m[1]).push({ labels, value: m[3] === "+Inf" ? Infinity : Number(m[3]) });
  }
  return all;
}

// A sample is what the server said at one moment.
class Sample {
  constructor(text) {
    this.at = performance.now();
    this.metrics = parse(text);
  }
  // sum adds up the values whose labels are all as wanted; a wish may be a list, or
  // a function. A counter that is not there has not counted yet.
  sum(name, wanted) {
    return (this.metrics.get(name) ?? []).filter(row => fits(row.labels, wanted)).reduce((n, row) => n + row.value, 0);
  }
  // buckets are the cumulative counts of a histogram by their bounds.
  buckets(name, wanted) {
    const all = new Map();
    for (const { labels, value } of this.metrics.get(name + "_bucket") ?? []) {
      if (!fits(labels, wanted)) continue;
      const le = labels.le === "+Inf" ? Infinity : Number(labels.le);
      all.set(le, (all.get(le) ?? 0) + value);
    }
    return all;
  }
  has(name) { return this.metrics.has(name); }
}

function fits(labels, wanted = {}) {
  return Object.entries(wanted).every(([key, want]) =>
    typeof want === "function" ? want(labels[key] ?? "") : [].concat(want).includes(labels[key] ?? ""));
}

// What a tile shows is a function of two samples, or of one.

const gauge = (name, wanted) => now => now.sum(name, wanted);

const rate = (name, wanted) => (now, before) => {
  if (!before) return NaN;
  const grown = now.sum(name, wanted) - before.sum(name, wanted);
  return grown < 0 ? NaN : grown / ((now.at - before.at) / 1000); // it began again
};

// quantile is in milliseconds, from what came between two samples.
const quantile = (q, name, wanted) => (now, _, long) => {
  if (!long) return NaN;
  const was = long.buckets(name, wanted);
  const bounds = [...now.buckets(name, wanted)].sort((a, b) => a[0] - b[0]).map(([le, n]) => [le, n - (was.get(le) ?? 0)]);
  const all = bounds.at(-1)?.[1] ?? 0;
  if (!(all > 0)) return NaN;
  const rank = q * all;
  let below = 0, counted = 0;
  for (const [le, n] of bounds) {
    if (n >= rank) {
      if (le === Infinity) return below * 1000;
      return 1000 * (below + (le - below) * (n > counted ? (rank - counted) / (n - counted) : 1));
    }
    [below, counted] = [le, n];
  }
  return NaN;
};

// Units say how a value is written.
const few = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const some = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
const fine = new Intl.NumberFormat("en", { maximumSignificantDigits: 2 });
const number = n => (n >= 100 ? few : n >= 10 || n === 0 ? some : fine).format(n);
const scaled = (n, units, step) => {
  let i = 0;
  while (n >= step && i < units.length - 1) { n /= step; i++; }
  return [number(n), units[i]];
};
const count = n => [few.format(n), ""];
const perSecond = n => [number(n), "/s"];
const octets = n => scaled(n, ["B", "KiB", "MiB", "GiB", "TiB"], 1024);
const octetsPerSecond = n => scaled(n, ["B/s", "KiB/s", "MiB/s", "GiB/s"], 1024);
const milliseconds = n => n >= 1000 ? [number(n / 1000), "s"] : [number(n), "ms"];
const percent = n => [number(100 * n), "%"];
const signed = n => [`${n < 0 ? "−" : ""}${number(Math.abs(n) * 1000)}`, "ms"];

const positive = n => n > 0;

const rooms = [
  { name: "Mail that comes in", tiles: [
    { name: "Messages kept", value: rate("restante_smtp_deliveries_total", { result: "kept" }), unit: perSecond },
    { name: "Messages not kept, by our fault", value: rate("restante_smtp_deliveries_total", { result: "failed" }), unit: perSecond, bad: positive },
    { name: "To keep one, median", value: quantile(.5, "restante_smtp_keep_seconds"), unit: milliseconds },
    { name: "To keep one, 99 of 100", value: quantile(.99, "restante_smtp_keep_seconds"), unit: milliseconds },
    { name: "Received", value: rate("restante_smtp_received_octets_total"), unit: octetsPerSecond },
    { name: "SMTP sessions", value: gauge("restante_smtp_sessions"), unit: count },
    { name: "Recipients refused", value: rate("restante_smtp_recipients_refused_total"), unit: perSecond },
  ] },
  { name: "Mail that is fetched", tiles: [
    { name: "POP3 sessions", value: gauge("restante_pop3_sessions"), unit: count },
    { name: "Logins", value: rate("restante_pop3_commands_total", { command: ["PASS", "AUTH"], outcome: "ok" }), unit: perSecond },
    { name: "Logins refused", value: rate("restante_pop3_login_failures_total"), unit: perSecond },
    { name: "Messages retrieved", value: rate("restante_pop3_commands_total", { command: "RETR", outcome: "ok" }), unit: perSecond },
    { name: "RETR, 99 of 100", value: quantile(.99, "restante_pop3_command_seconds", { command: "RETR" }), unit: milliseconds },
    { name: "Sent", value: rate("restante_pop3_sent_octets_total"), unit: octetsPerSecond },
    { name: "Messages removed", value: rate("restante_pop3_removed_messages_total"), unit: perSecond },
  ] },
  { name: "Store on this machine", needs: "restante_embedded_log_sync_seconds_count", tiles: [
    { name: "Syncs of the log", value: rate("restante_embedded_log_sync_seconds_count"), unit: perSecond },
    { name: "A sync, median", value: quantile(.5, "restante_embedded_log_sync_seconds"), unit: milliseconds },
    { name: "A sync, 99 of 100", value: quantile(.99, "restante_embedded_log_sync_seconds"), unit: milliseconds },
    { name: "On the disk", value: gauge("restante_embedded_disk_bytes"), unit: octets },
    { name: "Listings from the disk", value: rate("restante_embedded_listings_total", { from: "disk" }), unit: perSecond },
    { name: "Writers held back", value: rate("restante_embedded_write_stalls_total"), unit: perSecond, bad: positive },
  ] },
  { name: "Store in Cassandra", needs: "restante_cassandra_nodes_up", tiles: [
    { name: "Nodes connected", value: gauge("restante_cassandra_nodes_up"), unit: count, bad: n => n === 0 },
    { name: "Statements", value: rate("restante_cassandra_statements_total"), unit: perSecond },
    { name: "Statements that failed", value: rate("restante_cassandra_statements_total", { result: r => r !== "ok" }), unit: perSecond, bad: positive },
    { name: "A statement, median", value: quantile(.5, "restante_cassandra_statement_seconds"), unit: milliseconds },
    { name: "A statement, 99 of 100", value: quantile(.99, "restante_cassandra_statement_seconds"), unit: milliseconds },
    { name: "In flight", value: gauge("restante_cassandra_statements_in_flight"), unit: count },
    { name: "Sent again", value: rate("restante_cassandra_retries_total"), unit: perSecond },
    { name: "Sent twice", value: rate("restante_cassandra_hedges_total"), unit: perSecond },
    { name: "Clock ahead of the cluster", value: gauge("restante_cassandra_clock_offset_seconds"), unit: signed, bad: n => Math.abs(n) > .1 },
  ] },
  { name: "Temporary addresses", needs: "restante_temporary_mailboxes_live", tiles: [
    { name: "Alive", value: gauge("restante_temporary_mailboxes_live"), unit: count },
    { name: "Made", value: rate("restante_temporary_mailboxes_made_total"), unit: perSecond },
    { name: "Expired", value: rate("restante_temporary_mailboxes_expired_total"), unit: perSecond },
    { name: "Removed to make room", value: rate("restante_temporary_mailboxes_evicted_total"), unit: perSecond },
    { name: "Clients that wait for mail", value: gauge("restante_http_streams"), unit: count },
    { name: "Requests", value: rate("restante_http_requests_total"), unit: perSecond },
    { name: "A request, median", value: quantile(.5, "restante_http_request_seconds"), unit: milliseconds },
    { name: "A request, 99 of 100", value: quantile(.99, "restante_http_request_seconds"), unit: milliseconds },
    { name: "Requests failed, by our fault", value: rate("restante_http_requests_total", { status: s => s.startsWith("5") }), unit: perSecond, bad: positive },
  ] },
  { name: "Texts", needs: "restante_texts_posted_total", tiles: [
    { name: "Posted", value: rate("restante_texts_posted_total"), unit: perSecond },
    { name: "Taken", value: rate("restante_texts_taken_total"), unit: perSecond },
    { name: "Asked for, none there", value: rate("restante_text_takes_total", { outcome: "empty" }), unit: perSecond },
    { name: "Put off", value: rate("restante_texts_deferred_total"), unit: perSecond, bad: positive },
  ] },
  { name: "Process", tiles: [
    { name: "Processor, of one core", value: rate("process_cpu_seconds_total"), unit: percent },
    { name: "Memory", value: gauge("process_resident_memory_bytes"), unit: octets },
    { name: "Goroutines", value: gauge("go_goroutines"), unit: count },
    { name: "Open files", value: gauge("process_open_fds"), unit: count },
  ] },
];

// Drawing.

const svg = "http://www.w3.org/2000/svg";

function make(tag, className, text) {
  const e = document.createElement(tag);
  if (className) e.className = className;
  if (text != null) e.textContent = text;
  return e;
}

function build() {
  for (const room of rooms) {
    const section = make("section", "room");
    const title = make("h2", "", room.name);
    title.id = `room-${rooms.indexOf(room)}`;
    section.setAttribute("aria-labelledby", title.id);
    const list = make("ul");
    for (const tile of room.tiles) {
      tile.past = [];
      tile.item = make("li", "tile");
      tile.text = make("p", "", "–");
      tile.line = document.createElementNS(svg, "svg");
      tile.line.setAttribute("viewBox", "0 0 100 30");
      tile.line.setAttribute("preserveAspectRatio", "none");
      tile.line.setAttribute("aria-hidden", "true");
      tile.paths = ["below", ""].map(c => {
        const path = document.createElementNS(svg, "path");
        path.setAttribute("class", c);
        tile.line.append(path);
        return path;
      });
      tile.range = make("div", "range");
      tile.item.append(make("h3", "", tile.name), tile.text, tile.line, tile.range);
      list.append(tile.item);
    }
    section.append(title, list);
    room.section = section;
    $("rooms").append(section);
  }
}

function written(tile, n) {
  return tile.unit(n).join(" ").trim();
}

function draw(tile) {
  const now = tile.past.at(-1);
  const known = tile.past.filter(Number.isFinite);
  const [value, unit] = Number.isFinite(now) ? tile.unit(now) : ["–", ""];
  tile.text.replaceChildren(value, ...(unit ? [" ", make("span", "unit", unit)] : []));
  tile.item.classList.toggle("bad", Boolean(tile.bad && Number.isFinite(now) && tile.bad(now)));
  if (known.length < 2) return;
  const top = Math.max(...known), least = Math.min(...known);
  tile.range.replaceChildren(...top === least ? [] : [make("span", "", `least ${written(tile, least)}`), make("span", "", `most ${written(tile, top)}`)]);

  // From zero, so that little noise looks like little.
  const floor = Math.min(0, least), height = top - floor || 1;
  const runs = [[]];
  tile.past.forEach((n, i) => {
    if (!Number.isFinite(n)) { if (runs.at(-1).length) runs.push([]); return; }
    const x = 100 * (i + remembered - tile.past.length) / (remembered - 1);
    runs.at(-1).push([x.toFixed(2), (29 - 27 * (n - floor) / height).toFixed(2)]);
  });
  const drawn = runs.filter(r => r.length);
  const line = r => r.map(p => p.join(" ")).join("L");
  tile.paths[1].setAttribute("d", drawn.map(r => `M${line(r)}`).join(""));
  tile.paths[0].setAttribute("d", drawn.map(r => `M${r[0][0]} 30L${line(r)}L${r.at(-1)[0]} 30Z`).join(""));
}

const samples = [];

function add(sample) {
  samples.push(sample);
  if (samples.length > smoothed + 1) samples.shift();
  const before = samples.at(-2), long = samples.length > 1 ? samples[0] : null;
  $("relay").hidden = !sample.has("restante_relay_entries"); // where no mail leaves there is no such page
  for (const room of rooms) {
    room.section.hidden = Boolean(room.needs && !sample.has(room.needs));
    for (const tile of room.tiles) {
      tile.past.push(tile.value(sample, before, long));
      if (tile.past.length > remembered) tile.past.shift();
      draw(tile);
    }
  }
}

// Asking.

function fail(text) {
  $("notice").hidden = !text;
  if ($("notice-text").textContent !== text) $("notice-text").textContent = text;
}

function health(ready, text) {
  $("health").className = `health ${ready ? "ready" : "not"}`;
  if ($("health").textContent !== text) $("health").textContent = text;
}

async function look() {
  const signal = AbortSignal.timeout(timeout);
  const [metrics, ready] = await Promise.all([
    fetch("metrics", { signal, headers: { Authorization: `Bearer ${token.get()}` } }),
    fetch("readyz", { signal }),
  ]);
  if (metrics.status === 401) throw new Refused();
  if (!metrics.ok) throw new Error(`the server said ${metrics.status}`);
  add(new Sample(await metrics.text()));
  health(ready.ok, ready.ok ? "Ready" : "Not ready: the store does not answer");
  $("asked").textContent = `Asked ${new Date().toLocaleTimeString()}, every ${every / 1000} seconds.`;
}

class Refused extends Error {}

let turning = 0; // number of the round that is allowed to go on
async function turn() {
  const mine = ++turning;
  while (mine === turning) {
    if (!document.hidden) {
      try {
        await look();
        if (mine !== turning) return;
        $("enter").hidden = true;
        $("rooms").hidden = $("head").hidden = false;
        fail("");
      } catch (e) {
        if (mine !== turning) return;
        if (e instanceof Refused) return enter("The server does not know this token.");
        health(false, "No answer");
        fail("The server does not answer. Trying again.");
        $("head").hidden = false;
      }
    }
    await new Promise(done => setTimeout(done, every));
  }
}

function enter(error) {
  turning++;
  token.clear();
  fail("");
  samples.length = 0;
  for (const room of rooms) for (const tile of room.tiles) tile.past = [];
  $("rooms").hidden = $("head").hidden = true;
  $("enter").hidden = false;
  $("token-error").textContent = error;
  $("token-error").hidden = !error;
  $("token").toggleAttribute("aria-invalid", Boolean(error));
  if (error) $("token").setAttribute("aria-invalid", "true");
  $("token").value = "";
  $("token").focus();
}

$("enter").onsubmit = e => {
  e.preventDefault();
  token.set($("token").value.trim());
  turn();
};
$("leave").onclick = () => enter("");
$("hold").onclick = () => {
  const held = $("hold").getAttribute("aria-pressed") !== "true";
  $("hold").setAttribute("aria-pressed", String(held));
  if (held) turning++;
  else turn();
};

build();
if (token.get()) turn();
else enter("");
