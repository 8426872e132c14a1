/** Requests on a route netlink socket and their answers (netlink(7)). */
import { check } from '../../errno.ts';
import type { Channel } from './channel.ts';
import { type NetlinkMessage, NLMSG, NLM_F, parseError, parseMessages, serializeMessage } from './wire.ts';

/** One request after the other, each with its answer. */
export class NetlinkDialog {
  readonly #channel: Channel;
  #seq = 0;

  /** Owns `channel`. */
  constructor(channel: Channel) {
    this.#channel = channel;
  }

  close(): void {
    this.#channel.close();
  }

  /** Sends a request that only its acknowledgement answers. Throws the Errno that is in it. */
  act(type: number, flags: number, payload: Uint8Array): void {
    this.ask(type, flags | NLM_F.ACK, payload);
  }

  /** Sends a request; the messages of its answer without DONE and acknowledgement. Throws Errno. */
  ask(type: number, flags: number, payload: Uint8Array): NetlinkMessage[] {
    const seq = ++this.#seq;
    const request = serializeMessage({ type, flags: flags | NLM_F.REQUEST, seq, pid: 0, payload });
    this.#channel.send(request);
    const answer: NetlinkMessage[] = [];
    for (;;) {
      for (const message of parseMessages(this.#channel.receive())) {
        if (message.seq !== seq) continue;
        if (message.type === NLMSG.DONE) return answer;
        if (message.type === NLMSG.ERROR) {
          check(parseError(message.payload));
          return answer;
        }
        answer.push(message);
        if ((message.flags & NLM_F.MULTI) === 0) return answer;
      }
    }
  }
}
