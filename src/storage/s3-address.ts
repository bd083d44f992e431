import type { S3Settings } from './s3-settings.ts';

/** Domains of AWS's partitions by how their regions begin; all others are of the first. */
const DOMAINS: readonly (readonly [regions: string, domain: string])[] = [
  ['', 'amazonaws.com'],
  ['cn-', 'amazonaws.com.cn'],
  ['eusc-', 'amazonaws.eu'],
  ['us-iso-', 'c2s.ic.gov'],
  ['us-isob-', 'sc2s.sgov.gov'],
  ['eu-isoe-', 'cloud.adc-e.uk'],
  ['us-isof-', 'csp.hci.ic.gov'],
];

type Addressing = Pick<S3Settings, 'endpoint' | 'usesVirtualHosts' | 'isAccelerated'>;

/** URL of a bucket, without `/` at its end: its name in the host, or in the path where it cannot be or is not to be part of a host. */
export function bucketUrl(bucket: string, region: string, { endpoint, usesVirtualHosts, isAccelerated }: Addressing): string {
  if (isAccelerated && endpoint === undefined) return `https://${bucket}.s3-accelerate.amazonaws.com`;
  const [, domain] = DOMAINS.findLast(([regions]) => region.startsWith(regions)) ?? ['', 'amazonaws.com'];
  const base = endpoint ?? `https://s3.${region}.${domain}`;
  if (!usesVirtualHosts || !canBeHost(bucket, base)) return `${base}/${bucket}`;
  return base.replace('://', `://${bucket}.`);
}

/** Certificates for `*.s3.…` do not cover names with a dot; an address has no names below it. */
function canBeHost(bucket: string, base: string): boolean {
  const isName = base.startsWith('https:') ? /^[a-z0-9-]{3,63}$/ : /^[a-z0-9.-]{3,63}$/;
  return isName.test(bucket) && !/^https?:\/\/(\[|\d+\.\d+\.\d+\.\d+)/i.test(base);
}
