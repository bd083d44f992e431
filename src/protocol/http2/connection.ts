import type { ServerHttp2Session } from 'node:http2';

/** What its connection knows of a stream whose answer is not out yet. */
export interface OpenCall {
  /** Where it stands among the connection's calls; the connection's to set. */
  slot: number;
  /** Called about once a second: gives up what has stopped moving. */
  watch(now: number): void;
}

/** A client's HTTP/2 connection and the calls under way on it. */
export class Http2Connection {
  readonly session: ServerHttp2Session;
  readonly openedAt = performance.now();
  /** Memory of messages that are still arriving, and of answers that the client has not taken yet. */
  heldBytes = 0;
  /** The client has said what it can do: it speaks HTTP/2. */
  isGreeted = false;
  /** When the unanswered ping was sent; 0 without one. */
  pingedAt = 0;
  heardAt = this.openedAt;
  isLeaving = false;
  readonly calls: OpenCall[] = [];

  constructor(session: ServerHttp2Session) {
    this.session = session;
  }

  began(call: OpenCall): void {
    call.slot = this.calls.length;
    this.calls.push(call);
  }

  /** The last takes the place of the one that has gone: searching costs more with many. */
  ended(call: OpenCall): void {
    const last = this.calls.pop();
    if (last === undefined || last === call) return;
    last.slot = call.slot;
    this.calls[call.slot] = last;
  }
}
