// GraphiQL with a key, examples that run with one click, and streams by server-sent events.
"use strict";

const { createElement: h, useEffect, useRef, useState } = React;
const { useEditorContext, useExecutionContext } = GraphiQL.React;

const ENDPOINT = location.pathname;
const KEY = "relata:key";
const UNKNOWN_KEY = "This key opens nothing here: it is not whole, or was revoked.";
const examples = JSON.parse(document.getElementById("examples").textContent);
const byName = new Map(examples.map((example) => [example.name, example]));

/** A request that was refused for its key. */
class Unauthenticated extends Error {}

function request(asked, accept, key, signal) {
  return fetch(ENDPOINT, {
    method: "POST",
    headers: { Accept: accept, Authorization: `Bearer ${key}`, "Content-Type": "application/json" },
    body: JSON.stringify(asked),
    signal,
  });
}

/** The answer to a query or a mutation, whatever its status. */
async function answer(asked, key = sessionStorage.getItem(KEY)) {
  const response = await request(asked, "application/graphql-response+json, application/json;q=0.9", key);
  const told = await response.json();
  if (response.status === 401) {
    throw new Unauthenticated(told.errors[0].message);
  }
  return told;
}

/** The answers of a subscription, as they come. */
async function* stream(asked) {
  const ended = new AbortController();
  const response = await request(asked, "text/event-stream", sessionStorage.getItem(KEY), ended.signal);
  if (!response.headers.get("Content-Type").startsWith("text/event-stream")) {
    yield await response.json();
    return;
  }
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) {
        throw new Error("The stream was cut off. Go on with `after:` and the last cursor.");
      }
      text += value;
      const messages = text.split("\n\n");
      text = messages.pop();
      for (const message of messages) {
        if (message.startsWith("event: complete")) {
          return;
        }
        if (message.startsWith("event: next\ndata: ")) {
          yield JSON.parse(message.slice("event: next\ndata: ".length));
        }
      }
    }
  } finally {
    ended.abort();
  }
}

/** The stream as an observable: GraphiQL can end it while it waits for an answer. */
function observed(asked) {
  return {
    subscribe({ next, error, complete }) {
      const answers = stream(asked);
      let ended = false;
      const finish = (then) => (value) => {
        if (!ended) {
          ended = true;
          then(value);
        }
      };
      (async () => {
        for await (const told of answers) {
          if (ended) {
            return;
          }
          next(told);
        }
      })().then(finish(complete), finish(error));
      return {
        unsubscribe() {
          ended = true;
          void answers.return();
        },
      };
    },
  };
}

function fetcher(asked, options) {
  const operations = (options?.documentAST?.definitions ?? []).filter((node) => node.kind === "OperationDefinition");
  const operation = operations.find((node) => node.name?.value === asked.operationName) ?? operations[0];
  if (operation?.operation === "subscription") {
    return observed(asked);
  }
  return answer(asked).catch((problem) => {
    if (problem instanceof Unauthenticated) {
      askForKey(UNKNOWN_KEY);
    }
    throw problem;
  });
}

/** The first text in an answer: an id that an example needs. */
function firstText(value) {
  if (typeof value === "string") {
    return value;
  }
  for (const inner of value && typeof value === "object" ? Object.values(value) : []) {
    const found = firstText(inner);
    if (found !== undefined) {
      return found;
    }
  }
  return undefined;
}

/** The variables that an example runs with; looks up what it needs. */
async function variablesOf(example) {
  if (!example.needs) {
    return null;
  }
  const told = await answer({ query: example.needs });
  const found = Object.entries(told.data ?? {}).map(([name, value]) => [name, firstText(value)]);
  if (found.length === 0 || found.some(([, id]) => id === undefined)) {
    throw new Error("This account has no record for this example: it is made for the demo data.");
  }
  return Object.fromEntries(found);
}

function kindOf(example) {
  return example.query.split(/\s/, 1)[0];
}

