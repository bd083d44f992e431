import { defineSection, integer, seconds, type OptionsOf } from '../options/index.ts';

export const schedulerSection = defineSection({
  title: 'Scheduler',
  options: {
    instances: {
      name: 'instances',
      schema: integer(0, 1024),
      default: 0,
      doc: 'runs of one model at the same time, 0 for as many as the CPU quota and the threads of a run allow',
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
