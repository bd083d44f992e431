import type { InferRequest, InferResponse } from '../../core/infer.ts';
import type { ModelMetadata } from '../../core/metadata.ts';
import type { StopSignal } from '../../core/stop-signal.ts';

/** Where a transformer or an explainer finds its predictor; KServe's own flags. Crosses to a child process as JSON. */
export interface PredictorOptions {
  /** `host[:port][/path]`, without a scheme. */
  readonly host: string;
  readonly protocol: 'v1' | 'v2' | 'grpc-v2';
  readonly useSsl: boolean;
  readonly requestTimeoutMs: number;
  /** Further attempts when it is not available; each counts against the one timeout. */
  readonly retries: number;
  /** PEM file of the certificates that are trusted instead of the platform's; absolute path. */
  readonly caFile?: string;
  /** A larger answer fails the request. Absent: 1 GiB. */
  readonly maxResponseBytes?: number;
}

/** What of a request goes along to the predictor. */
export interface Hop {
  readonly id: string;
  /** Of the request that came in; only those that belong to the hop are sent on. */
  readonly headers: Readonly<Record<string, string | undefined>>;
  /** On the clock of `performance.now()`. */
  readonly deadline: number;
  readonly signal: StopSignal;
}

/** A predictor elsewhere, with its connections. */
export interface RemotePredictor {
  /** Undefined when it does not answer, or speaks v1, which has no metadata. */
  metadata(signal?: AbortSignal): Promise<Pick<ModelMetadata, 'inputs' | 'outputs' | 'platform'> | undefined>;
  /**
   * One inference. Rejects with ServingError: what the predictor said with its own status; model_not_ready when it cannot be reached, deadline_exceeded,
   * cancelled, upstream_failed when it answers nonsense. Its response headers come back in `headers`.
   */
  infer(request: InferRequest, hop: Hop): Promise<InferResponse>;
  /** Whether the model is ready there; false when nothing answers. */
  isReady(): Promise<boolean>;
  /** Calls under way reject. */
  close(): void;
}

/** What is known of a predictor's readiness, without asking it then. */
export interface PredictorHealth {
  /** False before the first answer. */
  isReady(): boolean;
  /** Ends the asking and the connections. */
  stop(): void;
}
