import { defineSection, integer, integers, oneOf, seconds, type OptionsOf } from '../options/index.ts';

export const schedulerSection = defineSection({
  title: 'Scheduler',
  options: {
    instances: {
      name: 'instances',
      schema: integer(0, 1024),
      default: 0,
      doc: 'runs of one model at the same time, 0 for as many as the CPU quota and the threads of a run allow',
    },
    batching: {
      name: 'batching',
      schema: oneOf(['auto', 'on', 'off']),
      default: 'auto',
      doc: 'whether requests that wait share a run; auto: where inputs and outputs have rows and a probe finds them independent, on: where they have rows',
    },
    maxBatchSize: {
      name: 'max_batch_size',
      schema: integer(1, 65_536),
      default: 32,
      flags: ['max_batchsize'],
      doc: 'rows of one run at most; a request with more rows runs alone',
    },
    preferredBatchSize: {
      name: 'preferred_batch_size',
      schema: integers(1, 65_536),
      doc: 'sizes in rows, separated by commas, that the model runs best: a run is cut to the largest of them that it reaches',
    },
    maxQueueDelayMs: {
      name: 'max_queue_delay_seconds',
      schema: seconds({ max: 60 }),
      default: 0,
      flags: ['max_queue_delay'],
      doc: 'how long a free instance waits for a run to fill up, 0 for never: a run is what arrived while the last one ran',
    },
    priorityLevels: {
      name: 'priority_levels',
      schema: integer(1, 16),
      default: 1,
      doc: 'levels that the request parameter priority may name, 1 the highest; requests of a level wait for all above it',
    },
    defaultPriority: {
      name: 'default_priority_level',
      schema: integer(1, 16),
      default: 1,
      doc: 'level of requests that name none, or one that there is not',
    },
    queueTimeoutMs: {
      name: 'queue_timeout_seconds',
      schema: seconds({ zeroIsNone: true }),
      default: 0,
      flags: ['queue_timeout'],
      doc: 'longest wait in the queue, 0 for none',
    },
    queueTimeoutAction: {
      name: 'queue_timeout_action',
      schema: oneOf(['reject', 'delay']),
      default: 'reject',
      doc: 'after the longest wait, or the microseconds of the request parameter timeout: reject answers 504, delay lets all others go first',
    },
    maxQueueSize: {
      name: 'max_queue_size',
      schema: integer(1, 1_000_000),
      default: 1000,
      doc: 'requests that may wait for one model; further ones get 429',
    },
    requestTimeoutMs: {
      name: 'request_timeout_seconds',
      schema: seconds({ zeroIsNone: true }),
      default: 300,
      flags: ['request_timeout'],
      doc: 'longest time from the decoded request to its answer, 0 for none; a request may ask for less',
    },
  },
});

/** `requestTimeoutMs` is Infinity for none. */
export type SchedulerSettings = OptionsOf<typeof schedulerSection>;
