import type { S3Settings } from './s3-settings.ts';
import type { S3Credentials } from './s3-signature.ts';

/** Fresh credentials for the next request; undefined where nothing is signed. */
export type ProvideCredentials = () => Promise<S3Credentials | undefined>;

/** Those of variables; else what the SDK finds: profiles, web identity (IRSA), container and instance roles, renewed before they expire. */
export function provideCredentials({ isAnonymous, credentials, region }: S3Settings): ProvideCredentials {
  if (isAnonymous) return () => Promise.resolve(undefined);
  if (credentials !== undefined) return () => Promise.resolve(credentials);
  let chain: Promise<ProvideCredentials> | undefined;
  return async () => {
    chain ??= import('@aws-sdk/credential-provider-node').then(({ defaultProvider }) =>
      defaultProvider(region === undefined ? {} : { clientConfig: { region } }),
    );
    return (await chain)();
  };
}
