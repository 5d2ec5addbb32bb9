// A client in forty lines: typed queries and mutations, and a subscription that goes on where it broke off.
import type { TypedDocumentString } from "../generated/graphql.js";

export class Relata {
  constructor(
    private readonly url: string,
    private readonly key: string,
  ) {}

  private post(query: string, variables: unknown, accept: string): Promise<Response> {
    return fetch(this.url, {
      method: "POST",
      headers: { Accept: accept, Authorization: `Bearer ${this.key}`, "Content-Type": "application/json" },
      body: JSON.stringify({ query, variables }),
    });
  }

  /** The data of a query or a mutation; throws what was refused. */
  async ask<Data, Variables>(operation: TypedDocumentString<Data, Variables>, variables: Variables): Promise<Data> {
    const response = await this.post(operation.toString(), variables, "application/graphql-response+json");
    const answer = (await response.json()) as { data?: Data; errors?: { message: string }[] };
    if (answer.errors || !answer.data) {
      throw new Error(answer.errors?.map((error) => error.message).join("\n") ?? `HTTP ${response.status}`);
    }
    return answer.data;
  }

  /** The data of each event; ends when the server completes the stream. */
  async *watch<Data, Variables>(
    operation: TypedDocumentString<Data, Variables>,
    variables: Variables,
  ): AsyncGenerator<Data> {
    const response = await this.post(operation.toString(), variables, "text/event-stream");
    if (!response.body) throw new Error(`HTTP ${response.status}`);
    let text = "";
    for await (const part of response.body.pipeThrough(new TextDecoderStream())) {
      const messages = (text + part).split("\n\n");
      text = messages.pop() ?? "";
      for (const message of messages) {
        if (message.startsWith("event: complete")) return;
        const told = message.match(/^event: next\ndata: (.*)$/s)?.[1];
        if (told === undefined) continue;
        const answer = JSON.parse(told) as { data?: Data; errors?: { message: string }[] };
        if (!answer.data) throw new Error(answer.errors?.[0]?.message ?? "no data");
        yield answer.data;
      }
    }
  }
}
