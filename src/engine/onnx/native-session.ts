import { invalidRequest, ServingError } from '../../core/errors.ts';
import type { StopSignal } from '../../core/stop-signal.ts';
import type { Signature, TensorMetadata } from '../../core/metadata.ts';
import type { Tensor } from '../../core/tensor.ts';
import type { EngineSession } from '../engine.ts';
import { Handles, NativeStrings, NativeWords, type Pointer } from '../native/index.ts';
import { canKeep, isAlike, KeptTensors } from './kept-tensors.ts';
import { readOutput } from './native-outputs.ts';
import type { NativeOutput, NativeSignature } from './native-signature.ts';
import { createInput } from './native-values.ts';
import { runError } from './ort-failure.ts';
import type { OrtRuntime } from './ort-runtime.ts';
import { PLATFORM } from './platform.ts';
import { RunPlace } from './run-place.ts';
import { cancelled, checkInputs, disposed, isAborted, selectOutputs } from './run-checks.ts';

/**
 * Everything native that one run touches. While the run is in flight the session's set of running slots refers to it, so nothing here can be
 * collected before the callback, whatever the engine's caller keeps.
 *
 *     frame | input names | input values | output names | output values |      pointers, one word each
 */
class RunSlot {
  readonly options: Pointer;
  readonly frame: NativeWords;
  readonly handles = new Handles();
  /** Owners of the input memory in use. */
  inputs: readonly Tensor[] = [];
  /** Filled in `frame` as long as it is here; it owns its memory. */
  kept: KeptTensors | undefined;
  /** Where runs with the kept tensors go on. */
  place = new RunPlace();

  constructor(options: Pointer, words: number) {
    this.options = options;
    this.frame = new NativeWords(words);
  }

  dropKept(): void {
    this.kept?.release();
    this.kept = undefined;
  }
}

/** What stops the runs of each session. At its exit Node waits for the threads of its pool, however long they compute: they are told to stop then. */
const stops = new Set<() => void>();
process.once('exit', () => {
  for (const stop of stops) stop();
});

/** A model on ONNX Runtime's C API: runs go on side by side on libuv's pool over shared weights, and a signal stops them between graph nodes. */
export class NativeSession implements EngineSession {
  readonly signature: Signature;
  readonly platform = PLATFORM;
  readonly properties: Readonly<Record<string, string>>;
  readonly isConcurrent = true;
  readonly isCancellable = true;

  readonly #runtime: OrtRuntime;
  readonly #session: Pointer;
  /** What a run costs follows from the sizes of its inputs, so that one run tells of the next. */
  readonly #hasFixedCost: boolean;
  /** Called when nothing of the session's files is in use any more. */
  readonly #onDisposed: (() => unknown) | undefined;
  /** Owns the session and the run options of all slots. */
  readonly #handles: Handles;
  readonly #inputs: ReadonlyMap<string, TensorMetadata>;
  readonly #outputs: ReadonlyMap<string, NativeOutput>;
  readonly #names: NativeStrings;
  readonly #idle: RunSlot[] = [];
  /** An array: a Set that grows and shrinks with each run leaves its old tables to the full collections. */
  readonly #running: RunSlot[] = [];
  readonly #stopRuns = (): void => {
    for (const slot of this.#running) this.#terminate(slot);
  };
  readonly #allOutputs: readonly NativeOutput[];
  #lastInputs: readonly Omit<Tensor, 'data'>[] = [];
  /** False once the sizes of outputs were seen to depend on more than the sizes of inputs. */
  #keepsTensors = true;
  #disposal: Promise<void> | undefined;
  #onIdle: (() => void) | undefined;

