import type { BatchMember } from '../../../src/core/batch.ts';
import type { RequestContext } from '../../../src/core/context.ts';
import type { InferRequest } from '../../../src/core/infer.ts';
import type { StopSignal } from '../../../src/core/stop-signal.ts';

export function memberOf(
  request: InferRequest = { modelName: 'm', inputs: [] },
  signal: StopSignal = new AbortController().signal,
  rest: Partial<Pick<BatchMember, 'verb'> & RequestContext> = {},
): BatchMember {
  const { verb = 'infer', ...ctx } = rest;
  return { verb, request, signal, ctx: { id: '1', protocol: 'v2-rest', signal, deadline: Infinity, headers: {}, ...ctx } };
}
