// The picture of a graph: nodes and labelled edges, laid out by forces, moved by mouse, finger and keyboard.
import { framed, still } from "./dom.js";
import * as names from "./names.js";

const d3 = window.d3;
const HEIGHT = 540;
const SPAN = 38;
// What a name takes: its longest, a letter's width, a line with its circle.
const LONGEST = 24;
const LETTER = 6.6;
const ROOM = 46;
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/** At most so many characters; one that takes two places stays whole. */
function cut(text, most) {
  const all = [...text];
  return all.length > most ? `${all.slice(0, most - 1).join("").trimEnd()}…` : text;
}
/** Where a label stands: nearer to the record that has fewer edges, since the other end is crowded. */
const along = ({ source, target }) => {
  const t = source.open === target.open ? 0.5 : source.open ? 0.6 : 0.4;
  return [source.x + (target.x - source.x) * t, source.y + (target.y - source.y) * t];
};
const radius = (node) => (node.root ? 15 : node.rest ? 8 : 11);

/** A force that lets no name stand on another: each keeps a box of its name's width, and gives way by the shorter path. */
function apart() {
  let all = [];
  const force = (alpha) => {
    for (let n = 1; n < all.length; n++) {
      for (let m = 0; m < n; m++) {
        const [one, other] = [all[n], all[m]];
        const [x, y] = [one.x - other.x, one.y - other.y];
        const [wide, high] = [(one.room + other.room) / 2 - Math.abs(x), ROOM - Math.abs(y)];
        if (wide <= 0 || high <= 0) continue;
        const [along, by] = high * 2 < wide ? ["y", Math.sign(y || n - m) * high] : ["x", Math.sign(x || n - m) * wide];
        const step = by * (0.1 + alpha) * 0.4;
        one[along] += step;
        other[along] -= step;
      }
    }
  };
  force.initialize = (nodes) => {
    all = nodes;
    for (const node of all) node.room = 14 + LETTER * [...cut(node.name, LONGEST)].length;
  };
  return force;
}

export class View {
  #nodes = [];
  #links = [];
  #chosen = null;
  #width = 600;
  #fitted = true;

