// Elements without ceremony. Text is always set as text: nothing of an account's data is ever read as markup.

/** An element. `attributes`: functions under `on…` listen, `null` and `false` leave out. */
export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) {
      node.addEventListener(name.slice(2), value);
    } else if (value !== null && value !== undefined && value !== false) {
      node.setAttribute(name, value === true ? "" : value);
    }
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

export const byId = (id) => document.getElementById(id);

/** Put these children in the place of all that were there. */
export function fill(node, ...children) {
  node.replaceChildren(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
}

/** Set a text only where it differs, so that readers aloud are not told twice. */
export function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** What a panel says in place of its content. */
export function note(title, ...text) {
  return el("div", { class: "note" }, el("strong", {}, title), text.length ? el("p", {}, ...text) : null);
}

/** A link to where the API is explored. */
export const api = (text) => el("a", { href: "/graphql" }, text);

/** Call `work` soon, once for all calls of the next `ms`; never more than once at a time. */
export function soon(work, ms) {
  let timer = null;
  let running = false;
  let again = false;
  async function run() {
    timer = null;
    if (running) {
      again = true;
      return;
    }
    running = true;
    try {
      await work();
    } finally {
      running = false;
      if (again) {
        again = false;
        call();
      }
    }
  }
  function call() {
    timer ??= setTimeout(run, ms);
  }
  return call;
}

/** Call `work` with the next picture; once for all calls before it. A hidden page has no pictures: it waits. */
export function framed(work) {
  let asked = false;
  return () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => {
      asked = false;
      work();
    });
  };
}

export const still = matchMedia("(prefers-reduced-motion: reduce)");
