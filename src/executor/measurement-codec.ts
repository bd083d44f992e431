import type { Measurement } from '../core/batch.ts';
import { asArray, asRecord } from './tensor-codec.ts';

/** JSON has no infinities: measurements that are no finite number stay behind. */
export type WireMeasurement = Measurement;

export function encodeMeasurements(measurements: readonly Measurement[]): readonly WireMeasurement[] {
  return measurements.filter(({ value }) => Number.isFinite(value));
}

/** Measurements come from user code: one that cannot be is left out, and nothing else suffers. Throws ServingError internal when it is no list at all. */
export function decodeMeasurements(wire: unknown): readonly Measurement[] {
  return asArray(wire, 'measurements').flatMap((measurement) => decodeMeasurement(asRecord(measurement, 'measurement')));
}

function decodeMeasurement({ kind, name, help, labels, value, buckets }: Readonly<Record<string, unknown>>): readonly Measurement[] {
  if (kind !== 'counter' && kind !== 'histogram') return [];
  if (typeof name !== 'string' || typeof help !== 'string' || typeof value !== 'number') return [];
  if (typeof labels !== 'object' || labels === null) return [];
  const measurement: Measurement = {
    kind,
    name,
    help,
    labels: Object.fromEntries(Object.entries(labels).map(([label, text]) => [label, String(text)])),
    value,
  };
  return isBuckets(buckets) ? [{ ...measurement, buckets }] : [measurement];
}

function isBuckets(value: unknown): value is readonly number[] {
  return Array.isArray(value) && value.every((bound) => typeof bound === 'number');
}