  constructor(place, { open, choose }) {
    this.open = open;
    this.choose = choose;
    this.svg = d3.select(place).append("svg").attr("class", "graph").attr("height", HEIGHT);
    this.svg
      .attr("role", "group")
      .attr("aria-label", "Graph. Arrow keys go from record to record, Enter opens or closes one, plus and minus change the size.");
    this.world = this.svg.append("g");
    for (const layer of ["edges", "texts", "nodes"]) this.world.append("g").attr("class", layer);
    this.zoom = d3
      .zoom()
      .scaleExtent([0.25, 3])
      // The wheel scrolls the page, unless a key says that the picture is meant.
      .filter((event) => (event.type === "wheel" ? event.ctrlKey || event.metaKey : !event.button))
      .on("zoom", ({ transform, sourceEvent }) => {
        this.world.attr("transform", transform);
        if (sourceEvent) this.#fitted = false;
      });
    this.svg.call(this.zoom).on("dblclick.zoom", null);
    this.svg.on("keydown", (event) => this.#key(event));
    this.forces = d3
      .forceSimulation()
      .force("link", d3.forceLink().distance((link) => (link.target.rest ? 120 : 190)).strength(0.25))
      .force("charge", d3.forceManyBody().strength(-1300).distanceMax(700))
      .force("collide", d3.forceCollide((node) => radius(node) + SPAN))
      .force("names", apart())
      .force("x", d3.forceX())
      .force("y", d3.forceY())
      .on("tick", framed(() => this.#place()))
      .stop();
    const sizes = { "zoom-in": 1.3, "zoom-out": 1 / 1.3 };
    for (const [id, by] of Object.entries(sizes)) {
      document.getElementById(id).addEventListener("click", () => this.#scale(by));
    }
    document.getElementById("zoom-fit").addEventListener("click", () => this.fit());
    new ResizeObserver(([entry]) => {
      this.#width = Math.max(260, entry.contentRect.width);
      this.svg.attr("viewBox", [-this.#width / 2, -HEIGHT / 2, this.#width, HEIGHT]);
      // As wide and as high as the place is.
      const narrow = this.#width < HEIGHT;
      this.forces.force("x").strength(narrow ? 0.2 : 0.012);
      this.forces.force("y").strength(narrow ? 0.04 : 0.24);
      if (this.#fitted) this.fit();
    }).observe(place);
  }

  show(nodes, links, chosen) {
    const differ = (one, other) => one.length !== other.length || one.some((part, n) => part !== other[n]);
    const grown = differ(nodes, this.#nodes) || differ(links, this.#links);
    this.#nodes = nodes;
    this.#links = links;
    this.#chosen = chosen;
    const fresh = nodes.filter((node) => node.x === undefined);
    for (const [n, node] of fresh.entries()) {
      // New ones begin around the one that brought them, those of a type side by side.
      const angle = (2 * Math.PI * n) / fresh.length;
      node.x = (node.near?.x ?? 0) + (node.near ? 120 * Math.cos(angle) : 0);
      node.y = (node.near?.y ?? 0) + (node.near ? 70 * Math.sin(angle) : 0);
    }
    this.#draw();
    if (!grown) return;
    this.forces.nodes(nodes);
    this.forces.force("link").links(links);
    this.forces.alpha(0.9).stop();
    // Most of the way at once, so that nothing tumbles about; the rest, where motion is welcome, in sight.
    this.forces.tick(still.matches ? 300 : 140);
    this.#fitted = true;
    this.#place();
    if (!still.matches) this.forces.restart();
  }

  #draw() {
    const edges = this.world.select(".edges").selectAll("line").data(this.#links, (link) => link.key);
    this.edges = edges.join("line").attr("class", (link) => (link.labels.length ? "labelled" : ""));
    const labelled = this.#links.filter((link) => link.labels.length);
    const texts = this.world.select(".texts").selectAll("text").data(labelled, (link) => link.key);
    this.texts = texts.join("text").text((link) => cut(link.labels.join(", "), 26));
    const nodes = this.world.select(".nodes").selectAll("g").data(this.#nodes, (node) => node.id);
    this.nodes = nodes.join((enter) => this.#enter(enter));
    const focus = this.#nodes.some(({ id }) => id === this.#chosen) ? this.#chosen : this.#nodes[0]?.id;
    this.nodes
      .attr("class", (node) => `node ${names.colour(node.type)}${node.rest ? " rest" : ""}${node.root ? " root" : ""}`)
      .classed("chosen", (node) => node.id === this.#chosen)
      .attr("tabindex", (node) => (node.id === focus ? 0 : -1))
      .attr("aria-label", (node) => this.#words(node))
      .attr("aria-expanded", (node) => (node.rest ? null : String(node.open)));
    this.nodes.select("circle").attr("r", radius);
    this.nodes.select("text").attr("y", (node) => radius(node) + 14).text((node) => cut(node.name, LONGEST));
  }

  #enter(enter) {
    const group = enter.append("g").attr("role", "button");
    group.append("circle");
    group.append("text");
    group.append("title").text((node) => (node.rest ? node.name : `${node.name} (${names.singular(node.type)})`));
    group.on("click", (event, node) => {
      event.currentTarget.focus();
      this.open(node.id);
    });
    group.call(
      d3
        .drag()
        .on("start", (event) => event.sourceEvent.stopPropagation())
        .on("drag", (event, node) => {
          node.fx = event.x;
          node.fy = event.y;
          this.#fitted = false;
          if (still.matches) this.#place(Object.assign(node, { x: event.x, y: event.y }));
          else this.forces.alphaTarget(0.2).restart();
        })
        .on("end", (_event, node) => {
          node.fx = node.fy = null;
          this.forces.alphaTarget(0);
        }),
    );
    return group;
  }

  #words(node) {
    if (node.rest) return `${node.name} of ${node.of.name}: show more`;
    const edge = this.#links.find(({ source, target }) => node.near && [source, target].includes(node) && [source, target].includes(node.near));
    const labels = edge?.labels.length ? `, ${edge.labels.join(", ")}` : "";
    return `${node.name}, ${names.singular(node.type)}${labels}`;
  }

  #place() {
    if (!this.nodes) return;
    this.edges
      .attr("x1", ({ source }) => source.x)
      .attr("y1", ({ source }) => source.y)
      .attr("x2", ({ target }) => target.x)
      .attr("y2", ({ target }) => target.y);
    this.texts.attr("x", (link) => along(link)[0]).attr("y", (link) => along(link)[1]);
    this.nodes.attr("transform", ({ x, y }) => `translate(${x},${y})`);
    if (this.#fitted) this.fit();
  }

  /** All of the picture in sight. */
  fit() {
    if (!this.#nodes.length) return;
    const [left, right] = d3.extent(this.#nodes, ({ x }) => x);
    const [top, bottom] = d3.extent(this.#nodes, ({ y }) => y);
    const scale = Math.min(1.15, this.#width / (right - left + 170), HEIGHT / (bottom - top + 84));
    const transform = d3.zoomIdentity.scale(scale).translate(-(left + right) / 2, -(top + bottom) / 2 - 6);
    this.svg.call(this.zoom.transform, transform);
    this.#fitted = true;
  }

  #scale(by) {
    this.svg.call(this.zoom.scaleBy, by);
    this.#fitted = false;
  }

  #key(event) {
    const here = this.#nodes.find(({ id }) => id === d3.select(document.activeElement).datum()?.id);
    if (event.ctrlKey || event.metaKey || event.altKey || !here) return;
    if (ARROWS[event.key]) this.#go(here, ARROWS[event.key]);
    else if (event.key === "Enter" || event.key === " ") this.open(here.id);
    else if (event.key === "+" || event.key === "-") this.#scale(event.key === "+" ? 1.3 : 1 / 1.3);
    else if (event.key === "0") this.fit();
    else if (event.key === "Home") this.#focus(this.#nodes.find((node) => node.root));
    else return;
    event.preventDefault();
  }

  /** To the nearest node in a direction; what lies aside counts double. */
  #go(here, [right, down]) {
    const found = this.#nodes.filter((node) => node !== here && (node.x - here.x) * right + (node.y - here.y) * down > 1);
    const away = (node) => Math.hypot(node.x - here.x, node.y - here.y) + Math.abs((node.x - here.x) * down) + Math.abs((node.y - here.y) * right);
    const next = d3.least(found, away);
    if (next) this.#focus(next);
  }

  #focus(node) {
    if (!node) return;
    this.nodes.attr("tabindex", (one) => (one === node ? 0 : -1));
    this.nodes.filter((one) => one === node).node().focus({ preventScroll: true });
    if (!node.rest) this.choose(node.id);
  }
}