  /** Takes over `handles`, which owns `session`. */
  constructor(
    runtime: OrtRuntime,
    session: Pointer,
    handles: Handles,
    signature: NativeSignature,
    facts: { readonly properties: Readonly<Record<string, string>>; readonly hasFixedCost: boolean; readonly onDisposed?: () => unknown },
  ) {
    this.#runtime = runtime;
    this.#session = session;
    this.#handles = handles;
    this.#inputs = new Map(signature.inputs.map((input) => [input.name, input]));
    this.#outputs = new Map(signature.outputs.map((output) => [output.metadata.name, output]));
    this.#allOutputs = signature.outputs;
    this.#names = new NativeStrings([...new Set([...this.#inputs.keys(), ...this.#outputs.keys()])]);
    this.signature = { inputs: signature.inputs, outputs: signature.outputs.map((output) => output.metadata) };
    this.properties = facts.properties;
    this.#hasFixedCost = facts.hasFixedCost;
    this.#onDisposed = facts.onDisposed;
    stops.add(this.#stopRuns);
  }

  async run(inputs: readonly Tensor[], wanted: readonly string[], signal?: StopSignal): Promise<readonly Tensor[]> {
    if (this.#disposal !== undefined) throw disposed();
    if (isAborted(signal)) throw cancelled();
    checkInputs(this.#inputs, inputs);
    const outputs = wanted.length === 0 ? this.#allOutputs : selectOutputs(this.#outputs, wanted);
    const slot = this.#takeSlot();
    const onAbort = (): void => {
      this.#terminate(slot);
    };
    try {
      signal?.addEventListener('abort', onAbort);
      if (slot.kept?.fits(inputs, outputs) !== true) return await this.#runAfresh(slot, inputs, outputs, signal);
      const kept = await this.#runKept(slot, slot.kept, inputs, signal);
      if (kept !== undefined) return kept;
      const answer = await this.#runAfresh(slot, inputs, outputs, signal);
      // Sizes that depend on values: what is kept would fail again and again.
      this.#keepsTensors = false;
      slot.dropKept();
      return answer;
    } catch (thrown) {
      throw thrown instanceof ServingError ? thrown : runError(thrown);
    } finally {
      signal?.removeEventListener('abort', onAbort);
      this.#giveBack(slot, isAborted(signal));
    }
  }

  /** Undefined when the run failed: its outputs may have other sizes this time, which a run with tensors of its own finds out. */
  async #runKept(
    slot: RunSlot,
    kept: KeptTensors,
    inputs: readonly Tensor[],
    signal: StopSignal | undefined,
  ): Promise<readonly Tensor[] | undefined> {
    kept.write(inputs);
    const { place } = slot;
    const startedAt = performance.now();
    const started =
      place.isOnLoop && this.#hasFixedCost
        ? this.#runHere(slot, inputs.length, kept.outputCount)
        : this.#start(slot, inputs.length, kept.outputCount);
    const status = started instanceof Promise ? await started : started;
    place.took(performance.now() - startedAt);
    this.#runtime.release(status);
    if (isAborted(signal)) throw cancelled();
    return status === null ? kept.read() : undefined;
  }

  async #runAfresh(
    slot: RunSlot,
    inputs: readonly Tensor[],
    outputs: readonly NativeOutput[],
    signal: StopSignal | undefined,
  ): Promise<readonly Tensor[]> {
    slot.dropKept();
    this.#fill(slot, inputs, outputs);
    const status = await this.#start(slot, inputs.length, outputs.length);
    this.#ownOutputs(slot, inputs.length, outputs.length);
    if (isAborted(signal)) {
      this.#runtime.release(status);
      throw cancelled();
    }
    this.#runtime.check(status);
    const firstOutput = 2 * inputs.length + outputs.length;
    const answer = outputs.map((output, index) => readOutput(this.#runtime, slot.frame.pointerAt(firstOutput + index), output));
    this.#keepFor(slot, inputs, outputs, answer);
    return answer;
  }

  /** From the second of two runs on inputs of the same sizes. */
  #keepFor(slot: RunSlot, inputs: readonly Tensor[], outputs: readonly NativeOutput[], answer: readonly Tensor[]): void {
    const isRepeated = isAlike(this.#lastInputs, inputs);
    if (!isRepeated) this.#lastInputs = inputs.map(({ name, datatype, shape }) => ({ name, datatype, shape }));
    if (!isRepeated || !this.#keepsTensors || !canKeep(inputs, answer) || outputs.some(({ kind }) => kind !== 'tensor')) return;
    slot.kept = new KeptTensors(this.#runtime, inputs, answer, slot.frame);
    slot.place = new RunPlace();
  }

  dispose(): Promise<void> {
    this.#disposal ??= this.#waitAndFree();
    return this.#disposal;
  }

  async #waitAndFree(): Promise<void> {
    if (this.#running.length > 0) await new Promise<void>((resolve) => (this.#onIdle = resolve));
    stops.delete(this.#stopRuns);
    for (const slot of this.#idle) slot.dropKept();
    this.#idle.length = 0;
    this.#handles.releaseAll();
    await this.#onDisposed?.();
  }

  /** The run ends before its next node. */
  #terminate(slot: RunSlot): void {
    this.#runtime.release(this.#runtime.api.RunOptionsSetTerminate(slot.options));
  }

  #takeSlot(): RunSlot {
    const slot = this.#idle.pop() ?? this.#createSlot();
    this.#running.push(slot);
    return slot;
  }

  #createSlot(): RunSlot {
    const { api } = this.#runtime;
    const options = this.#runtime.create(this.#handles, api.ReleaseRunOptions, (out) => api.CreateRunOptions(out));
    return new RunSlot(options, 2 * (this.#inputs.size + this.#outputs.size));
  }

  #giveBack(slot: RunSlot, wasTerminated: boolean): void {
    slot.handles.releaseAll();
    slot.inputs = [];
    if (wasTerminated) this.#runtime.check(this.#runtime.api.RunOptionsUnsetTerminate(slot.options));
    this.#running.splice(this.#running.indexOf(slot), 1);
    this.#idle.push(slot);
    if (this.#running.length === 0) this.#onIdle?.();
  }

  #fill(slot: RunSlot, inputs: readonly Tensor[], outputs: readonly NativeOutput[]): void {
    const words = slot.frame.unsigned;
    slot.inputs = inputs;
    let at = 0;
    for (const input of inputs) words[at++] = this.#nameOf(input.name);
    for (const input of inputs) words[at++] = createInput(this.#runtime, slot.handles, input);
    for (const output of outputs) words[at++] = this.#nameOf(output.metadata.name);
    // NULL: the library allocates the output.
    words.fill(0n, at, at + outputs.length);
  }

  #nameOf(name: string): Pointer {
    const address = this.#names.addressOf(name);
    if (address === undefined) throw invalidRequest(`Cannot run the model: it has no tensor "${name}"`);
    return address;
  }

  /** Settles when the run has ended on its pool thread; until then `slot` holds all that the run reads and writes. */
  #start(slot: RunSlot, inputs: number, outputs: number): Promise<Pointer | null> {
    const { frame } = slot;
    return new Promise((resolve, reject) => {
      this.#runtime.api.Run.async(
        this.#session,
        slot.options,
        frame.addressAt(0),
        frame.addressAt(inputs),
        inputs,
        frame.addressAt(2 * inputs),
        outputs,
        frame.addressAt(2 * inputs + outputs),
        (error, status) => {
          if (error === null) resolve(status);
          else reject(error);
        },
      );
    });
  }

  /** On the event loop, for runs that take less time than the way to a pool thread and back. */
  #runHere({ options, frame }: RunSlot, inputs: number, outputs: number): Pointer | null {
    const outputNames = 2 * inputs;
    return this.#runtime.api.Run(
      this.#session,
      options,
      frame.addressAt(0),
      frame.addressAt(inputs),
      inputs,
      frame.addressAt(outputNames),
      outputs,
      frame.addressAt(outputNames + outputs),
    );
  }

  #ownOutputs(slot: RunSlot, inputs: number, outputs: number): void {
    for (let i = 0; i < outputs; i++) {
      const value = slot.frame.pointerAt(2 * inputs + outputs + i);
      if (value !== 0n) slot.handles.own(value, this.#runtime.api.ReleaseValue);
    }
  }
}
