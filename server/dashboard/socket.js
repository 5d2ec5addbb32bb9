// One WebSocket for all streams, by graphql-transport-ws; the key goes into its first message. A browser allows an
// origin six plain connections over all tabs, which a few streams of server-sent events would use up; sockets are apart.
import { ENDPOINT } from "./api.js";

const FIRST_WAIT = 500;
const LONGEST_WAIT = 20_000;
const PING_EVERY = 15_000;
const PONG_WITHIN = 8_000;
const ACK_WITHIN = 10_000;
const [FORBIDDEN, UNAUTHORIZED] = [4403, 4401];

/** How long to wait before a try: doubled each time, with half of it left to chance, so that not all come at once. */
export function waitFor(tries, chance = Math.random()) {
  const most = Math.min(LONGEST_WAIT, FIRST_WAIT * 2 ** tries);
  return most / 2 + (most / 2) * chance;
}

/**
 * A connection that is made again whenever it is lost. `hear({state, until})` is told: "connecting", "live", "waiting"
 * (`until`: when the next try is), "refused" (the key is no good), "closed".
 */
export class Socket {
  #key;
  #hear;
  #socket = null;
  #live = false;
  #tries = 0;
  #retry = null;
  #beat = null;
  #silence = null;
  #operations = new Map();
  #numbers = 0;
  #ended = false;

  constructor(key, hear) {
    this.#key = key;
    this.#hear = hear;
    this.wake = this.wake.bind(this);
    addEventListener("online", this.wake);
    document.addEventListener("visibilitychange", this.wake);
    this.#connect();
  }

  /**
   * Run an operation, now and after every reconnection, with the variables that `variables()` gives then. `next(data)`
   * hears its answers, `error(errors)` why it ended. Returns a function that ends it.
   */
  run(query, variables, { next, error }) {
    const id = String(++this.#numbers);
    this.#operations.set(id, { query, variables, next, error });
    if (this.#live) this.#start(id);
    return () => {
      if (this.#operations.delete(id) && this.#live) this.#send({ id, type: "complete" });
    };
  }

  close() {
    this.#ended = true;
    clearTimeout(this.#retry);
    removeEventListener("online", this.wake);
    document.removeEventListener("visibilitychange", this.wake);
    this.#operations.clear();
    this.#drop();
    this.#hear({ state: "closed" });
  }

  /** The page is looked at again, or the network is back: try at once, and see whether the line still stands. */
  wake() {
    if (this.#ended || document.hidden) return;
    if (this.#retry !== null) this.#connect();
    else if (this.#live) this.#ping();
  }

  #connect() {
    clearTimeout(this.#retry);
    this.#retry = null;
    this.#drop();
    this.#hear({ state: "connecting" });
    const address = new URL(ENDPOINT, location.href);
    address.protocol = address.protocol.replace("http", "ws");
    const socket = new WebSocket(address, "graphql-transport-ws");
    this.#socket = socket;
    // A server that has much to do takes longer; whoever gave it up each time would never come in.
    this.#expect(ACK_WITHIN * Math.min(6, 1 + this.#tries));
    socket.onopen = () => this.#send({ type: "connection_init", payload: { authorization: `Bearer ${this.#key}` } });
    socket.onmessage = (message) => this.#told(JSON.parse(message.data));
    socket.onclose = (event) => socket === this.#socket && this.#lost(event.code);
  }

  #told(message) {
    const operation = this.#operations.get(message.id);
    switch (message.type) {
      case "connection_ack":
        this.#quiet();
        this.#live = true;
        this.#tries = 0;
        this.#beat = setInterval(() => this.#ping(), PING_EVERY);
        // Before anybody hears of it, and runs what is begun at once: twice the same id would end the line.
        for (const id of this.#operations.keys()) this.#start(id);
        this.#hear({ state: "live" });
        break;
      case "pong":
        this.#quiet();
        break;
      case "ping":
        this.#send({ type: "pong" });
        break;
      case "next":
        this.#quiet();
        if (!operation) break;
        if (message.payload.data) operation.next(message.payload.data);
        else this.#over(message.id, operation, message.payload.errors);
        break;
      case "error":
        if (operation) this.#over(message.id, operation, message.payload);
        break;
      case "complete":
        if (operation) this.#over(message.id, operation, []);
        break;
    }
  }

  #over(id, operation, errors) {
    this.#operations.delete(id);
    operation.error(errors ?? []);
  }

  #lost(code) {
    this.#drop();
    if (code === FORBIDDEN || code === UNAUTHORIZED) {
      this.#ended = true;
      this.#hear({ state: "refused" });
      return;
    }
    const wait = waitFor(this.#tries++);
    this.#retry = setTimeout(() => this.#connect(), wait);
    this.#hear({ state: "waiting", until: Date.now() + wait });
  }

  #start(id) {
    const { query, variables } = this.#operations.get(id);
    this.#send({ id, type: "subscribe", payload: { query, variables: variables() } });
  }

  #send(message) {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }

  #ping() {
    this.#send({ type: "ping" });
    this.#expect(PONG_WITHIN);
  }

  /** A line that says nothing for so long is taken for dead. */
  #expect(ms) {
    this.#silence ??= setTimeout(() => {
      this.#silence = null;
      this.#lost(0);
    }, ms);
  }

  #quiet() {
    clearTimeout(this.#silence);
    this.#silence = null;
  }

  #drop() {
    this.#quiet();
    clearInterval(this.#beat);
    this.#live = false;
    const socket = this.#socket;
    this.#socket = null;
    if (socket) {
      socket.onopen = socket.onmessage = socket.onclose = null;
      socket.close();
    }
  }
}
