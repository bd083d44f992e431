import type { ChildProcess } from 'node:child_process';
import { Socket } from 'node:net';
import type { Logger } from '../core/context.ts';
import { isServingError } from '../core/errors.ts';
import { Channel, type FrameStream } from './channel.ts';
import type { ChildEnd } from './child-end.ts';
import { spawnChild, type ChildCommand, type EarlyChild } from './child-spawn.ts';
import type { Frame, FrameKind } from './frame.ts';
import { takeFramePipe } from './frame-pipe.ts';
import { LineLog } from './line-log.ts';

export interface ChildLinkOptions {
  readonly command: ChildCommand;
  /** Taken where it fits. */
  readonly early?: EarlyChild;
}

export interface ChildLinkHandlers {
  take(frame: Frame): void;
  /** Called once, after everything that the child wrote has been read. */
  ended(end: ChildEnd): void;
}

/** After the exit, how long to read on what the child has written; a process of its own making may keep the pipes open. */
const LAST_WORDS_MS = 100;
/** A child whose frame pipe is closed is as good as dead; it may say so itself first. */
const CLOSED_PIPE_MS = 200;
/** A killed process that does not exit (it hangs in the kernel) is given up after this time. */
const KILL_WAIT_MS = 5000;

/** One child process: its start, its pipes, its end. File descriptor 3 of the child is a socket that carries frames both ways. */
export class ChildLink {
  readonly pid: number | undefined;
  readonly #process: ChildProcess;
  readonly #channel: Channel | undefined;
  readonly #handlers: ChildLinkHandlers;
  readonly #stderr: LineLog | undefined;
  #exit: { code: number | null; signal: string | null } | undefined;
  #killedBecause: string | undefined;
  #spawnError: string | undefined;
  #isEnded = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: ChildLinkOptions, handlers: ChildLinkHandlers, log: Logger) {
    this.#handlers = handlers;
    const child = options.early?.take(options.command) ?? spawnChild(options.command);
    this.#process = child;
    this.pid = child.pid;
    child.once('error', (error) => {
      if (child.pid !== undefined) return;
      this.#spawnError = error.message;
      this.#end();
    });
    child.once('exit', (code, signal) => {
      this.#exit = { code, signal };
      this.#endAfter(LAST_WORDS_MS);
    });
    child.once('close', () => {
      this.#end();
    });
    const output = log.child({ pid: child.pid });
    // Without file descriptors left there are no pipes at all, whatever the types say; 'error' follows then.
    if (child.stdout) new LineLog(child.stdout, 'stdout', output);
    if (child.stderr) this.#stderr = new LineLog(child.stderr, 'stderr', output);
    const pipe: unknown = (child.stdio as ChildProcess['stdio'] | undefined)?.[3];
    if (pipe instanceof Socket) this.#channel = this.#open(takeFramePipe(pipe));
  }

  /** Throws ServingError payload_too_large. A child that is gone takes nothing. */
  send(kind: FrameKind, model: number, request: number, metadata: unknown, tensors?: readonly Uint8Array[]): void {
    this.#channel?.send(kind, model, request, metadata, tensors);
  }

  /** Ends the process at once; the first reason counts. */
  kill(because: string): void {
    if (this.#isEnded || this.#exit !== undefined || this.#killedBecause !== undefined) return;
    this.#killedBecause = because;
    this.#process.kill('SIGKILL');
    this.#endAfter(KILL_WAIT_MS);
  }

  #open(pipe: FrameStream): Channel {
    return new Channel(
      pipe,
      {
        take: (frame) => {
          if (!this.#isEnded && this.#killedBecause === undefined) this.#handlers.take(frame);
        },
        // A stream that fails (EPIPE, ECONNRESET) closes: the child's exit tells more.
        fail: (error) => {
          if (isServingError(error)) this.kill(error.message);
        },
        end: () => {
          if (this.#exit !== undefined || this.#killedBecause !== undefined) return;
          this.#restartTimer(CLOSED_PIPE_MS, () => {
            this.kill('it closed its pipe');
          });
        },
      },
      { pausesWhenFull: false },
    );
  }

  #endAfter(ms: number): void {
    this.#restartTimer(ms, () => {
      this.#end();
    });
  }

  #restartTimer(ms: number, action: () => void): void {
    clearTimeout(this.#timer);
    if (!this.#isEnded) this.#timer = setTimeout(action, ms);
  }

  #end(): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    clearTimeout(this.#timer);
    this.#channel?.close();
    this.#process.stdout?.destroy();
    this.#process.stderr?.destroy();
    const lastStderrLine = this.#stderr?.last;
    this.#handlers.ended({
      pid: this.pid,
      exitCode: this.#exit?.code ?? null,
      exitSignal: this.#exit?.signal ?? null,
      ...(this.#killedBecause === undefined ? undefined : { killedBecause: this.#killedBecause }),
      ...(this.#spawnError === undefined ? undefined : { spawnError: this.#spawnError }),
      ...(lastStderrLine === undefined ? undefined : { lastStderrLine }),
    });
  }
}
