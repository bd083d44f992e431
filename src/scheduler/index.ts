export { cpuQuota, poolSizeFor, resolveBudget, sharedSlots, type BudgetRequest, type ThreadBudget } from './budget.ts';
export { SYSTEM_CLOCK, type CancelTimer, type Clock } from './clock.ts';
export { createScheduler, type SchedulerDependencies, type SchedulerOptions } from './create-scheduler.ts';
export type { BatchPolicy, QueuePolicy } from './policy.ts';
export type { RunSlots } from './run-slots.ts';
export type * from './scheduler.ts';
