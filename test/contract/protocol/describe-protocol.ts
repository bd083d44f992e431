import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SCENARIOS, type Scenario, type WireName } from './scenarios.ts';
import type { PlainTensor, Value, Wire } from './wire.ts';

/** Runs the table of scenarios over one wire: what a protocol cannot carry, and where it must differ, is data of the scenario. */
export function describeProtocol(name: WireName, connect: () => Wire, scenarios: readonly Scenario[] = SCENARIOS): void {
  describe(name, () => {
    let wire: Wire;
    beforeAll(() => {
      wire = connect();
    });
    afterAll(() => {
      wire.close();
    });

    for (const scenario of scenarios) {
      if (scenario.cannotCarry?.[name] !== undefined) continue;
      it(`${scenario.fails ? 'refuses ' : ''}${scenario.name}`, async () => {
        await play(wire, scenario, name);
      });
    }

    it('carries every scenario that does not say why it cannot', () => {
      const carried = scenarios.filter((scenario) => scenario.cannotCarry?.[name] === undefined);
      const reasons = scenarios.flatMap((scenario) => scenario.cannotCarry?.[name] ?? []);
      expect(reasons.filter((reason) => reason.length < 10)).toEqual([]);
      expect(carried.length + reasons.length).toBe(scenarios.length);
    });
  });
}

async function play(wire: Wire, scenario: Scenario, name: WireName): Promise<void> {
  const outcome = await wire.infer(scenario.request);
  const failure = scenario.differs?.[name] ?? scenario.fails;
  if (failure) {
    const [reason, message] = failure;
    expect(outcome).toMatchObject({ ok: false, status: wire.statusOf(reason), message: expect.stringMatching(message) as string });
    return;
  }
  if (!outcome.ok) throw new Error(`${outcome.status}: ${outcome.message}`);
  const { response } = outcome;
  expect(response.model).toBe(scenario.request.model);
  if (scenario.id !== undefined) expect(response.id).toBe(scenario.id);
  if (scenario.headers !== undefined) expect(response.headers).toMatchObject(scenario.headers);
  expect(response.body && { ...response.body, bytes: [...response.body.bytes] }).toEqual(
    scenario.body && { ...scenario.body, bytes: [...scenario.body.bytes] },
  );
  const wanted = scenario.outputs ?? [];
  expect(response.outputs.map((output) => output.name)).toEqual(wanted.map((output) => output.name));
  response.outputs.forEach((output, i) => {
    expectTensor(output, wanted[i]!, scenario.isExact === true);
  });
}

/** Golden models answer within the tolerance of their vectors; identity models answer bit for bit. */
function expectTensor(got: PlainTensor, want: PlainTensor, isExact: boolean): void {
  expect({ datatype: got.datatype, shape: got.shape }).toEqual({ datatype: want.datatype, shape: want.shape });
  expect(got.values.length).toBe(want.values.length);
  const isClose = !isExact && want.datatype.startsWith('FP');
  got.values.forEach((value, i) => {
    const wanted = want.values[i]!;
    if (isClose && Number.isFinite(wanted))
      expect(Math.abs(Number(value) - Number(wanted))).toBeLessThanOrEqual(1e-5 + 1e-4 * Math.abs(Number(wanted)));
    else expect(comparable(value)).toEqual(comparable(wanted));
  });
}

function comparable(value: Value): unknown {
  return value instanceof Uint8Array || typeof value === 'string' ? Buffer.from(value as string).toString('latin1') : value;
}
