// Tables whose rows change one by one: what is as it was stays, what has changed stands out for a moment; of many rows
// the first few are shown, and the others behind a button.
import { byId, el, fill } from "./dom.js";
import { number } from "./format.js";

/** A number in its cell; `data-none` where there is nothing to look at. */
export function cell(part, n, label = part) {
  return el("td", { "data-label": label, "data-part": part, "data-none": !n }, el("span", {}, number(n)));
}

/** How a whole is shared out among `parts`; `labels` call them by name. */
export function share(parts, labels, standing, whole, none) {
  const told = parts.filter((part) => standing[part]).map((part) => `${number(standing[part])} ${labels[part]}`);
  const node = el("div", { class: "share", role: "img", "aria-label": told.join(", ") || none });
  for (const part of parts) {
    if (!standing[part]) continue;
    const piece = el("i", { class: part, title: `${number(standing[part])} ${labels[part]}` });
    // By script: a style in the markup is against the page's own policy.
    piece.style.flexGrow = standing[part] / Math.max(1, whole);
    node.append(piece);
  }
  return node;
}

/** Numbers that changed stand out for a moment. */
function flash(before, after) {
  for (const one of after.querySelectorAll("td[data-part]")) {
    const old = before.querySelector(`td[data-part="${one.dataset.part}"]`);
    if (old && old.textContent !== one.textContent) one.firstElementChild.classList.add("changed");
  }
}

export class Rows {
  #rows = new Map();
  #table = null;
  #body = null;
  #open = false;

  /**
   * A table in the element `place`. `head`: texts, or `[text, part]` with the colour of that part of the share.
   * `grouped`: each row is a body of its own, with more rows.
   */
  constructor(place, { caption, head, kind, most = 8, grouped = false }) {
    Object.assign(this, { place, caption, head, kind, most, grouped });
    const turn = () => {
      this.#open = !this.#open;
      this.#fold();
    };
    this.more = el("button", { type: "button", class: "plain more", "aria-controls": `${place}-table`, onclick: turn });
  }

  forget() {
    this.#rows.clear();
    this.#table = null;
    this.#open = false;
    fill(byId(this.place));
  }

  #build() {
    this.#rows.clear();
    const marked = ([text, part]) => [part ? el("i", { class: part, "aria-hidden": "true" }) : null, text];
    const head = el("tr", {}, this.head.map((one) => el("th", { scope: "col" }, marked([one].flat()))));
    const parts = [el("caption", { class: "unseen" }, this.caption), el("thead", {}, head)];
    this.#table = el("table", { class: `numbers ${this.kind}`, id: `${this.place}-table` }, parts);
    this.#body = this.grouped ? this.#table : this.#table.appendChild(el("tbody"));
    fill(byId(this.place), this.#table, this.more);
  }

  /** Show these, in this order: `{id, told, make}`; a row is made anew where what is told of it has changed. */
  show(list) {
    if (!this.#table?.isConnected) this.#build();
    const there = new Set(list.map(({ id }) => id));
    for (const [id, { node }] of this.#rows) {
      if (there.has(id)) continue;
      node.remove();
      this.#rows.delete(id);
    }
    let before = this.grouped ? this.#table.tHead : null;
    for (const { id, told, make } of list) {
      const text = JSON.stringify(told);
      const row = this.#rows.get(id) ?? { text: null, node: null };
      if (row.text !== text) {
        const node = make();
        if (row.node) {
          flash(row.node, node);
          row.node.replaceWith(node);
        }
        this.#rows.set(id, Object.assign(row, { text, node }));
      }
      const next = before ? before.nextSibling : this.#body.firstChild;
      if (next !== row.node) this.#body.insertBefore(row.node, next);
      before = row.node;
    }
    this.#fold();
  }

  #fold() {
    const all = this.grouped ? [...this.#table.tBodies] : [...this.#body.rows];
    const many = all.length > this.most + 1;
    all.forEach((row, n) => (row.hidden = many && !this.#open && n >= this.most));
    this.more.hidden = !many;
    this.more.setAttribute("aria-expanded", String(this.#open));
    const text = this.#open ? `Only the first ${number(this.most)}` : `All ${number(all.length)}`;
    if (this.more.textContent !== text) this.more.textContent = text;
  }
}