/** Examples as a pane of GraphiQL's; within its contexts, so that it can fill the editors and run them. */
function Examples() {
  const editor = useEditorContext({ nonNull: true });
  const execution = useExecutionContext({ nonNull: true });
  // Running happens after the next rendering: this is how it finds the functions of then.
  const latest = useRef({ editor, execution });
  latest.current = { editor, execution };
  const [waiting, setWaiting] = useState(null);
  const [problem, setProblem] = useState("");
  const active = editor.tabs[editor.activeTabIndex];
  const current = examples.find((example) => example.query === active?.query);

  // What the editors hold is written beside them for the eyes only.
  useEffect(() => {
    const names = { queryEditor: "Operation", variableEditor: "Variables", responseEditor: "Answer" };
    for (const [name, label] of Object.entries(names)) {
      editor[name]?.getInputField().setAttribute("aria-label", label);
    }
  }, [editor.queryEditor, editor.variableEditor, editor.responseEditor]);

  useEffect(() => {
    if (!waiting || !execution || !editor.queryEditor) {
      return undefined;
    }
    // GraphiQL looks at a new document a moment after it was set; we know what is in it.
    const timer = setTimeout(() => {
      const now = latest.current;
      now.editor.queryEditor.operationName = waiting.query.match(/^\w+ (\w+)/)[1];
      setWaiting(null);
      now.execution.run();
    }, 200);
    return () => clearTimeout(timer);
  }, [waiting]);

  async function open(example) {
    setProblem("");
    try {
      const variables = await variablesOf(example);
      const { editor, execution } = latest.current;
      execution.stop();
      const index = editor.tabs.findIndex((tab) => tab.query === example.query);
      if (index >= 0 && index !== editor.activeTabIndex) {
        editor.changeTab(index);
      } else if (index < 0 && editor.queryEditor.getValue().trim()) {
        editor.addTab();
      }
      editor.variableEditor?.setValue(variables ? JSON.stringify(variables, null, 2) : "");
      editor.queryEditor.setValue(example.query);
      setWaiting(example);
    } catch (caught) {
      setProblem(caught.message);
    }
  }

  return h(
    "section",
    { className: "examples", "aria-label": "Examples" },
    h("h2", null, "Examples"),
    h("p", null, "Each works on the demo data with one click. Change them as you like."),
    problem && h("p", { role: "alert" }, problem),
    h(
      "ol",
      null,
      examples.map((example) =>
        h(
          "li",
          { key: example.name },
          h(
            "button",
            { type: "button", "aria-current": example === current, onClick: () => open(example) },
            h("strong", null, example.title, h("em", null, kindOf(example))),
            h("small", null, example.about),
          ),
          example.offers && example === current && h(Offer, { example: byName.get(example.offers) }),
        ),
      ),
    ),
  );
}

/** Makes something happen beside a stream, which goes on. */
function Offer({ example }) {
  const [said, setSaid] = useState({ text: "Nothing yet? Hire somebody meanwhile." });
  async function happen() {
    try {
      const told = await answer({ query: example.query, variables: await variablesOf(example) });
      const refused = told.errors ?? told.data.createRecords.userErrors;
      setSaid(refused.length ? { text: refused[0].message, bad: true } : { text: "Done: watch the answer." });
    } catch (caught) {
      setSaid({ text: caught.message, bad: true });
    }
  }
  return h(
    "div",
    { className: "offer" },
    h("button", { type: "button", className: "plain", onClick: happen }, "Make it happen"),
    h("span", { role: "status", "data-bad": Boolean(said.bad) }, said.text),
  );
}

function ExamplesIcon() {
  return h(
    "svg",
    { viewBox: "0 0 24 24", fill: "none", stroke: "currentColor", strokeWidth: 1.6, height: "1em" },
    h("path", { d: "M5 5.5v13l10.5-6.5z", strokeLinejoin: "round" }),
    h("path", { d: "M18.5 5.5v13", strokeLinecap: "round" }),
  );
}

const plugin = { title: "Examples", icon: ExamplesIcon, content: Examples };

/** The pane that was open last; at first the examples. */
function openPane() {
  const kept = localStorage.getItem("graphiql:visiblePlugin");
  return kept === null ? plugin.title : undefined;
}

const WELCOME = `# Choose an example on the left,
# or write your own: ctrl-space
# completes, ctrl-enter runs.

query Account {
  account {
    name
    createdAt
  }
}
`;

function start() {
  const place = document.getElementById("graphiql");
  ReactDOM.unmountComponentAtNode(place);
  ReactDOM.render(
    h(
      GraphiQL,
      {
        fetcher,
        plugins: [plugin],
        visiblePlugin: openPane(),
        defaultQuery: WELCOME,
        defaultEditorToolsVisibility: true,
        // The key is the page's; nothing else belongs into a header.
        isHeadersEditorEnabled: false,
        showPersistHeadersSettings: false,
      },
      h(GraphiQL.Logo, null, null),
    ),
    place,
  );
}

const dialog = document.getElementById("ask");
const form = document.getElementById("key-form");

function askForKey(problem = "") {
  document.getElementById("key-problem").textContent = problem;
  document.getElementById("change-key").hidden = true;
  if (!dialog.open) {
    dialog.showModal();
  }
}

/** Take a key if it opens an account; says whose. */
async function take(key) {
  const told = await answer({ query: "{ account { name } }" }, key);
  const name = told.data?.account?.name;
  sessionStorage.setItem(KEY, key);
  document.getElementById("account").textContent = name ? `Account ${name}` : "";
  document.getElementById("change-key").hidden = false;
}

async function enter(key) {
  try {
    await take(key);
  } catch (problem) {
    askForKey(problem instanceof Unauthenticated ? UNKNOWN_KEY : problem.message);
    return;
  }
  dialog.close();
  start();
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  void enter(form.elements.key.value.trim().replace(/^Bearer\s+/i, ""));
});
// Without a key there is nothing to be seen.
dialog.addEventListener("cancel", (event) => {
  if (!sessionStorage.getItem(KEY)) {
    event.preventDefault();
  } else {
    document.getElementById("change-key").hidden = false;
  }
});
document.getElementById("change-key").addEventListener("click", () => {
  form.reset();
  askForKey();
});

const kept = sessionStorage.getItem(KEY);
if (kept) {
  void enter(kept);
} else {
  askForKey();
}
